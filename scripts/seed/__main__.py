"""Fill the database of the settings with demo data: accounts, teams and tasks, in eleven languages.

The first 240 accounts make up twelve teams, a few large and most small; every eighth account after them founds a small
one. A third of the tasks is in teams, an eighth is the personal list of the demo account, the rest those of the others.
A tenth of the people have almost half of them, and the largest team a fifth or more of those in teams. They are of one
year, most of the last months: nearly half are completed, a seventh in progress, a tenth overdue, and a third without a
due date. Those in teams are more urgent and more often under way.

It is a function of --seed, --now, --users and --tasks: the same rows with the same ids, but for the hash of the
password. A row whose id is there is left as it is, so a second run changes nothing, a larger one adds the rest, and
what callers have changed or made stays. The first run decides what `now` is; later ones find it in the database.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NoReturn

import asyncpg
from typing_extensions import override

from generated import models
from persistence.embedded.server import EmbeddedError
from persistence.queries.due import end_of_day
from persistence.search.sorting import write_sort_key
from persistence.search.vectors import write_tagged_vector
from persistence.tables import AuditLog, Member, Organization, Task, User
from scripts.seed import rows
from scripts.seed.contract import Contract
from scripts.seed.people import AGE, DEMO, PASSWORD, demo_id, people, teams
from scripts.seed.progress import progress
from scripts.seed.tasks import tasks
from scripts.seed.writing import Writing, writing
from security.passwords import Passwords
from server.complaints import CommandError
from server.database import migrations
from server.database.connect import connect, open_url
from server.settings.loading import load
from server.settings.settings import Environment, Settings, SettingsError

MOST_USERS, MOST_TASKS, MOST_SEED = 10_000, 1_000_000, 2**32 - 1
BATCH = 2_000
MOMENT = 14  # characters of a UUIDv7 that tell when it was made
INTERRUPTED = 130  # as shells count SIGINT


class Refusal(Exception):  # noqa: N818 - it says what is the case
    """A command line that cannot be understood; its message is one line."""


class Parser(argparse.ArgumentParser):
    """Says in one line what it does not understand."""

    @override
    def error(self, message: str) -> NoReturn:
        raise Refusal(f"{message[:1].upper()}{message[1:]}; see --help")


class Number:
    """Reads a whole number within bounds."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def __call__(self, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and self.low <= int(text[:20]) <= self.high):
            raise argparse.ArgumentTypeError(f"{text[:20]} is not a whole number from {self.low} to {self.high}")
        return int(text)


def moment(text: str) -> datetime:
    """Reads an instant of RFC 3339, or a date, whose midnight in UTC is meant."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text[:40]} is no moment: write 2026-03-01 or 2026-03-01T12:00:00Z"
        ) from None
    found = found.replace(microsecond=0, tzinfo=found.tzinfo or UTC).astimezone(UTC)
    if not 1980 <= found.year <= 9000:  # noqa: PLR2004 - what a UUIDv7 and the contract can tell, and years around it
        raise argparse.ArgumentTypeError(f"{text[:40]} is too far away: from 1980 to 9000")
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="scripts/seed.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    about = f"up to {MOST_USERS:,}; 50 when not given. The first is {DEMO}"
    parser.add_argument("--users", type=Number(1, MOST_USERS), default=50, metavar="N", help=about)
    about = f"up to {MOST_TASKS:,}; 5,000 when not given"
    parser.add_argument("--tasks", type=Number(0, MOST_TASKS), default=5_000, metavar="N", help=about)
    about = "which data; a database takes one. 1 when not given"
    parser.add_argument("--seed", type=Number(0, MOST_SEED), default=1, metavar="N", help=about)
    about = "the moment that tasks are due around; the last midnight (UTC) when not given"
    parser.add_argument("--now", type=moment, metavar="MOMENT", help=about)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 when it cannot be done, 2 when it cannot be understood."""
    try:
        given = parse(arguments)
        settings = require_allowed(load())
        began = time.monotonic()
        with open_url(settings) as url:
            migrate(url, settings)
            done = asyncio.run(seed(url, settings, given))
    except (CommandError, EmbeddedError, SettingsError, Refusal) as error:
        for line in str(error).splitlines():
            print(f"seed: {line}", file=sys.stderr)
        return 2 if isinstance(error, Refusal) else 1
    except KeyboardInterrupt:
        print("seed: interrupted, so nothing is written", file=sys.stderr)
        return INTERRUPTED
    report(done, time.monotonic() - began)
    return 0


def require_allowed(settings: Settings) -> Settings:
    if settings.environment is Environment.production:
        raise CommandError("ENVIRONMENT is production, where no account may have a password that everybody knows")
    return settings


def migrate(url: str, settings: Settings) -> None:
    """Bring the database to head, as a start of the server would; a server that would not, nor do we."""
    if settings.migrates:
        migrations.upgrade(url)
    else:
        asyncio.run(migrations.require_head(url))


async def seed(url: str, settings: Settings, given: argparse.Namespace) -> dict[str, tuple[int, int]]:
    """Of each kind, how many were added and how many there are."""
    contract = Contract()
    passwords = Passwords(rounds=settings.bcrypt_cost, threads=1)
    hashed = await passwords.hash(PASSWORD)
    passwords.close()
    async with connect(url) as connection, writing(connection) as begun:
        now = await moment_of(connection, given.seed, given.now)
        everybody = people(given.seed, now, given.users)
        for person in everybody:
            contract.check_user(person.user, PASSWORD)
        together = teams(given.seed, now, everybody)
        everything = tasks(given.seed, now, given.tasks, everybody, together)
        joined, happened = list(rows.members(together)), list(rows.audit_logs(together))
        accounts = await begun.add(User, rows.users(everybody, hashed))
        await begun.add(Organization, rows.personal(everybody))
        await begun.add(Member, rows.owners(everybody))
        return {
            "accounts": (accounts, len(everybody)),
            "teams": (await begun.add(Organization, rows.teams(together)), len(together)),
            "memberships": (await begun.add(Member, joined), len(joined)),
            "audit logs": (await begun.add(AuditLog, happened), len(happened)),
            "tasks": (await add_tasks(begun, contract, everything, given.tasks), given.tasks),
        }


async def moment_of(connection: asyncpg.Connection, number: int, wanted: datetime | None) -> datetime:
    """What `now` was when the data of this seed was made, else what is wanted. Raises CommandError if it differs."""
    tail = str(demo_id(number, datetime.now(UTC)))[MOMENT:]
    made: datetime | None = await connection.fetchval(
        "SELECT created_at FROM users WHERE id::text LIKE '%' || $1", tail
    )
    if made is None:
        return wanted or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if wanted not in (None, made + AGE):
        raise CommandError(f"The data of --seed {number} is there, of {made + AGE:%Y-%m-%dT%H:%M:%SZ}: leave --now out")
    return made + AGE


async def add_tasks(begun: Writing, contract: Contract, everything: Iterator[models.Task], total: int) -> int:
    """How many were added. Only a batch of them is in memory."""
    added = 0
    with progress(total) as advance:
        while batch := list(islice(everything, BATCH)):
            for task in batch:
                contract.check_task(task)
            added += await begun.add(Task, [as_row(task) for task in batch])
            advance(len(batch))
    return added


def as_row(task: models.Task) -> dict[str, Any]:
    vector = write_tagged_vector(task.organization_id, task.title, task.description)
    due = {} if task.due_on is None else {"due_date": end_of_day(task.due_on)}
    found_by = {"search_vector": vector, "title_key": write_sort_key(task.title)}
    return task.model_dump(exclude={"author"}) | found_by | due


def report(done: dict[str, tuple[int, int]], seconds: float) -> None:
    if any(added for added, _ in done.values()):
        counts = ", ".join(f"{added:,} of {total:,} {kind}" for kind, (added, total) in done.items())
        print(f"Added {counts} in {seconds:.1f} s")
    else:
        counts = ", ".join(f"{total:,} {kind}" for kind, (_, total) in done.items())
        print(f"Nothing is changed: all of it was there ({counts})")
    print(f'Sign in as {DEMO} with the password "{PASSWORD}", which every account of the data has')


if __name__ == "__main__":
    sys.exit(main())
