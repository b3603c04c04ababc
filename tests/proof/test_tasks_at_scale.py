"""Lists and searches on disk: 200 organizations of 500 tasks each, and one of 100,000, with the times they took."""

import re
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import psutil
import pytest
from pydantic import MISSING

from generated.models import TaskSort, TaskStatus
from persistence.authorization import Caller
from persistence.engine.keyset import After, Page
from persistence.engine.pool import Pool
from persistence.queries import search, tasks
from persistence.queries.task_filters import Filters
from persistence.search.vectors import DIGITS, TAGS
from tests.factories import Factory
from tests.persistence.test_keyset import FILTERS, explain_plan, generic_plan, index_of

SMALL, FEW, MANY = 200, 500, 100_000
TEAMS = 10  # of the small ones, those that the owner of the large one is in
PAGES, SAMPLES = 1000, 40
RARE, EVERYWHERE = 20.0, 150.0  # milliseconds, p95
GROWTH = 20_000_000  # bytes
ADDED = """
    INSERT INTO tasks (organization_id, id, user_id, title, description, status, priority, due_date, search_vector,
        created_at, updated_at)
    SELECT owner, gen_random_uuid(), $4::uuid, title, description, 'pending',
        (ARRAY['low', 'medium', 'high', 'urgent'])[n % 4 + 1], CASE WHEN n % 3 > 0 THEN now() + span END,
        (SELECT string_agg(format('''%s%s'':%s', tag, part, place), ' ')
            FROM regexp_split_to_table(lower(concat(' ', title, ' ', description)), ' +')
            WITH ORDINALITY AS _ (part, place))::tsvector,
        now() + span, now() - span
    FROM unnest($1::uuid[], $2::integer[], $3::text[]) AS _ (owner, number, word),
        LATERAL translate(right(owner::text, 8), $5, $6) AS tag, LATERAL generate_series(1, number) AS n,
        LATERAL (SELECT n * interval '1 s', concat('Task ', n, CASE WHEN n % 100 = 0 THEN ' rare' END, ' ', word),
            concat_ws(' ', 'It is about', md5(n::text), 'and', md5(owner::text || n))) AS __ (span, title, description)
"""


@pytest.fixture(scope="module")
async def disk(url: str) -> AsyncIterator[Pool]:
    """One connection to it."""
    pool = Pool(url, size=1)
    yield pool
    await pool.close()


@pytest.fixture(scope="module")
async def ada(disk: Pool) -> Caller:
    """The owner of the large one."""
    make = Factory(disk)
    ada = await make.user()
    small = [(await make.user()).id for _ in range(SMALL - TEAMS)] + [await make.team(owner=ada) for _ in range(TEAMS)]
    numbers, words = [FEW] * SMALL + [MANY], [""] * SMALL + ["everywhere"]
    connection = await disk.take()
    await connection.execute("SET statement_timeout = 0")
    await connection.fetch(ADDED, [*small, ada.id], numbers, words, ada.id, DIGITS, TAGS, timeout=300)
    await connection.execute("VACUUM ANALYZE", timeout=300)
    await connection.execute("RESET statement_timeout")
    disk.put(connection)
    return ada


async def times(*works: Callable[[], Awaitable[object]]) -> list[list[float]]:
    """The milliseconds of each work, all in turn; the first two rounds do not count."""
    taken: list[list[float]] = [[] for _ in works]
    for number in range(SAMPLES + 2):
        for i, work in enumerate(works):
            began = time.perf_counter()
            await work()
            if number > 1:
                taken[i].append((time.perf_counter() - began) * 1000)
    return taken


def p95(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=20)[-1]


def tell_times(what: str, taken: list[float]) -> None:
    median = statistics.median(taken)
    print(f"{what}: median {median:.1f} ms, p95 {p95(taken):.1f} ms, longest {max(taken):.1f} ms")  # noqa: T201 - the measurement


async def lists(
    disk: Pool,
    by: Caller,
    sort: TaskSort,
    after: After | MISSING = MISSING,
    *,
    total: bool = False,
    everywhere: bool = False,
    filters: Filters | MISSING = MISSING,
) -> Page:
    where = MISSING if everywhere else by.id
    return await tasks.list_in(disk, where, by=by, filters=filters, sort=sort, after=after, limit=50, total=total)


async def test_every_sort_is_read_from_one_index_and_page_1000_costs_what_page_1_costs(disk: Pool, ada: Caller) -> None:
    for sort in TaskSort:
        after: After | MISSING = MISSING
        for _ in range(PAGES - 1):
            after = (await lists(disk, ada, sort, after)).following or MISSING
            assert after is not MISSING
        for begun in (MISSING, after):
            for filters in FILTERS:
                plan = await generic_plan(disk, ada, sort, begun, filters)
                read = rf"using {index_of(sort)} on tasks .*\n +Index Cond: \(+organization_id = "
                assert re.search(read, plan), plan
                assert "Sort" not in plan, plan
        first, last = await times(partial(lists, disk, ada, sort), partial(lists, disk, ada, sort, after))
        tell_times(f"{sort} page 1", first)
        tell_times(f"{sort} page {PAGES}", last)
        assert statistics.median(last) <= 1.5 * statistics.median(first)


async def test_a_search_finds_a_rare_word_and_one_that_is_everywhere_in_time(disk: Pool, ada: Caller) -> None:
    async def find(wanted: str, after: After | MISSING = MISSING, *, everywhere: bool = False) -> Page:
        where = MISSING if everywhere else ada.id
        asked = search.write_wanted(wanted)
        return await search.search_in(disk, where, asked, by=ada, filters=MISSING, after=after, limit=50)

    for word, most in (("rare", RARE), ("everywhere", EVERYWHERE)):
        following = (await find(word)).following
        assert following is not None
        first, second = await times(partial(find, word), partial(find, word, following))
        tell_times(f"search {word!r}", first)
        tell_times(f"search {word!r}, page 2", second)
        assert max(p95(first), p95(second)) <= most
        for after in (MISSING, following):
            asked = search.search_in.bind(
                ada.id, search.write_wanted(word), by=ada, filters=MISSING, after=after, limit=50
            )
            plan = await explain_plan(disk, *asked)
            assert "Bitmap Index Scan on ix_tasks_search_vector" in plan, plan
    all_of_ada, in_every = await times(partial(find, "rare", everywhere=True), partial(find, "Task"))
    tell_times("search 'rare' with scope=all", all_of_ada)
    tell_times(f"search 'Task', a word of all {MANY + SMALL * FEW}", in_every)


async def test_what_is_only_measured(disk: Pool, ada: Caller) -> None:
    sort = TaskSort.created_at_descending
    nothing = Filters(status=[TaskStatus.cancelled])
    total, everywhere, both, none = await times(
        partial(lists, disk, ada, sort, total=True),
        partial(lists, disk, ada, sort, everywhere=True),
        partial(lists, disk, ada, sort, everywhere=True, total=True),
        partial(lists, disk, ada, sort, filters=nothing),
    )
    tell_times("include_total", total)
    tell_times(f"scope=all, {TEAMS + 1} organizations", everywhere)
    tell_times("scope=all with include_total", both)
    tell_times("a filter that keeps none", none)


async def test_memory_does_not_grow(disk: Pool, ada: Caller) -> None:
    connection = await disk.take()
    backend = psutil.Process(connection.get_server_pid())
    disk.put(connection)

    async def work() -> None:
        for word in ("rare", "everywhere"):
            asked = search.write_wanted(word)
            await search.search_in(disk, ada.id, asked, by=ada, filters=MISSING, after=MISSING, limit=50)
        for sort in TaskSort:
            await lists(disk, ada, sort, total=True)

    def measure_memory() -> list[int]:
        return [process.memory_full_info().uss for process in (backend, psutil.Process())]

    await work()
    before = measure_memory()
    for _ in range(SAMPLES):
        await work()
    grown = [after - was for after, was in zip(measure_memory(), before, strict=True)]
    print(f"grown in {SAMPLES} rounds: PostgreSQL {grown[0]} bytes, Python {grown[1]} bytes")  # noqa: T201 - the measurement
    assert max(grown) <= GROWTH
