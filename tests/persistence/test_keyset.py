"""Lists: their order, their pages, their items as text, and the plans by which they are read."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import MISSING, TypeAdapter

from generated.models import Task, TaskSort, TaskStatus
from persistence.authorization import Caller
from persistence.engine.keyset import After, Page
from persistence.engine.pool import Database
from persistence.queries import tasks
from persistence.queries.task_filters import Filters
from persistence.search.sorting import write_sort_key
from tests.conftest import Bench
from tests.factories import NOW, Factory

RANKS = {"low": 1, "medium": 2, "high": 3, "urgent": 4}
LAST = NOW + timedelta(days=9999)
KEYS: dict[str, Callable[[Task], Any]] = {
    "created_at": lambda task: task.created_at,
    "updated_at": lambda task: task.updated_at,
    "due_date": lambda task: task.due_date,
    "priority": lambda task: RANKS[task.priority],
    "title": lambda task: write_sort_key(task.title).encode(),
    "-priority,due_date": lambda task: (-RANKS[task.priority], task.due_date or LAST),
    "due_date,-priority": lambda task: (task.due_date or LAST, -RANKS[task.priority]),
}
INDEXES = {name: f"ix_tasks_{name.lstrip('-').replace(',-', '_').replace(',', '_')}" for name in KEYS}
INDEXES |= {"-due_date": "ix_tasks_due_date_descending", "title": "ix_tasks_title_key"}
LIST = TypeAdapter(list[Task])
FILTERS: list[Filters | MISSING] = [
    MISSING,
    Filters(status=[TaskStatus.pending], user_id=UUID(int=1)),
    Filters(first=NOW, last=NOW),
    Filters(first=NOW),
    Filters(last=NOW),
]


async def page(
    db: Bench,
    by: Caller,
    *,
    sort: TaskSort = TaskSort.created_at_ascending,
    after: After | MISSING = MISSING,
    limit: int = 50,
    status: list[TaskStatus] | MISSING = MISSING,
) -> Page:
    return await tasks.list_in(
        db,
        by.id,
        by=by,
        filters=MISSING if status is MISSING else Filters(status=status),
        sort=sort,
        after=after,
        limit=limit,
    )


async def whole(db: Bench, by: Caller, sort: TaskSort = TaskSort.created_at_ascending) -> list[Task]:
    return LIST.validate_json((await page(db, by, sort=sort)).items)


async def walk(db: Bench, by: Caller, sort: TaskSort, limit: int) -> list[UUID]:
    """The ids of all pages, one page after the other."""
    walked: list[UUID] = []
    after: After | MISSING | None = MISSING
    while after is not None:
        step = await page(db, by, sort=sort, after=after, limit=limit)
        items = LIST.validate_json(step.items)
        assert len(items) == limit or step.following is None
        walked += [task.id for task in items]
        after = step.following
    return walked


@pytest.fixture
async def ada(make: Factory) -> Caller:
    """A caller with tasks of many ties, and of three states."""
    ada = await make.user()
    for number in range(13):
        moment = NOW + timedelta(microseconds=number // 3)
        await make.task(
            ada.id,
            ada,
            title=("b", "a", "B", "ä", "10", "9")[number % 6],
            priority=list(RANKS)[number % 4],
            status=("pending", "in_progress", "cancelled")[number % 3],
            due_date=None if number % 3 == 0 else NOW + timedelta(days=number % 2),
            created_at=moment,
            updated_at=NOW - timedelta(seconds=number // 2),
        )
    return ada


class TestOrder:
    @pytest.mark.parametrize("sort", TaskSort)
    async def test_a_list_is_sorted_and_ties_are_by_id(self, db: Bench, ada: Caller, sort: TaskSort) -> None:
        name, descending = (sort, False) if "," in sort else (sort.removeprefix("-"), sort.startswith("-"))
        listed = await whole(db, ada, sort)

        dated = [(KEYS[name](task), task.id.bytes) for task in listed if KEYS[name](task) is not None]
        assert dated == sorted(dated, reverse=descending)
        assert len(listed) == 13
        assert len({key for key, _ in dated}) < len(dated)

    @pytest.mark.parametrize("sort", [TaskSort.due_date_ascending, TaskSort.due_date_descending])
    async def test_what_has_no_date_comes_last(self, db: Bench, ada: Caller, sort: TaskSort) -> None:
        listed = await whole(db, ada, sort)

        assert [task.due_date is None for task in listed] == [False] * 8 + [True] * 5

    async def test_every_sort_of_the_contract_has_an_order(self) -> None:
        assert set(tasks.ORDERS) == set(TaskSort)


class TestPages:
    @pytest.mark.parametrize("limit", [1, 2, 5, 13, 14])
    @pytest.mark.parametrize("sort", TaskSort)
    async def test_pages_meet_without_gap_or_overlap(self, db: Bench, ada: Caller, sort: TaskSort, limit: int) -> None:
        assert await walk(db, ada, sort, limit) == [task.id for task in await whole(db, ada, sort)]

    async def test_nothing_follows_the_last_item(self, db: Bench, ada: Caller) -> None:
        assert (await page(db, ada, limit=12)).following is not None
        assert (await page(db, ada, limit=13)).following is None

    async def test_an_empty_list_is_a_list(self, db: Bench, make: Factory) -> None:
        assert await page(db, await make.user()) == Page(b"[]", None)

    async def test_a_page_begins_after_a_task_that_is_gone(self, db: Bench, ada: Caller) -> None:
        expected = [task.id for task in await whole(db, ada)]
        following = (await page(db, ada, limit=4)).following
        assert following is not None

        await db.fetch("DELETE FROM tasks WHERE id = $1", [UUID(following.id)])

        rest = LIST.validate_json((await page(db, ada, after=following)).items)
        assert [task.id for task in rest] == expected[4:]

    async def test_tasks_of_other_organizations_are_not_listed(self, db: Bench, make: Factory, ada: Caller) -> None:
        team = await make.team(owner=ada)
        task_id = await make.task(team, ada)

        assert task_id not in [task.id for task in await whole(db, ada)]

    async def test_a_filter_takes_several_states(self, db: Bench, ada: Caller) -> None:
        async def states(status: list[TaskStatus]) -> list[str]:
            return sorted({task["status"] for task in json.loads((await page(db, ada, status=status)).items)})

        assert await states([TaskStatus.pending]) == ["pending"]
        assert await states([TaskStatus.pending, TaskStatus.in_progress]) == ["in_progress", "pending"]
        assert await states([TaskStatus.completed]) == []
        assert await states([]) == []

    async def test_a_filter_and_pages_go_together(self, db: Bench, ada: Caller) -> None:
        status = [TaskStatus.cancelled]
        first = await page(db, ada, status=status, limit=3)
        assert first.following is not None
        rest = await page(db, ada, status=status, limit=3, after=first.following)

        assert len(json.loads(first.items)) == 3
        assert len(json.loads(rest.items)) == 1
        assert rest.following is None


class TestItems:
    async def test_an_item_is_the_task_as_the_contract_writes_it(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, title='"ü\\\n🦩', due_date=NOW)

        [item] = json.loads((await page(db, ada)).items)

        assert list(item) == list(Task.model_fields)
        [row] = await db.fetch("SELECT * FROM tasks", [])
        author = {"id": str(ada.id), "username": None, "full_name": None}
        told = {"author": author} | {name: row[name] for name in Task.model_fields if name != "author"}
        assert Task.model_validate_json(json.dumps(item)) == Task.model_validate(told)
        assert json.loads((await tasks.find(db, task_id, by=ada)).text) == item
        assert item["title"] == '"ü\\\n🦩'

    @pytest.mark.parametrize(
        ("moment", "text"),
        [
            (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
            (datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC), "2026-01-02T03:04:05.000060Z"),
            (datetime(1900, 1, 1, tzinfo=UTC), "1900-01-01T00:00:00Z"),
            (datetime(9998, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "9998-12-31T23:59:59.999999Z"),
        ],
    )
    async def test_an_instant_is_in_utc_with_its_fraction_if_it_has_one(
        self, db: Bench, make: Factory, moment: datetime, text: str
    ) -> None:
        ada = await make.user()
        await make.task(ada.id, ada, due_date=moment)

        [item] = json.loads((await page(db, ada)).items)

        assert item["due_date"] == text


@pytest.fixture
async def crowd(db: Bench, make: Factory) -> Caller:
    """A caller among twenty, all with many tasks."""
    callers = [await make.user() for _ in range(20)]
    for caller in callers:  # one by one, since a statement has 2.5 s, on a busy machine too
        await db.fetch(
            """
            INSERT INTO tasks (organization_id, id, user_id, title, status, priority, due_date, created_at, updated_at)
            SELECT $1, gen_random_uuid(), $1, 'Task ' || n, 'pending',
                (ARRAY['low', 'medium', 'high', 'urgent'])[n % 4 + 1], CASE WHEN n % 3 > 0 THEN now() + span END,
                now() + span, now() - span
            FROM generate_series(1, 1000) AS n, LATERAL (SELECT n * interval '1 s') AS _ (span)
            """,
            [caller.id],
        )
    await db.fetch("ANALYZE tasks", [])
    return callers[7]


class TestPlans:
    async def test_every_sort_is_read_from_its_index_whatever_the_values(self, db: Bench, crowd: Caller) -> None:
        for sort in TaskSort:
            for after in (MISSING, (await page(db, crowd, sort=sort, limit=3)).following):
                for filters in FILTERS:
                    plan = await generic_plan(db, crowd, sort, after or MISSING, filters)

                    assert f"using {index_of(sort)} on tasks" in plan, plan
                    assert "Sort" not in plan, plan
                    assert "Seq Scan on tasks" not in plan, plan


def index_of(sort: TaskSort) -> str:
    return INDEXES.get(sort) or INDEXES[sort.removeprefix("-")]


async def generic_plan(
    db: Database, by: Caller, sort: TaskSort, after: After | MISSING, filters: Filters | MISSING
) -> str:
    """How PostgreSQL reads a page of tasks."""
    return await explain_plan(db, *tasks.list_in.bind(by.id, by=by, filters=filters, sort=sort, after=after, limit=50))


async def explain_plan(db: Database, sql: str, values: Sequence[object]) -> str:
    """What PostgreSQL does when it does not look at the values, as the pool's connections have it do."""
    await db.fetch("SET plan_cache_mode = force_generic_plan", [])
    await db.fetch(f"PREPARE planned AS {sql}", [])
    records = await db.fetch(f"EXPLAIN EXECUTE planned ({', '.join('NULL' for _ in values)})", [])
    await db.fetch("DEALLOCATE planned", [])
    return "\n".join(record[0] for record in records)
