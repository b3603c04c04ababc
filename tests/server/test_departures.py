"""Clients that leave at any moment: the server logs no error for them, and a probe is no line of `info`."""

import asyncio
import socket
import struct
from pathlib import Path

import pytest

from tests.api.test_real_server import Running, running

PAGE = b"GET /openapi.json HTTP/1.1\r\nHost: docket\r\n\r\n"
TASKS = b"GET /api/v1/tasks HTTP/1.1\r\nHost: docket\r\n\r\n"
BODY = (
    b"POST /api/v1/auth/login HTTP/1.1\r\nHost: docket\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
)
RESET = struct.pack("ii", 1, 0)
PAUSES = (0, 0.001, 0.003, 0.01, 0.05)  # seconds between asking and leaving


def leave(server: Running, sent: bytes, pause: float) -> None:
    """Ask, and reset the connection while it is answered."""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.sendall(sent)
        connection.settimeout(pause or 0.0001)
        try:
            connection.recv(1)
        except TimeoutError:
            return


@pytest.mark.parametrize(
    "sent", [TASKS, TASKS * 50, PAGE, PAGE * 50, BODY], ids=["one", "many", "page", "pages", "body"]
)
async def test_a_client_that_leaves_is_no_error(tmp_path: Path, fresh_url: str, sent: bytes) -> None:
    async with asyncio.timeout(90), running(tmp_path, fresh_url) as server:
        for pause in PAUSES * 4:
            await asyncio.gather(*(asyncio.to_thread(leave, server, sent, pause) for _ in range(4)))
        async with server.client() as http:
            assert (await http.get("/livez")).status_code == 200
        assert await server.end() == (0, "")

    assert [line for line in server.log() if line["level"] in ("warning", "error")] == []


async def test_a_probe_is_no_line_of_info(tmp_path: Path, fresh_url: str) -> None:
    async with asyncio.timeout(90), running(tmp_path, fresh_url) as server, server.client() as http:
        for path in ("/livez", "/readyz", "/health", "/api/v1"):
            await http.get(path)
        assert await server.end() == (0, "")

    assert [line["path"] for line in server.log() if line["event"] == "request"] == ["/api/v1"]
