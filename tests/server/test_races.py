"""What others do between two statements of a call."""

from collections.abc import Sequence
from typing import Any

import pytest
from asyncpg import Record
from typing_extensions import override

from persistence.engine import Database
from server.settings import Settings
from tests.api.conftest import serving
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


@pytest.mark.proves("ASVS 5.0 15.4.2", "An account that changes while its password is verified begins no session")
@pytest.mark.parametrize(
    "change", ["UPDATE users SET is_active = false", "UPDATE users SET hashed_password = 'of another password'"]
)
async def test_an_account_that_changes_while_its_password_is_verified_begins_no_session(
    settings: Settings, db: Bench, make: Factory, change: str
) -> None:
    await make.user(email="ada@example.com")
    credentials: dict[str, Any] = {"email": "ada@example.com", "password": PASSWORD}
    database: Database = Meanwhile(db, change)

    async with serving(settings, database) as api:
        problem = await api.send("POST", "/auth/login", expect=401, json=credentials)

    assert problem["code"] == "invalid_credentials"
