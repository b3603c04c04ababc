"""Connections as attackers hold them: whose place another one takes, and that probes are answered whatever is held."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest

from server.protocol.capacity import Capacity
from server.protocol.client_address import Proxies
from tests.api.test_connections import problem
from tests.api.test_real_server import Running, running
from tests.waiting import until

GET = b"GET %b HTTP/1.1\r\nHost: docket\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHo"
HALF_BODY = (
    b"POST /api/v1/auth/login HTTP/1.1\r\nHost: docket\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
)
PROBES = (b"/livez", b"/readyz", b"/health")
HERE, THERE = "127.0.0.1", "127.0.0.2"
Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def open_connections(
    server: Running, number: int, sent: bytes, address: str = HERE
) -> AsyncIterator[list[Streams]]:
    """So many connections from this address, on each of which this is sent."""
    async with AsyncExitStack() as stack:
        found: list[Streams] = []
        for _ in range(number):
            reader, writer = await asyncio.open_connection(server.host, server.port, local_addr=(address, 0))
            stack.callback(writer.close)
            writer.write(sent)
            found.append((reader, writer))
        yield found


@asynccontextmanager
async def rest_connections(server: Running, number: int, address: str = HERE) -> AsyncIterator[list[Streams]]:
    """So many connections on which a request was answered, one after the other."""
    async with AsyncExitStack() as stack:
        found: list[Streams] = []
        for _ in range(number):
            one = await stack.enter_async_context(open_connections(server, 1, GET % b"/livez", address))
            assert (await one[0][0].readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
            found.extend(one)
        yield found


async def ask(server: Running, path: bytes, address: str = HERE) -> bytes:
    """What is answered at once to a request on a connection of its own."""
    last = (GET % path).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(3), open_connections(server, 1, last, address) as [(reader, _)]:
        return await reader.read()


async def probe(server: Running) -> None:
    """Have every probe answered, as by a server that nothing is the matter with."""
    for path in PROBES:
        assert (await ask(server, path)).startswith(b"HTTP/1.1 200 "), path


@pytest.mark.proves("ASVS 5.0 15.2.2", "Connections that rest take no place from those who ask")
async def test_a_full_process_closes_the_connection_that_rested_longest(fresh_url: str, tmp_path: Path) -> None:
    async with (
        running(tmp_path, fresh_url, MAX_CONNECTIONS="3") as server,
        rest_connections(server, 3) as [first, second, third],
    ):
        first[1].write(GET % b"/livez")  # from now on the second has rested longest
        await first[0].readuntil(b"}")

        async with open_connections(server, 1, GET % b"/") as [fourth]:
            assert (await fourth[0].readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
            assert await second[0].read() == b""
            for reader, writer in (first, third):
                writer.write(GET % b"/livez")
                assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("half", [HALF, HALF_BODY], ids=["a head", "a body"])
async def test_where_none_rests_only_probes_are_answered_until_somebody_is_late(
    fresh_url: str, tmp_path: Path, half: bytes
) -> None:
    async with (
        running(tmp_path, fresh_url, MAX_CONNECTIONS="3") as server,
        open_connections(server, 3, half) as [first, *_],
    ):
        refused = await ask(server, b"/")
        await probe(server)

        async def is_answered() -> bool:
            return (await ask(server, b"/")).startswith(b"HTTP/1.1 200 ")

        await until(is_answered, answer=True)
        late = await first[0].read()

    assert problem(refused, 503) == problem(late, 503) == "service_unavailable"
    assert b"\r\nretry-after: 1\r\n" in refused


@pytest.mark.proves("ASVS 5.0 15.2.2", "An address has its share of the connections only")
async def test_an_address_has_its_share_of_the_connections_only(fresh_url: str, tmp_path: Path) -> None:
    async with (
        running(tmp_path, fresh_url, MAX_CONNECTIONS_PER_ADDRESS="2") as server,
        open_connections(server, 2, HALF),
        rest_connections(server, 2, THERE) as [first, second],
    ):
        assert problem(await ask(server, b"/"), 503) == "service_unavailable"
        await probe(server)
        assert (await ask(server, b"/", THERE)).startswith(b"HTTP/1.1 200 ")
        assert await first[0].read() == b""
        second[1].write(GET % b"/livez")
        assert (await second[0].readuntil(b"}")).startswith(b"HTTP/1.1 200 ")


async def test_a_trusted_proxy_has_all_connections(fresh_url: str, tmp_path: Path) -> None:
    async with (
        running(tmp_path, fresh_url, MAX_CONNECTIONS_PER_ADDRESS="1", TRUSTED_PROXIES=THERE) as server,
        open_connections(server, 5, HALF, THERE),
    ):
        assert (await ask(server, b"/", THERE)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [b"", GET % b"/livez", HALF, HALF_BODY], ids=["silent", "resting", "heads", "bodies"])
async def test_probes_and_others_are_answered_beside_a_thousand_connections_of_an_address(
    fresh_url: str, tmp_path: Path, sent: bytes
) -> None:
    async with running(tmp_path, fresh_url) as server, open_connections(server, 1_000, sent):
        for _ in range(5):
            await probe(server)
            assert (await ask(server, b"/", THERE)).startswith(b"HTTP/1.1 200 ")


async def test_probes_and_others_are_answered_beside_slow_readers(fresh_url: str, tmp_path: Path) -> None:
    slow = 40 * (GET % b"/openapi.yaml")
    async with running(tmp_path, fresh_url, MAX_CONNECTIONS="4") as server, open_connections(server, 4, slow):
        await probe(server)

        async def answered() -> bool:
            return (await ask(server, b"/")).startswith(b"HTTP/1.1 200 ")

        await until(answered, answer=True)


@pytest.mark.parametrize(("number", "seconds"), [(1, 60), (50, 60), (75, 30), (99, 5), (100, 5)])
def test_a_rest_is_shorter_from_half_full_on(number: int, seconds: float) -> None:
    capacity = Capacity(100, 100, Proxies({ip_network("192.0.2.7")}))
    occupants = [Occupied(("192.0.2.1", 1)) for _ in range(number - 1)]
    proxy, *_ = occupants = [Occupied(("192.0.2.7", 1)), *occupants]
    entered = [capacity.enter(occupant) for occupant in occupants]

    assert all(entered)
    assert capacity.seconds_of_rest(occupants[-1], 60) == (60 if number == 1 else seconds)
    assert capacity.seconds_of_rest(proxy, 60) == 60  # it counts on what it was told


class Occupied:
    """A connection of which only the address matters."""

    is_answered = True

    def __init__(self, client: tuple[str, int] | None) -> None:
        self.client = client

    def give_way(self) -> None:
        raise AssertionError("there is a place for all")

    cut = give_way


async def test_connections_without_a_place_are_few(fresh_url: str, tmp_path: Path) -> None:
    async with (
        running(tmp_path, fresh_url, MAX_CONNECTIONS="2") as server,
        open_connections(server, 2, HALF),
        open_connections(server, 100, b"") as crowd,
    ):
        await probe(server)
        assert await crowd[0][0].read() == b""
        held = len(psutil.Process(server.process.pid).net_connections("tcp"))

    assert held <= 2 + 32 + len(PROBES) + 1


async def test_who_hangs_up_gives_up_the_place_in_the_line_of_passwords(fresh_url: str, tmp_path: Path) -> None:
    body = b'{"email":"unknown@example.com","password":"correct horse battery staple"}'
    head = (
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: docket\r\nContent-Type: application/json\r\nConnection: close\r\n"
    )
    sign_in = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    more = {"BCRYPT_COST": "15", "RATE_LIMITS_ENABLED": "true"}
    async with running(tmp_path, fresh_url, 1, **more) as server:
        async with open_connections(
            server, 5, sign_in
        ) as five:  # whichever comes fifth is answered while the others wait
            answers = [asyncio.create_task(reader.read()) for reader, _ in five]
            [first], waiting = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()
            assert problem(first.result(), 503) == "service_unavailable"

        async with open_connections(server, 1, sign_in) as [after]:
            answer = await after[0].read()

    assert answer.startswith(b"HTTP/1.1 401 ")  # of the four two at most were at work already
