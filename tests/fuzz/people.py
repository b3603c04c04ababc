"""Who takes part in the fuzzing: who calls, a superuser, a stranger, and those whose passwords are tried."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
from typing_extensions import override

API = "/api/v1"
PASSWORD = "nine lives of a lighthouse"
KNOWN = ["ada@example.com", *(f"ada.{number}@example.com" for number in range(1, 6))]  # as in schemathesis.toml
METRICS_TOKEN = "what monitoring sends"
KNOWN_PASSWORD = "correct horse battery staple"


class Account:
    """A user of the server, who is registered anew whenever the sign-in fails.

    `token` is that of a session that goes on, as far as is known; `ids` are what belongs to the user, by the names
    that parameters and members have.
    """

    def __init__(self, email: str | None = None, password: str = PASSWORD) -> None:
        self.email, self.password = email or new_email(), password
        self.token: str | None = None
        self.refresh_token = ""
        self.ids: dict[str, str] = {}

    def settle_in(self, url: str) -> None:
        """Begin a session, unless one goes on."""
        if self.token is None:
            with httpx.Client(timeout=30, base_url=url) as http:
                self.sign_in(http)

    def sign_in(self, http: httpx.Client) -> None:
        """Begin a session, which `http` uses from now on."""
        answer = self.ask_in(http)
        if answer.is_error:
            self.email, self.password = new_email(), PASSWORD
            register(http, self.email, self.password)
            answer = self.ask_in(http).raise_for_status()
        tokens = answer.json()
        self.token, self.refresh_token = tokens["access_token"], tokens["refresh_token"]
        http.headers["Authorization"] = f"Bearer {self.token}"
        user = http.get(f"{API}/auth/me").raise_for_status().json()["id"]
        self.ids |= {"session_id": tokens["session_id"], "organization_id": make_team(http)}
        self.ids |= dict.fromkeys(("user_id", "actor_id", "target_id"), user)

    def ask_in(self, http: httpx.Client) -> httpx.Response:
        return http.post(f"{API}/auth/login", json={"email": self.email, "password": self.password})

    def go_on(self, tokens: dict[str, Any], cookies: Sequence[str]) -> None:
        """Keep the next refresh token, if it is of this session."""
        if tokens["session_id"] == self.ids.get("session_id"):
            by_cookie = "".join(cookies).partition("=")[2].partition(";")[0]
            self.refresh_token = tokens["refresh_token"] or by_cookie

    def another_task(self, url: str) -> str:
        """The id of a task that was made just now."""
        with httpx.Client(timeout=30, base_url=url, headers={"Authorization": f"Bearer {self.token}"}) as http:
            return make_task(http)

    def another_team(self, url: str) -> str:
        """The id of a team that was made just now."""
        with httpx.Client(timeout=30, base_url=url, headers={"Authorization": f"Bearer {self.token}"}) as http:
            return make_team(http)

    def another_member(self, url: str) -> tuple[str, str]:
        """The ids of a team that was made just now, and of somebody who was added to it."""
        with httpx.Client(timeout=30, base_url=url, headers={"Authorization": f"Bearer {self.token}"}) as http:
            team = make_team(http)
            user, by = SUPERUSER.ids["user_id"], {"Authorization": f"Bearer {SUPERUSER.token}"}
            http.put(f"{API}/organizations/{team}/members/{user}", json={}, headers=by).raise_for_status()
            return team, user

    def leave(self) -> None:
        """The session is over: the next request begins another."""
        self.token = None


class Loner(Account):
    """A user who owns no team, and so may go."""

    @override
    def sign_in(self, http: httpx.Client) -> None:
        super().sign_in(http)
        http.delete(f"{API}/organizations/{self.ids['organization_id']}").raise_for_status()


class Stranger(Account):
    """Another user, whose ids the caller tries in vain."""

    def __init__(self) -> None:
        super().__init__()
        self.http = httpx.Client(timeout=30)
        self.tasks = b""
        self.newest = ""

    def settle(self, url: str) -> None:
        """Come into being, with a task."""
        self.http.base_url = url
        self.sign_in(self.http)
        self.ids["task_id"] = make_task(self.http)
        self.tasks = self.read()

    def come_first(self) -> None:
        """Have the newest task of all: a list that shows what it should not begins with it."""
        if self.step_back() == httpx.codes.UNAUTHORIZED and self.came_back():
            self.step_back()
        self.newest = make_task(self.http)

    def step_back(self) -> int:
        return self.http.delete(f"{API}/tasks/{self.newest}").status_code

    def came_back(self) -> bool:
        """Whether the session goes on, after however long."""
        answer = self.http.post(f"{API}/auth/refresh", json={"refresh_token": self.refresh_token})
        if answer.is_success:
            self.refresh_token = answer.json()["refresh_token"]
            self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer.is_success

    def read(self) -> bytes:
        """The stranger's tasks and organizations, but for the newest task."""
        self.step_back()
        paths = (f"{API}/tasks", f"{API}/organizations", f"{API}/organizations/{self.ids['organization_id']}/members")
        return b"".join(self.http.get(path).raise_for_status().content for path in paths)


def register(http: httpx.Client, email: str, password: str) -> None:
    """The account exists afterwards, whoever made it."""
    http.post(f"{API}/auth/register", json={"email": email, "password": password})


def make_task(http: httpx.Client) -> str:
    return str(http.post(f"{API}/tasks", json={"title": "Whose is this?"}).raise_for_status().json()["id"])


def make_team(http: httpx.Client) -> str:
    body = {"name": "!", "slug": uuid4().hex}  # the first in lists, and the stranger's is the first of those
    return str(http.post(f"{API}/organizations", json=body).raise_for_status().json()["id"])


def new_email() -> str:
    return f"{uuid4().hex}@fuzz.example"


CALLER, STRANGER = Account(), Stranger()
LEAVER = Loner()  # whose account is deleted again and again
SUPERUSER = Account("root@fuzz.example", "the lighthouse keeper's cat")  # as __main__ tells the server
