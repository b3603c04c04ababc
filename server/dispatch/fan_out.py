"""Who reads streams of changes: one look at the log for all of them in this process, and none without them."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

import structlog
from pydantic import MISSING

from contract.types import Json
from generated.models import StreamEndReason
from handlers.shared.call import Life
from handlers.shared.streams import Stream, Told
from persistence.authorization import Caller
from persistence.engine.pool import AWAY, Database
from persistence.queries import tail
from persistence.queries.changes import Position
from server.observability.metrics import Metrics

EVERY = 0.25  # seconds between two looks
LONGEST_TRUST = 10.0  # seconds after which it is asked again who still is who
log = structlog.get_logger("streams")


class FanOut:
    """Tells each stream what its reader may read of the end of the log, and ends those whose reader is over.

    A stream joins at a position of its own. Where others are further on it reads up to them first.
    """

    def __init__(self, life: Life, metrics: Metrics) -> None:
        self.life, self.metrics = life, metrics
        self.db: Database | None = None
        self.streams: dict[Stream, None] = {}
        self.position: Position | None = None
        """All before it was told to all that have joined, or waits for them; None: none has."""
        self.last = self.settles = -1
        """The last number seen, and the transaction before which it was given."""
        self.checked_at = 0.0
        self.looking: asyncio.Task[None] | None = None
        self.is_away = False

    @contextmanager
    def open(self, caller: Caller, organization_id: UUID | MISSING, epoch: UUID) -> Iterator[Stream]:
        """A stream, until the context ends."""
        stream = Stream(caller, organization_id, epoch)
        self.streams[stream] = None
        self.metrics.streams.inc()
        if self.looking is None or self.looking.done():
            self.looking = asyncio.create_task(self.look())
        try:
            yield stream
        finally:
            del self.streams[stream]
            self.metrics.streams.dec()
            if stream.is_slow:
                self.metrics.streams_cut.inc()

    def join(self, stream: Stream, position: Position) -> bool:
        """Tell the stream what comes after the position; False: it has to read on by itself up to a newer one."""
        if self.position is None:
            self.position = position
        if position.is_before(self.position):
            return False
        stream.position, stream.is_behind = position, False
        return True

    async def look(self) -> None:
        """Look until there is no reader."""
        while self.streams:
            await asyncio.sleep(EVERY)
            if self.db is None:
                self.end_all()
                continue
            telling = asyncio.ensure_future(self.tell(self.db))
            try:
                while not telling.done():
                    await asyncio.wait([telling], timeout=EVERY)
                    if self.life.ending:
                        self.end_all()
            finally:
                telling.cancel()
            self.note(telling.exception())
            if self.life.ending:
                self.end_all()
        self.position, self.last = None, -1

    def end_all(self) -> None:
        for stream in self.streams:
            stream.finish(StreamEndReason.server_ending)

    def note(self, error: BaseException | None) -> None:
        """Tell the operator once that the log cannot be read."""
        if error is not None and not isinstance(error, AWAY):
            log.error("changes_untold", exc_info=error)
        elif error is not None and not self.is_away:
            log.warning("changes_unread", reason=type(error).__name__)
        self.is_away = error is not None

    async def tell(self, db: Database) -> None:
        """What is new, if something may be; from time to time ask whether the readers still are who they were."""
        after = self.position
        if after is None:
            return
        last, following = await tail.glance(db)
        if last != self.last:
            self.last, self.settles = last, following
        if after.xid >= self.settles and monotonic() - self.checked_at < LONGEST_TRUST:
            return
        served = [stream for stream in self.streams if stream.end is None]
        if not served:
            return
        now = datetime.now(UTC)
        callers = [(stream.caller, stream.organization_id) for stream in served]
        batch = await tail.read(db, callers, after, now, largest=tail.LARGEST)
        self.checked_at = monotonic()
        self.spread(served, batch)
        self.position = batch.position
        for stream in self.streams.keys() - set(served):
            if stream.position is not None and stream.position.is_before(batch.position):
                stream.fall_behind()

    def spread(self, served: Sequence[Stream], batch: tail.Batch) -> None:
        """Give each stream what it is to tell, and end those that are over."""
        for number, stream in enumerate(served):
            if number not in batch.live:
                stream.finish(StreamEndReason.session_over)
            elif number not in batch.placed:
                stream.finish(StreamEndReason.organization_left)
            elif not batch.is_current or stream.epoch != batch.epoch:
                stream.finish(StreamEndReason.feed_expired)
            else:
                stream.judge()
        for text, place, numbers in batch.told:
            told = Told(Json(text), place)
            for number in numbers:
                stream = served[number]
                begins = stream.position
                if begins is not None and begins.is_before(place) and not (stream.end or stream.is_slow):
                    stream.put(told)

    @asynccontextmanager
    async def watching(self, db: Database) -> AsyncIterator[None]:
        """Look at the log of this database, until the context ends."""
        self.db = db
        try:
            yield
        finally:
            self.db = None
            self.end_all()
            if self.looking is not None:
                self.looking.cancel()
                await asyncio.gather(self.looking, return_exceptions=True)
