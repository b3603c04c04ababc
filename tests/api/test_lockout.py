"""A lock is no weapon: what strangers try never keeps anybody out of a network that the account has signed in from."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import TypeAlias

import pytest

from persistence.engine.pool import Pool
from server.settings.settings import Settings
from tests.api.conftest import client_of, start_app
from tests.client import Answer, ApiClient
from tests.factories import PASSWORD, Factory

ADA = "ada@example.com"
WRONG = "not the password at all"
HOME, OFFICE = "192.0.2.1", "198.51.100.7"
CHANGE = {"current_password": WRONG, "new_password": "a heron counts the tram stops"}
From: TypeAlias = Callable[..., Awaitable[ApiClient]]
strangers = (f"203.0.113.{number % 250}" for number in count())


@pytest.fixture
async def from_(settings: Settings, fresh: Pool, still_window: None) -> AsyncIterator[From]:
    """Two instances that count: `await from_(HOME)` calls one of them, `await from_(HOME, 1)` the other."""
    chosen = settings.model_copy(update={"rate_limits_enabled": True})
    async with AsyncExitStack() as stack:
        apps = [await stack.enter_async_context(start_app(chosen, fresh)) for _ in range(2)]

        async def client(address: str, instance: int = 0) -> ApiClient:
            return await stack.enter_async_context(client_of(apps[instance], chosen, address))

        yield client


async def sign_in(api: ApiClient, password: str = PASSWORD, *, expect: int = 200) -> Answer:
    return await api.post("/auth/login", {"email": ADA, "password": password}, expect=expect)


async def guess(from_: From, times: int, *, expect: int = 401) -> Answer:
    """The answer to the last of so many wrong passwords, each from somewhere else."""
    answers = [await sign_in(await from_(next(strangers)), WRONG, expect=expect) for _ in range(times)]
    return answers[-1]


@pytest.mark.proves("ASVS 5.0 6.3.1", "Whatever strangers try, who has signed in from a network signs in from there")
@pytest.mark.parametrize(
    ("home", "same"), [(HOME, HOME), ("2001:db8:1::1", "2001:db8:1:ffff::2")], ids=["IPv4", "IPv6"]
)
async def test_strangers_never_lock_who_has_signed_in_from_there(
    from_: From, commit: Factory, clock: SimpleNamespace, home: str, same: str
) -> None:
    await commit.user(email=ADA)
    await sign_in(await from_(home))

    for code in ("account_locked", "rate_limit_exceeded"):
        await guess(from_, 5)
        assert (await guess(from_, 5, expect=429))["code"] == code
        await sign_in(await from_(same))
        clock.now += timedelta(minutes=15)

    await sign_in(await from_(same, 1))
    await sign_in(await from_("2001:db8:2::1"), expect=429)


@pytest.mark.parametrize(("days", "expect"), [(29, 200), (31, 429)])
@pytest.mark.usefixtures("clock")
async def test_a_network_is_known_for_30_days_and_to_its_own_account(
    from_: From, commit: Factory, days: int, expect: int
) -> None:
    ada, bob = await commit.user(email=ADA), await commit.user()
    await commit.session(ada.id, ip_address=HOME, created_at=datetime.now(UTC) - timedelta(days=days))
    await commit.session(bob.id, ip_address=OFFICE)
    await guess(from_, 5)

    await sign_in(await from_(OFFICE), expect=429)
    await sign_in(await from_(HOME), expect=expect)


@pytest.mark.usefixtures("clock")
async def test_a_known_network_has_a_count_of_its_own_that_ends_too(from_: From, commit: Factory) -> None:
    ada = await commit.user(email=ADA)
    home = await from_(HOME)
    await sign_in(home)
    for _ in range(3):
        await sign_in(home, WRONG, expect=401)
    for _ in range(2):
        await home.as_(ada).put("/users/me/password", CHANGE, expect=403)

    assert (await sign_in(home, expect=429)).headers["retry-after"] == "900"
    await home.as_(ada).put("/users/me/password", CHANGE, expect=429)
    await sign_in(await from_(OFFICE))


@pytest.mark.proves("", "Right passwords and refused attempts use up nothing")
async def test_right_passwords_and_refused_attempts_use_up_nothing(
    from_: From, commit: Factory, clock: SimpleNamespace
) -> None:
    await commit.user(email=ADA)
    for number in range(12):
        await sign_in(await from_(f"192.0.2.{number}"))
    await guess(from_, 5)
    refused = await guess(from_, 20, expect=429)
    assert (refused["code"], refused.headers["retry-after"]) == ("account_locked", "900")

    clock.now += timedelta(minutes=15)

    await sign_in(await from_(OFFICE))


async def test_an_hour_has_ten_wrong_passwords_whoever_tries_them(
    from_: From, commit: Factory, clock: SimpleNamespace
) -> None:
    await commit.user(email=ADA)
    await guess(from_, 5)
    clock.now += timedelta(minutes=20)
    await guess(from_, 5)

    assert (await guess(from_, 1, expect=429)).headers["retry-after"] == "2400"
    clock.now += timedelta(seconds=2399)
    assert (await guess(from_, 1, expect=429)).headers["retry-after"] == "1"
    clock.now += timedelta(seconds=1)
    await sign_in(await from_(OFFICE))


@pytest.mark.proves("", "Unlocking an account acts at once, on every instance")
@pytest.mark.usefixtures("clock")
async def test_unlocking_acts_at_once_on_every_instance(from_: From, commit: Factory) -> None:
    ada, root = await commit.user(email=ADA), await commit.user(is_superuser=True)
    home = await from_(HOME)
    await sign_in(home)
    for place in (home, await from_(next(strangers), 1)):
        for _ in range(5):
            await sign_in(place, WRONG, expect=401)
        await sign_in(place, expect=429)

    await (await from_(OFFICE)).as_(root).send("POST", f"/users/{ada.id}/unlock", expect=204)

    for instance in (0, 1):
        await sign_in(await from_(HOME, instance))
        await sign_in(await from_(next(strangers), instance))


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("email", [ADA, "unknown@example.com"])
async def test_of_200_parallel_guesses_from_200_networks_five_are_tried(
    from_: From, commit: Factory, email: str
) -> None:
    await commit.user(email=ADA)
    clients = [await from_(f"203.0.113.{number}", number % 2) for number in range(200)]
    body = {"email": email, "password": WRONG}

    answers = await asyncio.gather(*[client.http.post("/api/v1/auth/login", json=body) for client in clients])

    assert Counter(answer.status_code for answer in answers) == {401: 5, 429: 195}
