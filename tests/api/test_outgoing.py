"""What a server begins by itself: it calls what its settings name, and writes where docs/logs.md says, and no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from tests.api.test_real_server import PASSWORD, running

ACCOUNT = {"email": "ada@example.com", "password": PASSWORD, "full_name": "Ada"}
WRITES = ("w", "a", "r+", "w+", "a+")


@dataclass
class Trap:
    """A server that must not be called, and the calls that it got."""

    port: int
    callers: list[str] = field(default_factory=list)

    @property
    def urls(self) -> list[str]:
        where = f"127.0.0.1:{self.port}"
        return [f"http://{where}/a", f"https://{where}/b", f"//{where}/c", f"ftp://{where}/d", f"gopher://{where}/e"]


@asynccontextmanager
async def trap() -> AsyncIterator[Trap]:
    caught: Trap

    def note(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caught.callers.append(str(writer.get_extra_info("peername")))
        writer.close()

    listener = await asyncio.start_server(note, "127.0.0.1", 0)
    async with listener:
        caught = Trap(listener.sockets[0].getsockname()[1])
        yield caught


async def name_it_everywhere(http: httpx.AsyncClient, url: str) -> None:
    """Sends a journey in which each text is this address."""
    told = {
        "Referer": url,
        "X-Forwarded-For": url,
        "X-Forwarded-Host": url,
        "Forwarded": f"host={url}",
        "User-Agent": url,
    }
    told |= {"From": url, "Origin": url, "Link": f"<{url}>", "X-Original-URL": url, "Profile": url, "traceparent": url}
    await http.post("/api/v1/auth/login", headers=told, json=ACCOUNT | {"device_name": url})
    tokens = (await http.post("/api/v1/auth/login", json={"email": ACCOUNT["email"], "password": PASSWORD})).json()
    http.headers["authorization"] = f"Bearer {tokens['access_token']}"
    for body in ({"title": url, "description": url}, {"title": "A", "$ref": url}, {"title": "A", "$schema": url}):
        await http.post("/api/v1/tasks", headers=told, json=body)
    for query in ({"q": url}, {"cursor": url}, {"url": url}, {"organization_id": url}):
        await http.get("/api/v1/tasks/search", headers=told, params=query)
    await http.patch("/api/v1/users/me", headers=told, json={"full_name": url})
    await http.get(f"/problems/{url}", headers=told)
    await http.get("/openapi.yaml", headers=told)
    for target in (b"GET " + url.encode(), b"CONNECT " + url.encode().partition(b"//")[2], b"POST " + url.encode()):
        reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
        writer.write(target + b" HTTP/1.1\r\nHost: docket\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(30):
            assert await reader.read()
        writer.close()


@pytest.mark.proves("ASVS 5.0 13.2.4", "An address that a caller names, wherever it stands, is never called")
async def test_no_address_of_a_caller_is_called(tmp_path: Path, fresh_url: str) -> None:
    async with trap() as caught, running(tmp_path, fresh_url) as server, server.client() as http:
        assert (await http.post("/api/v1/auth/register", json=ACCOUNT)).status_code == 201
        for url in caught.urls:
            await name_it_everywhere(http, url)
        assert await server.end() == (0, "")
        assert caught.callers == []
        reader, writer = await asyncio.open_connection("127.0.0.1", caught.port)
        assert await reader.read() == b""
        writer.close()
        assert len(caught.callers) == 1  # ours: it would have heard the others


def open_files(process: psutil.Process) -> set[str]:
    """The files that a process and those that it began have open for writing."""
    return {
        file.path
        for each in (process, *process.children(recursive=True))
        for file in each.open_files()
        if file.mode in WRITES
    }


def full_files(folder: Path) -> list[str]:
    """The files below a folder that have something in them."""
    return [path.name for path in folder.rglob("*") if path.is_file() and path.stat().st_size]


@pytest.mark.proves("ASVS 5.0 16.2.3", "A server that works writes its log to the standard output, and to no file")
async def test_the_standard_output_is_the_only_log(tmp_path: Path, fresh_url: str) -> None:
    data = tmp_path / "data"
    async with (
        running(tmp_path, fresh_url, 2, DATA_DIR=str(data), LOG_LEVEL="debug") as server,
        server.client() as http,
    ):
        assert (await http.post("/api/v1/auth/register", json=ACCOUNT)).status_code == 201
        assert (await http.post("/api/v1/auth/login", json=ACCOUNT | {"password": "wrong"})).status_code == 422
        assert (await http.get("/api/v1/tasks")).status_code == 401
        found = open_files(psutil.Process(server.process.pid))
        assert await server.end() == (0, "")

    numbers = {each for each in found if each.endswith(".db")}  # of /metrics, which workers keep together
    assert {Path(each).name for each in found - numbers} <= {server.output.name}
    assert full_files(tmp_path) == [server.output.name]
    assert {"registerUser", "login", "listTasks"} <= {line.get("operation") for line in server.log()}
