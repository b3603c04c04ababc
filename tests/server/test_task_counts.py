"""What is known of how many tasks organizations have, and for how long."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from pydantic import MISSING

from persistence.authorization import Room
from persistence.engine.pool import Pool
from persistence.queries import tasks
from server.dispatch import task_counts
from server.dispatch.task_counts import AT_ONCE, LOOKED_AT, NONE, TaskCounts

NOWHERE = Pool("postgresql://docket@127.0.0.1:1/docket")


def test_nothing_is_counted_while_there_is_room() -> None:
    counts, here = TaskCounts(3), uuid4()
    assert counts.room(here) == Room(looks=3, most=3)

    counts.learn(here, 0)
    assert counts.room(here) is MISSING
    counts.learn(here, None)
    assert counts.room(here) is MISSING
    counts.learn(here, None)
    assert counts.room(here) == Room(looks=3, most=3)


def test_nothing_is_learnt_of_what_was_never_counted() -> None:
    counts = TaskCounts(3)
    counts.learn(uuid4(), None)

    assert not counts.known


def test_a_count_is_believed_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, here = TaskCounts(10), uuid4()
    counts.learn(here, 7)
    monkeypatch.setattr(task_counts, "LIFE", 0)

    assert counts.room(here) == Room(looks=10, most=10)
    counts.learn(here, 2)
    assert counts.known[here].count == 3


def test_so_many_organizations_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_counts, "KEPT", 2)
    counts, places = TaskCounts(10), [uuid4() for _ in range(3)]

    for here in places:
        counts.learn(here, 0)

    assert list(counts.known) == places[1:]


def test_a_statement_looks_at_few_tasks_of_many() -> None:
    assert TaskCounts(1_000_000).room(uuid4()) == Room(looks=LOOKED_AT, most=1_000_000)


async def test_so_many_are_counted_beside_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def count_some(_db: object, organization_id: object, **_named: object) -> tuple[int, None]:
        asked.append(organization_id)
        await asyncio.sleep(0)
        return LOOKED_AT, None

    monkeypatch.setattr(tasks, "count_some", count_some)
    counts, places = TaskCounts(LOOKED_AT + 1), [uuid4() for _ in range(AT_ONCE + 1)]
    async with counts.counting_in(NOWHERE):
        for here in (*places, *places):
            counts.learn(here, LOOKED_AT)
        assert counts.room(places[0]) == NONE
        await asyncio.gather(*counts.counting.values())

        assert asked == places[:AT_ONCE]
        assert counts.room(places[0]) is MISSING
        assert not counts.counting


async def test_what_is_under_way_ends_with_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def count_some(*_arguments: object, **_named: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(tasks, "count_some", count_some)
    counts = TaskCounts(LOOKED_AT + 1)
    async with counts.counting_in(NOWHERE):
        counts.learn(uuid4(), LOOKED_AT)
        await begun.wait()

    assert not counts.counting
    counts.learn(uuid4(), LOOKED_AT)
    assert not counts.counting
