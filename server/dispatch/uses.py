"""When sessions and access tokens were last used: kept in memory, and written once a minute beside the requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from uuid import UUID

import structlog

from persistence.engine.pool import Database
from persistence.queries.accounts import access_tokens, sessions

SECONDS = 60.0  # from one statement to the next
log = structlog.get_logger("uses")


class Uses:
    """The last use of each since the last statement. A process that is killed forgets at most a minute of it."""

    def __init__(self) -> None:
        self.of_sessions: dict[UUID, datetime] = {}
        self.of_access_tokens: dict[UUID, datetime] = {}

    @asynccontextmanager
    async def writing_to(self, db: Database) -> AsyncIterator[None]:
        """Write them there until the end, and then once more."""
        task = asyncio.create_task(self.keep_writing(db))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.write(db)

    async def keep_writing(self, db: Database) -> None:
        while True:
            await asyncio.sleep(SECONDS)
            await self.write(db)

    async def write(self, db: Database) -> None:
        """Write what was used. What the database does not take now, it is given again."""
        used, self.of_access_tokens = self.of_access_tokens, {}
        seen, self.of_sessions = self.of_sessions, {}
        try:
            if used:
                await access_tokens.note_uses(db, list(used), list(used.values()))
                used = {}
            if seen:
                await sessions.note_uses(db, list(seen), list(seen.values()))
        except Exception as error:  # noqa: BLE001 - the outermost handler of what no request waits for
            self.of_access_tokens = used | self.of_access_tokens
            self.of_sessions = seen | self.of_sessions
            log.warning("uses_not_written", reason=f"{type(error).__name__}: {error}")
