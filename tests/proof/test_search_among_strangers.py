"""Searches beside the tasks of strangers: what one costs is a matter of the caller's own, however many others have."""

import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic import MISSING
from sqlalchemy import make_url

from persistence.authorization import Caller, NotVisible
from persistence.engine.keyset import Page
from persistence.engine.pool import Pool
from persistence.queries import search
from persistence.search.vectors import DIGITS, TAGS, TITLE, UNTAGGED, write_part
from tests.factories import Factory
from tests.persistence.test_search import SEARCHES, plan_of

FEW, MANY = 20_000, int(os.environ.get("FOREIGN_TASKS", "2000000"))
EACH = 500  # tasks of a foreign organization
OWN, TEAMS, IN_EACH = 200, 200, 10  # tasks of the caller in one organization, and of the one in many
SAMPLES, MOST = 60, 1.3
DEEPER = 1.5
"""How many times more a search may take that is nothing but looking words up: two of them in each of 200 organizations.

The index is a tree that is one level deeper beside many foreign tasks, so that each look-up reads four pages where it
read three. Nothing else of such a search is there to hide it.
"""
LOOKED_UP = "everything excluded"
TITLES = [f"Common plan {number}{' seldom' if number % 50 == 0 else ''}" for number in range(100)]
ADDED = """
    INSERT INTO tasks (organization_id, id, title, status, priority, search_vector, created_at, updated_at)
    SELECT place, gen_random_uuid(), title, 'pending', 'low',
        replace(vector, $1, translate(right(place::text, 8), $2, $3))::tsvector, now(), now()
    FROM unnest($4::uuid[]) AS place, generate_series(1, $5) AS n
    JOIN unnest($6::text[], $7::text[]) WITH ORDINALITY AS _ (title, vector, number) ON number = n % 100 + 1
"""
PLACES = """
    INSERT INTO organizations (id, kind, name, slug, created_at, updated_at)
    SELECT place, 'team', 'Team', place::text, now(), now() FROM unnest($1::uuid[]) AS place
"""


async def add(connection: asyncpg.Connection, places: list[UUID], each: int) -> None:
    """Tasks as the application writes them."""
    vectors = [write_part(title, TITLE) for title in TITLES]
    await connection.execute(ADDED, UNTAGGED, DIGITS, TAGS, places, each, TITLES, vectors, timeout=600)


async def add_strangers(url: str, tasks: int) -> None:
    connection = await asyncpg.connect(url, server_settings={"statement_timeout": "0"})
    places = [uuid4() for _ in range(tasks // EACH)]
    await connection.execute(PLACES, places)
    for first in range(0, len(places), 100):
        await add(connection, places[first : first + 100], EACH)
    await connection.execute("VACUUM ANALYZE", timeout=600)
    await connection.close()


@pytest.fixture(scope="module")
async def people(url: str) -> list[Caller]:
    """One in an organization, one in many of them, and one who sees nothing of theirs."""
    pool = Pool(url, size=1)
    make = Factory(pool)
    people: list[Caller] = [await make.user() for _ in range(3)]
    teams = [await make.team(member=people[1]) for _ in range(TEAMS - 1)]
    connection = await pool.take()
    await add(connection, [people[0].id], OWN)
    await add(connection, [people[1].id, *teams], IN_EACH)
    pool.put(connection)
    await pool.close()
    return people


@pytest.fixture(scope="module")
async def databases(url: str, people: list[Caller]) -> AsyncIterator[list[Pool]]:
    """The same callers beside FEW foreign tasks and beside MANY."""
    assert people
    await add_strangers(url, FEW)
    admin = await asyncpg.connect(make_url(url).set(username="postgres", database="postgres").render_as_string())
    await admin.execute("CREATE DATABASE more TEMPLATE docket OWNER docket", timeout=600)
    await admin.close()
    more = make_url(url).set(database="more").render_as_string()
    await add_strangers(more, MANY - FEW)
    pools = [Pool(each, size=1) for each in (url, more)]
    yield pools
    for pool in pools:
        await pool.close()


async def find(db: Pool, text: str, by: Caller, place: UUID | MISSING) -> Page:
    wanted = search.write_wanted(text)
    return await search.search_in(db, place, wanted, by=by, filters=MISSING, after=MISSING, limit=50)


async def find_nothing(db: Pool, by: Caller, place: UUID) -> None:
    with pytest.raises(NotVisible):
        await find(db, "common", by, place)


async def compare(databases: list[Pool], what: str, work: Callable[[Pool], Awaitable[object]]) -> float:
    """How many times more of a processor PostgreSQL needs for it beside MANY, in tries by turns."""
    pids = [await backend(db) for db in databases]
    spent = [0.0, 0.0]
    taken: list[list[float]] = [[], []]
    for number in range(SAMPLES + 2):
        for i, db in enumerate(databases):
            before, began = cpu(pids[i]), time.perf_counter()
            await work(db)
            if number > 1:  # the first two do not count
                spent[i] += (cpu(pids[i]) - before) / SAMPLES
                taken[i].append((time.perf_counter() - began) * 1000)
    few, many = spent
    told = f"{few:.2f} ms of CPU beside {FEW:,} foreign tasks, {many:.2f} ms beside {MANY:,}: {many / few:.2f} times"
    print(f"{what}: {told}; by the clock {' and '.join(f'{statistics.median(t):.1f} ms' for t in taken)}")  # noqa: T201 - the measurement
    return many / few


async def backend(db: Pool) -> int:
    """The process of the pool's connection."""
    connection = await db.take()
    db.put(connection)
    return int(connection.get_server_pid())


def cpu(pid: int) -> float:
    """The milliseconds that a process has run, which a busy machine does not lengthen."""
    return int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[0]) / 1e6


async def test_what_a_search_costs_is_a_matter_of_ones_own_tasks(databases: list[Pool], people: list[Caller]) -> None:
    """Words that all tasks have, for a caller in one organization and for one in many."""
    one, many, stranger = people
    for name, text in SEARCHES.items():
        for by, place, number in ((one, one.id, 1), (many, MISSING, TEAMS)):
            work = partial(find, text=text, by=by, place=place)
            ratio = await compare(databases, f"{name} {text!r}, in {number}", work)
            assert ratio <= (DEEPER if name == LOOKED_UP and number == TEAMS else MOST)
            plan = await plan_of(databases[1], text, by, everywhere=place is MISSING)
            assert "Bitmap Index Scan on ix_tasks_search_vector" in plan, plan
            assert "Seq Scan on tasks" not in plan, plan
    assert await compare(databases, "of others, refused", partial(find_nothing, by=stranger, place=one.id)) <= MOST
