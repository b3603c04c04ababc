"""`/health` looks at its dependencies at most once a second, for all who ask together."""

import asyncio
from collections.abc import Sequence

import pytest
from asyncpg import Record
from typing_extensions import override

from handlers.shared import health_check
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.conftest import Bench


class Counted(Bench):
    """A database that counts what it is asked."""

    asked = 0

    @override
    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        self.asked += 1
        return await super().fetch(sql, values)


@pytest.mark.proves("", "However often /health is asked, it looks at its dependencies once a second")
async def test_all_who_ask_within_a_second_are_told_what_was_seen_once(
    settings: Settings, db: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_check, "SECONDS", 3600)
    counted = Counted(db.connection)
    async with serving(settings, counted) as api:
        before = counted.asked
        answers = await asyncio.gather(*[api.get("//health") for _ in range(50)])
        answers += [await api.get("//health")]
        assert counted.asked - before == 1

        monkeypatch.setattr(health_check, "SECONDS", 0)
        await api.get("//health")
        assert counted.asked - before == 2

    assert len({answer.content for answer in answers}) == 1


async def test_who_leaves_ends_no_look_of_others() -> None:
    seen, looks, may_go = health_check.Glance[int](), 0, asyncio.Event()

    async def look() -> int:
        nonlocal looks
        looks += 1
        await may_go.wait()
        return looks

    first = asyncio.create_task(seen.see(look))
    second = asyncio.create_task(seen.see(look))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    may_go.set()

    assert (await second, looks) == (1, 1)
