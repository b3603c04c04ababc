"""The server that has the data is lost, and the one that follows it takes its place: what was acknowledged is there."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import pytest

from tests.conftest import Server
from tests.faults.people import People
from tests.faults.servers import docket
from tests.faults.standby import Pair, two_servers
from tests.faults.trial import Trial
from tests.faults.wire import lay_wire

pytestmark = pytest.mark.alone
SERVES_AGAIN = 3  # seconds after the promotion
NOTICED = 5  # seconds until somebody promotes the standby of a server that does not answer


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A migrated database with a standby that has all of it."""
    async with two_servers() as pair:
        template = await Server(pair.leader.admin, pair.leader.url("docket")).migrated()
        pair.leader.ask(f"CREATE DATABASE trial TEMPLATE {template} OWNER docket")
        await pair.make_pair()
        yield pair


async def promote(pair: Pair, people: People) -> None:
    """Promote the standby, and see that people are served soon."""
    await pair.promote()
    promoted = time.monotonic()
    assert await people.first_after(promoted) - promoted < SERVES_AGAIN


async def test_the_primary_is_killed(trial: Trial, pair: Pair) -> None:
    url = pair.url("trial", pair.leader.port, pair.follower.port)
    async with docket(url) as server, trial("promotion of the standby of a killed primary", server, url) as people:
        async for _ in people.rounds(3):
            await asyncio.to_thread(pair.leader.stop, signal.SIGKILL)
            await promote(pair, people)
            await pair.make_pair()


async def test_the_primary_is_in_a_black_hole(trial: Trial, pair: Pair) -> None:
    """It stays there: each new connection waits its share for the first host."""
    async with lay_wire("127.0.0.1", pair.leader.port) as wire:
        url = pair.url("trial", wire.port, pair.follower.port)
        async with (
            docket(url) as server,
            trial("promotion of the standby of a primary in a black hole", server, url) as people,
        ):
            async for _ in people.rounds(1):
                wire.stop()
                pair.leader.freeze()
                await asyncio.sleep(NOTICED)
                await promote(pair, people)


async def test_the_primary_is_killed_when_nothing_has_followed_it_for_a_while(trial: Trial, pair: Pair) -> None:
    """What it could not hand on it has not acknowledged, however often it was asked."""
    url = pair.url("trial", pair.leader.port, pair.follower.port)
    async with (
        docket(url) as server,
        trial(f"promotion of a standby that was cut off for {NOTICED} s", server, url) as people,
    ):
        async for _ in people.rounds(3):
            pair.stream.stop()
            await asyncio.sleep(NOTICED)
            await asyncio.to_thread(pair.leader.stop, signal.SIGKILL)
            pair.stream.cut()
            await promote(pair, people)
            pair.stream.go()
            await pair.make_pair()
