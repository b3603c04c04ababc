"""Limits that three instances count together in Debian's Redis, and what becomes of them when it is hurt."""

import asyncio
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from server.commands import check
from server.dispatch.dispatcher import Calls
from server.middleware.edge import Edge
from server.rate_limiting import counters
from server.settings.loading import load
from tests.api.conftest import SECRET, client_of, start_app
from tests.conftest import Bench
from tests.ports import free_port
from tests.system.services import program
from tests.waiting import until

LIMIT = 100
AT_ONCE = 12
ADDRESSES = (f"198.51.100.{number}" for number in count(1))
LONGEST_STALL = 0.05  # seconds
SOON = 20  # seconds, in which the requests of a test are answered on a busy machine, too


class Redis:
    """A Redis of its own, that can be killed, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"redis://:secret@127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "secret"]
        command = [program("redis-server"), *options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Instances(NamedTuple):
    """Three applications in this process, and how often each got no answer from Redis."""

    clients: list[httpx.AsyncClient]
    counters: list[counters.Counters]

    async def burst(self, requests: int, address: str) -> Counter[int]:
        """What so many requests of one address, spread over all instances, a few at once, are answered."""
        told = {"X-Forwarded-For": address}
        clients = iter([self.clients[number % len(self.clients)] for number in range(requests)])
        statuses: Counter[int] = Counter()

        async def ask() -> None:
            for client in clients:
                statuses[(await client.get("/", headers=told)).status_code] += 1

        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
        return statuses

    async def is_shared(self, address: str) -> bool:
        """Whether all of them count in Redis."""
        await self.burst(len(self.clients), address)
        return all(each.away_until is None for each in self.counters)

    def failures(self) -> int:
        return sum(each.failures for each in self.counters)


@pytest.fixture
def redis() -> Iterator[Redis]:
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    redis = Redis(folder)
    yield redis
    redis.process.send_signal(signal.SIGCONT)
    redis.kill()
    shutil.rmtree(folder)


@pytest.fixture
async def three(redis: Redis, db: Bench) -> AsyncIterator[Instances]:
    chosen = load(environment="staging", secret_key=SECRET, redis_url=redis.url, trusted_proxies="127.0.0.1")
    async with AsyncExitStack() as stack:
        apps = [await stack.enter_async_context(start_app(chosen, db)) for _ in range(3)]
        clients = [(await stack.enter_async_context(client_of(app, chosen))).http for app in apps]
        instances = Instances(clients, [counters_of(app) for app in apps])
        await until(lambda: instances.is_shared("192.0.2.254"), answer=True)
        yield instances


def counters_of(app: Edge) -> counters.Counters:
    calls = app.binding.server
    assert isinstance(calls, Calls)
    assert calls.limits is not None
    return calls.limits.counters


async def long_window() -> None:
    """Wait for the next window of the limits, a minute, if this one ends soon: it lets through some more."""
    left = 60 - time.time() % 60
    if left < SOON:
        await asyncio.sleep(left)


@asynccontextmanager
async def stalls() -> AsyncIterator[list[float]]:
    """How long the loop kept its tasks waiting meanwhile, in seconds, the longest last."""
    gaps: list[float] = [0.0]

    async def tick() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            gaps.append(time.perf_counter() - before - 0.005)

    ticking = asyncio.create_task(tick())
    yield gaps
    ticking.cancel()
    gaps.sort()


async def test_three_instances_let_through_what_one_would(three: Instances) -> None:
    await until(lambda: three.burst(300, next(ADDRESSES)), {200: LIMIT, 429: 200})  # a busy machine may need a second
    assert await three.burst(30, next(ADDRESSES)) == {200: 30}


async def test_what_one_of_two_counters_refuses_uses_up_nothing_of_the_other_in_redis(redis: Redis) -> None:
    shared = counters.Counters(redis.url, lambda: None)
    await until(lambda: hits(shared), answer=True)
    failed = shared.failures

    narrow = [await shared.hit_both(("a", 2), ("ab", 3), 3600) for _ in range(4)]
    wide = [await shared.hit_both(("b", 2), ("ab", 3), 3600) for _ in range(3)]
    last = await shared.hit_both(("b", 2), ("a wider one", 9), 3600)
    failed = shared.failures - failed
    await shared.close()

    assert [(one.passed, one.left, other.left) for one, other in narrow] == [
        (True, 1, 2),
        (True, 0, 1),
        (False, 0, 1),
        (False, 0, 1),
    ]
    assert [other.passed for _, other in wide] == [True, False, False]
    assert (last[0].passed, failed) == (True, 0)


async def test_health_says_how_redis_is(three: Instances, redis: Redis) -> None:
    async def read_health() -> tuple[int, str, str]:
        answer = await three.clients[0].get("/health")
        return answer.status_code, answer.json()["status"], answer.json()["checks"]["redis"]["status"]

    await until(read_health, (200, "pass", "pass"))  # a busy machine may need a second
    redis.kill()
    await until(read_health, (200, "warn", "warn"))  # it was looked at within the last second
    redis.start()
    await until(read_health, (200, "pass", "pass"))


async def test_a_check_finds_redis(redis: Redis) -> None:
    async def find_level() -> str:
        return (await check.redis(redis.url)).level

    await until(find_level, "ok")
    redis.kill()
    assert await find_level() == "warning"


async def test_without_redis_each_counts_alone_until_it_is_back(three: Instances, redis: Redis) -> None:
    under_way = asyncio.create_task(three.burst(150, "192.0.2.2"))
    redis.kill()
    told = await under_way

    assert told.keys() <= {200, 429}
    await long_window()
    assert await three.burst(600, next(ADDRESSES)) == {200: 3 * LIMIT, 429: 300}
    assert three.failures() >= 1
    redis.start()
    await until(lambda: three.is_shared("192.0.2.4"), answer=True)
    await until(lambda: three.burst(300, next(ADDRESSES)), {200: LIMIT, 429: 200})


@pytest.mark.alone
async def test_a_frozen_redis_delays_few_and_stops_nobody(three: Instances, redis: Redis) -> None:
    redis.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    told = await three.burst(300, "192.0.2.2")
    took = time.monotonic() - began
    redis.process.send_signal(signal.SIGCONT)

    assert told == {200: 300}
    assert took < 5
    await until(lambda: three.is_shared("192.0.2.4"), answer=True)
    await until(lambda: three.burst(300, next(ADDRESSES)), {200: LIMIT, 429: 200})


@pytest.mark.alone
@pytest.mark.parametrize("hurt", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_loop_goes_on_while_redis_is_hurt(redis: Redis, hurt: signal.Signals) -> None:
    longest = [await longest_stall(redis, hurt) for _ in range(3)]

    assert min(longest) <= LONGEST_STALL, longest  # the machine may have been busy once


async def longest_stall(redis: Redis, hurt: signal.Signals) -> float:
    """How long the loop stood still, in seconds, while Redis was hurt and requests went on."""
    shared = counters.Counters(redis.url, lambda: None)
    await until(lambda: hits(shared), answer=True)
    failed = shared.failures
    async with stalls() as gaps, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(keep_hitting(shared, until=time.monotonic() + 1.5))
        await asyncio.sleep(0.2)
        redis.process.send_signal(hurt)
    assert 1 <= shared.failures - failed <= 3 * AT_ONCE
    await shared.close()
    redis.process.send_signal(signal.SIGCONT)
    if hurt == signal.SIGKILL:
        redis.process.wait()
        redis.start()
    return gaps[-1]


async def hits(shared: counters.Counters) -> bool:
    """Whether a hit is counted in Redis."""
    await shared.hit("somebody", 1_000_000, 60)
    return shared.away_until is None


async def keep_hitting(shared: counters.Counters, *, until: float) -> None:
    while time.monotonic() < until:
        passed, *_ = await shared.hit("somebody", 1_000_000, 60)
        assert passed
        await asyncio.sleep(0.002)
