"""How often an operation asks the database: each trip is a wait, so none is added by mistake."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from asyncpg import Record

from persistence.engine.pool import Database
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import Factory

ACCOUNT = {"email": "grace@example.com", "password": "a pelican reads the timetable"}


class Counted:
    """A database that counts the statements it is sent, those that begin and end transactions included."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.trips = 0

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        self.trips += 1
        return await self.db.fetch(sql, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Database]:
        self.trips += 2
        async with self.db.transaction() as inner:
            counted = Counted(inner)
            try:
                yield counted
            finally:
                self.trips += counted.trips


@pytest.fixture
async def counted(db: Bench) -> Counted:
    return Counted(db)


@pytest.fixture
async def who(settings: Settings, counted: Counted, make: Factory) -> AsyncIterator[tuple[ApiClient, str, str]]:
    """One who is signed in, with a task and a team."""
    ada = await make.user()
    async with serving(settings, counted) as api:
        yield api.as_(ada), str(await make.task(ada.id, ada)), str(await make.team(owner=ada))


@pytest.mark.parametrize(
    ("trips", "request_line", "body"),
    [
        (1, "GET /tasks", None),
        (1, "GET /tasks?scope=all&include_total=true&status=open", None),
        (1, "GET /tasks/search?q=task", None),
        (1, "GET /tasks/{task_id}", None),
        (1, "POST /tasks", {"title": "New"}),
        (1, "PUT /tasks/{task_id}", {"title": "New"}),
        (1, "PATCH /tasks/{task_id}", {"title": "New"}),
        (5, "PATCH /tasks/{task_id}", {"organization_id": "{team_id}"}),
        (1, "PATCH /tasks/{task_id}/complete", None),
        (1, "DELETE /tasks/{task_id}", None),
    ],
)
async def test_an_operation_makes_so_many_trips(
    who: tuple[ApiClient, str, str], counted: Counted, trips: int, request_line: str, body: dict[str, Any] | None
) -> None:
    method, path = request_line.split()
    api, task_id, team_id = who
    given = {name: value.format(team_id=team_id) for name, value in (body or {}).items()}
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    counted.trips = 0

    url = path.format(task_id=task_id)
    sent: dict[str, Any] = {"json": given, "headers": {"Content-Type": kind}} if body else {}
    await api.send(method, url, expect={"POST": 201, "DELETE": 204}.get(method, 200), **sent)

    assert counted.trips == trips


@pytest.mark.parametrize(
    ("trips", "path", "body"),
    [(7, "/users", ACCOUNT), (8, "/users/bulk", {"action": "activate", "user_ids": [str(uuid4())]})],
)
async def test_who_may_send_a_superusers_body_is_asked_before_it_is_read(
    settings: Settings, counted: Counted, make: Factory, *, trips: int, path: str, body: dict[str, Any]
) -> None:
    root, ada = await make.user(is_superuser=True), await make.user()
    async with serving(settings, counted) as api:
        await api.as_(root).send("POST", path, expect=201 if path == "/users" else 200, json=body)
        assert counted.trips == trips

        counted.trips = 0
        await api.as_(root).post(path, {}, expect=422)
        assert counted.trips == 1

        counted.trips = 0
        await api.as_(ada).send("POST", path, expect=403, content=b"x" * 2_000_000)
        assert counted.trips == 2  # with the audit log of it


async def test_a_request_with_a_key_makes_six(who: tuple[ApiClient, str, str], counted: Counted) -> None:
    counted.trips = 0

    await who[0].with_headers(Idempotency_Key="once").post("/tasks", {"title": "New"})

    assert counted.trips == 6


async def test_to_make_an_account_with_a_key_takes_a_second_transaction(
    settings: Settings, counted: Counted, make: Factory
) -> None:
    """The first finds out that a password is to be hashed, which is done while no connection is held."""
    ada = await make.user(is_superuser=True)
    async with serving(settings, counted) as api:
        await api.as_(ada).with_headers(Idempotency_Key="once").post("/users", ACCOUNT)
        assert counted.trips == 16

        counted.trips = 0
        await api.as_(ada).with_headers(Idempotency_Key="once").post("/users", ACCOUNT)
        assert counted.trips == 8
