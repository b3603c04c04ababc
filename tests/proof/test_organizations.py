"""Everybody who owns a team goes at once, by every way there is, for many rounds: an owner always stays."""

import asyncio
import json
import random
from collections import Counter

import httpx
import pytest

from persistence.engine import Pool
from tests.api.conftest import commit, pair, settings
from tests.api.test_organization_races import owners
from tests.client import ApiClient
from tests.factories import Factory

__all__ = ["commit", "pair", "settings"]

ROUNDS, OWNERS = 200, 4
TYPE: dict[str, dict[str, str]] = {
    "POST": {"Content-Type": "application/json"},
    "PATCH": {"Content-Type": "application/merge-patch+json"},
    "DELETE": {},
}
SETTLED = {200, 201, 204, 401, 403, 404, 409}


async def test_however_the_owners_go_one_stays(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: Counter[int] = Counter()
    dice = random.Random(1)  # noqa: S311 - nothing here is to be kept secret
    for _ in range(ROUNDS):
        team, people = await commit.organization({str(number): "owner" for number in range(OWNERS)})
        email = f"{team.hex}@example.com"
        guest = await commit.user(email=email)
        members = f"/organizations/{team}/members"
        calls = [
            (people["0"], "POST", members, {"email": email, "role": "owner"}),
            (guest, "DELETE", "/users/me", None),
        ]
        for who in people.values():
            demotion = (who, "PATCH", f"{members}/{who.id}", {"role": "member"})
            ways = [(who, "DELETE", f"{members}/{who.id}", None), (who, "DELETE", "/users/me", None), demotion]
            calls.append(dice.choice(ways))
        dice.shuffle(calls)

        answers: list[httpx.Response] = await asyncio.gather(
            *[
                api.http.request(
                    method,
                    f"/api/v1{path}",
                    content=json.dumps(body) if body else None,
                    headers={**api.as_(who).headers, **TYPE[method]},
                )
                for (who, method, path, body), api in zip(calls, pair * len(calls), strict=False)
            ]
        )

        seen.update(answer.status_code for answer in answers)
        assert await owners(fresh, team) >= 1
    with capsys.disabled():
        print(f"\n{ROUNDS} rounds: {dict(seen)}")  # noqa: T201 - the figures are what the proof is run for
    assert set(seen) <= SETTLED
