"""Workers and instances die, hang and are replaced; proxies stand before them, a Redis beside them."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.faults.conftest import Database
from tests.faults.people import SERVES
from tests.faults.servers import Instances, docket, instances
from tests.faults.trial import Trial
from tests.outages import Served
from tests.system.fleet import Proxy, haproxy, nginx
from tests.system.services import folder_for
from tests.system.test_redis import Redis

HANGS = 10  # seconds at most until a worker that hangs is replaced, or a proxy leaves an instance alone
WORKERS = 2
PACE = 0.5  # seconds between two requests of a person that a rate limit counts
PROXIES = pytest.mark.parametrize("proxy", [nginx, haproxy])


def workers_of(server: Served) -> set[psutil.Process]:
    """The processes that serve."""
    found = set()
    for process in server.process.children():
        with suppress(psutil.NoSuchProcess):  # one of them has just ended
            if "spawn_main" in " ".join(process.cmdline()):
                found.add(process)
    return found


def are_new(server: Served, before: set[psutil.Process]) -> bool:
    """Whether all workers answer that there ought to be, and at least one of them did not exist before."""
    now = workers_of(server)
    answer = {line["pid"] for line in server.lines() if line["event"] == "worker_ready"}
    return len(now) == WORKERS and bool(now - before) and {worker.pid for worker in now} <= answer


def are_all_new(server: Served, before: set[psutil.Process]) -> bool:
    return are_new(server, before) and not workers_of(server) & before


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_worker_is_lost(trial: Trial, database: Database, harm: signal.Signals) -> None:
    async with (
        docket(database.url, WORKERS=str(WORKERS)) as server,
        trial(f"{harm.name} of a worker, WORKERS=2", server, database.url) as people,
    ):
        async for _ in people.rounds():
            before = workers_of(server)
            next(iter(before)).send_signal(harm)
            await people.until(partial(are_new, server, before), SERVES)
    assert people.longest_wait < HANGS
    assert any(said.startswith("worker_replaced") for said in people.said)


async def test_workers_are_replaced(trial: Trial, database: Database) -> None:
    async with (
        docket(database.url, WORKERS=str(WORKERS), DRAIN_SECONDS="1") as server,
        trial("SIGHUP, WORKERS=2", server, database.url) as people,
    ):
        async for _ in people.rounds():
            before = workers_of(server)
            server.process.send_signal(signal.SIGHUP)
            await people.until(partial(are_all_new, server, before), SERVES)
    assert people.failures == {}


@pytest.fixture
async def three(database: Database) -> AsyncIterator[Instances]:
    async with instances(database.url, WORKERS="2", POOL_SIZE="3", DRAIN_SECONDS="1") as three:
        yield three


@PROXIES
async def test_instances_are_restarted(trial: Trial, database: Database, three: Instances, proxy: Proxy) -> None:
    fault = f"rolling restart behind {proxy.__name__}, WORKERS=2"
    with proxy(three.ports) as url:
        async with trial(fault, three.servers, database.url, at=url) as people:
            async for _ in people.rounds(5):
                await three.restart()
    assert people.failures == {}


@PROXIES
async def test_one_of_three_instances_hangs(trial: Trial, database: Database, three: Instances, proxy: Proxy) -> None:
    fault = f"SIGSTOP of 1 of 3 instances behind {proxy.__name__}"
    with proxy(three.ports) as url:
        async with trial(fault, three.servers, database.url, at=url) as people:
            async for _ in people.rounds(3):
                hung = [three.servers[0].process, *three.servers[0].process.children()]
                for process in hung:
                    process.suspend()
                await asyncio.sleep(2 * HANGS if people.is_long else HANGS / 2)
                for process in hung:
                    process.resume()
    assert people.longest_gap < 2 * HANGS


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
async def test_redis_is_lost(trial: Trial, database: Database, harm: signal.Signals) -> None:
    """No client notices."""
    with folder_for("redis") as folder:
        redis = Redis(Path(folder))
        try:
            async with (
                docket(database.url, RATE_LIMITS_ENABLED="true", REDIS_URL=redis.url) as server,
                trial(f"{harm.name} of Redis", server, database.url, pace=PACE) as people,
            ):
                async for _ in people.rounds(3):
                    redis.process.send_signal(harm)
                    await asyncio.sleep(3)
                    if harm == signal.SIGKILL:
                        redis.process.wait()
                        redis.start()
                    else:
                        redis.process.send_signal(signal.SIGCONT)
        finally:
            redis.kill()
    assert people.failures == {}
    assert people.longest_wait < 2
