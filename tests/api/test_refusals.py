"""What a connection refuses itself: a page of a front end of ours may read it, and no other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.api.test_connections import problem, read_all
from tests.api.test_real_server import Running, running
from tests.conftest import Server

OURS, FOREIGN = "https://app.example.com", "https://evil.example"
HEAD = "{method} {target} HTTP/1.1\r\nHost: docket\r\n{before}Origin: {origin}\r\n{after}"
LOGIN, JSON = "/api/v1/auth/login", "Content-Type: application/json\r\n"
LARGE = "".join(f"X-{number}: {'x' * 1000}\r\n" for number in range(17))
CASES = {
    "a broken header": (400, {"after": "Accept: */*\r\nBroken\r\n\r\n"}),
    "two hosts": (400, {"after": "Host: other\r\n\r\n"}),
    "a chunk that is none": (400, {"after": "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"}),
    "a header section that never ends": (408, {"after": "X: "}),
    "a body that never comes": (408, {"method": "POST", "target": LOGIN, "after": f"{JSON}Content-Length: 9\r\n\r\n"}),
    "a long target": (414, {"target": "/" + "x" * 9_000, "after": "\r\n"}),
    "a long target whose end does not come": (414, {"target": "/" + "x" * 9_000, "after": "X: "}),
    "many headers before": (431, {"before": LARGE, "after": "\r\n"}),
    "many headers after": (431, {"after": LARGE + "\r\n"}),
}


def request(origin: str, parts: dict[str, str]) -> bytes:
    return HEAD.format(**{"method": "GET", "target": "/", "before": "", "origin": origin, **parts}).encode()


@pytest.fixture(scope="module")
async def shared(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("served")
    async with server.copy(template) as url, running(folder, url, BACKEND_CORS_ORIGINS=OURS) as started:
        yield started


def cors_of(answer: bytes) -> dict[str, str]:
    """What a browser is told about pages of other origins."""
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    headers = dict(line.split(": ", 1) for line in lines)
    return {name: value for name, value in headers.items() if name.startswith("access-control-") or name == "vary"}


@pytest.mark.parametrize("case", CASES)
async def test_a_page_of_ours_reads_what_a_connection_refuses(shared: Running, case: str) -> None:
    status, parts = CASES[case]
    answer = await read_all(shared, request(OURS, parts), seconds=30)

    problem(answer, status)
    said = cors_of(answer)
    assert (said["access-control-allow-origin"], said["access-control-allow-credentials"]) == (OURS, "true")
    assert "X-Request-ID" in said["access-control-expose-headers"].split(", ")
    assert said["vary"] == "Origin"


@pytest.mark.parametrize("case", ["two hosts", "a long target", "many headers before"])
async def test_a_foreign_page_reads_none(shared: Running, case: str) -> None:
    status, parts = CASES[case]
    answer = await read_all(shared, request(FOREIGN, parts))

    problem(answer, status)
    assert cors_of(answer) == {"vary": "Origin"}


async def test_what_was_read_before_of_the_connection_does_not_count(shared: Running) -> None:
    first = request(OURS, {"target": "/livez", "after": "\r\n"})
    answer = await read_all(shared, first, b"\x01\r\n\r\n", pause=0.2)

    answers = answer.split(b"HTTP/1.1 ")[1:]
    assert [each[:3] for each in answers] == [b"200", b"400"]
    assert cors_of(b"HTTP/1.1 " + answers[1]) == {"vary": "Origin"}


def small(folder: Path, url: str) -> AbstractAsyncContextManager[Running]:
    """A server that has one connection of an address."""
    return running(folder, url, BACKEND_CORS_ORIGINS=OURS, MAX_CONNECTIONS_PER_ADDRESS="1")


async def test_a_server_that_is_full_says_so_to_a_page_of_ours(
    server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("served")
    async with server.copy(template) as url, small(folder, url) as full:
        held = request(OURS, {"target": "/absent", "after": "X: "})
        _, writer = await asyncio.open_connection(full.host, full.port)
        writer.write(held)
        await writer.drain()
        answer = await read_all(full, request(OURS, {"after": "\r\n"}))
        writer.close()

    assert problem(answer, 503) == "service_unavailable"
    assert cors_of(answer)["access-control-allow-origin"] == OURS
