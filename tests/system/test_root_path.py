"""The API below a path of Debian's nginx, which takes the path off or passes it on."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.api.test_real_server import running
from tests.ports import free_port
from tests.system.conftest import ROOT
from tests.system.services import process, program
from tests.system.test_pages import PASSWORD, Window, execute, sign_in

CONF = """daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port};
    {block}
  }}
}}
"""


def block() -> str:
    """What docs/deployment.md says of it."""
    told = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    found = re.search(r"```nginx\n(location /docket/ .*?)```", told, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(params=["", "/"], ids=["passed on", "taken off"])
async def below(request: pytest.FixtureRequest, fresh_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a proxy, whose path /docket is the API."""
    port = free_port()
    async with running(tmp_path, fresh_url, ROOT_PATH="/docket", TRUSTED_PROXIES="127.0.0.1") as server:
        told = block().replace("http://127.0.0.1:8000;", f"http://127.0.0.1:{server.port}{request.param};")
        file = tmp_path / "nginx.conf"
        file.write_text(CONF.format(folder=tmp_path, port=port, block=told), encoding="utf-8")
        command = [program("nginx"), "-p", str(tmp_path), "-c", str(file)]
        with process(command, tmp_path / "log", listens=("127.0.0.1", port)):
            yield f"http://docket.test:{port}"


async def test_everything_refers_to_what_is_below_the_path(below: str, chromium: Browser) -> None:
    account = {"email": "ada@example.com", "password": PASSWORD}
    local = below.replace("docket.test", "127.0.0.1")
    async with httpx.AsyncClient(base_url=local, timeout=60) as client:
        registered = await client.post("/docket/api/v1/auth/register", json=account)
        token = (await client.post("/docket/api/v1/auth/login", json=account)).json()["access_token"]
        signed = {"Authorization": f"Bearer {token}"}
        made = [
            await client.post("/docket/api/v1/tasks", json={"title": title}, headers=signed) for title in ("One", "Two")
        ]
        listed = await client.get("/docket/api/v1/tasks?limit=1", headers=signed)
        link = listed.headers["link"].partition(">")[0].removeprefix("<")
        following = await client.get(link, headers=signed)
        refused = await client.get("/docket/api/v1/tasks")
        page = await client.get(refused.json()["type"], headers={"Accept": "text/html"})
        contract = (await client.get("/docket/openapi.json")).json()
        too_long = await client.get("/docket/" + "x" * 6_000 + "?" + "y" * 2_300)

        assert registered.headers["location"].startswith("/docket/api/v1/users/")
        assert (await client.get(made[0].headers["location"], headers=signed)).json() == made[0].json()
        assert [*listed.json()["items"], *following.json()["items"]] == [made[1].json(), made[0].json()]
        assert "<h2>What to do</h2>" in page.text
        assert contract["servers"][0]["url"] == "/docket/"
        assert too_long.status_code == 414
        assert "/docket/problems/uri_too_long" in too_long.text or "nginx" in too_long.text

    window = Window(await (await chromium.new_context()).new_page(), below)
    await window.watch()
    for path in ("/docket/", "/docket/redoc", "/docket/problems", "/docket/docs"):
        await window.open(path)
    await sign_in(window.page, account["email"])
    await expect(window.page.get_by_text("Signed in as")).to_be_visible()
    assert (await execute(window.page, "createTask", body={"title": "Three"}))["status"] == "201"
    assert window.faults == []
