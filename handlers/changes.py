"""The operations tagged `changes`."""

import asyncio
from collections.abc import Coroutine
from datetime import date
from time import monotonic
from typing import Any
from uuid import UUID

from pydantic import MISSING
from pydantic_core import to_json

from contract.types import Json
from generated import models
from generated.operations import FeedExpired, InvalidCursor, ListChanges200, ListTaskActivity200
from handlers.shared.call import Call
from handlers.shared.pagination import Listing
from persistence.queries import changes, event_log
from persistence.queries.changes import Feed, Position
from security import cursors

SHORTEST_WAIT = 0.05  # seconds
LOST = "The changes after this position are not all there any more. Take a new cursor, list everything, follow again."


async def list_changes(
    call: Call, /, *, limit: int, cursor: str | MISSING, organization_id: UUID | MISSING, wait: int
) -> ListChanges200:
    listing = Listing("/api/v1/changes", {"organization_id": organization_id}, call.caller.id)
    if cursor is MISSING:
        feed = await beginning(call, organization_id)
    else:
        position = opened(call, listing, cursor)
        feed = await following(call, organization_id, *position, limit=limit, wait=wait)
    following_cursor = sealed(call, listing, feed)
    body = {"items": feed.items, "next_cursor": following_cursor, "has_more": feed.has_more}
    link = listing.link(following_cursor, limit, wait=wait or MISSING) if feed.has_more else None
    page: Json[models.ChangePage] = Json(to_json(body))
    return ListChanges200(body=page, link=link)


async def list_task_activity(call: Call, /, *, task_id: UUID, limit: int, cursor: str | MISSING) -> ListTaskActivity200:
    listing = Listing(f"/api/v1/tasks/{task_id}/activity", {}, call.caller.id)
    after = listing.after(cursor, call.process.cursors)
    before = MISSING if after is MISSING else int(after.key)
    items, last = await changes.read_of_task(call.db, task_id, by=call.caller, before=before, limit=limit)
    following = None if last is None else call.process.cursors.seal((str(last), ""), listing.scope)
    body = {"items": items, "next_cursor": following, "has_more": following is not None}
    page: Json[models.TaskActivityPage] = Json(to_json(body))
    return ListTaskActivity200(body=page, link=listing.link(following, limit))


async def beginning(call: Call, organization_id: UUID | MISSING) -> Feed:
    """The position of now, with nothing before it."""
    feed = await changes.read(call.db, organization_id, by=call.caller, after=MISSING, limit=0)
    if not feed.is_current:
        await event_log.renew_elsewhere(call.db)
        feed = await changes.read(call.db, organization_id, by=call.caller, after=MISSING, limit=0)
    return feed._replace(has_more=False)


async def following(
    call: Call, organization_id: UUID | MISSING, epoch: str, after: Position, *, limit: int, wait: int
) -> Feed:
    """What came after the position, as soon as there is something. Raises FeedExpired."""
    ends = monotonic() + wait
    while True:
        feed = await changes.read(call.db, organization_id, by=call.caller, after=after, limit=limit)
        if not feed.is_current:
            await event_log.renew_elsewhere(call.db)
        if not feed.is_current or epoch != str(feed.epoch) or is_lost(after.since, feed):
            raise FeedExpired(detail=LOST)
        left = ends - monotonic()
        if feed.items or feed.has_more or left < SHORTEST_WAIT or call.process.life.ending:
            return feed
        after = feed.position
        if await has_left(call, call.process.news.wait(feed.feeds, after.xid, left)):
            return feed


def is_lost(since: date, feed: Feed) -> bool:
    return feed.first_day is not None and since < feed.first_day


async def has_left(call: Call, waiting: Coroutine[Any, Any, None]) -> bool:
    """Whether the client left before the waiting was over."""
    left = asyncio.ensure_future(call.client.left())
    waits = asyncio.ensure_future(waiting)
    try:
        await asyncio.wait([left, waits], return_when=asyncio.FIRST_COMPLETED)
        return not waits.done()
    finally:
        for task in (left, waits):
            task.cancel()
        await asyncio.gather(left, waits, return_exceptions=True)


def opened(call: Call, listing: Listing, cursor: str) -> tuple[str, Position]:
    """The epoch and the position of a cursor. Raises InvalidCursor when it belongs to another list."""
    try:
        epoch, since, xid, seq = call.process.cursors.open(cursor, listing.scope)
    except cursors.InvalidCursor:
        raise InvalidCursor from None
    return epoch, Position(date.fromisoformat(since), int(xid), int(seq))


def sealed(call: Call, listing: Listing, feed: Feed) -> str:
    at = feed.position
    return call.process.cursors.seal((str(feed.epoch), str(at.since), str(at.xid), str(at.seq)), listing.scope)
