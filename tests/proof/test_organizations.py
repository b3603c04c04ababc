"""Everybody who owns a team goes at once, by every way there is, for many rounds: an owner always stays."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from persistence.engine.pool import Pool
from tests.api.conftest import commit, pair, settings
from tests.api.test_organization_races import everybody_goes
from tests.client import ApiClient
from tests.factories import Factory

__all__ = ["commit", "pair", "settings"]

ROUNDS = 200
SETTLED = {200, 201, 204, 401, 403, 404, 409}


async def test_however_the_owners_go_one_stays(
    pair: Sequence[ApiClient], commit: Factory, fresh: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: Counter[int] = Counter()
    dice = random.Random(1)  # noqa: S311 - nothing here is to be kept secret
    for _ in range(ROUNDS):
        seen += await everybody_goes(pair, commit, fresh, dice)
    with capsys.disabled():
        print(f"\n{ROUNDS} rounds: {dict(seen)}")  # noqa: T201 - the figures are what the proof is run for
    assert set(seen) <= SETTLED
