"""Every operation driven to what its connection answers before it: 408, 414 and 431, over a socket."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tests.api.prober import ALL, Operation
from tests.api.test_real_server import Running, running
from tests.client import check

ID = str(UUID(int=0))
TARGETS = {
    name: re.sub(r"\{(\w+)\}", lambda found: "not_found" if found[1] == "code" else ID, each.path)
    for name, each in ALL.items()
}
HOST = "Host: docket\r\n"


async def send_head(server: Running, operation: Operation, head: str) -> httpx.Response:
    """What the server answers to a request that begins like this, and then says nothing more."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(f"{operation.method} {head}".encode())
    async with asyncio.timeout(60):
        lines, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status, *headers = lines.decode().split("\r\n")
    named = [(name, value) for name, _, value in (line.partition(": ") for line in headers)]
    request = httpx.Request(operation.method, f"http://docket{TARGETS[operation.id]}")
    return httpx.Response(int(status.split(" ")[1]), headers=named, content=body, request=request)


def too_long(operation: Operation) -> str:
    return f"{TARGETS[operation.id]}?{'x' * 9_000} HTTP/1.1\r\n{HOST}\r\n"


def too_large(operation: Operation) -> str:
    return f"{TARGETS[operation.id]} HTTP/1.1\r\n{HOST}X: {'x' * 17_000}\r\n\r\n"


def late(operation: Operation) -> str:
    return f"{TARGETS[operation.id]} HTTP/1.1\r\n{HOST}X: "


@pytest.mark.alone
async def test_every_operation_answers_what_the_edge_refuses_as_it_declares(fresh_url: str, tmp_path: Path) -> None:
    wanted: list[tuple[int, str, Callable[[Operation], str]]] = [
        (408, "request_timeout", late),
        (414, "uri_too_long", too_long),
        (431, "header_fields_too_large", too_large),
    ]
    async with running(tmp_path, fresh_url) as server:

        async def require_refusal(operation: Operation, status: int, code: str, head: str) -> None:
            answer = await send_head(server, operation, head)
            said = f"{operation.id}: {answer.status_code} {answer.text}"
            assert (answer.status_code, json.loads(answer.content)["code"]) == (status, code), said
            assert answer.headers["connection"] == "close", said
            check(answer)

        walk: list[Awaitable[None]] = [
            require_refusal(operation, status, code, head(operation))
            for operation in ALL.values()
            for status, code, head in wanted
        ]
        await asyncio.gather(*walk)
