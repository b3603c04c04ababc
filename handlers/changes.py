"""The operations tagged `changes`."""

import asyncio
import random
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import replace
from datetime import UTC, date, datetime
from time import monotonic
from typing import Any
from uuid import UUID

from pydantic import MISSING
from pydantic_core import to_json

from contract.types import Event, Json
from generated import models
from generated.operations import (
    FeedExpired,
    InvalidCursor,
    ListChanges200,
    ListTaskActivity200,
    StreamChanges200,
)
from handlers.shared.call import Call
from handlers.shared.pagination import Listing
from handlers.shared.streams import Stream
from persistence.authorization import NotVisible, SessionOver
from persistence.engine.pool import AWAY
from persistence.queries import changes, event_log
from persistence.queries.changes import Feed, Position
from security import cursors

SHORTEST_WAIT = 0.05  # seconds
LONGEST_SILENCE = 15.0  # seconds in which a stream says something
PAGE = 200  # changes that a stream reads at once of what is there already
PAUSE = 1.0  # seconds between two tries to read, when the database is away
PAUSES = 1000, 5000  # milliseconds after which readers come back
LOST = "The changes after this position are not all there any more. Take a new cursor, list everything, follow again."


async def list_changes(
    call: Call, /, *, limit: int, cursor: str | MISSING, organization_id: UUID | MISSING, wait: int
) -> ListChanges200:
    listing = Listing("/api/v1/changes", {"organization_id": organization_id}, call.caller.id)
    if cursor is MISSING:
        feed = await beginning(call, organization_id)
    else:
        position = parse_cursor(call, listing, cursor)
        feed = await following(call, organization_id, *position, limit=limit, wait=wait)
    following_cursor = write_cursor(call, listing, feed.epoch, feed.position)
    body = {"items": feed.items, "next_cursor": following_cursor, "has_more": feed.has_more}
    link = listing.link(following_cursor, limit, wait=wait or MISSING) if feed.has_more else None
    page: Json[models.ChangePage] = Json(to_json(body))
    return ListChanges200(body=page, link=link)


async def stream_changes(
    call: Call, /, *, cursor: str | MISSING, last_event_id: str | MISSING, organization_id: UUID | MISSING
) -> StreamChanges200:
    listing = Listing("/api/v1/changes", {"organization_id": organization_id}, call.caller.id)
    given = cursor if last_event_id is MISSING else last_event_id
    if given is MISSING:
        feed = await beginning(call, organization_id)
    else:
        feed = await following(call, organization_id, *parse_cursor(call, listing, given), limit=PAGE, wait=0)
    return StreamChanges200(body=Telling(call, listing, organization_id, feed).events())


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


class Telling:
    """What the reader of a stream is sent: what is there already, page by page, then what comes."""

    def __init__(self, call: Call, listing: Listing, organization_id: UUID | MISSING, feed: Feed) -> None:
        self.call, self.listing, self.organization_id, self.feed = call, listing, organization_id, feed
        self.position, self.spoken_at = feed.position, 0.0

    async def events(self) -> AsyncGenerator[Event[models.StreamedChange], None]:
        """Until its reader leaves, or the stream ends."""
        streams, left = self.call.process.streams, asyncio.ensure_future(self.call.client.left())
        with streams.open(self.call.caller, self.organization_id, self.feed.epoch) as stream:
            left.add_done_callback(lambda _: stream.woken.set())
            try:
                feed: Feed | None = self.feed
                retry = random.randint(*PAUSES)  # noqa: S311 - so that not all come back at once
                yield self.say(Event(retry=retry, comment="changes"), None if self.feed.items else self.position)
                while stream.end is None and not left.done():
                    if feed is not None:
                        for item, place in zip(feed.items, feed.places, strict=True):
                            yield self.say(Event(data=Json(to_json(item))), place)
                        self.position = feed.position
                        joined = not feed.has_more and streams.join(stream, feed.position)
                        feed = None if joined else await self.read_on(stream)
                    elif told := stream.take():
                        yield self.say(Event(data=told.text), told.place)
                    elif stream.is_slow:
                        raise TimeoutError
                    elif stream.is_behind:
                        feed = await self.read_on(stream)
                    elif self.silence() >= LONGEST_SILENCE:
                        told_all = streams.position
                        is_further = told_all is not None and self.position.is_before(told_all)
                        yield self.say(Event(comment="here"), told_all if is_further else None)
                    else:
                        await self.wait(stream)
                if stream.end is not None:
                    yield Event(event="end", data=models.StreamEnd(reason=stream.end))
            except GeneratorExit:
                stream.is_slow = stream.is_slow or not left.done()
                raise
            finally:
                left.cancel()

    def say(self, event: Event[models.StreamedChange], place: Position | None) -> Event[models.StreamedChange]:
        """The event, behind which a reader who comes back is at this place."""
        self.spoken_at = monotonic()
        if place is not None:
            self.position = place
            event.id = write_cursor(self.call, self.listing, self.feed.epoch, place)
        return event

    def silence(self) -> float:
        return monotonic() - self.spoken_at

    async def wait(self, stream: Stream) -> None:
        """Until something comes, something is to be said, or the token of the reader is over."""
        seconds, until = LONGEST_SILENCE - self.silence(), self.call.client.until
        if until is not None:
            left = (until - datetime.now(UTC)).total_seconds()
            if left <= 0:
                stream.finish(models.StreamEndReason.token_expired)
            seconds = min(seconds, left)
        await stream.wait(max(0.0, seconds))

    async def read_on(self, stream: Stream) -> Feed:
        """The next page, by a statement of its own; an empty one when that cannot be had just now, or never."""
        nothing = self.feed._replace(items=[], places=[], position=self.position, has_more=True)
        by = replace(self.call.caller, now=datetime.now(UTC))
        try:
            feed = await changes.read(self.call.db, self.organization_id, by=by, after=self.position, limit=PAGE)
        except AWAY:
            await stream.wait(PAUSE)
            return nothing
        except SessionOver:
            stream.finish(models.StreamEndReason.session_over)
            return nothing
        except NotVisible:
            stream.finish(models.StreamEndReason.organization_left)
            return nothing
        if not feed.is_current or feed.epoch != stream.epoch or is_lost(self.position.since, feed):
            stream.finish(models.StreamEndReason.feed_expired)
            return nothing
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


def parse_cursor(call: Call, listing: Listing, cursor: str) -> tuple[str, Position]:
    """The epoch and the position of a cursor. Raises InvalidCursor when it belongs to another list."""
    try:
        epoch, since, xid, seq = call.process.cursors.open(cursor, listing.scope)
    except cursors.InvalidCursor:
        raise InvalidCursor from None
    return epoch, Position(date.fromisoformat(since), int(xid), int(seq))


def write_cursor(call: Call, listing: Listing, epoch: UUID, at: Position) -> str:
    return call.process.cursors.seal((str(epoch), str(at.since), str(at.xid), str(at.seq)), listing.scope)
