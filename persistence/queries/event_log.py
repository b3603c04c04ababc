"""Queries that keep the event log itself: its days, its epoch, and what goes with an account."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from asyncpg import Connection

from persistence.engine.pool import Database

DAYS_AHEAD = 14
FEWEST_AHEAD = 7  # below which operators are told
BATCH = 10_000  # events
IDENTITY = """concat_ws(':', (SELECT system_identifier FROM pg_control_system()),
    left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
    (SELECT oid FROM pg_database WHERE datname = current_database()), 'events'::regclass::oid::text)"""
"""Where the log is: the cluster, its timeline, the database and the table. A copy is somewhere else."""
DAYS = """
SELECT to_date(right(relname, 8), 'YYYYMMDD') AS day, inhdetachpending AS half_gone
FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'events'::regclass ORDER BY day
"""
DETACHED = """
SELECT to_date(right(relname, 8), 'YYYYMMDD') AS day FROM pg_class WHERE relname ~ '^events_[0-9]{8}$'
    AND relkind = 'r' AND NOT relispartition AND relnamespace = (
        SELECT relnamespace FROM pg_class WHERE oid = 'events'::regclass
    ) ORDER BY day
"""
DELAY = """
SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::float AS seconds
FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
"""
TURN = "SELECT pg_advisory_xact_lock(hashtext('docket.events'))"
HOLD = "LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE"
SKIP = """
SELECT setval('event_seq', greatest(last_value, (SELECT max(seq) FROM events), (SELECT max(joined_seq)
    FROM organization_members))) FROM event_seq
"""
"""Rows that came from elsewhere have numbers of there."""
RENEW = f"""
UPDATE event_log SET epoch = gen_random_uuid(), identity = {IDENTITY}, first_seq = nextval('event_seq')
"""  # noqa: S608 - of a constant
SAME = f"SELECT identity = {IDENTITY} AS same FROM event_log"  # noqa: S608 - of a constant
KEEP_FROM = "UPDATE event_log SET first_day = greatest(first_day, $1)"
FORGET = """
WITH old AS (SELECT feed_id, xid, seq, day FROM events WHERE feed_id = $1 LIMIT $2)
DELETE FROM events USING old WHERE (events.feed_id, events.xid, events.seq, events.day)
    = (old.feed_id, old.xid, old.seq, old.day) RETURNING 1
"""


async def days_of(db: Database) -> list[date]:
    """The days that the log has room for."""
    return [record["day"] for record in await db.fetch(DAYS, ())]


async def days_ahead(db: Database) -> int:
    """How many of the days to come the log has room for, in a row."""
    there, ahead = set(await days_of(db)), 0
    while today() + timedelta(days=ahead + 1) in there:
        ahead += 1
    return ahead


async def measure_delay(db: Database) -> float:
    """For how many seconds the longest transaction that writes has kept back what is told, as far as we see it."""
    return float((await db.fetch(DELAY, ()))[0]["seconds"])


async def make_days(db: Database) -> int:
    """Make room for the days to come, as far as there is none yet. What comes back is for how many."""
    wanted = [today() + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1)]
    made = 0
    for day in sorted(set(wanted) - set(await days_of(db))):
        async with db.transaction() as together:
            await together.fetch(TURN, ())
            if day in await days_of(together):
                continue
            await together.fetch(f"CREATE TABLE {name_of(day)} (LIKE events INCLUDING ALL)", ())
            bounds = f"FROM ('{day}') TO ('{day + timedelta(days=1)}')"
            await together.fetch(f"ALTER TABLE events ATTACH PARTITION {name_of(day)} FOR VALUES {bounds}", ())
            made += 1
    return made


async def drop_days(connection: Connection, before: date) -> int:
    """Delete the events of the days before this one. What comes back is of how many days; no writer waits.

    Who reads hears first that they are gone. `connection` is in no transaction.
    """
    old = [record for record in await connection.fetch(DAYS) if record["day"] < before]
    if old:
        await connection.execute(KEEP_FROM, before)
    for record in old:
        end = "FINALIZE" if record["half_gone"] else "CONCURRENTLY"
        await connection.execute(f"ALTER TABLE events DETACH PARTITION {name_of(record['day'])} {end}")
    detached = [record["day"] for record in await connection.fetch(DETACHED) if record["day"] < before]
    for day in detached:  # also by who was ended before it could drop them
        await connection.execute(f"DROP TABLE IF EXISTS {name_of(day)}")
    return len(detached)


async def is_same(db: Database) -> bool:
    """Whether the log is where its epoch began, and not in a copy or behind a failover."""
    return bool((await db.fetch(SAME, ()))[0]["same"])


async def renew(db: Database) -> None:
    """Begin a new epoch: what was read so far says nothing of what follows. Waits for those who write events."""
    async with db.transaction() as together:
        await together.fetch(HOLD, ())
        await begin_epoch(together)


async def renew_elsewhere(db: Database) -> bool:
    """Begin a new epoch where the log is not where its epoch began. Of many who see that at once, one does."""
    async with db.transaction() as together:
        await together.fetch(HOLD, ())
        if await is_same(together):
            return False
        await begin_epoch(together)
        return True


async def begin_epoch(db: Database) -> None:
    await db.fetch(SKIP, ())
    await db.fetch(RENEW, ())


async def end_feed(db: Database, feed_id: UUID) -> None:
    """Write no events into a feed that ends with the transaction `db`, and tell the members so."""
    await db.fetch("SELECT set_config('docket.cascade', $1, true)", (str(feed_id),))


async def forget_feed(db: Database, feed_id: UUID) -> None:
    """Delete all events of a feed."""
    while len(await db.fetch(FORGET, (feed_id, BATCH))) == BATCH:
        pass  # there may be more


def name_of(day: date) -> str:
    return f"events_{day:%Y%m%d}"


def today() -> date:
    """By our clock, which is that of the database or nearly so; there are days to spare."""
    return datetime.now(UTC).date()
