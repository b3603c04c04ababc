"""The time of an answer does not tell whether an address has an account, of invitations and where there is mail."""

import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeAlias

import pytest
from pydantic import SecretStr

from persistence.engine.pool import Pool
from server.settings.settings import Settings
from tests.api.conftest import serving, settings
from tests.client import ApiClient
from tests.factories import PASSWORD, Factory

INVITATIONS, REGISTRATIONS, CHANGES = 300, 40, 200  # of each kind
NOWHERE = "smtp://127.0.0.1:9"
__all__ = ["settings"]
Request: TypeAlias = tuple[str, str, dict[str, Any], dict[str, str]]


@pytest.fixture
async def mailing(settings: Settings, fresh: Pool) -> AsyncIterator[ApiClient]:
    """A client of an application where there is mail, which others send."""
    chosen = settings.model_copy(update={"smtp_url": SecretStr(NOWHERE), "delivery": "off"})
    async with serving(chosen, fresh) as api:
        yield api


async def area(api: ApiClient, known: Sequence[str], request: Callable[[str], Request], status: int) -> float:
    """How well the time of an answer tells an address of an account from another one: 0.5 is not at all (AUC)."""
    took: dict[bool, list[float]] = {True: [], False: []}
    for number, email in enumerate(known):
        for there in random.sample([True, False], 2):
            method, path, body, headers = request(email if there else f"no-{number}@example.com")
            began = time.perf_counter()
            answer = await api.http.request(method, f"/api/v1{path}", json=body, headers=headers)
            took[there].append(time.perf_counter() - began)
            assert answer.status_code == status, answer.text

    wins = sum((one > other) + (one == other) / 2 for one in took[True] for other in took[False])
    auc = wins / len(known) ** 2
    medians = [statistics.median(took[there]) * 1000 for there in (True, False)]
    print(f"\n{len(known)} of each: known {medians[0]:.1f} ms, unknown {medians[1]:.1f} ms, AUC {auc:.3f}")  # noqa: T201 - the measurement
    return auc


async def accounts(fresh: Pool, number: int) -> list[str]:
    made = [f"{number}@example.com" for number in range(number)]
    for email in made:
        await Factory(fresh).user(email=email, email_verified=True)
    return made


@pytest.mark.proves("", "The time of an invitation does not tell whether there is an account")
@pytest.mark.parametrize("mailed", [False, True])
async def test_the_time_of_an_invitation_tells_nothing(
    settings: Settings, fresh: Pool, mailing: ApiClient, *, mailed: bool
) -> None:
    owner = await Factory(fresh).user()
    team = await Factory(fresh).team(owner=owner)
    known = await accounts(fresh, INVITATIONS)
    async with serving(settings, fresh) as plain:
        api = mailing if mailed else plain
        headers = dict(api.as_(owner).headers)

        def request(email: str) -> Request:
            return "POST", f"/organizations/{team}/invitations", {"email": email}, headers

        assert 0.4 <= await area(api, known, request, 201) <= 0.6


@pytest.mark.proves("", "The time of a registration does not tell whether there is an account, where there is mail")
async def test_the_time_of_a_registration_tells_nothing(fresh: Pool, mailing: ApiClient) -> None:
    known = await accounts(fresh, REGISTRATIONS)

    def request(email: str) -> Request:
        return "POST", "/auth/register", {"email": email, "password": PASSWORD}, {}

    assert 0.4 <= await area(mailing, known, request, 202) <= 0.6


@pytest.mark.proves(
    "", "Where there is mail, the time of a change of address does not tell whether there is an account"
)
async def test_the_time_of_a_change_of_address_tells_nothing(fresh: Pool, mailing: ApiClient) -> None:
    headers = dict(mailing.as_(await Factory(fresh).user()).headers)
    known = await accounts(fresh, CHANGES)

    def request(email: str) -> Request:
        return "PATCH", "/users/me", {"email": email}, headers

    assert 0.4 <= await area(mailing, known, request, 202) <= 0.6
