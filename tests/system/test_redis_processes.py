"""Limits that three server processes count together in Debian's Redis, killed and frozen under way."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path

import httpx
import pytest

from tests.system.fleet import PROXY, SIZE, fleet
from tests.system.test_redis import AT_ONCE, LIMIT, Redis, long_window
from tests.waiting import until

ADDRESSES = (f"198.51.100.{number}" for number in count(1))
SCRAPE = "a-token-of-monitoring-0123456789abcdef"
SHARED = {200: LIMIT, 429: 2 * LIMIT}  # of three times the limit


@dataclass(frozen=True, slots=True)
class Processes:
    """Clients of three processes, and the Redis where they count."""

    clients: list[httpx.AsyncClient]
    redis: Redis

    async def burst(self, requests: int = SIZE * LIMIT) -> Counter[int]:
        """What so many requests of one address, spread over the processes, are answered."""
        told = {"X-Forwarded-For": next(ADDRESSES)}
        clients = iter(list(islice(cycle(self.clients), requests)))
        statuses: Counter[int] = Counter()

        async def ask() -> None:
            for client in clients:
                statuses[(await client.get("/", headers=told)).status_code] += 1

        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
        return statuses

    async def fallbacks(self) -> float:
        """How many requests the processes have counted by themselves."""
        pages = [await client.get("/metrics", headers={"Authorization": f"Bearer {SCRAPE}"}) for client in self.clients]
        lines = [line for page in pages for line in page.text.splitlines()]
        return sum(float(line.split()[1]) for line in lines if line.startswith("docket_limits_fallbacks_total "))


@pytest.fixture
async def processes(fresh_url: str, tmp_path: Path) -> AsyncIterator[Processes]:
    redis = Redis(tmp_path)
    chosen = {"REDIS_URL": redis.url, "TRUSTED_PROXIES": PROXY, "METRICS_TOKEN": SCRAPE, "RATE_LIMITS_ENABLED": "true"}
    try:
        async with AsyncExitStack() as stack, fleet(fresh_url, **chosen, DRAIN_SECONDS="0") as three:
            clients = [await stack.enter_async_context(instance.client()) for instance in three.instances]
            yield Processes(clients, redis)
    finally:
        redis.process.send_signal(signal.SIGCONT)
        redis.kill()


@pytest.mark.alone
async def test_three_processes_let_through_what_one_would_whatever_becomes_of_redis(processes: Processes) -> None:
    await until(processes.burst, SHARED)  # a window may end, and Redis begin, while it is counted

    before = await processes.fallbacks()
    under_way = asyncio.create_task(processes.burst())
    processes.redis.kill()
    assert (await under_way).keys() <= {200, 429}
    await long_window()
    assert await processes.burst(2 * SIZE * LIMIT) == {200: SIZE * LIMIT, 429: SIZE * LIMIT}
    assert await processes.fallbacks() - before >= 2 * SIZE * LIMIT

    processes.redis.start()
    await until(processes.burst, SHARED)
    processes.redis.process.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(10):
        assert await processes.burst() == {200: SIZE * LIMIT}

    processes.redis.process.send_signal(signal.SIGCONT)
    await until(processes.burst, SHARED)
