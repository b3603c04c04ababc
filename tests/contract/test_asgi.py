"""The application that serves a binding by ASGI, in front of it a real server, and clients that leave or dawdle."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from contract.asgi import Application, send_pieces
from contract.exchange import Exchange, Message
from contract.refusals import WORDLESS, OwnProblem
from contract.types import ContractError, Result
from contract.unwritten import not_written
from tests.contract.small import NOTHING, Node, Small, document

TICKS: Node = {"x-itemSchema": {"$ref": "#/components/schemas/Tick"}}
BROKEN: Node = {"description": "Broken.", "headers": {"Cache-Control": {"schema": {"const": "max-age=60"}}}}
PATHS: Node = {
    "/things": {
        "get": {"operationId": "getThing", "responses": {"200": {"description": "It.", "content": {"text/plain": {}}}}},
        "post": {
            "operationId": "addThing",
            "requestBody": {"content": {"text/plain": {}}},
            "responses": {**NOTHING, "418": {"description": "A teapot."}},
        },
    },
    "/ticks": {
        "get": {
            "operationId": "watchTicks",
            "responses": {"200": {"description": "Ticks.", "content": {"text/event-stream": TICKS}}},
        }
    },
}
COMPONENTS: Node = {"schemas": {"Tick": {"type": "object", "properties": {"n": {"type": "integer"}}}}}
PATIENCE = 60  # seconds, of a busy machine


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return Small(document(PATHS, components=COMPONENTS), tmp_path_factory.mktemp("asgi"))


@asynccontextmanager
async def serving(small: Small, *, patience: float = PATIENCE) -> AsyncIterator[int]:
    """The port of a server whose readers may take so many seconds for a piece."""
    app = Application(small.binding, patience=patience)
    config = uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve([listener]))
        async with asyncio.timeout(60):
            while not server.started:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def asking(small: Small) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(small) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        yield client


class Ticking:
    """A handler whose stream goes on for ever, and the events of its life."""

    def __init__(self, small: Small, *, wait: bool = False) -> None:
        self.small, self.wait = small, wait
        self.made = 0
        self.ended = asyncio.Event()

    async def __call__(self, _exchange: Exchange, _arguments: Mapping[str, Any]) -> Result:
        answer: Result = self.small.operations.WatchTicks200(body=self.ticks())
        return answer

    async def ticks(self) -> AsyncGenerator[dict[str, int], None]:
        try:
            while True:
                self.made += 1
                yield {"n": self.made}
                if self.wait:
                    await asyncio.Event().wait()
        finally:
            self.ended.set()


async def test_an_answer_has_its_length_and_head_has_no_more(small: Small) -> None:
    text = small.operations.Text(b"seven", "text/plain")

    async def tell(_exchange: Exchange, _arguments: Mapping[str, Any]) -> Result:
        return small.operations.GetThing200(body=text)  # type: ignore[no-any-return]

    small.doing(tell)
    async with asking(small) as client:
        told, head = await client.get("/things"), await client.head("/things")

    assert (told.status_code, told.text, told.headers["content-length"]) == (200, "seven", "5")
    assert (head.status_code, head.text, head.headers["content-length"]) == (200, "", "5")
    assert told.headers["content-type"] == head.headers["content-type"] == "text/plain"


async def test_head_does_not_begin_a_stream(small: Small) -> None:
    ticking = Ticking(small)
    small.doing(ticking)
    async with asking(small) as client:
        head = await client.head("/ticks")

    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream")
    assert ticking.made == 0


@pytest.mark.parametrize(
    ("raised", "status", "detail"),
    [
        (OwnProblem(409, "It is there."), 409, "It is there."),
        (ValueError("of ours"), 500, "The server made a mistake, and has written it down."),
        (ContractError("of ours"), 500, "The server made a mistake, and has written it down."),
    ],
)
async def test_what_goes_wrong_is_a_problem_that_is_not_kept(
    small: Small, raised: Exception, status: int, detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_exchange: Exchange, _arguments: Mapping[str, Any]) -> Result:
        raise raised

    small.doing(fail)
    async with asking(small) as client:
        told = await client.get("/things")

    assert (told.status_code, told.json()["detail"], told.headers["cache-control"]) == (status, detail, "no-store")
    assert [record.getMessage() for record in caplog.records] == ["GET '/things' failed"] * (status == 500)


async def test_what_is_not_written_is_a_501(small: Small) -> None:
    async def leave(_exchange: Exchange, _arguments: Mapping[str, Any]) -> Result:
        return not_written("getThing")  # type: ignore[return-value]  # which is how it is told

    small.doing(leave)
    async with asking(small) as client:
        told = await client.get("/things")

    assert (told.status_code, told.json()["detail"]) == (501, "getThing is not written yet.")


async def test_paths_and_methods_that_there_are_not(small: Small) -> None:
    async with asking(small) as client:
        missed, refused = await client.get("/nothing"), await client.delete("/things")

    assert (missed.status_code, refused.status_code) == (404, 405)
    assert refused.headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_a_problem_without_a_body_has_no_media_type(small: Small) -> None:
    async def refuse(_exchange: Exchange, _arguments: Mapping[str, Any]) -> Result:
        raise OwnProblem(418, None, form=WORDLESS)

    small.doing(refuse)
    async with asking(small) as client:
        told = await client.post("/things")

    assert (told.status_code, told.content, "content-type" in told.headers) == (418, b"", False)


class Kept(OwnProblem):
    """A problem that says how long it is kept."""

    constant_headers = (("Cache-Control", "max-age=60"),)


async def test_a_problem_may_be_kept_as_long_as_it_says(small: Small) -> None:
    async def refuse(_exchange: Exchange, _arguments: Mapping[str, Any]) -> Result:
        raise Kept(410, "Gone.")

    small.doing(refuse)
    async with asking(small) as client:
        told = await client.get("/things")

    assert (told.status_code, told.headers.get_list("cache-control")) == (410, ["max-age=60"])


async def test_after_a_body_that_is_too_large_the_connection_is_closed(small: Small) -> None:
    async with asking(small) as client:
        told = await client.post("/things", content=b"a" * 2_000_000, headers={"Content-Type": "text/plain"})

    assert (told.status_code, told.headers["connection"]) == (413, "close")


async def test_a_client_that_leaves_before_its_request_is_read_gets_nothing(small: Small) -> None:
    arriving: list[Message] = [{"type": "http.disconnect"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return arriving.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/things", "query_string": b"", "client": None}
    await Application(small.binding)({**scope, "headers": [(b"content-type", b"text/plain")]}, receive, send)

    assert sent == []


async def test_a_websocket_is_closed(small: Small) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await Application(small.binding)({"type": "websocket"}, receive, send)

    assert sent == [{"type": "websocket.close"}]


@pytest.mark.parametrize("wait", [False, True])
async def test_a_stream_ends_when_its_reader_leaves(small: Small, wait: bool) -> None:  # noqa: FBT001
    ticking = Ticking(small, wait=wait)
    small.doing(ticking)
    async with asking(small) as client, asyncio.timeout(PATIENCE):
        async with client.stream("GET", "/ticks") as told:
            first = await anext(told.aiter_lines())
        await ticking.ended.wait()

    assert first == 'data: {"n":1}'
    assert not wait or ticking.made == 1


async def test_a_slow_reader_holds_a_stream_up_and_is_given_up_in_the_end(
    small: Small, caplog: pytest.LogCaptureFixture
) -> None:
    ticking = Ticking(small)
    small.doing(ticking)
    async with serving(small, patience=0.2) as port, asyncio.timeout(PATIENCE):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
            await asyncio.get_running_loop().sock_sendall(client, b"GET /ticks HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await ticking.ended.wait()

    assert ticking.made < 500_000  # what fits into the buffers between
    assert [record.getMessage() for record in caplog.records] == ["GET '/ticks' was cut"]


async def test_a_stream_that_fails_is_cut_so_that_its_reader_can_tell(
    small: Small, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing() -> AsyncIterator[dict[str, int]]:
        yield {"n": 1}
        raise ValueError

    async def answer(_exchange: Exchange, _arguments: Mapping[str, Any]) -> Result:
        return small.operations.WatchTicks200(body=failing())  # type: ignore[no-any-return]

    small.doing(answer)
    async with asking(small) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/ticks")

    assert [record.getMessage() for record in caplog.records if record.name == "contract"] == ["GET '/ticks' was cut"]


@pytest.mark.parametrize(("longest", "stays"), [(1.0, True), (0.05, False)])
async def test_all_of_a_stream_may_take_so_long_and_no_longer(longest: float, stays: bool) -> None:  # noqa: FBT001
    """A reader who takes 20 ms for a piece, by the clock of the loop, has ten pieces in 0.2 s."""
    sent: list[Message] = []

    async def pieces() -> AsyncGenerator[bytes, None]:
        for _ in range(10):
            yield b"."

    async def send(message: Message) -> None:
        await asyncio.sleep(0.02)
        sent.append(message)

    exchange = staying()
    if stays:
        assert await send_pieces(pieces(), exchange, send, patience=PATIENCE, longest=longest * PATIENCE)
        assert len(sent) == 11
    else:
        with pytest.raises(TimeoutError):
            await send_pieces(pieces(), exchange, send, patience=PATIENCE, longest=longest)
        assert len(sent) < 10


def staying() -> Exchange:
    """A request whose client never leaves."""

    async def receive() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    return Exchange({"method": "GET", "path": "/", "query_string": b"", "headers": []}, receive, "", None)
