"""Accounts: made with their personal organization, found by what one signs in with."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from persistence.queries.accounts import users
from persistence.queries.accounts.users import Credentials, NewUser, key
from tests.conftest import Bench
from tests.factories import NOW, Factory, hashed_password


def new(**values: Any) -> NewUser:
    plain: dict[str, Any] = {
        "id": uuid4(),
        "email": "Ada@Example.com",
        "username": "Ada",
        "full_name": "Ada Lovelace",
        "hashed_password": "hashed",
        "is_superuser": False,
        "created_at": NOW,
        "organization_name": "Ada's tasks",
        "words": "ada",
    }
    plain |= values
    keys = {f"{name}_key": plain[name] and key(plain[name]) for name in ("email", "username")}
    return NewUser(**plain | keys)


async def test_an_account_is_what_was_asked_for(db: Bench) -> None:
    asked = new()

    user = await users.insert(db, asked)

    assert (user.id, user.email, user.username) == (asked.id, "Ada@Example.com", "Ada")
    assert (user.full_name, user.is_active, user.is_superuser) == ("Ada Lovelace", True, False)
    assert (user.created_at, user.updated_at) == (NOW, NOW)


async def test_an_account_owns_its_personal_organization(db: Bench) -> None:
    user = await users.insert(db, new())

    organizations = await db.fetch("SELECT id, kind, name, slug FROM organizations", [])
    members = await db.fetch("SELECT organization_id, user_id, role FROM organization_members", [])

    assert [tuple(row) for row in organizations] == [(user.id, "personal", "Ada's tasks", None)]
    assert [tuple(row) for row in members] == [(user.id, user.id, "owner")]


@pytest.mark.parametrize(
    ("other", "constraint"),
    [
        ({"email": "ADA@example.COM", "username": None}, "uq_users_email_key"),
        ({"email": "other@example.com", "username": "ADA"}, "uq_users_username_key"),
        ({"email": "other@example.com", "username": "\uff21\uff44\uff41"}, "uq_users_username_key"),
    ],
)
async def test_what_is_taken_is_refused_by_name_and_leaves_nothing(
    db: Bench, other: dict[str, Any], constraint: str
) -> None:
    await users.insert(db, new())

    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await users.insert(db, new(**other))

    assert refused.value.constraint_name == constraint
    [record] = await db.fetch("SELECT count(*) FROM organizations", [])
    assert record[0] == 1


async def test_accounts_without_username_are_many(db: Bench) -> None:
    for name in ("ada", "bob"):
        await users.insert(db, new(email=f"{name}@example.com", username=None))


@pytest.mark.parametrize(
    ("one", "other"),
    [("ADA", "ada"), ("Straße", "STRASSE"), ("\uff45\uff56\uff45", "eve"), ("\ufb01n", "FIN"), ("A\u030a", "\xe5")],
)
def test_keys_are_equal_when_people_take_the_names_for_equal(one: str, other: str) -> None:
    assert key(one) == key(other)


def test_keys_differ_when_names_do() -> None:
    assert key("ada") != key("adá")


async def test_credentials_are_found_by_email(db: Bench, make: Factory) -> None:
    ada = await make.user(email="Ada@Example.com", username="ada")

    assert await users.find_credentials(db, key("ADA@example.com")) == Credentials(ada.id, hashed_password(), True)
    assert await users.find_credentials(db, key("ada")) is None
    assert await users.find_credentials(db, key("eve@example.com")) is None


async def test_credentials_are_found_by_either(db: Bench, make: Factory) -> None:
    ada = await make.user(email="Ada@Example.com", username="Ada", is_active=False)
    expected = Credentials(ada.id, hashed_password(), is_active=False)

    assert await users.find_credentials_by_either(db, key("ada@example.com")) == expected
    assert await users.find_credentials_by_either(db, key("ADA")) == expected
    assert await users.find_credentials_by_either(db, key("eve")) is None


async def test_an_account_of_another_issuer_has_no_password(db: Bench, make: Factory) -> None:
    eve = await make.user(hashed_password=None)
    [record] = await db.fetch("SELECT email_key FROM users WHERE id = $1", [eve.id])

    found = await users.find_credentials(db, record["email_key"])

    assert found == Credentials(eve.id, None, is_active=True)


async def test_a_caller_finds_the_own_account(db: Bench, make: Factory) -> None:
    ada = await make.user(email="ada@example.com", full_name="Ada")
    await make.user()

    user = await users.find_me(db, by=ada)

    assert isinstance(user.id, UUID)
    assert (user.id, user.email, user.full_name) == (ada.id, "ada@example.com", "Ada")
