"""The plans of searches: whatever is asked for, and in however many organizations, the words of others are not read."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import MISSING

from persistence.authorization import Caller, NotVisible
from persistence.engine.pool import Database
from persistence.queries import search
from persistence.search.vectors import tag
from tests.conftest import Bench
from tests.factories import Factory
from tests.persistence.test_keyset import explain_plan

SEARCHES = {
    "word": "common ",
    "prefix": "comm",
    "phrase": '"common plan"',
    "two words": "plan common ",
    "either": "absent or common ",
    "negation": "common -seldom",
    "negation alone": "-seldom",
    "everything excluded": "-common",
}
TEAMS, EACH, MORE = 20, 20, 200  # organizations of the caller, tasks of each, and of each of as many strangers
FILLED = """
    INSERT INTO tasks (organization_id, id, title, status, priority, search_vector, created_at, updated_at)
    SELECT $1, gen_random_uuid(), 'Common plan ' || n, 'pending', 'low',
        format('''%1$s'':1A ''%1$scommon'':1198A ''%1$splan'':1199A ''%1$s%2$s'':1200A', $2::text, n)::tsvector,
        now(), now()
    FROM generate_series(1, $3) AS n
"""


async def plan_of(db: Database, text: str, by: Caller, *, everywhere: bool) -> str:
    where = MISSING if everywhere else by.id
    wanted = search.write_wanted(text)
    return await explain_plan(
        db, *search.search_in.bind(where, wanted, by=by, filters=MISSING, after=MISSING, limit=50)
    )


@pytest.fixture
async def crowd(db: Bench, make: Factory) -> Caller:
    """A caller in several organizations, among as many strangers with ten times the tasks."""
    ada = await make.user()
    own = [ada.id, *[await make.team(member=ada) for _ in range(TEAMS - 1)]]
    for place in own:
        await db.fetch(FILLED, [place, tag(place), EACH])
        stranger = await make.user()
        await db.fetch(FILLED, [stranger.id, tag(stranger.id), MORE])
    await db.fetch("ANALYZE tasks", [])
    return ada


async def test_every_search_is_read_by_the_words_of_ones_own_organizations(db: Bench, crowd: Caller) -> None:
    for text in SEARCHES.values():
        for everywhere in (False, True):
            plan = await plan_of(db, text, crowd, everywhere=everywhere)

            assert "Bitmap Index Scan on ix_tasks_search_vector" in plan, plan
            assert "Seq Scan on tasks" not in plan, plan


@pytest.mark.parametrize("text", SEARCHES.values(), ids=SEARCHES)
async def test_no_search_finds_rows_of_others_on_its_way(db: Bench, crowd: Caller, text: str) -> None:
    for where, own in ((crowd.id, EACH), (MISSING, TEAMS * EACH)):
        wanted = search.write_wanted(text)
        sql, values = search.search_in.bind(where, wanted, by=crowd, filters=MISSING, after=MISSING, limit=50)

        records = await db.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, FORMAT JSON) {sql}", values)

        nodes = list(walk(json.loads(records[0][0])[0]["Plan"]))
        found = [node for node in nodes if node.get("Index Name") == "ix_tasks_search_vector"]
        assert sum(node["Actual Rows"] * node["Actual Loops"] for node in found) <= own, nodes
        assert len(found) == 1, nodes


async def test_a_search_where_the_caller_has_no_role_reads_nothing(db: Bench, crowd: Caller, make: Factory) -> None:
    stranger = await make.user()
    wanted = search.write_wanted("common")
    sql, values = search.search_in.bind(crowd.id, wanted, by=stranger, filters=MISSING, after=MISSING, limit=50)

    records = await db.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, FORMAT JSON) {sql}", values)

    nodes = list(walk(json.loads(records[0][0])[0]["Plan"]))
    assert [node["Actual Loops"] for node in nodes if node.get("Index Name") == "ix_tasks_search_vector"] == [0]
    with pytest.raises(NotVisible):
        await search.search_in(db, crowd.id, wanted, by=stranger, filters=MISSING, after=MISSING, limit=50)


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan, and all below it."""
    yield node
    for below in node.get("Plans", []):
        yield from walk(below)
