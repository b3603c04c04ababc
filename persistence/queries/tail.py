"""The end of the event log, as all that listen in a process are told of it: one statement for all of them."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple
from uuid import UUID

from asyncpg import Record
from pydantic import MISSING
from pydantic_core import to_json

from persistence.authorization import HEARD, LISTENING, Caller, asked_by
from persistence.engine.pool import Database
from persistence.queries.changes import ALONE, DAY, Position, behind, change_of
from persistence.queries.event_log import IDENTITY

LARGEST = 1000  # events in a batch
GLANCE = """
SELECT last_value, pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next FROM event_seq
"""
TAIL = f"""
WITH {LISTENING}, log AS MATERIALIZED (
    SELECT epoch, first_seq, identity = {IDENTITY} AS is_current,
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon
    FROM event_log
), page AS MATERIALIZED (
    SELECT found.* FROM log, (SELECT DISTINCT feed_id FROM feeds) AS feed, LATERAL (
        SELECT * FROM events WHERE events.feed_id = feed.feed_id AND day BETWEEN $11 AND $12
            AND (xid, seq) > ($13, $14) AND xid < log.horizon
        ORDER BY xid, seq LIMIT $15
    ) AS found ORDER BY xid, seq LIMIT $15
), halves AS (
    SELECT page.seq, theirs.number FROM page CROSS JOIN log
    JOIN events AS other ON other.subject_id = page.subject_id AND other.transaction = page.transaction
        AND other.version = page.version AND other.day BETWEEN page.day - 1 AND page.day + 1
        AND other.type = CASE page.type WHEN 'task.deleted' THEN 'task.created' ELSE 'task.deleted' END
    JOIN feeds AS theirs ON theirs.feed_id = other.feed_id AND {HEARD.format(event="other", feed="theirs")}
    WHERE page.type = 'task.deleted' OR (page.type = 'task.created' AND page.version > 1)
), told AS (
    SELECT page.seq, array_agg(feeds.number) FILTER (WHERE halves.seq IS NULL) AS wholes,
        array_agg(feeds.number) FILTER (WHERE halves.seq IS NOT NULL) AS movers
    FROM page CROSS JOIN log JOIN feeds ON feeds.feed_id = page.feed_id AND {HEARD.format(event="page", feed="feeds")}
        AND (feeds.tells_alone OR page.type NOT IN {ALONE})
    LEFT JOIN halves ON halves.seq = page.seq AND halves.number = feeds.number
    GROUP BY page.seq
)
SELECT about.*, page.*, told.wholes, told.movers, false AS moved FROM (
    SELECT epoch, is_current, horizon, (SELECT array_agg(number) FROM listening) AS live,
        (SELECT array_agg(DISTINCT number) FROM feeds) AS placed
    FROM log
) AS about FULL JOIN (page LEFT JOIN told ON told.seq = page.seq) ON false
ORDER BY about.epoch, page.xid, page.seq
"""  # noqa: S608 - of constants


class Told(NamedTuple):
    """A change as JSON, the position behind it, and who is told of it, by number."""

    text: bytes
    place: Position
    numbers: Sequence[int]


class Batch(NamedTuple):
    """What came after a position, and the position behind it."""

    told: list[Told]
    position: Position
    epoch: UUID
    is_current: bool
    """Whether the log is where its epoch began."""
    live: Collection[int]
    """Those whose session, access token and account are not over,"""
    placed: Collection[int]
    """and those of them that may read anything."""


async def glance(db: Database) -> tuple[int, int]:
    """The last number that an event was given, and the transaction that will be the next: no event of before is later.

    It costs nearly nothing.
    """
    [row] = await db.fetch(GLANCE, ())
    return row["last_value"], row["next"]


async def read(
    db: Database, callers: Sequence[tuple[Caller, UUID | MISSING]], after: Position, now: datetime, *, largest: int
) -> Batch:
    """What came after the position, for each of the callers, and who of them still is one: of the same moment."""
    today = now.astimezone(UTC).date()
    days = after.since, today + DAY
    values = [*asked_by(callers, now), *days, after.xid, after.seq, largest]
    about, *rows = await db.fetch(TAIL, values)
    told = [one for row in rows for one in told_by(row)]
    position = behind(rows[-1]) if len(rows) == largest else Position(since_of(today), about["horizon"], 0)
    return Batch(
        told,
        position,
        about["epoch"],
        bool(about["is_current"]),
        frozenset(about["live"] or ()),
        frozenset(about["placed"] or ()),
    )


def since_of(today: date) -> date:
    """From which day on what is told after today is to be looked for: a transaction writes for less than a day."""
    return today - 2 * DAY  # the database may be a little before us


def told_by(row: Record) -> list[Told]:
    """The change, and once more as those are told of it who see it move."""
    told = []
    if row["wholes"]:
        told.append(Told(to_json(change_of(row)), behind(row), row["wholes"]))
    if row["movers"] and row["type"] != "task.deleted":
        told.append(Told(to_json(change_of(row) | {"type": "task.moved"}), behind(row), row["movers"]))
    return told
