"""Many who write one task at once, through two instances, with what they were answered."""

import asyncio
from collections import Counter
from typing import Any

import httpx

from persistence.authorization import Caller
from persistence.engine.pool import Pool
from tests.api.conftest import commit, pair, settings
from tests.client import ApiClient
from tests.factories import Factory
from tests.proof.test_identity import start_with_jitter

__all__ = ["commit", "pair", "settings"]

ROUNDS = 25
MERGE = "application/merge-patch+json"


async def many(
    pair: tuple[ApiClient, ApiClient], ada: Caller, path: str, bodies: list[Any], **headers: str
) -> list[httpx.Response]:
    """The answers to a PATCH for each body, all at once; None is no body."""

    async def send(number: int, body: Any) -> httpx.Response:
        who = pair[number % 2].as_(ada).with_headers(Content_Type=MERGE, **headers)
        return await start_with_jitter(
            who.http.patch(f"/api/v1{path}", headers=who.headers, **({"json": body} if body else {}))
        )

    return await asyncio.gather(*[send(number, body) for number, body in enumerate(bodies)])


def tell_outcomes(what: str, outcomes: Counter[Any]) -> None:
    print(f"\n{what}, {ROUNDS} rounds: {dict(outcomes)}")  # noqa: T201 - the measurement


async def test_of_20_writers_of_one_version_one_wins(pair: tuple[ApiClient, ApiClient], commit: Factory) -> None:
    ada = await commit.user()
    outcomes = Counter[int]()
    for _ in range(ROUNDS):
        path = f"/tasks/{await commit.task(ada.id, ada)}"

        answers = await many(pair, ada, path, [{"title": f"{number}"} for number in range(20)], If_Match='"1"')

        outcomes.update(answer.status_code for answer in answers)
        [won] = [answer.json() for answer in answers if answer.status_code == httpx.codes.OK]
        assert (await pair[0].as_(ada).get(path)).body == won
    tell_outcomes("20 writers of one version", outcomes)
    assert outcomes == {200: ROUNDS, 412: 19 * ROUNDS}


async def test_of_21_toggles_each_that_is_answered_counts(pair: tuple[ApiClient, ApiClient], commit: Factory) -> None:
    ada = await commit.user()
    outcomes = Counter[int]()
    for _ in range(ROUNDS):
        path = f"/tasks/{await commit.task(ada.id, ada)}"

        answers = await many(pair, ada, f"{path}/complete", [None] * 21)

        statuses = Counter(answer.status_code for answer in answers)
        outcomes.update(statuses)
        task = await pair[0].as_(ada).get(path)
        assert task["version"] == 1 + statuses[200]
        assert task["completed"] == (statuses[200] % 2 == 1)
        versions = sorted(answer.json()["version"] for answer in answers if answer.status_code == httpx.codes.OK)
        assert versions == list(range(2, 2 + statuses[200]))
    tell_outcomes("21 toggles", outcomes)


async def test_whoever_writes_a_task_that_is_moved_finds_it(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool
) -> None:
    ada = await commit.user()
    team = await commit.team(owner=ada)
    outcomes: Counter[tuple[int, ...]] = Counter()
    for _ in range(ROUNDS):
        task_id = await commit.task(ada.id, ada)
        bodies = [{"organization_id": str(team)}, {"title": "Renamed"}]

        answers = await many(pair, ada, f"/tasks/{task_id}", bodies)

        outcomes[tuple(answer.status_code for answer in answers)] += 1
        [row] = await fresh.fetch("SELECT organization_id, title, version FROM tasks WHERE id = $1", [task_id])
        assert tuple(row) == (team, "Renamed", 3)
    tell_outcomes("a move and a change", outcomes)
    assert outcomes == {(200, 200): ROUNDS}


async def test_of_a_move_and_a_deletion_the_deletion_wins(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool
) -> None:
    ada = await commit.user()
    team = await commit.team(owner=ada)
    outcomes: Counter[tuple[int, int]] = Counter()
    for _ in range(ROUNDS):
        task_id = await commit.task(ada.id, ada)
        who = pair[1].as_(ada)

        [moved], deleted = await asyncio.gather(
            many(pair, ada, f"/tasks/{task_id}", [{"organization_id": str(team)}]),
            start_with_jitter(who.http.delete(f"/api/v1/tasks/{task_id}", headers=who.headers), 0.02),
        )

        outcomes[moved.status_code, deleted.status_code] += 1
        assert await fresh.fetch("SELECT FROM tasks WHERE id = $1", [task_id]) == []
    tell_outcomes("a move and a deletion", outcomes)
    assert set(outcomes) <= {(200, 204), (404, 204)}
