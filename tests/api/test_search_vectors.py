"""What finds a task is written whenever a task is, and emptied where a release that does not know it changes one."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import MISSING
from sqlalchemy import Uuid, literal, select

from generated.models import TaskPatch
from persistence.authorization import Caller
from persistence.engine.statements import Dialect
from persistence.queries import tasks
from persistence.search.vectors import tag, tag_of, write_tagged_vector, write_vector
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import WRITERS, Factory

ROW = "SELECT organization_id, title, description, search_vector::text AS vector FROM tasks WHERE id = $1"
TITLE, TEXT = "Crème brûlée / two", "契約を書く, then rest"
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=200)

Write = Callable[[ApiClient, str, str], Awaitable[Any]]


async def read(db: Bench, task_id: Any) -> tuple[str | None, str]:
    """The vector of a task, and the one that its texts ask for."""
    [row] = await db.fetch(ROW, [UUID(str(task_id))])
    [wanted] = await db.fetch("SELECT $1::text::tsvector::text", [write_tagged_vector(*list(row)[:3])])
    return row["vector"], wanted[0]


WRITES: dict[str, Write] = {
    "title": lambda who, task, _: who.patch(f"/tasks/{task}", {"title": "Other words"}),
    "description": lambda who, task, _: who.patch(f"/tasks/{task}", {"description": "Other words"}),
    "no description": lambda who, task, _: who.patch(f"/tasks/{task}", {"description": None}),
    "both": lambda who, task, _: who.patch(f"/tasks/{task}", {"title": "Other", "description": "Words, ß"}),
    "the same": lambda who, task, _: who.patch(f"/tasks/{task}", {"title": TITLE}),
    "nothing of it": lambda who, task, _: who.patch(f"/tasks/{task}", {"priority": "low"}),
    "whole": lambda who, task, _: who.put(f"/tasks/{task}", {"title": "Whole"}),
    "whole with a text": lambda who, task, _: who.put(f"/tasks/{task}", {"title": "Whole", "description": "a/b"}),
    "place": lambda who, task, team: who.patch(f"/tasks/{task}", {"organization_id": team}),
    "place and title": lambda who, task, team: who.patch(f"/tasks/{task}", {"organization_id": team, "title": "New"}),
    "place and whole": lambda who, task, team: who.put(f"/tasks/{task}", {"title": "New", "organization_id": team}),
}


@pytest.mark.parametrize("way", WRITES)
async def test_every_way_to_write_a_task_writes_what_finds_it(
    api: ApiClient, make: Factory, db: Bench, way: str
) -> None:
    ada = await make.user()
    team = await make.team(owner=ada)
    who = api.as_(ada)
    task = await who.post("/tasks", {"title": TITLE, "description": TEXT})
    vector, wanted = await read(db, task["id"])
    assert vector == wanted

    await WRITES[way](who, task["id"], str(team))

    vector, wanted = await read(db, task["id"])
    assert vector == wanted


async def test_a_task_without_description_is_found_by_its_title(api: ApiClient, make: Factory, db: Bench) -> None:
    task = await api.as_(await make.user()).post("/tasks", {"title": TITLE})

    vector, wanted = await read(db, task["id"])

    assert vector == wanted


@pytest.mark.parametrize("patch", [TaskPatch(title="New"), TaskPatch(description="New")], ids=["title", "description"])
async def test_part_of_a_task_that_has_no_vector_gives_it_none(db: Bench, make: Factory, patch: TaskPatch) -> None:
    """Its other part is not known here."""
    ada = await make.user()
    task_id = await make.task(ada.id, ada, title=TITLE, description=TEXT, search_vector=None)

    await update(db, task_id, patch, ada)

    assert (await read(db, task_id))[0] is None


async def test_both_parts_give_one_to_a_task_that_has_none(db: Bench, make: Factory) -> None:
    ada = await make.user()
    task_id = await make.task(ada.id, ada, title=TITLE, description=TEXT, search_vector=None)

    await update(db, task_id, TaskPatch(title="New", description=None), ada)

    vector, wanted = await read(db, task_id)
    assert vector == wanted


async def update(db: Bench, task_id: UUID, patch: TaskPatch, by: Caller) -> None:
    await tasks.update(db, task_id, patch, vector=write_vector(patch), versions=MISSING, by=by, roles=WRITERS)


@given(TEXTS, TEXTS)
async def test_postgresql_takes_the_vector_of_any_text(connection: Any, title: str, description: str) -> None:
    vector = write_tagged_vector(uuid4(), title, description * 10)

    [row] = await connection.fetch("SELECT $1::text::tsvector::text", vector)

    assert row[0]


async def test_the_longest_texts_have_a_vector(db: Bench) -> None:
    for char in ("\u3316", "\ufdfa", "契", "a ", "\U0001d401"):
        vector = write_tagged_vector(uuid4(), (char * 200)[:200], (char * 2000)[:2000])
        [row] = await db.fetch("SELECT length(strip($1::text::tsvector))", [vector])
        assert row[0] > 1


async def test_a_tag_is_the_same_here_and_in_the_database(db: Bench) -> None:
    place = uuid4()
    compiled: Any = select(tag_of(literal(place, Uuid))).compile(dialect=Dialect())  # type: ignore[no-untyped-call]

    [row] = await db.fetch(str(compiled), [])

    assert row[0] == tag(place)
    assert len(tag(place)) == 8
