"""What the proxies of deploy/ answer by themselves, and what they send again, when what is behind them is out of order.

The instances here are of the test: they listen, and do to each request what it says.
"""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import httpx
import pytest

from generated.operations import PROBLEM_TYPES
from tests.client import SCHEMAS
from tests.ports import free_port
from tests.system.fleet import PROXY, SIZE, Proxy, caddy, haproxy, nginx

PAGE = {"Origin": "https://app.example.com"}
ID = "one.request-of_ours"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HEAD = b"GET / HTTP/1.1\r\nHost: docket\r\n"
Harm: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def hang(writer: asyncio.StreamWriter) -> None:
    """As a process that is stopped."""
    await writer.wait_closed()


async def cut(writer: asyncio.StreamWriter) -> None:
    """As a process that is killed in the midst of a request."""
    writer.close()


@dataclass
class Instance:
    """A server that says it is well, and does `harm` to all else. `met` counts the methods of that."""

    harm: Harm
    met: Counter[str] = field(default_factory=Counter)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                method, path, *_ = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split(" ")
                if path in {"/readyz", "/livez"}:
                    writer.write(GOOD)
                else:
                    self.met[method] += 1
                    await self.harm(writer)
        writer.close()

    def end(self) -> None:
        for writer in self.writers:
            writer.close()


@asynccontextmanager
async def instances(*harms: Harm) -> AsyncIterator[tuple[list[Instance], list[int]]]:
    """Such servers, and where they listen; up to three, the others refuse connections."""
    these, ports = [Instance(harm) for harm in harms], [free_port() for _ in range(SIZE)]
    async with AsyncExitStack() as stack:
        for instance, port in zip(these, ports, strict=False):
            server = await asyncio.start_server(instance.take, PROXY, port)
            stack.callback(server.close)
            stack.callback(instance.end)
        yield these, ports


def somebody(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers=PAGE | {"X-Request-ID": ID}, verify=False, timeout=60)  # noqa: S501 - a certificate of the test


def judge(answer: httpx.Response, *statuses: int) -> None:
    """Fails unless it is a problem of the contract, which a page of another origin may read."""
    assert answer.status_code in statuses, answer.text
    headers, body = answer.headers, answer.json()
    assert headers["content-type"] == "application/problem+json"
    SCHEMAS["#/components/schemas/Problem"].validate(body)
    kind = PROBLEM_TYPES[body["code"]]
    assert (body["title"], body["type"], body["status"]) == (
        kind.title,
        f"/problems/{body['code']}",
        answer.status_code,
    )
    assert body["request_id"] == headers["x-request-id"] == ID
    assert headers["cache-control"] == "no-store"
    assert (answer.status_code < 500) or int(headers["retry-after"]) > 0
    assert headers["access-control-allow-origin"] == PAGE["Origin"]
    assert headers["access-control-allow-credentials"] == "true"
    assert {"Retry-After", "X-Request-ID"} <= set(headers["access-control-expose-headers"].split(", "))
    assert headers["vary"] == "Origin"


@pytest.mark.parametrize("proxy", [nginx, haproxy, caddy])
async def test_without_an_instance_everybody_is_told_when_to_try_again(proxy: Proxy) -> None:
    async with instances() as (_, ports):
        with proxy(ports) as url:
            async with somebody(url) as client:
                for method in ("GET", "POST", "PUT", "DELETE"):
                    judge(await client.request(method, "/api/v1/tasks"), 502, 503)


@pytest.mark.parametrize("proxy", [nginx, haproxy, caddy])
async def test_an_answer_that_does_not_come_is_a_problem(proxy: Proxy) -> None:
    async with instances(hang, hang, hang) as (these, ports):
        with proxy(ports) as url:
            async with somebody(url) as client:
                judge(await client.post("/api/v1/tasks", content=b"{}"), 504)
    assert sum((instance.met for instance in these), Counter()) == {"POST": 1}


@pytest.mark.parametrize("proxy", [nginx, haproxy])
async def test_only_what_changes_nothing_is_sent_again(proxy: Proxy) -> None:
    async with instances(cut, cut, cut) as (these, ports):
        with proxy(ports) as url:
            for method in ("PUT", "DELETE", "POST", "PATCH", "GET"):
                async with somebody(url) as client:  # haproxy hangs up where it had a good request before
                    key = {"Idempotency-Key": "one"} if method == "POST" else {}
                    judge(await client.request(method, "/api/v1/tasks", headers=key), 502, 503)
    met = sum((instance.met for instance in these), Counter())
    assert met.pop("GET") >= SIZE
    assert met == {"PUT": 1, "DELETE": 1, "POST": 1, "PATCH": 1}


async def answer_well(writer: asyncio.StreamWriter) -> None:
    writer.write(GOOD)


@pytest.mark.parametrize("proxy", [nginx, haproxy])
async def test_what_an_instance_does_not_take_goes_to_another(proxy: Proxy) -> None:
    """As when one starts: it has the address, and does not listen yet."""
    async with instances(answer_well) as (_, ports):
        for order in (ports, ports[::-1]):
            with proxy(order) as url:
                async with somebody(url) as client:
                    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"] * 8
                    answers = [(await client.request(method, "/api/v1/tasks")).status_code for method in methods]
                    assert answers == [200] * len(methods)


async def test_what_nginx_refuses_itself_is_a_problem() -> None:
    async with instances(answer_well) as (these, ports):
        with nginx(ports) as url:
            async with somebody(url) as client:
                traced = await client.request("TRACE", "/")
                judge(traced, 405)
                judge(await client.put("/api/v1/tasks/1", content=b"x" * 3_000_000), 413)
                judge(await client.get("/.problem"), 404)
                export = await client.put("/api/v1/users/me/export")

    assert traced.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    assert export.status_code == 200
    assert these[0].met == {"PUT": 1}


@dataclass
class Told:
    """An answer."""

    status: int
    code: str


async def say(url: str, *words: bytes) -> Told | None:
    """Send bytes as they are, the next when something was answered. What comes back is the last answer, if any."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(PROXY, httpx.URL(url).port, ssl=context)
    text = b""
    async with asyncio.timeout(30):
        for number, word in enumerate(words):
            if number:
                text = await reader.readuntil(b"{}")
            with suppress(ConnectionError):
                writer.write(word)
                await writer.drain()
        with suppress(ConnectionError, ssl.SSLError):
            text = await reader.read()
    writer.close()
    if not text:
        return None
    head, _, body = text.decode().partition("\r\n\r\n")
    assert "Content-Type: application/problem+json" in head.replace("content-type", "Content-Type"), text
    problem = json.loads(body)
    SCHEMAS["#/components/schemas/Problem"].validate(problem)
    assert problem["title"] == PROBLEM_TYPES[problem["code"]].title
    assert problem["request_id"] in head
    return Told(int(head.split(" ")[1]), problem["code"])


BROKEN = {
    "rubbish": (b"rubbish\r\n\r\n", {(400, "malformed_request")}),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", {(400, "malformed_request")}),
    "a length that is none": (HEAD + b"Content-Length: x\r\n\r\n", {(400, "malformed_request")}),
    "an unknown coding": (HEAD + b"Transfer-Encoding: x\r\n\r\n", {(400, "malformed_request")}),
    "a large header": (HEAD + b"X: " + b"x" * 200_000 + b"\r\n\r\n", {(431, "header_fields_too_large")}),
    "a long target": (b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: docket\r\n\r\n", {(414, "uri_too_long")}),
}


@pytest.mark.parametrize("proxy", [nginx, haproxy])
async def test_what_is_no_request_is_told_so_in_our_words(proxy: Proxy) -> None:
    async with instances(answer_well) as (_, ports):
        with proxy(ports) as url:
            for name, (words, expected) in BROKEN.items():
                told = await say(url, words)
                assert told is not None, name
                assert (told.status, told.code) in expected, name


@pytest.mark.parametrize("proxy", [nginx, haproxy])
@pytest.mark.parametrize("words", [(HEAD[:20],), (HEAD + b"\r\n", b"rubbish\r\n\r\n")], ids=["half", "second"])
async def test_one_is_answered_in_our_words_or_hung_up_on(proxy: Proxy, words: tuple[bytes, ...]) -> None:
    """nginx hangs up on half a request, haproxy on what is no request where it had a good one before."""
    async with instances(answer_well) as (_, ports):
        with proxy(ports) as url:
            told = await say(url, *words)
            assert told is None or told.status in {400, 408}


@pytest.mark.proves("ASVS 5.0 13.2.5", "A proxy sends requests to the instances of its file, whatever a request names")
@pytest.mark.parametrize("proxy", [nginx, haproxy, caddy])
async def test_a_proxy_calls_nobody_but_its_instances(proxy: Proxy) -> None:
    async with instances(answer_well) as (these, ports), instances(answer_well) as (others, elsewhere):
        there = f"{PROXY}:{elsewhere[0]}"
        named = f"Host: {there}\r\nX-Forwarded-Host: {there}\r\nX-Original-URL: http://{there}/\r\n"
        named += f"X-Accel-Redirect: http://{there}/\r\nForwarded: host={there}\r\nConnection: close\r\n\r\n"
        targets = (
            f"GET http://{there}/api",
            f"GET https://{there}/",
            f"GET //{there}/",
            f"CONNECT {there}",
            "GET /api",
        )
        with proxy(ports) as url:
            for target in targets:
                answer = await exchange_bytes(url, f"{target} HTTP/1.1\r\n{named}".encode())
                assert answer.startswith(b"HTTP/1."), target

    assert these[0].met["GET"] > 0
    assert (others[0].met, others[0].writers) == ({}, [])


async def exchange_bytes(url: str, words: bytes) -> bytes:
    """Send bytes as they are. What comes back is all that is answered until the proxy hangs up."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(PROXY, httpx.URL(url).port, ssl=context)
    async with asyncio.timeout(30):
        writer.write(words)
        answer = await reader.read()
    writer.close()
    return answer
