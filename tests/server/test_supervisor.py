"""Workers that die, hang and end, and what their supervisor says of it: real processes, and signals."""

import asyncio
import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import BinaryIO

import httpx
import psutil
import pytest

from tests.api.test_life import workers_of
from tests.api.test_real_server import Running, running
from tests.ports import free_port
from tests.waiting import until

TOKEN = "a-token-of-monitoring-0123456789abcdef"
WORKER = """
import os
import signal
import sys
import time

if any("spawn_main" in argument for argument in sys.orig_argv):
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(3600))  # the main thread waits here, the others go on
    if "GATE" in os.environ:
        open(os.environ["GATE"] + ".reached", "w").close()
        open(os.environ["GATE"]).close()
"""


@pytest.fixture
def altered(tmp_path: Path) -> dict[str, str]:
    """Settings by which a worker hangs at SIGUSR1 without being frozen."""
    (tmp_path / "sitecustomize.py").write_text(WORKER)
    return {"PYTHONPATH": str(tmp_path), "METRICS_TOKEN": TOKEN}


async def deaths(server: Running) -> int:
    """How many workers have died, as monitoring reads it."""
    async with server.client() as http:
        scrape = (await http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).text
    [counted] = re.findall(r"^docket_worker_deaths_total (\d+)", scrape, re.MULTILINE)
    return int(counted)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (signal.SIGKILL, "was killed by SIGKILL"),
        (signal.SIGSTOP, "did not answer for 6 s"),
        (signal.SIGUSR1, "did not answer for 6 s"),
    ],
)
async def test_a_worker_that_dies_or_hangs_is_replaced_told_of_and_counted(
    tmp_path: Path, fresh_url: str, altered: dict[str, str], sent: signal.Signals, reason: str
) -> None:
    async with asyncio.timeout(90), running(tmp_path, fresh_url, 2, **altered) as server:
        assert await deaths(server) == 0
        first, second = workers_of(server)

        first.send_signal(sent)

        async def count() -> int:
            try:
                return await deaths(server)
            except httpx.TransportError:  # the one that was asked has died of it
                return 0

        await until(count, 1)
        now = {worker.pid for worker in workers_of(server)}
        assert (await server.end())[0] == 0

    [told] = [line for line in server.log() if line["event"] == "worker_replaced"]
    assert (told["level"], told["pid"], told["reason"]) == ("warning", first.pid, reason)
    assert now == {second.pid, told["successor"]}


async def test_a_worker_that_sighup_had_begun_is_replaced_by_the_next_one(tmp_path: Path, fresh_url: str) -> None:
    """It read settings and code before what the second SIGHUP is about."""
    async with asyncio.timeout(120), running(tmp_path, fresh_url, 2) as server:

        async def number() -> int:
            return len(workers_of(server))

        server.process.send_signal(signal.SIGHUP)
        await until(number, 3)
        before = {worker.pid for worker in workers_of(server)}

        server.process.send_signal(signal.SIGHUP)

        async def are_all_new() -> bool:
            now = {worker.pid for worker in workers_of(server)}
            ready = {line["pid"] for line in server.log() if line["event"] == "worker_ready"}
            return len(now) == 2 and not now & before and now <= ready

        await until(are_all_new, answer=True, seconds=90)
        assert (await server.end())[0] == 0


async def test_a_worker_that_hangs_does_not_keep_the_others_from_ending(
    tmp_path: Path, fresh_url: str, altered: dict[str, str]
) -> None:
    async with asyncio.timeout(60), running(tmp_path, fresh_url, 2, **altered) as server:
        hung, _ = workers_of(server)
        hung.send_signal(signal.SIGSTOP)
        began = time.monotonic()

        assert (await server.end())[0] == 0

        assert time.monotonic() - began < 20
        assert not hung.is_running()
    [told] = [line for line in server.log() if line["event"] == "worker_killed"]
    assert (told["level"], told["pid"]) == ("warning", hung.pid)


async def test_a_worker_that_hangs_ends_when_its_supervisor_was_killed(
    tmp_path: Path, fresh_url: str, altered: dict[str, str]
) -> None:
    async with asyncio.timeout(90), running(tmp_path, fresh_url, 2, **altered) as server:
        workers = workers_of(server)
        workers[0].send_signal(signal.SIGUSR1)

        os.kill(server.process.pid, signal.SIGKILL)

        _, alive = await asyncio.to_thread(psutil.wait_procs, workers, 60)
        assert alive == []


async def test_a_connection_is_refused_before_a_worker_answers(
    tmp_path: Path, fresh_url: str, altered: dict[str, str]
) -> None:
    gate, port = tmp_path / "gate", free_port()
    reached = Path(f"{gate}.reached")
    opening: list[BinaryIO] = []
    os.mkfifo(gate)

    async def starting() -> bool:
        return reached.exists()  # noqa: ASYNC240 - no file could be faster

    async def attempt() -> str:
        """What becomes of a connection while the workers start."""
        await until(starting, answer=True)
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return "refused"
        finally:
            opening.append(gate.open("r+b", buffering=0))  # a writer that stays: workers that come later go on, too
        return "accepted"

    early = asyncio.create_task(attempt())
    async with (
        asyncio.timeout(90),
        running(tmp_path, fresh_url, 2, **altered, GATE=str(gate), PORT=str(port)) as server,
        server.client() as http,
    ):
        assert (await http.get("/livez")).status_code == 200
    assert await early == "refused"
    opening[0].close()
