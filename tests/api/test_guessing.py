"""Guessing a password: five wrong ones in a row are tried, by whatever way and on however many instances."""

import asyncio
import json
import os
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest

from persistence.engine.pool import Pool
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import Answer, ApiClient
from tests.factories import PASSWORD, Factory

Pair = tuple[ApiClient, ApiClient]
ADA = "ada@example.com"
WRONG = "not the password at all"
ENOUGH = 5


async def sign_in(api: ApiClient, email: str = ADA, password: str = WRONG, *, expect: int = 401) -> Answer:
    return await api.post("/auth/login", {"email": email, "password": password}, expect=expect)


async def grant(api: ApiClient, username: str, password: str = WRONG, *, expect: int = 400) -> Answer:
    form = {"grant_type": "password", "username": username, "password": password}
    return await api.send("POST", "/auth/token", expect=expect, data=form)


async def statuses(clients: list[ApiClient], email: str) -> Counter[int]:
    """What so many parallel guesses are answered."""
    body = {"email": email, "password": WRONG}
    answers = await asyncio.gather(*[client.http.post("/api/v1/auth/login", json=body) for client in clients])
    return Counter(answer.status_code for answer in answers)


@pytest.mark.proves("ASVS 5.0 6.3.1", "Five wrong passwords lock an identifier, known or not, and no live session")
@pytest.mark.parametrize("email", [ADA, "unknown@example.com"])
@pytest.mark.usefixtures("clock")
async def test_five_wrong_passwords_lock_whether_there_is_an_account_or_not(
    api: ApiClient, make: Factory, email: str
) -> None:
    ada = await make.user(email=ADA)
    for _ in range(ENOUGH):
        await sign_in(api, email.upper())

    locked = await sign_in(api, email, PASSWORD, expect=429)

    assert locked["code"] == "account_locked"
    assert locked.headers["retry-after"] == "900"
    await api.as_(ada).get("/auth/me")


@pytest.mark.proves("ASVS 5.0 6.3.1", "All ways to try a password are one count")
async def test_email_username_and_password_change_are_one_count(api: ApiClient, make: Factory) -> None:
    ada = await make.user(email=ADA, username="ada")
    change = {"current_password": WRONG, "new_password": "a heron counts the tram stops"}
    await sign_in(api)
    await grant(api, "ada")
    await grant(api, ADA)
    for _ in range(2):
        assert (await api.as_(ada).put("/users/me/password", change, expect=403))["code"] == "wrong_password"

    assert (await sign_in(api, password=PASSWORD, expect=429))["code"] == "account_locked"
    assert (await api.as_(ada).put("/users/me/password", change, expect=429))["code"] == "account_locked"
    assert (await grant(api, "ada", PASSWORD, expect=429))["code"] == "account_locked"


async def test_the_id_of_an_account_is_not_its_name(api: ApiClient, make: Factory) -> None:
    ada = await make.user(email=ADA)
    for _ in range(ENOUGH):
        await grant(api, str(ada.id))

    await sign_in(api, password=PASSWORD, expect=200)


async def test_the_right_password_starts_the_count_anew(api: ApiClient, make: Factory) -> None:
    await make.user(email=ADA)
    for password, status in [(WRONG, 401)] * 4 + [(PASSWORD, 200)] + [(WRONG, 401)] * 5 + [(PASSWORD, 429)]:
        await sign_in(api, password=password, expect=status)


async def test_a_lock_is_over_after_15_minutes(api: ApiClient, make: Factory, clock: SimpleNamespace) -> None:
    await make.user(email=ADA)
    for _ in range(ENOUGH):
        await sign_in(api)
    clock.now += timedelta(minutes=14, seconds=59)
    assert (await sign_in(api, expect=429)).headers["retry-after"] == "1"

    clock.now += timedelta(seconds=1)

    await sign_in(api)
    await sign_in(api, password=PASSWORD, expect=200)


@pytest.mark.proves("ASVS 5.0 6.3.1", "Of 200 parallel guesses on two instances exactly five are tried")
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("email", [ADA, "unknown@example.com"])
async def test_of_200_parallel_guesses_on_two_instances_exactly_five_are_tried(
    pair: Pair, commit: Factory, email: str
) -> None:
    await commit.user(email=ADA)

    answered = await statuses([*pair] * 100, email)

    assert answered == {401: ENOUGH, 429: 200 - ENOUGH}


@pytest.mark.proves("", "The counts of wrong passwords do not tell which account they are about")
async def test_nothing_in_the_table_tells_whom_it_is_about(pair: Pair, commit: Factory, fresh: Pool) -> None:
    ada = await commit.user(email=ADA)
    await sign_in(pair[0])
    await sign_in(pair[0], "unknown@example.com")

    rows = str(await fresh.fetch("SELECT * FROM login_throttle", []))

    assert not any(text in rows for text in (ADA, "unknown", str(ada.id), ada.id.hex))


@pytest.mark.usefixtures("patient")
async def test_a_full_line_of_hashing_gives_the_attempt_back(settings: Settings, fresh: Pool, commit: Factory) -> None:
    many = 3 * (64 + (os.cpu_count() or 1))  # a third of them has room in the line
    emails = [f"{number}@example.com" for number in range(many)]
    await asyncio.gather(*[commit.user(email=email) for email in emails])
    async with serving(settings, fresh) as api:
        bodies = [{"email": email, "password": WRONG} for email in emails]
        answers = await asyncio.gather(*[api.http.post("/api/v1/auth/login", json=body) for body in bodies])

    counted = Counter(answer.status_code for answer in answers)
    busy = [answer for answer in answers if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE]
    [attempts] = await fresh.fetch("SELECT sum(attempts) FROM login_throttle", [])
    assert set(counted) == {401, 503}
    assert all(answer.headers["retry-after"] for answer in busy)
    assert attempts[0] == counted[401]


@pytest.mark.proves("ASVS 5.0 6.3.8", "Unknown account, wrong password and account without one are answered alike")
async def test_no_account_a_wrong_password_and_an_account_without_one_are_answered_alike(
    api: ApiClient, make: Factory
) -> None:
    await make.user(email=ADA)
    await make.user(email="external@example.com", hashed_password=None)
    emails = [ADA, f"{uuid4().hex}@example.com", "external@example.com"]

    logins = [await sign_in(api, email) for email in emails]
    tokens = [await grant(api, email) for email in emails]

    for answers in (logins, tokens):
        bodies = {json.dumps({**answer.body, "request_id": ""}) for answer in answers}
        headers = {tuple((n, v) for n, v in answer.headers.items() if n != "x-request-id") for answer in answers}
        assert (len(bodies), len(headers)) == (1, 1)


@pytest.mark.proves("", "A hash is upgraded at login once the cost has risen")
async def test_a_hash_is_upgraded_when_the_cost_rises_and_no_parallel_login_suffers(
    settings: Settings, fresh: Pool, commit: Factory
) -> None:
    await commit.user(email=ADA)
    async with serving(settings.model_copy(update={"bcrypt_cost": 13}), fresh) as api:
        await asyncio.gather(*[sign_in(api, password=PASSWORD, expect=200) for _ in range(3)])
        [user] = await fresh.fetch("SELECT hashed_password, version FROM users", [])
        await sign_in(api, password=PASSWORD, expect=200)

    assert ("r=13$" in user["hashed_password"], user["version"]) == (True, 1)
