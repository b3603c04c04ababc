"""What becomes of a task: made, changed, completed, deleted, by one and by many at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic import MISSING

from generated.models import Task, TaskCreate, TaskPatch, TaskPriority, TaskStatus
from persistence.authorization import Caller, NotVisible, Stale
from persistence.engine.keyset import Item
from persistence.engine.pool import Database, Pool
from persistence.queries import tasks
from persistence.search.vectors import write_vector
from tests.conftest import Bench
from tests.factories import NOW, WRITERS, Factory, deletion

LATER = NOW + timedelta(hours=1)


def read(item: Item) -> Task:
    """The task that the JSON text says; what else the item tells is true of it."""
    task = Task.model_validate_json(item.text)
    assert item[:3] == (task.id, task.organization_id, task.version)
    return task


async def find(db: Database, task_id: UUID, by: Caller) -> Task:
    return read(await tasks.find(db, task_id, by=by))


async def insert(db: Database, by: Caller, **values: Any) -> Task:
    plain: dict[str, Any] = {"title": "A task", "status": TaskStatus.pending, "priority": TaskPriority.medium}
    task = TaskCreate(**plain | values)
    return read(
        await tasks.insert(db, uuid4(), task, vector=write_vector(task), organization_id=by.id, by=by, roles=WRITERS)
    )


async def update(db: Database, task_id: UUID, by: Caller, **values: Any) -> Task:
    patch = TaskPatch(**values)
    return read(
        await tasks.update(db, task_id, patch, vector=write_vector(patch), versions=MISSING, by=by, roles=WRITERS)
    )


async def complete(
    db: Database, task_id: UUID, by: Caller, *, completed: bool | MISSING, versions: Sequence[int] | MISSING = MISSING
) -> Task:
    return read(await tasks.set_completed(db, task_id, completed=completed, versions=versions, by=by, roles=WRITERS))


async def clock(db: Bench) -> datetime:
    """What the clock of the database says."""
    [record] = await db.fetch("SELECT clock_timestamp()", [])
    moment: datetime = record[0]
    return moment


class TestInsert:
    async def test_a_task_is_what_was_asked_for_and_by_whom(self, db: Bench, make: Factory) -> None:
        ada = await make.user()

        began = await clock(db)

        task = await insert(db, ada, title="Ship it", description="Soon", priority=TaskPriority.urgent, due_date=LATER)

        assert (task.title, task.description, task.priority, task.due_date) == ("Ship it", "Soon", "urgent", LATER)
        assert (task.organization_id, task.user_id) == (ada.id, ada.id)
        assert (task.status, task.completed, task.completed_at) == ("pending", False, None)
        assert (task.version, task.created_at) == (1, task.updated_at)
        assert began < task.created_at
        assert await find(db, task.id, ada) == task

    async def test_what_is_left_out_is_null(self, db: Bench, make: Factory) -> None:
        task = await insert(db, await make.user())

        assert (task.description, task.due_date) == (None, None)

    async def test_a_task_made_completed_was_completed_now(self, db: Bench, make: Factory) -> None:
        task = await insert(db, await make.user(), status=TaskStatus.completed)

        assert (task.completed, task.completed_at) == (True, task.created_at)

    @pytest.mark.parametrize("title", ["it's; DROP TABLE tasks", "ünïcödé 🦩", "x" * 200, '"$1"'])
    async def test_any_text_is_kept_as_it_is(self, db: Bench, make: Factory, title: str) -> None:
        assert (await insert(db, await make.user(), title=title)).title == title

    async def test_an_id_is_not_used_twice(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada)
        again = TaskCreate(title="Again", status=TaskStatus.pending, priority=TaskPriority.low)

        with pytest.raises(asyncpg.UniqueViolationError) as refused:
            await tasks.insert(
                db, task_id, again, vector=write_vector(again), organization_id=ada.id, by=ada, roles=WRITERS
            )

        assert refused.value.constraint_name == "pk_tasks"


class TestUpdate:
    async def test_a_patch_changes_what_it_names(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, title="Before", description="Kept", due_date=NOW)

        began = await clock(db)

        task = await update(db, task_id, replace(ada, now=LATER), title="After", due_date=None)

        assert (task.title, task.description, task.due_date, task.version) == ("After", "Kept", None, 2)
        assert task.created_at == NOW < began < task.updated_at
        assert await find(db, task_id, ada) == task

    @pytest.mark.parametrize("patch", [{}, {"title": "Same"}, {"description": None, "status": TaskStatus.completed}])
    async def test_a_patch_that_changes_nothing_leaves_everything(
        self, db: Bench, make: Factory, patch: dict[str, Any]
    ) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, title="Same", status="completed")
        before = await find(db, task_id, ada)

        assert await update(db, task_id, replace(ada, now=LATER), **patch) == before
        assert before.version == 1

    async def test_a_null_that_becomes_a_value_is_a_change(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada)

        assert (await update(db, task_id, ada, description="New")).version == 2
        assert (await update(db, task_id, ada, description=None)).version == 3

    async def test_completed_at_follows_the_status(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada)

        done = await update(db, task_id, replace(ada, now=LATER), status=TaskStatus.completed)
        renamed = await update(db, task_id, replace(ada, now=LATER + timedelta(hours=1)), title="Renamed")
        reopened = await update(db, task_id, ada, status=TaskStatus.in_progress)

        assert (done.completed, done.completed_at) == (True, done.updated_at)
        assert (renamed.completed, renamed.completed_at, renamed.version) == (True, done.completed_at, 3)
        assert (reopened.completed, reopened.completed_at) == (False, None)

    async def test_a_patch_in_which_all_is_named_changes_all(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        everything: dict[str, Any] = {
            "title": "New",
            "description": "Also new",
            "status": TaskStatus.cancelled,
            "priority": TaskPriority.low,
            "due_date": LATER,
        }

        task = await update(db, await make.task(ada.id, ada), ada, **everything)

        assert {name: getattr(task, name) for name in everything} == everything


class TestCompletion:
    @pytest.mark.parametrize("status", ["pending", "in_progress", "cancelled"])
    async def test_a_task_is_completed_now(self, db: Bench, make: Factory, status: str) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, status=status)

        began = await clock(db)

        task = await complete(db, task_id, replace(ada, now=LATER), completed=True)

        assert (task.status, task.completed, task.completed_at) == ("completed", True, task.updated_at)
        assert task.version == 2
        assert began < task.updated_at

    async def test_a_task_that_is_completed_stays_so_since_when_it_was(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, status="completed")

        task = await complete(db, task_id, replace(ada, now=LATER), completed=True)

        assert (task.completed_at, task.version, task.updated_at) == (NOW, 1, NOW)

    async def test_a_completed_task_becomes_pending_again(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, status="completed")

        task = await complete(db, task_id, ada, completed=False)

        assert (task.status, task.completed_at, task.version) == ("pending", None, 2)

    @pytest.mark.parametrize("status", ["pending", "in_progress", "cancelled"])
    async def test_a_task_that_is_not_completed_keeps_its_status(self, db: Bench, make: Factory, status: str) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, status=status)

        task = await complete(db, task_id, replace(ada, now=LATER), completed=False)

        assert (task.status, task.version, task.updated_at) == (status, 1, NOW)

    async def test_a_toggle_goes_there_and_back(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, status="in_progress")

        there = await complete(db, task_id, ada, completed=MISSING)
        back = await complete(db, task_id, ada, completed=MISSING, versions=[2])

        assert (there.status, there.completed_at) == ("completed", there.updated_at)
        assert (back.status, back.completed_at, back.version) == ("pending", None, 3)


async def delete(db: Database, task_id: UUID, by: Caller, versions: Sequence[int] | MISSING = MISSING) -> Item:
    entry = deletion(by, task_id)
    return await tasks.delete(db, task_id, versions=versions, by=by, roles=WRITERS, entry=entry)


class TestDelete:
    async def test_a_deleted_task_is_answered_once_more_and_is_gone(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, title="Last")

        last = read(await delete(db, task_id, ada, versions=[1]))

        assert last.title == "Last"
        with pytest.raises(NotVisible):
            await tasks.find(db, task_id, by=ada)
        with pytest.raises(NotVisible):
            await delete(db, task_id, ada)

    async def test_other_tasks_stay(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        other = await make.task(ada.id, ada)

        await delete(db, await make.task(ada.id, ada), ada)

        assert (await tasks.find(db, other, by=ada)).id == other


class TestAtOnce:
    async def test_of_many_writes_at_one_version_one_wins(self, fresh: Pool) -> None:
        make = Factory(fresh)
        ada = await make.user()
        task_id = await make.task(ada.id, ada)

        async def write(number: int) -> object:
            patch = TaskPatch(title=f"From {number}")
            return await tasks.update(
                fresh, task_id, patch, vector=write_vector(patch), versions=[1], by=ada, roles=WRITERS
            )

        done = await asyncio.gather(*[write(number) for number in range(20)], return_exceptions=True)

        assert [one.version for one in done if isinstance(one, Stale)] == [2] * 19
        [winner] = [one for one in done if isinstance(one, Item)]
        assert await tasks.find(fresh, task_id, by=ada) == winner

    async def test_every_toggle_counts(self, fresh: Pool) -> None:
        make = Factory(fresh)
        ada = await make.user()
        task_id = await make.task(ada.id, ada)

        await asyncio.gather(*[complete(fresh, task_id, ada, completed=MISSING) for _ in range(21)])

        task = await find(fresh, task_id, ada)
        assert (task.version, task.completed) == (22, True)

    async def test_of_many_deletes_one_finds_the_task(self, fresh: Pool) -> None:
        make = Factory(fresh)
        ada = await make.user()
        task_id = await make.task(ada.id, ada)

        done = await asyncio.gather(*[delete(fresh, task_id, ada) for _ in range(8)], return_exceptions=True)

        assert sum(isinstance(one, Item) for one in done) == 1
        assert sum(isinstance(one, NotVisible) for one in done) == 7
