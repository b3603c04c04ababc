"""What pages of other origins can read in a real browser: from a front end of ours everything, else nothing."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.outages import serve

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<!doctype html><title>A page</title>"
PASSWORD = "nine lives of a lighthouse"
FETCH = """async ([url, options]) => {
  try {
    const answer = await fetch(url, {credentials: "include", ...options});
    const text = await answer.text();
    return {status: answer.status, headers: Object.fromEntries(answer.headers), body: text ? JSON.parse(text) : null};
  } catch (error) { return String(error); }
}"""


@dataclass(frozen=True, slots=True)
class Web:
    """The API, the origin of its front end, and one that is none."""

    api: str
    ours: str
    foreign: str


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
async def web(folder: Path) -> AsyncIterator[Web]:
    limits = {"RATE_LIMITS_ENABLED": "true", "RATE_LIMIT_DEFAULT": "1"}
    async with await asyncio.start_server(show, "127.0.0.1", 0) as pages:
        port = pages.sockets[0].getsockname()[1]
        ours, foreign = f"http://docket.test:{port}", f"http://localhost:{port}"
        async with serve(folder, BACKEND_CORS_ORIGINS=ours, **limits) as server:
            yield Web(server.url, ours, foreign)


async def show(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with an empty page. It comes from this machine, as the API: others may not ask this machine at all."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(PAGE)
    await writer.drain()
    writer.close()


async def page_at(chromium: Browser, origin: str) -> Page:
    """An empty page of this origin."""
    page = await (await chromium.new_context()).new_page()
    await page.goto(f"{origin}/")
    return page


async def fetch(page: Page, url: str, method: str = "GET", body: Any = None, **headers: str) -> Any:
    """What the page reads; the text of an error where the browser keeps it from reading."""
    options: dict[str, Any] = {"method": method, "headers": {name.replace("_", "-"): v for name, v in headers.items()}}
    if body is not None:
        options["body"] = json.dumps(body)
        options["headers"].setdefault("Content-Type", "application/json")
    return await page.evaluate(FETCH, [url, options])


async def test_a_page_of_ours_reads_bodies_headers_and_errors(chromium: Browser, web: Web) -> None:
    page, api = await page_at(chromium, web.ours), f"{web.api}/api/v1"
    account = {"email": "ada@example.com", "password": PASSWORD}

    registered = await fetch(page, f"{api}/auth/register", "POST", account)
    token = (await fetch(page, f"{api}/auth/login", "POST", account))["body"]["access_token"]
    signed = {"Authorization": f"Bearer {token}"}
    made = await fetch(page, f"{api}/tasks", "POST", {"title": "Read me"}, **signed)
    path = f"{web.api}{made['headers']['location']}"
    patch = {"Content-Type": "application/merge-patch+json", "If-Match": '"9"'}
    stale = await fetch(page, path, "PATCH", {"title": "Changed"}, **signed, **patch)
    deleted = await fetch(page, path, "DELETE", **signed)
    async with asyncio.timeout(30):
        while (refused := await fetch(page, f"{web.api}/"))["status"] == 200:  # the first, or after a window's end
            pass

    assert (registered["status"], made["status"], made["body"]["title"]) == (201, 201, "Read me")
    assert {"location", "etag", "ratelimit", "ratelimit-policy", "x-request-id", "api-version"} <= set(made["headers"])
    assert (stale["status"], stale["body"]["code"], stale["headers"]["etag"]) == (412, "precondition_failed", '"1.1"')
    assert deleted["status"] == 204
    assert (refused["status"], refused["body"]["code"]) == (429, "rate_limit_exceeded")
    assert int(refused["headers"]["retry-after"]) >= 1


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", {"email": "eve@example.com"}), ("DELETE", None)])
async def test_a_foreign_page_reads_nothing(chromium: Browser, web: Web, method: str, body: Any) -> None:
    page = await page_at(chromium, web.foreign)

    for path in ("/", "/api/v1/auth/login", "/api/v1/tasks", "/absent", "/openapi.json"):
        assert await fetch(page, web.api + path, method, body) == "TypeError: Failed to fetch"
