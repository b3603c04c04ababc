"""Who takes part in the fuzzing: who calls, a superuser, a stranger, and those whose passwords and codes are tried."""

import os
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
import pyotp
from aiosmtpd.controller import Controller
from typing_extensions import override

from tests.mail import Mailbox

API = "/api/v1"
PASSWORD = "nine lives of a lighthouse"
KNOWN = ["ada@example.com", *(f"ada.{number}@example.com" for number in range(1, 6))]  # as in schemathesis.toml
METRICS_TOKEN = "what monitoring sends"
KNOWN_PASSWORD = "correct horse battery staple"
RECENT = 300  # seconds for which a sign-in is surely one of the last 10 minutes


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
        self.since = 0.0

    def settle_in(self, url: str) -> None:
        """Begin a session, unless one goes on that began recently."""
        if self.token is None or time.monotonic() - self.since > RECENT:
            with httpx.Client(timeout=30, base_url=url) as http:
                self.sign_in(http)

    def sign_in(self, http: httpx.Client) -> None:
        """Begin a session, which `http` uses from now on."""
        answer = self.ask_in(http)
        if answer.is_error:
            self.email, self.password = new_email(), PASSWORD
            register(http, self.email, self.password)
            answer = self.ask_in(http).raise_for_status()
        tokens, self.since = answer.json(), time.monotonic()
        self.token, self.refresh_token = tokens["access_token"], tokens["refresh_token"]
        http.headers["Authorization"] = f"Bearer {self.token}"
        user = http.get(f"{API}/auth/me").raise_for_status().json()["id"]
        self.ids |= {"session_id": tokens["session_id"], "organization_id": make_team(http)}
        self.ids |= {"access_token_id": an_access_token(http)[0]}
        self.ids |= dict.fromkeys(("user_id", "actor_id", "target_id"), user)

    def ask_in(self, http: httpx.Client) -> httpx.Response:
        return http.post(f"{API}/auth/login", json={"email": self.email, "password": self.password})

    def go_on(self, tokens: dict[str, Any], cookies: Sequence[str]) -> None:
        """Keep the next refresh token, if it is of this session."""
        if tokens["session_id"] == self.ids.get("session_id"):
            by_cookie = "".join(cookies).partition("=")[2].partition(";")[0]
            self.refresh_token = tokens["refresh_token"] or by_cookie

    def client(self, url: str) -> httpx.Client:
        """What calls for the account, whose session goes on."""
        self.settle_in(url)
        return httpx.Client(timeout=30, base_url=url, headers={"Authorization": f"Bearer {self.token}"})

    def another_task(self, url: str) -> str:
        """The id of a task that was made just now."""
        with self.client(url) as http:
            return make_task(http)

    def another_team(self, url: str) -> str:
        """The id of a team that was made just now."""
        with self.client(url) as http:
            return make_team(http)

    def another_member(self, url: str) -> tuple[str, str]:
        """The ids of a team that was made just now, and of somebody who was put into it."""
        team, user = self.another_team(url), SUPERUSER.ids["user_id"]
        with SUPERUSER.client(url) as http:
            http.put(f"{API}/organizations/{team}/members/{user}", json={}).raise_for_status()
        return team, user

    def another_access_token(self, url: str) -> str:
        """The id of an access token that is not over."""
        with self.client(url) as http:
            return an_access_token(http)[0]

    def another_invitation(self, url: str, **to: str) -> tuple[str, dict[str, Any]]:
        """The id of a team that was made just now, and an invitation to it."""
        with self.client(url) as http:
            team = make_team(http)
            return team, http.post(f"{API}/organizations/{team}/invitations", json=to).raise_for_status().json()

    def another_link(self, url: str, user_id: str) -> str:
        """The token of a link that sets the password of a user."""
        with self.client(url) as http:
            return str(http.post(f"{API}/users/{user_id}/password-reset").raise_for_status().json()["token"])

    def leave(self) -> None:
        """The session is over: the next request begins another."""
        self.token = None


class Program(Account):
    """What a user has made an access token for that may do all that the user may."""

    def __init__(self, owner: Account, scopes: Sequence[str]) -> None:
        super().__init__()
        self.owner, self.scopes, self.made_for = owner, scopes, ""

    @override
    def settle_in(self, url: str) -> None:
        """Have a token of the account that the owner has now, who may have begun another."""
        self.owner.settle_in(url)
        self.ids = self.owner.ids
        if self.token is None or self.made_for != self.ids["user_id"]:
            with self.owner.client(url) as http:
                self.token, self.made_for = an_access_token(http, self.scopes)[1], self.ids["user_id"]


class Guarded(Account):
    """A user whose second factor comes and goes."""

    def unguard(self, url: str) -> None:
        """There is no second factor."""
        with self.client(url) as http:
            if http.delete(f"{API}/users/me/totp").status_code == httpx.codes.UNAUTHORIZED:
                self.leave()

    def begin(self, url: str) -> str:
        """A second factor waits to be confirmed by this code."""
        self.unguard(url)
        with self.client(url) as http:
            return pyotp.TOTP(http.post(f"{API}/users/me/totp").raise_for_status().json()["secret"]).now()

    def guard(self, url: str) -> str:
        """There is a second factor, and a code to recover by."""
        code = self.begin(url)
        with self.client(url) as http:
            confirmed = http.post(f"{API}/users/me/totp/confirm", json={"code": code}).raise_for_status()
        return str(confirmed.json()["recovery_codes"][0])

    def challenge(self, url: str) -> dict[str, str]:
        """A challenge and a code that meets it."""
        code = self.guard(url)
        with httpx.Client(timeout=30, base_url=url) as http:
            return {"challenge": self.ask_in(http).json()["challenge"], "code": code}


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
        self.ids["invitation_id"] = self.another_invitation(url, email=new_email())[1]["id"]
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
    """The account exists afterwards: a server that has mail makes none before the address is known."""
    with SUPERUSER.client(str(http.base_url)) as by:
        by.post(f"{API}/users", json={"email": email, "password": password})


def mailed_link(url: str) -> dict[str, str]:
    """The token of a link that was mailed to somebody who registers, where the server has mail."""
    if MAILBOX is None:
        return {}
    email, deadline = new_email(), time.monotonic() + 30
    httpx.post(f"{url}{API}/auth/register", json={"email": email, "password": PASSWORD}).raise_for_status()
    while email not in MAILBOX.recipients and time.monotonic() < deadline:
        time.sleep(0.05)
    return {"token": MAILBOX.token_to(email)}


def open_mailbox() -> Mailbox | None:
    """What takes the mails of the server, if it has mail, at the port that __main__ tells."""
    if "FUZZ_MAIL_PORT" not in os.environ:
        return None
    mailbox = Mailbox(int(os.environ["FUZZ_MAIL_PORT"]))
    Controller(mailbox, hostname="127.0.0.1", port=mailbox.port).start()
    return mailbox


def make_task(http: httpx.Client) -> str:
    return str(http.post(f"{API}/tasks", json={"title": "Whose is this?"}).raise_for_status().json()["id"])


def make_team(http: httpx.Client) -> str:
    body = {"name": "!", "slug": uuid4().hex}  # the first in lists, and the stranger's is the first of those
    return str(http.post(f"{API}/organizations", json=body).raise_for_status().json()["id"])


def an_access_token(http: httpx.Client, scopes: Sequence[str] = ("tasks:read",)) -> tuple[str, str]:
    """The id and the token of a new one, in place of another when there are as many as an account may have."""
    wanted = {"name": "A program", "scopes": scopes}
    made = http.post(f"{API}/access-tokens", json=wanted)
    if made.status_code == httpx.codes.FORBIDDEN:
        oldest = http.get(f"{API}/access-tokens").raise_for_status().json()["items"][-1]["id"]
        http.delete(f"{API}/access-tokens/{oldest}").raise_for_status()
        made = http.post(f"{API}/access-tokens", json=wanted)
    told = made.raise_for_status().json()
    return str(told["id"]), str(told["token"])


def new_email() -> str:
    return f"{uuid4().hex}@fuzz.example"


CALLER, STRANGER = Account(), Stranger()
LEAVER = Loner()  # whose account is deleted again and again
GUARDED = Guarded()
SUPERUSER = Account("root@fuzz.example", "the lighthouse keeper's cat")  # as __main__ tells the server
MAILBOX = open_mailbox()
