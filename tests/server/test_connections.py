"""What a connection does whatever its application: headers that would be two, late readers, who rests, who ends."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from server.protocol import connections
from server.protocol.connections import SEND_WHOLE, Connection
from server.workers.listeners import bind_listeners
from server.workers.serving import Server
from tests.waiting import until

ASKED = b"GET /%b HTTP/1.1\r\nHost: docket\r\n\r\n"
LARGE = 8 * 1024 * 1024


@asynccontextmanager
async def serving(application: ASGIApp) -> AsyncIterator[tuple[str, int]]:
    """The address of a server of connections like ours, which ends with the context."""
    config = uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_keep_alive=1,
        timeout_graceful_shutdown=1,
    )
    config.load()
    server = Server(config, lambda: None)
    server.lifespan = config.lifespan_class(config)
    [listener] = bind_listeners("127.0.0.1", 0)
    with listener:
        await server.startup([listener])
        try:
            yield listener.getsockname()
        finally:
            await server.shutdown([listener])


@pytest.mark.parametrize("value", [b"a\r\nX-More: b", b"a\nb", b"a\rb", b"a\0b"])
async def test_a_header_with_a_line_break_or_nul_is_never_sent(value: bytes) -> None:
    async def application(scope: Scope, _receive: Receive, _send: Send) -> None:
        await scope["extensions"][SEND_WHOLE](200, [(b"location", value)], b"", closing=False)

    async with serving(application) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(ASKED % b"")
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"location" not in answer


async def test_who_reads_late_gets_every_answer_in_turn() -> None:
    sent = []

    async def application(scope: Scope, _receive: Receive, _send: Send) -> None:
        number = scope["path"][1:].encode()
        headers = [(b"content-length", b"%d" % LARGE), (b"x-number", number)]
        await scope["extensions"][SEND_WHOLE](200, headers, number * LARGE, closing=number == b"3")
        sent.append(number)

    async def has_begun() -> bool:
        return sent != []

    async with serving(application) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"".join(ASKED % number for number in (b"1", b"2", b"3")))
        await until(has_begun, answer=True)
        await asyncio.sleep(0.2)
        assert b"3" not in sent  # for the others have not been read
        received = await reader.read()
        writer.close()

    for number in (b"1", b"2", b"3"):
        head, _, received = received.partition(b"\r\n\r\n")
        body, received = received[:LARGE], received[LARGE:]
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nx-number: %b" % number in head
        assert (b"\r\nconnection: close" in head) is (number == b"3")
        assert body == number * LARGE
    assert received == b""


async def nothing(scope: Scope, _receive: Receive, _send: Send) -> None:
    await scope["extensions"][SEND_WHOLE](200, [(b"content-length", b"0")], b"", closing=False)


async def test_a_request_that_is_answered_leaves_nothing_to_the_garbage_collector() -> None:
    async with serving(nothing) as address:
        reader, writer = await asyncio.open_connection(*address)
        gc.collect()
        gc.disable()
        try:
            for _ in range(100):
                writer.write(ASKED % b"")
                await reader.readuntil(b"\r\n\r\n")
            found = gc.collect()
        finally:
            gc.enable()
        writer.close()

    assert found < 100


@pytest.mark.proves("ASVS 5.0 15.2.2", "A connection does not rest for longer because something arrives")
@pytest.mark.parametrize("late", [b"\r\n", b"{", b"{}"], ids=["line breaks", "part of a body", "a body"])
async def test_a_connection_that_rests_ends_whatever_arrives_that_is_no_request(late: bytes) -> None:
    asked = ASKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n") if b"{" in late else ASKED

    async with serving(nothing) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(asked % b"")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        await asyncio.sleep(0.5)
        writer.write(late)
        async with asyncio.timeout(30):  # half of what it might rest
            assert await reader.read() == b""
        writer.close()


@pytest.mark.proves("ASVS 5.0 15.2.2", "A reader that takes nothing is given up")
async def test_a_reader_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SENDING_SECONDS", 0.2)

    assert await taken_of_a_large_answer(pause=1.0) < LARGE


@pytest.mark.alone
async def test_a_reader_that_takes_its_time_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SENDING_SECONDS", 0.5)

    assert await taken_of_a_large_answer(pause=0.02, pauses=60) > LARGE


async def taken_of_a_large_answer(*, pause: float, pauses: int = 1) -> int:
    """How many bytes arrive at a reader that takes a part and pauses so often, before it takes all that there is."""

    async def application(scope: Scope, _receive: Receive, _send: Send) -> None:
        headers = [(b"content-length", b"%d" % LARGE)]
        await scope["extensions"][SEND_WHOLE](200, headers, bytes(LARGE), closing=True)

    loop, taken = asyncio.get_running_loop(), 0
    async with serving(application) as address:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            connection.setblocking(False)
            await loop.sock_connect(connection, address)
            await loop.sock_sendall(connection, ASKED % b"")
            for _ in range(pauses):
                taken += len(await loop.sock_recv(connection, 200_000))
                await asyncio.sleep(pause)
            with suppress(ConnectionResetError):
                while received := await loop.sock_recv(connection, 1_000_000):
                    taken += len(received)
    return taken


async def test_who_waits_to_be_accepted_when_a_server_ends_is_answered() -> None:
    async with serving(nothing) as address:
        waiting = [socket.create_connection(address, timeout=5) for _ in range(3)]
        for connection in waiting[1:]:
            connection.sendall(ASKED % b"")  # the first one says nothing, and is not waited for for long

    silent, *answers = [read(connection) for connection in waiting]
    assert silent == b""
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\nconnection: close\r\n\r\n")


def read(connection: socket.socket) -> bytes:
    """All that is received until the other side hangs up."""
    with connection, connection.makefile("rb") as received:
        return received.read()
