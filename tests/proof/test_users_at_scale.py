"""listUsers upon a million accounts: the index that each list is read by, and how long it takes."""

import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import MISSING

from generated.models import UserSort
from persistence.authorization import Caller
from persistence.engine.pool import Pool
from persistence.queries.accounts.user_lists import Filters, beginnings, list_all
from tests.factories import Factory

MANY, SAMPLES = 1_000_000, 5
MOST = 50.0  # milliseconds, for what finds at most some thousands
EVERYBODY = 1000.0  # milliseconds, for what finds or counts everybody
ADDED = """
    INSERT INTO users (id, email, email_key, username, username_key, full_name, is_active, is_superuser, words,
        created_at, updated_at)
    SELECT gen_random_uuid(), email, email, name, name, whole, n % 100 <> 0, n % 200000 = 0,
        concat_ws(' ', email, split_part(email, '@', 1), name, lower(whole)), moment, moment
    FROM generate_series(1, $1) AS n, LATERAL (SELECT concat('user', n, '@example.com'), concat('name-', n),
        concat('First', n % 5000, ' Last', n % 20000), now() - make_interval(secs => n))
        AS _ (email, name, whole, moment)
"""
LISTS: dict[str, tuple[dict[str, Any], str]] = {
    "newest": ({}, "ix_users_created_at"),
    "by email": ({"sort": UserSort.email_ascending}, "ix_users_email"),
    "last changed": ({"sort": UserSort.updated_at_descending}, "ix_users_updated_at"),
    "inactive": ({"is_active": False}, "ix_users_"),
    "superusers": ({"is_superuser": True}, "ix_users_"),
    "one address": ({"words": "user777777@example.com"}, "ix_users_words"),
    "two names": ({"words": "first77 last77"}, "ix_users_words"),
    "unknown": ({"words": "unknown"}, "ix_users_words"),
    "11,000 of them": ({"words": "user12"}, "ix_users_words"),
}
MEASURED: dict[str, dict[str, Any]] = {
    "111,000 of them": {"words": "user1"},
    "everybody": {"words": "u"},
    "a total of all": {"total": True},
    "a total of 11,000": {"words": "user12", "total": True},
}


@pytest.fixture(scope="module")
async def disk(url: str) -> AsyncIterator[Pool]:
    """One connection to it, and so many accounts."""
    pool = Pool(url, size=1)
    connection = await pool.take()
    await connection.execute("SET statement_timeout = 0")
    await connection.execute(ADDED.replace("$1", str(MANY)), timeout=600)
    await connection.execute("VACUUM ANALYZE", timeout=600)
    await connection.execute("RESET statement_timeout")
    pool.put(connection)
    yield pool
    await pool.close()


async def median(disk: Pool, by: Caller, words: str | MISSING = MISSING, **given: Any) -> tuple[float, str]:
    """The milliseconds that a list takes, and how PostgreSQL reads it."""
    filters = Filters() if words is MISSING else Filters(words=beginnings(words))
    usual = {"is_active": MISSING, "is_superuser": MISSING, "sort": UserSort.created_at_descending, "total": False}
    asked: dict[str, Any] = {"by": by, "filters": filters, "after": MISSING, "limit": 50, **usual, **given}
    taken = []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        await list_all(disk, **asked)
        taken.append((time.perf_counter() - began) * 1000)
    sql, values = list_all.bind(**asked)
    plan = await disk.fetch(f"EXPLAIN (COSTS OFF) {sql}", values)
    return statistics.median(taken), "\n".join(record[0] for record in plan)


async def test_a_page_of_a_million_accounts_is_read_by_an_index(disk: Pool) -> None:
    root = await Factory(disk).user(is_superuser=True)
    for name, (given, index) in LISTS.items():
        taken, plan = await median(disk, root, **given)
        print(f"{name}: {taken:.1f} ms")  # noqa: T201 - the measurement
        assert index in plan, plan
        assert "Seq Scan on users" not in plan, plan
        assert taken <= MOST
    for name, given in MEASURED.items():
        taken, _ = await median(disk, root, **given)
        print(f"{name}: {taken:.1f} ms")  # noqa: T201 - the measurement
        assert taken <= EVERYBODY
