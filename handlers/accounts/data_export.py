"""Everything that is stored about a user, as JSON text in pieces. Between two of them nothing is open."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from pydantic import MISSING
from pydantic_core import to_json

from generated import models
from handlers.shared.call import Call
from persistence.authorization import Caller
from persistence.engine.keyset import After, Page
from persistence.engine.pool import Database
from persistence.queries import changes
from persistence.queries.accounts import exports

BATCH = 1000


class Section(Protocol):
    """A query for a batch of rows that are the caller's own."""

    async def __call__(self, db: Database, *, by: Caller, after: After | MISSING, limit: int) -> Page: ...


SECTIONS: dict[str, tuple[Section, ...]] = {
    "identities": (exports.list_identities,),
    "sessions": (exports.list_sessions,),
    "access_tokens": (exports.list_access_tokens,),
    "memberships": (exports.list_memberships,),
    "requests": (exports.list_requests,),
    "tasks": (exports.list_tasks, exports.list_received),
    "changes": (changes.list_own,),
    "audit_logs": (exports.list_deeds, exports.list_suffered),
}
"""The members of the contract's `Export` that are lists, and the queries for their items."""


async def pieces(call: Call, profile: models.User) -> AsyncGenerator[bytes, None]:
    """The pieces of the export. Raises SessionOver as soon as the session is."""
    yield b'{"exported_at":%b,"profile":%b' % (to_json(call.now), to_json(profile))
    for name, queries in SECTIONS.items():
        begin = b',"%b":[' % name.encode()
        for section in queries:
            async for items in batches(call, section):
                yield begin + items
                begin = b","
        yield b"]" if begin == b"," else begin + b"]"
    yield b"}"


async def batches(call: Call, section: Section) -> AsyncGenerator[bytes, None]:
    """The items of a list, batch by batch. Each statement asks anew whether the session goes on."""
    after: After | MISSING | None = MISSING
    while after is not None:
        by = replace(call.caller, now=datetime.now(UTC))
        page = await section(call.db, by=by, after=after, limit=BATCH)
        if items := page.items.strip()[1:-1]:
            yield items
        after = page.following
