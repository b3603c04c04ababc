"""Readers of streams of changes, who call an application themselves: a client in its process would wait for the end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.client import PREFIX, SCHEMAS, ApiClient

PATH = f"{PREFIX}/changes/stream"
PATIENCE = 60


def fields_of(block: str) -> dict[str, str]:
    """What the lines of an event say, each by its name; a comment by an empty one."""
    return {name: value.removeprefix(" ") for name, _, value in (line.partition(":") for line in block.split("\n"))}


class FirstPart:
    """An application whose client has heard enough of a stream when it has begun, and leaves."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving, is_stream = asyncio.Event(), False

        async def receive_until() -> Message:
            if not is_stream:
                return await receive()
            await leaving.wait()
            return {"type": "http.disconnect"}

        async def send_first(message: Message) -> None:
            nonlocal is_stream
            if message["type"] == "http.response.start":
                is_stream = (b"content-type", b"text/event-stream") in message["headers"]
            elif leaving.is_set():
                return
            elif is_stream and message.get("more_body"):
                leaving.set()
                message = {**message, "more_body": False}
            await send(message)

        await self.app(scope, receive_until, send_first)


class Reader:
    """Reads a stream. `last_id` is the last position that it heard of."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.leaving, self.taking = asyncio.Event(), asyncio.Event()
        self.taking.set()
        self.text, self.last_id, self.is_over = "", "", False

    async def receive(self) -> Message:
        await self.leaving.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            await self.taking.wait()
            self.pieces.put_nowait(message.get("body", b"") or (b"" if message.get("more_body") else None))

    async def block(self) -> dict[str, str] | None:
        """The next event, or comment; None: the stream is over."""
        async with asyncio.timeout(PATIENCE):
            while "\n\n" not in self.text and not self.is_over:
                piece = await self.pieces.get()
                self.is_over = piece is None
                self.text += (piece or b"").decode()
        if "\n\n" not in self.text:
            return None
        block, _, self.text = self.text.partition("\n\n")
        fields = fields_of(block)
        self.last_id = fields.get("id", self.last_id)
        return fields

    async def change(self) -> dict[str, Any]:
        """The next change, whatever comes before it."""
        while (fields := await self.block()) is not None:
            if "event" in fields:
                raise AssertionError(f"the stream has ended: {fields['data']}")
            if "data" in fields:
                change: dict[str, Any] = json.loads(fields["data"])
                assert SCHEMAS["#/components/schemas/StreamedChange"].is_valid(change)
                return change
        raise AssertionError("the stream was cut")

    async def until(self, subject: str) -> list[dict[str, Any]]:
        """The changes up to one of this subject."""
        changes = [await self.change()]
        while changes[-1]["subject"]["id"] != subject:
            changes.append(await self.change())
        return changes

    async def end(self) -> tuple[list[dict[str, Any]], str | None]:
        """What is told still, and why it ends; None: it was cut."""
        changes: list[dict[str, Any]] = []
        while (fields := await self.block()) is not None:
            if "event" in fields:
                assert fields["event"] == "end"
                assert await self.block() is None
                return changes, json.loads(fields["data"])["reason"]
            changes += [json.loads(fields["data"])] if "data" in fields else []
        return changes, None


@asynccontextmanager
async def reading(client: ApiClient, method: str = "GET", path: str = PATH, **query: str) -> AsyncIterator[Reader]:
    """A reader whose stream has begun, until it leaves."""
    reader = Reader()
    headers = [(name.lower().encode(), value.encode()) for name, value in client.headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": headers}
    application = vars(client.http._transport)["app"].app  # noqa: SLF001 - what it calls
    called = asyncio.ensure_future(
        application({**scope, "query_string": urlencode(query).encode()}, reader.receive, reader.send)
    )
    called.add_done_callback(lambda _: reader.pieces.put_nowait(None))
    try:
        if method == "GET":
            await reader.block()
        yield reader
    finally:
        reader.leaving.set()
        reader.taking.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(called, PATIENCE)
