"""The cookie of a refresh token in a real browser, without TLS as in development, on pages of ours and of others."""

from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page
from typing_extensions import override

from tests.system.conftest import serving

PASSWORD = "nine lives of a lighthouse"
FETCH = """async ([path, body]) => {
  const answer = await fetch("/api/v1/auth/" + path, {
    method: "POST", headers: body ? {"Content-Type": "application/json"} : {}, body: body && JSON.stringify(body)});
  const text = await answer.text();
  return [answer.status, text && JSON.parse(text)];
}"""


@pytest.fixture
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context()
    yield context
    await context.close()


async def signed_in(context: BrowserContext, server_url: str, host: str) -> Page:
    """A page of this server, by this name of its host, whose reader has just signed in, by cookie."""
    email = f"reader@{host}.example"
    async with httpx.AsyncClient(base_url=server_url, timeout=60) as client:
        await client.post("/api/v1/auth/register", json={"email": email, "password": PASSWORD})
    page = await context.new_page()
    await page.goto(f"{server_url.replace('127.0.0.1', host)}/docs")
    wanted = {"email": email, "password": PASSWORD, "token_transport": "cookie"}
    status, body = await page.evaluate(FETCH, ["login", wanted])
    assert (status, body["refresh_token"]) == (200, None)
    return page


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_it_is_kept_out_of_reach_and_sent_to_refresh_until_logout(
    context: BrowserContext, server_url: str, host: str
) -> None:
    page = await signed_in(context, server_url, host)

    [cookie] = await context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["secure"]) == ("__Host-refresh", True, True)
    assert await page.evaluate("document.cookie") == ""
    status, refreshed = await page.evaluate(FETCH, ["refresh", None])
    assert (status, refreshed["refresh_token"]) == (200, None)
    assert (await context.cookies())[0]["value"] != cookie["value"]
    assert (await page.evaluate(FETCH, ["logout", None]))[0] == 204
    assert await context.cookies() == []
    assert (await page.evaluate(FETCH, ["refresh", None]))[0] == 401


async def test_another_host_without_tls_does_not_keep_it(context: BrowserContext, server_url: str) -> None:
    await signed_in(context, server_url, "docket.test")

    assert await context.cookies() == []


ELSEWHERE = """async ([url, body]) => {
  const answer = await fetch(url, {method: "POST", credentials: "include",
    headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
  return [answer.status, await answer.json()];
}"""


class Blank(BaseHTTPRequestHandler):
    """A page of a front end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def front_end() -> Iterator[int]:
    """The port of a front end's own server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Blank)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("host", "statuses"), [("127.0.0.1", [200, 200]), ("localhost", [200, 401])])
async def test_a_page_of_another_origin_has_it_on_the_same_site_alone(
    context: BrowserContext, front_end: int, host: str, statuses: list[int]
) -> None:
    """And on another site tokens in the body work, which the page keeps in its memory."""
    origin = f"http://{host}:{front_end}"
    with serving({"BACKEND_CORS_ORIGINS": origin}) as url:
        email = "reader@example.com"
        account = {"email": email, "password": PASSWORD}
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            await client.post("/api/v1/auth/register", json=account)
        page = await context.new_page()
        await page.goto(origin)
        auth = f"{url}/api/v1/auth"

        login = await page.evaluate(ELSEWHERE, [f"{auth}/login", account | {"token_transport": "cookie"}])
        refresh = await page.evaluate(ELSEWHERE, [f"{auth}/refresh", {}])
        assert [login[0], refresh[0]] == statuses

        _, tokens = await page.evaluate(ELSEWHERE, [f"{auth}/login", account])
        sent = {"refresh_token": tokens["refresh_token"]}
        assert (await page.evaluate(ELSEWHERE, [f"{auth}/refresh", sent]))[0] == 200
