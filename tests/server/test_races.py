"""What others do between two statements of a call."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncpg import DeadlockDetectedError, Record
from passlib.hash import bcrypt_sha256
from typing_extensions import override

from persistence.engine.pool import Database, Transaction
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import Answer
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory


class Meanwhile(Bench):
    """The database of the test, in which something happens after the first statement."""

    def __init__(self, db: Bench, change: str) -> None:
        super().__init__(db.connection)
        self.changes = [change]

    @override
    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        records = await super().fetch(sql, values)
        while self.changes:
            await super().fetch(self.changes.pop(), [])
        return records


class Restless(Bench):
    """The database of the test, in which a password is set again, to the same, whenever somebody has looked it up."""

    def __init__(self, db: Bench) -> None:
        super().__init__(db.connection)

    @override
    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        records = await super().fetch(sql, values)
        if sql.startswith("SELECT users.id, users.hashed_password"):
            again = bcrypt_sha256.using(rounds=12).hash(PASSWORD)
            await super().fetch("UPDATE users SET hashed_password = $1", [again])
        return records


class Unlucky(Bench):
    """The database of the test, which undoes the first transaction of several statements as one of a deadlock."""

    def __init__(self, db: Bench) -> None:
        super().__init__(db.connection)
        self.is_undone = False

    @override
    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        async with super().transaction() as transaction:
            return await transaction.fetch(sql, values)

    @override
    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with super().transaction() as transaction:
            yield transaction
            if not self.is_undone:
                self.is_undone = True
                raise DeadlockDetectedError


@pytest.mark.proves("ASVS 5.0 15.4.2", "An account that changes while its password is verified begins no session")
async def test_an_account_that_is_deactivated_while_its_password_is_verified_begins_no_session(
    settings: Settings, db: Bench, make: Factory
) -> None:
    problem = await signed_in_meanwhile(settings, db, make, "UPDATE users SET is_active = false", expect=403)

    assert problem["code"] == "account_disabled"
    assert await db.fetch("SELECT FROM sessions WHERE user_agent IS NOT NULL", []) == []


async def test_a_password_that_is_changed_while_it_is_verified_begins_no_session(
    settings: Settings, db: Bench, make: Factory
) -> None:
    another = bcrypt_sha256.using(rounds=5).hash("another password")
    change = f"UPDATE users SET hashed_password = '{another}'"  # noqa: S608 - a hash of ours
    problem = await signed_in_meanwhile(settings, db, make, change, expect=401)

    assert problem["code"] == "invalid_credentials"
    assert await db.fetch("SELECT FROM sessions WHERE user_agent IS NOT NULL", []) == []


async def test_a_password_that_changes_each_time_it_is_verified_begins_no_session(
    settings: Settings, db: Bench, make: Factory
) -> None:
    await make.user(email="ada@example.com")

    async with serving(settings, Restless(db)) as api:
        problem = await api.post("/auth/login", {"email": "ada@example.com", "password": PASSWORD}, expect=401)

    assert problem["code"] == "invalid_credentials"
    assert await db.fetch("SELECT FROM sessions WHERE user_agent IS NOT NULL", []) == []


async def test_of_two_changes_of_a_password_the_later_is_refused(settings: Settings, db: Bench, make: Factory) -> None:
    ada = await make.user()
    another = bcrypt_sha256.using(rounds=5).hash("another password")
    change = f"UPDATE users SET hashed_password = '{another}'"  # noqa: S608 - a hash of ours

    async with serving(settings, Meanwhile(db, change)) as api:
        passwords = {"current_password": PASSWORD, "new_password": "a heron counts the tram stops"}
        problem = await api.as_(ada).put("/users/me/password", passwords, expect=403)

    assert problem["code"] == "wrong_password"
    assert await db.fetch("SELECT FROM users WHERE hashed_password = $1", [another]) != []


@pytest.mark.parametrize("verb", ["patch", "put"])
async def test_a_move_that_a_deadlock_undid_is_made_again(
    settings: Settings, db: Bench, make: Factory, verb: str
) -> None:
    ada = await make.user()
    team = await make.team(admin=ada)
    task_id = await make.task(ada.id, ada)
    unlucky = Unlucky(db)

    async with serving(settings, unlucky) as api:
        body = {"title": "After", "organization_id": str(team)}
        moved = await getattr(api.as_(ada), verb)(f"/tasks/{task_id}", body)

    assert unlucky.is_undone
    assert (moved["organization_id"], moved["title"], moved["version"]) == (str(team), "After", 2)


async def signed_in_meanwhile(settings: Settings, db: Bench, make: Factory, change: str, *, expect: int) -> Answer:
    """The answer to the right password of an account that changes after it was looked up."""
    await make.user(email="ada@example.com")
    credentials: dict[str, Any] = {"email": "ada@example.com", "password": PASSWORD}
    database: Database = Meanwhile(db, change)

    async with serving(settings, database) as api:
        return await api.post("/auth/login", credentials, expect=expect)
