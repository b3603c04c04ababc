"""Queries about what changed, for those who follow. A position is a place in the event log: all before it was told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

from asyncpg import Record
from pydantic import MISSING
from pydantic_core import from_json, to_json
from sqlalchemy import (
    ColumnElement,
    Integer,
    and_,
    case,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from persistence.authorization import (
    Caller,
    NotVisible,
    SessionOver,
    authority,
    concerns_alone,
    followed_feeds,
    is_heard,
    me,
    refusal,
    role_in,
)
from persistence.engine.keyset import After, Page
from persistence.engine.pool import Database
from persistence.engine.statements import Sql, query, when
from persistence.queries.event_log import IDENTITY
from persistence.tables import Event, EventLog, Member, Task

AT_ONCE = 250  # own changes: their JSON is made by us, while all other requests wait
DAY = timedelta(days=1)  # a transaction that writes lasts less: what is untold was written no earlier than this before
ALONE = ("organization.joined", "organization.left", "organization.deleted")
"""What concerns the owner of a feed alone."""
HORIZON: ColumnElement[int] = literal_column("pg_snapshot_xmin(pg_current_snapshot())::text::bigint", Event.xid.type)
"""The oldest transaction that may be running still: what bears a lower `xid` is all there."""
TODAY: ColumnElement[date] = literal_column("timezone('UTC', clock_timestamp())::date", Event.day.type)
LOOK = """
SELECT horizon, feed_id, xid FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon) AS now
LEFT JOIN unnest($1::uuid[]) AS feed (feed_id) ON true
LEFT JOIN LATERAL (
    SELECT xid FROM events WHERE events.feed_id = feed.feed_id AND day >= $2 AND xid >= $3 AND xid < horizon
    ORDER BY xid DESC LIMIT 1
) AS newest ON true
"""


@dataclass(frozen=True, slots=True)
class Position:
    """All events below `xid`, or of it and up to `seq`, were told; the others are of the day `since`, or later."""

    since: date
    xid: int
    seq: int

    def is_before(self, other: "Position") -> bool:
        return (self.xid, self.seq) < (other.xid, other.seq)


class Feed(NamedTuple):
    """What came after a position, and the position behind it."""

    items: list[dict[str, Any]]
    places: list[Position]
    """The position behind each of the items."""
    position: Position
    has_more: bool
    epoch: UUID
    first_day: date | None
    """Before which not all is there any more."""
    is_current: bool
    """Whether the log is where its epoch began."""
    feeds: list[UUID]
    """Those that were read."""


@query(lambda records: records)
def find(organization_id: UUID | MISSING, *, by: Caller, after: Position | MISSING, limit: int) -> Sql:
    """The events after the position, one more than `limit`: of an organization, or of all feeds of the caller.

    MISSING: those that are still to be told to anybody. With each row comes what there is to say of the log.
    """
    caller = me(by)
    feeds = followed_feeds(by, caller, organization_id)
    same: ColumnElement[bool] = literal_column(f"identity = {IDENTITY}").label("is_current")
    log = select(EventLog.epoch, EventLog.first_seq, EventLog.first_day, same).cte("log")
    here = [Event.feed_id == feeds.c.feed_id, is_heard(Event, feeds, log.c.first_seq)]
    if organization_id is not MISSING:
        here.append(Event.type.not_in(ALONE))
    elif by.token_id is not MISSING:
        here.append(or_(Event.type.not_in(ALONE), concerns_alone(by)))
    if after is MISSING:
        here.append(Event.xid >= HORIZON)
    else:
        place = type_coerce(after.xid, Event.xid.type), type_coerce(after.seq, Event.seq.type)
        here += [Event.day >= after.since, tuple_(Event.xid, Event.seq) > tuple_(*place)]
    some = select(Event).where(*here).order_by(Event.xid, Event.seq).limit(limit + 1)
    each = some.correlate(feeds, log).lateral("each")
    merged = select(*each.c).select_from(feeds.join(log, true()).join(each, true()))
    page = merged.order_by(each.c.xid, each.c.seq).limit(limit + 1).cte("page")
    told = select(*page.c, is_move(page, feeds, log.c.first_seq)).cte("told")
    followed_ones = func.array(select(feeds.c.feed_id).scalar_subquery(), type_=ARRAY(Member.user_id.type))
    about = log.c.epoch, log.c.first_day, log.c.is_current, followed_ones.label("feeds"), HORIZON.label("horizon")
    rows = caller.join(log, true()).outerjoin(told, true())
    return select(*about, TODAY.label("today"), *told.c).select_from(rows).order_by(told.c.xid, told.c.seq)


def is_move(page: Any, feeds: Any, first_seq: Any) -> Any:
    """Whether an event is half of a move of which the caller reads the other half, too."""
    other, theirs = aliased(Event, name="other"), feeds.alias("theirs")
    half = case((page.c.type == "task.deleted", "task.created"), else_="task.deleted")
    both = exists().where(
        other.subject_id == page.c.subject_id,
        other.transaction == page.c.transaction,
        other.version == page.c.version,
        other.day >= page.c.day - literal_column("1", Integer()),
        other.type == half,
        other.feed_id == theirs.c.feed_id,
        is_heard(other, theirs, first_seq),
    )
    may_be = or_(page.c.type == "task.deleted", (page.c.type == "task.created") & (page.c.version > 1))
    return case((may_be, both), else_=false()).label("moved")


async def read(
    db: Database, organization_id: UUID | MISSING, *, by: Caller, after: Position | MISSING, limit: int
) -> Feed:
    """What came after the position. Raises SessionOver, NotVisible."""
    records = await find(db, organization_id, by=by, after=after, limit=limit)
    if not records:
        raise SessionOver
    about = records[0]
    if not about["feeds"]:
        raise NotVisible
    rows = [record for record in records if record["xid"] is not None]
    told = [row for row in rows if row["xid"] < about["horizon"]]
    has_more, shown = len(told) > limit, told[:limit]
    if has_more:
        position = behind(shown[-1])
    else:
        untold = [row["day"] for row in rows[len(told) :]]
        position = Position(min([about["today"], *untold]) - DAY, about["horizon"], 0)
    shown = [row for row in shown if not (row["moved"] and row["type"] == "task.deleted")]
    items, places = [change_of(row) for row in shown], [behind(row) for row in shown]
    return Feed(
        items, places, position, has_more, about["epoch"], about["first_day"], bool(about["is_current"]), about["feeds"]
    )


def behind(event: Record) -> Position:
    """The position behind an event."""
    return Position(event["day"] - DAY, event["xid"], event["seq"])


@query(lambda records: records)
def find_of_task(task_id: UUID, *, by: Caller, before: int | MISSING, limit: int) -> Sql:
    """The events of a task where it is, since it came there, newest first, and one more than `limit`."""
    caller = me(by)
    log = select(EventLog.first_seq).cte("log")
    mine = and_(Member.organization_id == Task.organization_id, Member.user_id == by.id)
    place = select(Task.organization_id.label("feed_id"), Member.joined_after, Member.joined_seq)
    visible = role_in(Task.organization_id, by, caller).is_not(None)
    here = (
        place.select_from(caller.join(Task, true()).outerjoin(Member, mine))
        .where(Task.id == task_id, visible)
        .cte("here")
    )
    came = aliased(Event, name="came")
    since = select(func.max(came.seq)).where(
        came.feed_id == here.c.feed_id, came.subject_id == task_id, came.type == "task.created"
    )
    shown = select(Event, false().label("moved")).where(
        Event.feed_id == here.c.feed_id,
        Event.subject_id == task_id,
        is_heard(Event, here, log.c.first_seq),
        Event.seq >= func.coalesce(since.correlate(here).scalar_subquery(), 0),
        when(before, lambda seq: Event.seq < type_coerce(seq, Event.seq.type)),
    )
    page = shown.order_by(Event.seq.desc()).limit(limit + 1).correlate(here, log).lateral("page")
    rows = caller.join(log, true()).outerjoin(here, true()).outerjoin(page, true())
    told = authority(by, caller, here.c.feed_id)
    return select(here.c.feed_id.label("feed"), *told, *page.c).select_from(rows).order_by(page.c.seq.desc())


async def read_of_task(
    db: Database, task_id: UUID, *, by: Caller, before: int | MISSING, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """What happened to the task, and what the next page goes on before. Raises SessionOver, NotVisible."""
    records = await find_of_task(db, task_id, by=by, before=before, limit=limit)
    if not records:
        raise SessionOver
    if records[0]["feed"] is None:
        raise refusal(records[0], NotVisible())
    rows = [record for record in records if record["seq"] is not None]
    shown = rows[:limit]
    return [change_of(row) for row in shown], shown[-1]["seq"] if len(rows) > limit else None


@query(lambda records: records)
def find_own(*, by: Caller, after: Position | MISSING, limit: int) -> Sql:
    """The events of the caller's own feed, and one more than `limit`, in an order that has an index.

    No day bounds them: of another epoch, in which transactions were counted anew, none is passed over.
    """
    caller = me(by)
    own = select(Event, false().label("moved")).where(Event.feed_id == by.id)
    if after is not MISSING:
        place = type_coerce(after.xid, Event.xid.type), type_coerce(after.seq, Event.seq.type)
        own = own.where(tuple_(Event.xid, Event.seq) > tuple_(*place))
    page = own.order_by(Event.xid, Event.seq).limit(limit + 1).lateral("page")
    return select(*page.c).select_from(caller.outerjoin(page, true())).order_by(page.c.xid, page.c.seq)


async def list_own(db: Database, *, by: Caller, after: After | MISSING, limit: int) -> Page:
    """A batch of the changes of the caller's own feed, oldest first. Raises SessionOver."""
    since = MISSING if after is MISSING else Position(date.fromisoformat(after.key), *map(int, after.id.split()))
    limit = min(limit, AT_ONCE)
    records = await find_own(db, by=by, after=since, limit=limit)
    if not records:
        raise SessionOver
    rows = [record for record in records if record["seq"] is not None]
    last = rows[limit - 1] if len(rows) > limit else None
    following = None if last is None else After(last["day"].isoformat(), f"{last['xid']} {last['seq']}")
    return Page(to_json([change_of(row) for row in rows[:limit]]), following)


async def look(db: Database, feeds: Sequence[UUID], since: date, xid: int) -> tuple[int, dict[UUID, int]]:
    """The horizon, and the newest `xid` of each of these feeds that has one from `xid` on and below the horizon."""
    records = await db.fetch(LOOK, (feeds, since - DAY, xid))
    return records[0]["horizon"], {row["feed_id"]: row["xid"] for row in records if row["xid"] is not None}


def change_of(event: Record) -> dict[str, Any]:
    """The event as the contract's `Change`."""
    kind = event["type"].partition(".")[0]
    user_id, _, request_id = (event["caused_by"] or "").partition(" ")
    return {
        "id": id_of(event),
        "type": "task.moved" if event["moved"] else event["type"],
        "occurred_at": instant(event["occurred_at"]),
        "organization_id": None if event["type"] in ALONE else event["feed_id"],
        "subject": {"type": kind, "id": event["subject_id"]},
        "version": event["version"],
        "actor": {"type": "user" if user_id else "system", "id": user_id or None},
        "request_id": request_id or None,
        "data": None if event["data"] is None else data_of(event, kind),
    }


def id_of(event: Record) -> UUID:
    """A UUIDv7 that is the event's own: its moment, and a hash of its number, so that none can be counted."""
    moment = int(event["occurred_at"].timestamp() * 1000).to_bytes(6, "big")
    number = f"{event['seq']} {event['transaction']} {event['subject_id']}".encode()
    whole = bytearray(moment + blake2b(number, digest_size=10).digest())
    whole[6], whole[8] = whole[6] & 0x0F | 0x70, whole[8] & 0x3F | 0x80
    return UUID(bytes=bytes(whole))


def data_of(event: Record, kind: str) -> dict[str, Any]:
    """`TaskChange`, `OrganizationChange` or `MemberChange`: what is stored, and what the event has columns for."""
    stored: dict[str, Any] = from_json(event["data"])
    for name in {"due_date", "completed_at", "created_at", "updated_at"} & stored.keys():
        if stored[name] is not None:
            stored[name] = instant(datetime.fromisoformat(stored[name]))
    if kind == "member":
        return {"user_id": event["subject_id"], "version": event["version"], **stored}
    if kind == "task":
        stored |= {"organization_id": event["feed_id"], "completed": stored["status"] == "completed"}
    return {"id": event["subject_id"], "version": event["version"], **stored}


def instant(moment: datetime) -> str:
    """In UTC with `Z`, its fraction left out when there is none: as the contract writes it everywhere."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
