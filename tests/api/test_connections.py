"""Connections as attackers open them: requests that can be read in two ways, and such that never end."""

import asyncio
import json
import re
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.api.test_real_server import MEBIBYTE, Running, running
from tests.conftest import Server
from tests.waiting import until

CHUNKED = b"POST / HTTP/1.1\r\nHost: docket\r\nTransfer-Encoding: chunked\r\n\r\n"
LOGIN = CHUNKED.replace(b"POST / HTTP/1.1", b"POST /api/v1/auth/login HTTP/1.1\r\nContent-Type: application/json")
LENGTH = b"POST / HTTP/1.1\r\nHost: docket\r\nContent-Length: "
CODING = b"POST / HTTP/1.1\r\nHost: docket\r\nTransfer-Encoding: "
CORPUS = {
    "a length and chunks": LENGTH + b"1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": CODING + b"chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    "two lengths": LENGTH + b"1\r\nContent-Length: 2\r\n\r\nx",
    "one length twice": LENGTH + b"1\r\nContent-Length: 1\r\n\r\nx",
    "a list of lengths": LENGTH + b"1, 1\r\n\r\nx",
    "a signed length": LENGTH + b"+1\r\n\r\nx",
    "a negative length": LENGTH + b"-1\r\n\r\n",
    "a length in hexadecimal": LENGTH + b"0x1\r\n\r\nx",
    "a length too long to count": LENGTH + b"9" * 40 + b"\r\n\r\nx",
    "a length with a space before its colon": b"POST / HTTP/1.1\r\nHost: docket\r\nContent-Length : 1\r\n\r\nx",
    "an unknown coding": CODING + b"xchunked\r\n\r\n0\r\n\r\n",
    "a coding before chunks": CODING + b"gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding after chunks": CODING + b"chunked, identity\r\n\r\n0\r\n\r\n",
    "two codings": CODING + b"chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunks twice": CODING + b"chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding behind a vertical tab": CODING + b"\x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n",
    "a chunk of no size": CHUNKED + b"xyz\r\n\r\n",
    "a chunk of size 0x1": CHUNKED + b"0x1\r\nx\r\n0\r\n\r\n",
    "a chunk of negative size": CHUNKED + b"-1\r\nx\r\n0\r\n\r\n",
    "a space after a size": CHUNKED + b"1 \r\nx\r\n0\r\n\r\n",
    "a size too large to count": CHUNKED + b"1" * 17 + b"\r\nx\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"1\r\nxy\r\n0\r\n\r\n",
    "a chunk with a bare LF": CHUNKED + b"1\nx\n0\n\n",
    "an extension with a bare LF": CHUNKED + b"1;a\nx\r\n0\r\n\r\n",
    "a huge extension": LOGIN + b"1;" + b"a" * 400_000 + b"\r\nx\r\n",
    "many small extensions": LOGIN + (b"1;" + b"a" * 1_000 + b"\r\nx\r\n") * 400,
    "NUL in a name": b"GET / HTTP/1.1\r\nHost: docket\r\nX\0Y: 1\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: docket\r\nX: a\0b\r\n\r\n",
    "a bare LF after the request line": b"GET / HTTP/1.1\nHost: docket\r\n\r\n",
    "a bare LF after a header": b"GET / HTTP/1.1\r\nHost: docket\nX: y\r\n\r\n",
    "a bare CR": b"GET / HTTP/1.1\r\nHost: docket\rX: y\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: docket\r\nX: a\r\n b\r\n\r\n",
    "a header that begins with a space": b"GET / HTTP/1.1\r\n Host: docket\r\n\r\n",
    "a space before a colon": b"GET / HTTP/1.1\r\nHost : docket\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost docket\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n: docket\r\nHost: docket\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: docket\r\nHost: other\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: docket\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: docket\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: docket\r\n\r\n",
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: docket\r\n\r\n"
LAST = "/the-last-one"
SMALLEST = b"OPTIONS /livez HTTP/1.1\r\nHost:d\r\n\r\n"
LAST_REQUEST = b"GET /absent HTTP/1.1\r\nHost: docket\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
async def shared(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with server.copy(template) as url, running(tmp_path_factory.mktemp("served"), url) as started:
        yield started


async def read_all(server: Running, *parts: bytes, pause: float = 0, seconds: float = 10) -> bytes:
    """All that the server sends until it hangs up, for a connection on which this is sent."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause)
        async with asyncio.timeout(seconds):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def read(server: Running) -> list[str]:
    """The paths of all requests that the server has read so far.

    Its lines are written in their order but later than its answers, so that a last request of ours is waited for.
    """

    async def paths() -> list[str]:
        return [line["path"] for line in server.log() if line["event"] == "request"]

    async def lasts() -> int:
        return (await paths()).count(LAST)

    before = await lasts()
    async with server.client() as http:
        await http.get(LAST)
    await until(lasts, before + 1)
    return await paths()


def problem(answer: bytes, status: int) -> str:
    """The code of the one problem that was answered."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert b"\r\nconnection: close" in head
    assert b"\r\ncontent-type: application/problem+json\r\n" in head
    assert b"\r\nx-content-type-options: nosniff\r\n" in head
    code: str = json.loads(body)["code"]
    return code


@pytest.mark.proves("ASVS 5.0 4.2.1", "A request that can be read in two ways is refused, with all that follows it")
@pytest.mark.parametrize("case", CORPUS)
async def test_what_can_be_read_in_two_ways_is_refused_with_all_that_follows(shared: Running, case: str) -> None:
    answer = await read_all(shared, CORPUS[case] + SMUGGLED)

    assert problem(answer, 400) == "malformed_request"
    assert "/smuggled" not in await read(shared)


async def test_a_trailer_is_no_header(shared: Running) -> None:
    trailer = b"1\r\nx\r\n0\r\nAuthorization: Bearer x\r\nConnection: keep-alive\r\n\r\n"
    request = CHUNKED.replace(b"POST /", b"GET /api/v1/tasks").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

    assert b"authentication_required" in await read_all(shared, request + trailer)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /" + b"x" * 9_000, 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: docket\r\n" + b"X: y\r\n" * 3_000, 431, "header_fields_too_large"),
        (b"GET / HTTP/1.1\r\nHost: docket\r\nX: " + b"y" * 30_000, 431, "header_fields_too_large"),
    ],
)
async def test_what_is_too_large_is_refused_while_it_arrives(
    shared: Running, request_: bytes, status: int, code: str
) -> None:
    assert problem(await read_all(shared, request_), status) == code


@pytest.mark.parametrize(("size", "status"), [(8192, 404), (8193, 414)])
async def test_a_target_has_8_kib_at_most(shared: Running, size: int, status: int) -> None:
    async with shared.client() as http:
        assert (await http.get("/" + "x" * (size - 1))).status_code == status


@pytest.mark.parametrize("path", ["/livez", "/docs"])
@pytest.mark.parametrize(("size", "status"), [(15 * 1024, 200), (16 * 1024, 431)])
async def test_headers_have_16_kib_at_most(shared: Running, path: str, size: int, status: int) -> None:
    async with shared.client() as http:
        assert (await http.get(path, headers={"X": "y" * size})).status_code == status


async def test_what_follows_a_large_body_that_nobody_wants_is_not_read(shared: Running) -> None:
    size = 1_100_000
    unwanted = b"GET /livez HTTP/1.1\r\nHost: docket\r\nContent-Length: %d\r\n\r\n" % size

    answer = await read_all(shared, unwanted, b"x" * size + SMUGGLED, pause=0.1)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert "/smuggled" not in await read(shared)


@pytest.mark.parametrize("bad", [b"GET / HTTP/1.1\r\nX\0: y\r\n\r\n", LOGIN + b"ZZ\r\n"], ids=["a header", "a chunk"])
async def test_a_bad_request_does_not_answer_for_the_one_before(shared: Running, bad: bytes) -> None:
    answer = await read_all(shared, b"GET /health HTTP/1.1\r\nHost: docket\r\n\r\n" + bad)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") <= 2


@pytest.mark.alone
@pytest.mark.proves("ASVS 5.0 15.2.2", "A request that does not arrive in time is ended")
async def test_what_does_not_arrive_in_time_is_refused(shared: Running) -> None:
    began = time.monotonic()

    async def time_answer(*parts: bytes) -> tuple[bytes, float]:
        return await read_all(shared, *parts), time.monotonic() - began

    silent, head, body = await asyncio.gather(
        time_answer(), time_answer(b"GET / HTTP/1.1\r\nHo"), time_answer(LOGIN, b"9\r\n{")
    )

    assert silent[0] == b""
    assert problem(head[0], 408) == problem(body[0], 408) == "request_timeout"
    assert min(silent[1], head[1]) >= 2.9
    assert max(silent[1], head[1]) < 5.9 <= body[1]


async def test_a_connection_may_rest_between_requests(shared: Running) -> None:
    rested = b"GET /livez HTTP/1.1\r\nHost: docket\r\n\r\n"

    last = rested.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert (await read_all(shared, rested, last, pause=3.5)).count(b"HTTP/1.1 200 ") == 2


@pytest.mark.alone
async def test_slow_connections_do_not_slow_others(shared: Running) -> None:
    alone = await latencies(shared, 2)
    slow = [asyncio.create_task(drip(shared.host, shared.port)) for _ in range(100)]
    among = await latencies(shared, 2)
    for task in slow:
        task.cancel()

    assert statistics.quantiles(among, n=20)[18] <= 2 * statistics.quantiles(alone, n=20)[18] + 0.005


async def latencies(server: Running, seconds: float) -> list[float]:
    """How long somebody waits who asks without pause."""
    took: list[float] = []
    async with server.client() as http:
        until = time.monotonic() + seconds
        while (began := time.monotonic()) < until:
            assert (await http.get("/")).status_code == 200
            took.append(time.monotonic() - began)
    return took


async def drip(host: str, port: int) -> None:
    """Open connections again and again, on each of which a byte is sent now and then."""
    while True:
        _, writer = await asyncio.open_connection(host, port)
        try:
            for byte in b"GET / HTTP/1.1\r\n":
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.5)
        except ConnectionError:
            continue
        finally:
            writer.close()


@pytest.mark.proves("RFC 9112 3.2.2", "An absolute target decides which host is asked for, whatever Host says")
async def test_an_absolute_target_decides_the_host(tmp_path: Path, fresh_url: str) -> None:
    head = b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n"
    async with running(tmp_path, fresh_url, ALLOWED_HOSTS="docket") as server:
        asked = {
            (b"http://docket/", b"docket"): b"200",
            (b"http://docket/", b"evil"): b"200",
            (b"HTTPS://Docket:443/", b"evil"): b"200",
            (b"http://docket?x", b"docket"): b"422",
            (b"http://docket", b"evil"): b"200",
            (b"http://evil/", b"docket"): b"400",
            (b"http://evil?docket/", b"docket"): b"400",
            (b"http://docket.evil/", b"docket"): b"400",
            (b"http://docket@evil/", b"docket"): b"400",
            (b"http://evil@docket/", b"docket"): b"400",
            (b"http://docket:99999/", b"docket"): b"400",
            (b"http://docket:x/", b"docket"): b"400",
            (b"ftp://docket/", b"docket"): b"400",
            (b"http:///", b"docket"): b"400",
            (b"/", b"evil"): b"400",
            (b"/", b"ada@docket"): b"400",
            (b"/livez", b"docket:x"): b"400",
            (b"/?to=http://evil/", b"docket"): b"422",
        }
        seen = {case: (await read_all(server, head % case)).split(b" ", 2)[1] for case in asked}
        assert await server.end() == (0, "")

    assert seen == asked


@pytest.mark.alone
async def test_requests_behind_others_take_no_more_than_their_bytes(tmp_path: Path, fresh_url: str) -> None:
    """A hundred times as much, if each were read as soon as it arrives: 37,000 in a megabyte."""
    async with running(tmp_path, fresh_url) as server:
        process = psutil.Process(server.process.pid)
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=2**24)
        writer.write(SMALLEST)
        await reader.readuntil(b"\r\n\r\n")
        before = process.memory_info().rss

        writer.write(SMALLEST * (MEBIBYTE // len(SMALLEST)))
        async with asyncio.timeout(60):
            for _ in range(2_000):
                await reader.readuntil(b"HTTP/1.1 204 ")
        grown = process.memory_info().rss - before
        writer.close()
        assert await server.end() == (0, "")

    assert grown < 20 * MEBIBYTE


async def test_what_comes_at_once_is_answered_in_its_order(shared: Running) -> None:
    """Bodies and heads that end somewhere in the midst of what is read at once."""
    body = b'{"title": "' + b"a" * 3_001 + b'"}'
    post = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: docket\r\nContent-Type: application/json\r\n"
    post += f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    chunks = LOGIN + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:1_000], body[1_000:]))
    chunks += b"0\r\n\r\n"
    three = SMALLEST + post + chunks + b"GET /absent HTTP/1.1\r\nHost: docket\r\n\r\n"

    answer = await read_all(shared, three * 30 + LAST_REQUEST, seconds=60)

    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"204", b"422", b"422", b"404"] * 30 + [b"404"]


async def test_a_bad_request_far_behind_others_is_not_answered_before_them(shared: Running) -> None:
    answer = await read_all(shared, SMALLEST * 1_000 + b"rubbish\r\n\r\n" + SMALLEST * 1_000, seconds=60)

    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) in ([b"204"] * 1_000, [b"204"] * 1_000 + [b"400"])
