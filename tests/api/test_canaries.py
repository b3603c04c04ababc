"""A server at its most talkative tells no secret: a journey with canaries, and every line that it wrote."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.api.conftest import SECRET
from tests.api.test_real_server import running

EMAIL = "canary.ada@canaries.example"
STRANGER = "canary.eve@canaries.example"
PASSWORD = "canary wings over a quiet harbour"
NEW_PASSWORD = "canary songs under the ninth bridge"
WRONG = "canary guess that is not right"
METRICS = "canary-of-the-metrics-0123456789"
PREVIOUS = "canary-of-the-key-before-0123456789abcdef"
COMMON = "canary123"
BREAK = "ALTER TABLE users ADD COLUMN surprise int NOT NULL DEFAULT 0; ALTER TABLE users ALTER surprise DROP DEFAULT"
"""After this a registration fails in the database, which quotes the whole row."""


@dataclass
class Journey:
    """Sends requests, and remembers what no log may tell."""

    http: httpx.AsyncClient
    canaries: set[str] = field(default_factory=set)

    async def send(self, method: str, path: str, expect: int, token: str = "", **rest: Any) -> httpx.Response:
        headers = rest.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        answer = await self.http.request(method, f"/api/v1{path}", headers=headers, **rest)
        assert answer.status_code == expect, answer.text
        body = answer.json() if answer.content else {}
        self.canaries |= {body[name] for name in ("access_token", "refresh_token") if body.get(name)}
        if cookie := answer.headers.get("set-cookie"):
            self.canaries.add(cookie.partition("=")[2].partition(";")[0])
        self.http.cookies.clear()  # it sends what it is told to, and nothing else
        return answer

    async def login(self, expect: int, password: str, email: str = EMAIL, **more: str) -> Any:
        answer = await self.send("POST", "/auth/login", expect, json={"email": email, "password": password} | more)
        return answer.json()

    async def sign_up_and_in(self) -> None:
        await self.send("POST", "/auth/register", 201, json={"email": EMAIL, "password": PASSWORD})
        await self.send("POST", "/auth/register", 409, json={"email": EMAIL.upper(), "password": PASSWORD})
        await self.send("POST", "/auth/register", 422, json={"email": STRANGER, "password": COMMON})
        await self.send("POST", "/auth/register", 422, json={"email": STRANGER, "password": PASSWORD, "role": WRONG})
        half = f'{{"email": "{EMAIL}", "password": '
        await self.send("POST", "/auth/register", 400, content=half, headers={"Content-Type": "application/json"})
        for _ in range(5):
            await self.login(401, WRONG, STRANGER)
        await self.login(429, WRONG, STRANGER)
        await self.login(401, WRONG)
        form = {"grant_type": "password", "username": EMAIL, "password": WRONG}
        await self.send("POST", "/auth/token", 400, data=form)
        await self.send("POST", "/auth/token", 200, data=form | {"password": PASSWORD})

    async def refresh(self) -> None:
        first = (await self.login(200, PASSWORD, device_name="canary phone"))["refresh_token"]
        latest = {"refresh_token": first}
        for _ in range(3):
            known = {"refresh_token": latest["refresh_token"]}
            latest = (await self.send("POST", "/auth/refresh", 200, json=known)).json()
        await self.send("POST", "/auth/refresh", 401, json={"refresh_token": first})
        await self.send("GET", "/auth/me", 401, latest["access_token"])
        cookie = {"Cookie": f"__Host-refresh={await self.cookie()}"}
        await self.send("POST", "/auth/refresh", 403, headers=cookie | {"Origin": "https://evil.example"})
        await self.send("POST", "/auth/refresh", 200, headers=cookie | {"Sec-Fetch-Site": "same-origin"})

    async def cookie(self) -> str:
        before = set(self.canaries)
        tokens = await self.login(200, PASSWORD, token_transport="cookie")
        [cookie] = self.canaries - before - {tokens["access_token"]}
        return cookie

    async def use_an_access_token(self) -> None:
        access = (await self.login(200, PASSWORD))["access_token"]
        wanted = {"name": "canary program", "scopes": ["profile:read"]}
        made = (await self.send("POST", "/access-tokens", 201, access, json=wanted)).json()
        token = made["token"]
        self.canaries |= {token, token[4:47], token[48:], token[48:].swapcase()}
        await self.send("GET", "/auth/me", 200, token)
        await self.send("GET", "/tasks", 403, token)
        await self.send("GET", "/auth/me", 401, token.swapcase())
        await self.send("GET", "/auth/me", 401, f"dkt_{token[4:47]}_{token[48:].swapcase()}")
        await self.send("GET", f"/auth/me?access_token={token}", 422, token)
        await self.send("GET", f"/access-tokens/{token}", 404, access)
        await self.send("POST", "/auth/reauthenticate", 403, access, json={"password": WRONG})
        await self.send("DELETE", f"/access-tokens/{made['id']}", 204, access)
        await self.send("GET", "/auth/me", 401, token)

    async def change_the_password(self) -> None:
        access = (await self.login(200, PASSWORD))["access_token"]
        change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        await self.send("PUT", "/users/me/password", 403, access, json=change | {"current_password": WRONG})
        await self.send("PUT", "/users/me/password", 422, access, json=change | {"new_password": COMMON})
        await self.send("PUT", "/users/me/password", 204, access, json=change)
        await self.send("GET", "/auth/sessions", 200, access)
        await self.send("GET", f"/audit-logs?actor_id={uuid4()}", 403, access)

    async def show_bad_tokens(self) -> None:
        tokens = await self.login(200, NEW_PASSWORD)
        good, refresh = tokens["access_token"], tokens["refresh_token"]
        for bad in (good[:-1], good + "=", good.upper(), refresh, SECRET, "canary-token"):
            self.canaries.add(bad)
            await self.send("GET", "/auth/me", 401, bad)
            await self.send("POST", "/auth/refresh", 401, json={"refresh_token": bad + "."})
        await self.send("GET", f"/auth/me?access_token={good}", 422, good)
        await self.send("POST", "/auth/logout", 204, good)

    async def meet_errors(self, url: str) -> None:
        database = await asyncpg.connect(url)
        await database.execute(BREAK)
        await self.send("POST", "/auth/register", 500, json={"email": STRANGER, "password": PASSWORD})
        await database.execute("DROP TABLE audit_logs")
        await database.close()
        await self.login(500, NEW_PASSWORD)
        await self.login(500, WRONG)


@pytest.fixture(params=["json", "console"])
async def told(request: pytest.FixtureRequest, tmp_path: Path, fresh_url: str) -> tuple[str, set[str]]:
    """All that a server said in a journey, and the canaries of the journey."""
    settings = {"LOG_LEVEL": "debug", "LOG_FORMAT": request.param, "SECRET_KEY_PREVIOUS": PREVIOUS}
    settings["METRICS_TOKEN"] = METRICS
    async with running(tmp_path, fresh_url, **settings) as server, server.client() as http:
        journey = Journey(http, {EMAIL, STRANGER, PASSWORD, NEW_PASSWORD, WRONG, COMMON, SECRET, PREVIOUS, METRICS})
        assert (await http.get("/metrics", headers={"Authorization": f"Bearer {METRICS}"})).status_code == 200
        assert (await http.get("/metrics", headers={"Authorization": f"Basic {METRICS}"})).status_code == 401
        await journey.sign_up_and_in()
        await journey.refresh()
        await journey.use_an_access_token()
        await journey.change_the_password()
        await journey.show_bad_tokens()
        await journey.meet_errors(fresh_url)
        status, said = await server.end()
    assert status == 0
    return server.output.read_text(encoding="utf-8") + said, journey.canaries


@pytest.mark.proves(
    "ASVS 5.0 16.2.5", "No line of the most talkative server has a token, a password, a key or an e-mail"
)
async def test_no_line_of_a_whole_journey_tells_a_secret(told: tuple[str, set[str]]) -> None:
    text, canaries = told

    assert all(operation in text for operation in ("registerUser", "login", "refreshTokens", "changeMyPassword"))
    assert all(error in text for error in ("NotNullViolationError", "UndefinedTableError"))
    assert len(canaries) > 20
    assert [canary for canary in canaries if canary.lower() in text.lower()] == []
