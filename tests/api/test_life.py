"""How a server ends, and what becomes of its workers: real processes, and signals."""

import asyncio
import json
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.api.test_real_server import Running, running
from tests.conftest import ROOT
from tests.waiting import until

LOGIN = b'{"email": "ada@example.com", "password": "nine lives of a lighthouse"}'
LIVENESS = b"GET /livez HTTP/1.1\r\nHost: docket\r\n\r\n"
NO_THREADS = """
import os
from concurrent.futures import ThreadPoolExecutor

if os.path.exists(os.environ["TROUBLE"]):
    def submit(*_):
        raise RuntimeError("can't start new thread")

    ThreadPoolExecutor.submit = submit
"""
EARLY = """
import asyncio, os

run = asyncio.Runner.run

def interrupted(runner, coroutine, **more):
    if coroutine.__qualname__ == "Server.serve":
        os.kill(os.getpid(), int(os.environ["EARLY"]))
    return run(runner, coroutine, **more)

asyncio.Runner.run = interrupted
"""
HEAD = (
    b"POST /api/v1/auth/login HTTP/1.1\r\nHost: docket\r\nX-Forwarded-Proto: https\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


def workers_of(server: Running) -> list[psutil.Process]:
    """Those that answer: the resource tracker of Python is a child too."""
    found = []
    for child in psutil.Process(server.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # it was killed just now, or has ended
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


async def wait_for_silence(server: Running) -> None:
    """Wait until no process listens any more."""

    async def listens() -> bool:
        with suppress(ConnectionError), socket.create_connection((server.host, server.port), timeout=5):
            return True
        return False

    await until(listens, answer=False)


async def last_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: bytes) -> bytes:
    """What is answered on a connection that is closed then."""
    writer.write(asked)
    said = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert b"\r\nconnection: close\r\n" in said
    return said


@pytest.mark.proves("", "A server that is told to end finishes what it has begun")
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_server_that_ends_says_so_drains_and_finishes_what_it_has_begun(
    tmp_path: Path, fresh_url: str, workers: int
) -> None:
    async with asyncio.timeout(90), running(tmp_path, fresh_url, workers, DRAIN_SECONDS="3") as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(HEAD % len(LOGIN) + LOGIN[:9])
        await writer.drain()
        async with server.client() as http:
            assert (await http.get("/readyz")).headers.get("connection") is None

            server.process.send_signal(signal.SIGTERM)

            async def readiness() -> tuple[int, str | None]:
                answer = await http.get("/readyz")
                return answer.status_code, answer.headers.get("connection")

            await until(readiness, (503, "close"))
            assert (await http.get("/livez")).status_code == 200
        await wait_for_silence(server)

        assert (await last_answer(reader, writer, LOGIN[9:])).startswith(b"HTTP/1.1 401 ")
        assert await server.process.wait() == 0
    lines = [json.loads(line) for line in server.output.read_text(encoding="utf-8").splitlines()]
    assert [line["status"] for line in lines if line.get("operation") == "login"] == [401]


@pytest.mark.alone
async def test_who_is_connected_when_a_server_ends_is_answered(tmp_path: Path, fresh_url: str) -> None:
    async with asyncio.timeout(90), running(tmp_path, fresh_url, 1, DRAIN_SECONDS="0") as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        server.process.send_signal(signal.SIGTERM)
        await wait_for_silence(server)

        assert (await last_answer(reader, writer, LIVENESS)).startswith(b"HTTP/1.1 200 ")
        assert await server.process.wait() == 0


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_worker_that_is_killed_or_frozen_is_replaced(
    tmp_path: Path, fresh_url: str, sent: signal.Signals
) -> None:
    async with asyncio.timeout(90), running(tmp_path, fresh_url, 2) as server:
        first, second = workers_of(server)

        async def is_replaced() -> bool:
            pids = {worker.pid for worker in workers_of(server)}
            return first.pid not in pids and second.pid in pids and len(pids) == 2

        first.send_signal(sent)
        await until(is_replaced, answer=True)

        async with server.client() as http:
            assert (await http.get("/livez")).status_code == 200
        status, _ = await server.end()
        assert status == 0


async def test_a_worker_that_cannot_be_replaced_is_no_end_that_was_asked_for(tmp_path: Path, fresh_url: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_THREADS)
    trouble = tmp_path / "trouble"
    async with (
        asyncio.timeout(90),
        running(tmp_path, fresh_url, 2, PYTHONPATH=str(tmp_path), TROUBLE=str(trouble)) as server,
    ):
        trouble.touch()
        workers_of(server)[0].kill()

        assert await server.process.wait() == 1


def left_in(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


async def test_sighup_replaces_the_workers_one_by_one_and_nobody_notices(tmp_path: Path, fresh_url: str) -> None:
    async with asyncio.timeout(120), running(tmp_path, fresh_url, 2, TMPDIR=str(tmp_path)) as server:
        before = {worker.pid for worker in workers_of(server)}

        async def replaced() -> bool:
            async with server.client() as http:
                assert (await http.get("/livez")).status_code == 200
            now = {worker.pid for worker in workers_of(server)}
            gauges = {
                int(file.stem.rpartition("_")[2]) for file in left_in(tmp_path, "docket-metrics-*/gauge_live*.db")
            }
            return len(now) == 2 and not now & before and gauges == now

        server.process.send_signal(signal.SIGHUP)
        await until(replaced, answer=True, seconds=90)
        assert await server.end() == (0, "")


async def test_sighup_ends_one_worker_as_sigterm_does(tmp_path: Path, fresh_url: str) -> None:
    async with asyncio.timeout(60), running(tmp_path, fresh_url, DRAIN_SECONDS="0.1") as server:
        server.process.send_signal(signal.SIGHUP)

        assert await server.process.wait() == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_that_comes_before_uvicorn_listens_to_it_is_not_lost(
    tmp_path: Path, fresh_url: str, sent: signal.Signals
) -> None:
    (tmp_path / "sitecustomize.py").write_text(EARLY)
    early = str(int(sent))
    async with asyncio.timeout(120), running(tmp_path, fresh_url, PYTHONPATH=str(tmp_path), EARLY=early) as server:
        assert await server.process.wait() == 0


async def test_what_a_killed_supervisor_left_goes_when_the_next_one_starts(tmp_path: Path, fresh_url: str) -> None:
    async with running(tmp_path, fresh_url, 2, TMPDIR=str(tmp_path)) as server:
        [left] = left_in(tmp_path, "docket-metrics-*")
        os.kill(server.process.pid, signal.SIGKILL)
        await server.process.wait()
        await wait_for_silence(server)

    async with running(tmp_path, fresh_url, 2, TMPDIR=str(tmp_path)) as server:
        [folder] = left_in(tmp_path, "docket-metrics-*")
        assert folder != left
        assert await server.end() == (0, "")
    assert left_in(tmp_path, "docket-metrics-*") == []


async def test_a_change_of_the_code_begins_anew_where_that_is_asked_for(tmp_path: Path, fresh_url: str) -> None:
    async with (
        asyncio.timeout(90),
        running(tmp_path, fresh_url, 1, "--reload", ENVIRONMENT="development") as server,
    ):
        (ROOT / "server" / "__init__.py").touch()

        assert server.process.stderr is not None
        assert b"server/__init__.py" in await server.process.stderr.readline()
        assert (await server.process.stderr.readline()).startswith(b"Docket answers at ")
        async with server.client() as http:
            assert (await http.get("/livez")).status_code == 200
        assert await server.end() == (0, "")


async def test_workers_end_when_their_supervisor_is_killed_frozen_ones_too(tmp_path: Path, fresh_url: str) -> None:
    async with asyncio.timeout(90), running(tmp_path, fresh_url, 2) as server:
        workers = workers_of(server)
        workers[0].suspend()  # one that hangs hears of nothing until it is woken

        os.kill(server.process.pid, signal.SIGKILL)
        await wait_for_silence(server)

        _, alive = await asyncio.to_thread(psutil.wait_procs, workers, 10)
        assert alive == []


async def test_a_trace_that_the_caller_names_and_what_a_guard_should_hear_of_are_in_the_log(
    tmp_path: Path, fresh_url: str
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with asyncio.timeout(90), running(tmp_path, fresh_url, LOG_LEVEL="debug") as server:
        async with server.client() as http:
            good = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
            for headers in (good, {"traceparent": f"00-{trace}-0000000000000000-01"}, {"traceparent": "x"}):
                await http.get("/livez", headers=headers)
            await http.post("/api/v1/auth/login", json=json.loads(LOGIN))
        assert await server.end() == (0, "")
    lines = server.log()

    first, *others = [line["trace_id"] for line in lines if line.get("operation") == "getLiveness"]
    assert first == trace
    assert len({trace, *others}) == 3
    [told] = [line for line in lines if line.get("channel") == "security"]
    [login] = [line for line in lines if line.get("operation") == "login"]
    assert told["trace_id"] == login["trace_id"]
    assert (told["event"], told["outcome"], told["level"]) == ("auth.login", "failure", "warning")
