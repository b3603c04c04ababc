"""A server as operators run it: a process of its own, over a socket."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import SECRET
from tests.conftest import ROOT, Server

MEBIBYTE = 1024 * 1024
PASSWORD = "nine lives of a lighthouse"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers, and where it writes."""

    process: asyncio.subprocess.Process
    host: str
    port: int
    output: Path

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://{self.host}:{self.port}", timeout=60)

    async def end(self) -> tuple[int, str]:
        """Send SIGTERM. What comes back is the exit status, and what it still had to say to its operator."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            _, said = await self.process.communicate()
        return self.process.returncode or 0, said.decode()

    def log(self) -> list[dict[str, Any]]:
        """The lines that are written to their ends: at the server's own pace, all of them once it has ended."""
        return [json.loads(line) for line in self.output.read_bytes().rpartition(b"\n")[0].splitlines()]


@contextmanager
def hear_signal(number: signal.Signals) -> Iterator[None]:
    """Have the processes that we start hear of the signal: `nohup` has us ignore it, and so would they."""
    before = signal.signal(number, lambda *_: None)
    yield
    signal.signal(number, before)


@asynccontextmanager
async def running(folder: Path, url: str, workers: int = 1, *options: str, **more: str) -> AsyncIterator[Running]:
    """`python -m server serve` as in production but for TLS, with more settings, once it says that it is ready."""
    output = folder / "output"
    settings = {"DATABASE_URL": url, "SECRET_KEY": SECRET, "ENVIRONMENT": "staging", "PORT": "0"}
    settings |= {"WORKERS": str(workers), "DATA_DIR": str(folder), "RATE_LIMITS_ENABLED": "false", "DRAIN_SECONDS": "0"}
    settings |= more
    with output.open("ab") as file, hear_signal(signal.SIGHUP):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server", "serve", *options,
            cwd=ROOT, env=os.environ | settings, stdout=file, stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            line = (await process.stderr.readline()).decode()
        assert line.startswith("Docket answers at http://"), line
        host, port = line.split()[3].removeprefix("http://").rstrip(";").split(":")
        yield Running(process, host, int(port), output)
    finally:
        if process.returncode is None:
            process.terminate()  # so that it counts for the coverage
            with suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await process.communicate()
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # its workers too
            await process.communicate()


@pytest.fixture(scope="module")
async def shared(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A server of two workers for all tests that leave it as it was."""
    async with server.copy(template) as url, running(tmp_path_factory.mktemp("served"), url, workers=2) as started:
        yield started
        assert await started.end() == (0, "")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_server_says_once_where_it_is_keeps_its_rows_and_ends_cleanly(
    tmp_path: Path, fresh_url: str, workers: int
) -> None:
    account = {"email": "ada@example.com", "password": PASSWORD}
    async with running(tmp_path, fresh_url, workers) as first, first.client() as http:
        assert (await http.post("/api/v1/auth/register", json=account)).status_code == 201
        tokens = (await http.post("/api/v1/auth/login", json=account)).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        task = (await http.post("/api/v1/tasks", headers=bearer, json={"title": "Keep me"})).json()
        assert await first.end() == (0, "")

    async with running(tmp_path, fresh_url, workers) as second, second.client() as http:
        kept = await http.get(f"/api/v1/tasks/{task['id']}?cursor=secret-cursor", headers=bearer)
        kept = await http.get(f"/api/v1/tasks/{task['id']}", headers=bearer)
        assert kept.json() == task
        assert await second.end() == (0, "")

    lines = second.log()
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["operation"] for line in requests] == ["registerUser", "login", "createTask", "getTask", "getTask"]
    assert [line["status"] for line in requests] == [201, 200, 201, 422, 200]
    assert {line["user_id"] for line in requests[2:]} == {task["user_id"]}
    written = second.output.read_text(encoding="utf-8")
    secrets = [PASSWORD, SECRET, tokens["access_token"], tokens["refresh_token"], "secret-cursor", "ada@example.com"]
    assert [secret for secret in secrets if secret in written] == []


@pytest.mark.proves("", "A body of 100 megabytes is refused before it has been sent")
@pytest.mark.parametrize("told", [True, False], ids=["length told", "length untold"])
async def test_a_body_of_100_megabytes_is_refused_at_once_and_its_connection_closed(
    shared: Running, *, told: bool
) -> None:
    sent, answer = await asyncio.to_thread(pour, shared, 100 * MEBIBYTE, told=told)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert sent < 20 * MEBIBYTE


@pytest.mark.alone
async def test_who_sends_a_body_of_2_megabytes_to_its_end_reads_why_it_is_refused(shared: Running) -> None:
    """As nginx does, which would answer 502 for a connection that was reset, and ask that server no more."""
    sent, answer = await asyncio.to_thread(pour, shared, 2 * MEBIBYTE, told=True, pause=0.01)

    assert sent == 2 * MEBIBYTE
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"content_too_large" in answer


def pour(shared: Running, size: int, *, told: bool, pause: float = 0) -> tuple[int, bytes]:
    """Send a body of that size until the server hangs up. What comes back is how much went out, and the answer.

    `pause` (seconds) is between two parts of 64 KiB.
    """
    length = f"Content-Length: {size}" if told else "Transfer-Encoding: chunked"
    head = ["POST /api/v1/auth/login HTTP/1.1", "Host: docket", "Content-Type: application/json", length, "", ""]
    part = b" " * 65_536
    sent = 0
    with socket.create_connection((shared.host, shared.port), timeout=10) as connection:
        connection.sendall("\r\n".join(head).encode())
        with suppress(ConnectionError):
            while sent < size:
                connection.sendall(part if told else b"%x\r\n%b\r\n" % (len(part), part))
                sent += len(part)
                time.sleep(pause)
        answer = b""
        with suppress(ConnectionError):
            while received := connection.recv(65_536):
                answer += received
    return sent, answer


@pytest.mark.proves("RFC 9728 5.1", "A client without a token finds by its first request what tokens there are")
async def test_a_refusal_leads_to_what_tokens_may_have(shared: Running) -> None:
    found = re.compile(r'Bearer (?:.+, )?resource_metadata="([^"]+)"')
    account = {"email": "unknown@example.com", "password": PASSWORD}
    async with shared.client() as http:
        answers = [
            await http.get("/api/v1/tasks"),
            await http.get("/api/v1/tasks", headers={"Authorization": "Bearer rubbish"}),
            await http.get("/api/v1/tasks", headers={"Authorization": "Bearer dkt_rubbish"}),
            await http.post("/api/v1/auth/login", json=account),
            await http.post("/api/v1/auth/refresh", json={"refresh_token": "rubbish"}),
            await http.post("/api/v1/auth/logout", headers={"Authorization": "Bearer rubbish"}),
        ]
        assert [answer.status_code for answer in answers] == [401] * len(answers)
        places = {said[1] for answer in answers if (said := found.fullmatch(answer.headers["www-authenticate"]))}
        assert places == {f"{http.base_url}/.well-known/oauth-protected-resource".replace("//.", "/.")}
        told = (await http.get(places.pop())).json()
        assert (told["resource"], "tasks:read" in told["scopes_supported"]) == (str(http.base_url).rstrip("/"), True)


async def test_a_connection_is_kept_after_a_refusal_that_needed_no_body(shared: Running) -> None:
    async with shared.client() as http:
        for _ in range(3):
            answer = await http.post("/api/v1/tasks", json={"title": "x" * 50_000})

            assert (answer.status_code, answer.headers.get("connection")) == (401, None)


@pytest.mark.proves("ASVS 5.0 4.2.1", "A request whose length can be read in two ways is refused")
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /health HTTP/1.1\r\nHost: docket\r\nConnection: close\r\n\r\n", 200),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: docket\r\nConnection: close\r\n\r\n", 414),
        (b"GET /?q=" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: docket\r\nConnection: close\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: docket\r\nX: " + b"x" * 17_000 + b"\r\nConnection: close\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4_000 + b"Connection: close\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: docket\r\nX: \0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: docket\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: docket\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: docket\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: docket\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: docket\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: docket\r\nConnection: close\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: docket\r\nConnection: close\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: docket\r\nConnection: close\r\n\r\n", 404),
        (b"CONNECT docket:80 HTTP/1.1\r\nHost: docket\r\nConnection: close\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"rubbish\r\n\r\n", 400),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_hardly_http_gets_an_answer_and_the_server_goes_on(
    shared: Running, request_: bytes, status: int
) -> None:
    reader, writer = await asyncio.open_connection(shared.host, shared.port)
    writer.write(request_)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()

    assert int(answer.split(b" ", 2)[1]) == status, answer
    async with shared.client() as http:
        assert (await http.get("/health")).status_code == 200
