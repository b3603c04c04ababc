"""When the database goes away and when it is back, each told in a line of words, and what a refusal met."""

import asyncio
import re
from time import monotonic

import structlog
from asyncpg import InterfaceError, PostgresError
from asyncpg.exceptions import InternalClientError

from persistence.engine.pool import AWAY, Database

PAUSE = 0.2  # seconds between two looks whether it is back
QUIET = 1.0  # seconds in which it answers and refuses no one: then it is back, and one disk that is full is one outage
UNCHANGED = ("25006", "53100")  # SQLSTATEs of a server that answers what changes nothing
SERVER_AWAY = ("08", "25006", "53", "57P", "58", "XX")  # SQLSTATEs of a server that serves no one just now
CHANGED = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)")
READ = re.compile(r"\bFROM (\w+)\b(?! AS\b)")  # by a name of its own a row is read to be shown in another
log = structlog.get_logger("database")


class Outages:
    """Of a process. A deadlock or a pool that is too small is none; what is refused in one counts whatever it met."""

    def __init__(self) -> None:
        self.refused, self.since, self.latest = 0, 0.0, 0.0
        self.watching: asyncio.Task[None] | None = None

    def refuse(self, error: Exception, db: Database) -> None:
        """Count a request that was refused for this error, which may be the first of an outage."""
        if is_away(error):
            self.latest = monotonic()
            if self.watching is None:
                self.begin(error, db)
        if self.watching is not None:
            self.refused += 1

    def begin(self, error: Exception, db: Database) -> None:
        self.refused, self.since = 0, self.latest
        how = "takes no changes" if getattr(error, "sqlstate", None) in UNCHANGED else "does not answer"
        said = f"The database {how}: requests are refused until it does"
        log.warning(said, reason=reason(error))
        self.watching = asyncio.create_task(self.watch(db))

    async def watch(self, db: Database) -> None:
        """Look until it is back, and tell."""
        while True:
            if not await answers(db):
                self.latest = monotonic()
            elif monotonic() - self.latest >= QUIET:
                break
            await asyncio.sleep(PAUSE)
        seconds = self.latest - self.since
        said = f"The database answers again after {seconds:.1f} s, in which {self.refused} requests were refused"
        log.warning(said)
        self.watching = None

    def close(self) -> None:
        if self.watching is not None:
            self.watching.cancel()


async def answers(db: Database) -> bool:
    try:
        await db.fetch("SELECT 1", [])
    except AWAY:
        return False
    return True


def is_away(error: Exception) -> bool:
    """Whether it is the server that is missing, or the way to it."""
    if isinstance(error, PostgresError):
        return (error.sqlstate or "XX").startswith(SERVER_AWAY)
    return isinstance(error, OSError | InterfaceError | InternalClientError)


def reason(error: BaseException | None) -> str:
    """The kind of an error, and what it came from."""
    kinds = []
    while error is not None:
        kinds.append(type(error).__name__)
        error = error.__cause__
    return " from ".join(kinds)


def describe_error(error: BaseException | None) -> dict[str, str]:
    """What PostgreSQL said by its code, and the table that was asked for, as far as they are known."""
    if not isinstance(error, AWAY):
        return {}
    state = getattr(error, "sqlstate", None) or getattr(error.__cause__, "sqlstate", None)
    statement = next(iter(getattr(error, "__notes__", ())), "")
    named = CHANGED.findall(statement)[:1] or READ.findall(statement)[-1:]  # what is read first is the caller
    table = getattr(error, "table_name", None) or next(iter(named), None)
    return {name: said for name, said in (("sqlstate", state), ("table", table)) if said}
