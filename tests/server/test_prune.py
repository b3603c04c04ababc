"""`python -m server prune`: what it deletes, what it leaves, and that no request waits for it."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from persistence.engine.pool import Pool
from persistence.tables import DeletedIdentity, LoginThrottle
from security.one_time_tokens import hash_token
from server.__main__ import main
from server.commands.prune import prune, retention_rules
from server.settings.loading import load
from tests.conftest import Server
from tests.factories import Factory

SESSIONS = """
INSERT INTO sessions
    (id, user_id, rotated_at, authenticated_at, created_at, last_used_at, expires_at)
SELECT gen_random_uuid(), $1, now(), now(), now(), now(), now() - $2 * interval '1 day' FROM generate_series(1, $3)
"""
# Each batch that is deleted, with its transaction.
BATCHES = """
CREATE TABLE batches (transaction bigint, rows bigint);
CREATE FUNCTION count_batch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO batches SELECT txid_current(), count(*) FROM gone; RETURN NULL; END $$;
CREATE TRIGGER count_batch AFTER DELETE ON sessions REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION count_batch()
"""


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC)


async def prune_rows(url: str, *, audit_retention_days: int = 365) -> dict[str, int]:
    """How many rows went, of each table that lost any."""
    settings = load(database_url=url, audit_retention_days=audit_retention_days)
    return {table: rows async for table, rows in prune(url, retention_rules(settings)) if rows}


async def test_sessions_go_30_days_after_they_expired(fresh: Pool, fresh_url: str, today: datetime) -> None:
    make = Factory(fresh)
    ada = await make.user()
    month, minute = timedelta(days=30), timedelta(minutes=1)
    await make.session(ada.id, expires_at=today - month - minute)
    young = await make.session(ada.id, expires_at=today - month + minute)
    revoked = await make.session(ada.id, expires_at=today, revoked_at=today - 2 * month, revoke_reason="logout")

    assert await prune_rows(fresh_url) == {"sessions": 1}

    left = {row["id"] for row in await fresh.fetch("SELECT id FROM sessions", [])}
    assert left == {ada.session_id, young, revoked}


async def test_wrong_passwords_are_forgotten_after_a_day(fresh: Pool, fresh_url: str, today: datetime) -> None:
    make = Factory(fresh)
    day, minute = timedelta(days=1), timedelta(minutes=1)
    await make.row(LoginThrottle, {"key": b"old", "attempts": 4, "updated_at": today - day - minute})
    await make.row(LoginThrottle, {"key": b"young", "attempts": 4, "updated_at": today - day + minute})

    assert await prune_rows(fresh_url) == {"login_throttle": 1}

    assert [row["key"] for row in await fresh.fetch("SELECT key FROM login_throttle", [])] == [b"young"]


@pytest.mark.proves("ASVS 5.0 14.2.7", "Audit logs are deleted when their time is over")
@pytest.mark.parametrize("days", [1, 365])
async def test_audit_logs_go_when_their_time_is_over(fresh: Pool, fresh_url: str, today: datetime, days: int) -> None:
    make = Factory(fresh)
    time, minute = timedelta(days=days), timedelta(minutes=1)
    await make.audit_log(occurred_at=today - time - minute)
    young = await make.audit_log(occurred_at=today - time + minute)

    assert await prune_rows(fresh_url, audit_retention_days=days) == {"audit_logs": 1}

    assert [row["id"] for row in await fresh.fetch("SELECT id FROM audit_logs", [])] == [young]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fresh.fetch("DELETE FROM audit_logs", [])


async def test_it_takes_a_thousand_in_a_transaction(fresh: Pool, fresh_url: str) -> None:
    ada = await Factory(fresh).user()
    await fresh.fetch(SESSIONS, [ada.id, 31, 2500])
    connection = await asyncpg.connect(fresh_url)
    await connection.execute(BATCHES)

    assert await prune_rows(fresh_url) == {"sessions": 2500}

    batches = await connection.fetch("SELECT transaction, rows FROM batches ORDER BY transaction")
    assert [batch["rows"] for batch in batches] == [1000, 1000, 500]
    assert len({batch["transaction"] for batch in batches}) == 3
    await connection.close()


async def test_it_waits_for_nobody(fresh: Pool, fresh_url: str) -> None:
    ada = await Factory(fresh).user()
    await fresh.fetch(SESSIONS, [ada.id, 31, 3])
    async with fresh.transaction() as other:
        [held] = await other.fetch("SELECT id FROM sessions WHERE expires_at < now() LIMIT 1 FOR UPDATE", [])

        assert await prune_rows(fresh_url) == {"sessions": 2}

    assert await prune_rows(fresh_url) == {"sessions": 1}
    assert await fresh.fetch("SELECT FROM sessions WHERE id = $1", [held["id"]]) == []


async def test_links_are_forgotten_a_day_after_their_time(fresh: Pool, fresh_url: str, today: datetime) -> None:
    make = Factory(fresh)
    ada = await make.user()
    day, minute = timedelta(days=1), timedelta(minutes=1)
    await make.one_time_token(ada.id, token="old", expires_at=today - day - minute)
    young = await make.one_time_token(ada.id, expires_at=today - day + minute)

    assert await prune_rows(fresh_url) == {"one_time_tokens": 1}

    assert [row["key"] for row in await fresh.fetch("SELECT key FROM one_time_tokens", [])] == [hash_token(young)]


async def test_an_operator_reads_a_line_for_each_table(
    fresh: Pool, fresh_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ada = await Factory(fresh).user()
    await fresh.fetch(SESSIONS, [ada.id, 31, 12])
    monkeypatch.setenv("DATABASE_URL", fresh_url)

    assert await asyncio.to_thread(main, ["prune"]) == 0

    assert [row["name"] for row in await fresh.fetch("SELECT name FROM jobs", [])] == ["prune"]
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert said == [
        ["sessions", "12", "rows", "deleted"],
        ["access_tokens", "0", "rows", "deleted"],
        ["login_throttle", "0", "rows", "deleted"],
        ["idempotency_keys", "0", "rows", "deleted"],
        ["registrations", "0", "rows", "deleted"],
        ["invitations", "0", "rows", "deleted"],
        ["one_time_tokens", "0", "rows", "deleted"],
        ["audit_logs", "0", "rows", "deleted"],
        ["deleted_identities", "0", "rows", "deleted"],
        ["events", "0", "days", "dropped"],
    ]


async def test_a_database_that_was_never_migrated_is_one_line(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with server.copy("template0") as url:
        monkeypatch.setenv("DATABASE_URL", url)

        assert await asyncio.to_thread(main, ["prune"]) == 1

    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "docket: The database is not migrated: run `python -m server migrate apply`\n")


async def test_the_mark_of_a_deletion_goes_with_the_audit_logs_of_its_time(
    fresh: Pool, fresh_url: str, today: datetime
) -> None:
    make = Factory(fresh)
    time, minute = timedelta(days=365), timedelta(minutes=1)
    await make.row(DeletedIdentity, {"key": b"old", "deleted_at": today - time - minute})
    await make.row(DeletedIdentity, {"key": b"young", "deleted_at": today - time + minute})

    assert await prune_rows(fresh_url) == {"deleted_identities": 1}

    assert [row["key"] for row in await fresh.fetch("SELECT key FROM deleted_identities", [])] == [b"young"]
