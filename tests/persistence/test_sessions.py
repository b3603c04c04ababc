"""Sessions begin only for an account that is active, and whose password is the one that was verified."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from persistence.authorization import SessionOver
from persistence.queries.accounts import sessions, users
from persistence.queries.accounts.sessions import NewSession
from tests.conftest import Bench
from tests.factories import NOW, Factory, hashed_password

WEEK = NOW + timedelta(days=7)


def new(user_id: UUID, **values: Any) -> NewSession:
    plain: dict[str, Any] = {
        "id": uuid4(),
        "user_id": user_id,
        "device_name": None,
        "user_agent": None,
        "ip_address": None,
        "created_at": NOW,
        "expires_at": WEEK,
    }
    return NewSession(**plain | values)


async def test_a_session_is_what_was_asked_for(db: Bench, make: Factory) -> None:
    ada = await make.user()
    session = new(ada.id, device_name="Phone", user_agent="curl/8", ip_address="2001:db8::1")

    assert await sessions.insert(db, session, verified=hashed_password(), most=100)

    [record] = await db.fetch("SELECT * FROM sessions WHERE id = $1", [session.id])
    assert dict(record) == {
        "id": session.id,
        "user_id": ada.id,
        "device_name": "Phone",
        "user_agent": "curl/8",
        "ip_address": "2001:db8::1",
        "generation": 0,
        "previous_rotated_at": None,
        "expires_at": WEEK,
        "revoked_at": None,
        "revoke_reason": None,
    } | dict.fromkeys(("rotated_at", "authenticated_at", "created_at", "last_used_at"), NOW)


async def test_a_session_that_began_is_one_to_call_with(db: Bench, make: Factory) -> None:
    ada = await make.user()
    session = new(ada.id)
    caller = replace(ada, session_id=session.id)

    with pytest.raises(SessionOver):
        await users.find_me(db, by=caller)
    await sessions.insert(db, session, verified=hashed_password(), most=100)

    assert (await users.find_me(db, by=caller)).id == ada.id


async def test_an_account_that_was_deactivated_meanwhile_begins_none(db: Bench, make: Factory) -> None:
    ada = await make.user(is_active=False)

    assert not await sessions.insert(db, new(ada.id), verified=hashed_password(), most=100)


async def test_a_password_that_was_changed_meanwhile_begins_none(db: Bench, make: Factory) -> None:
    ada = await make.user(hashed_password="another")

    assert not await sessions.insert(db, new(ada.id), verified=hashed_password(), most=100)


async def test_nobody_begins_none(db: Bench) -> None:
    assert not await sessions.insert(db, new(uuid4()), verified=hashed_password(), most=100)


async def test_an_address_that_is_none_is_refused(db: Bench, make: Factory) -> None:
    ada = await make.user()

    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await sessions.insert(db, new(ada.id, ip_address="nowhere"), verified=hashed_password(), most=100)
