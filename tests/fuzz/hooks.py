"""What schemathesis cannot read in the contract: who calls, and what belongs to somebody else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import schemathesis
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis import AuthContext, BaseSchema, Case, CheckContext, DeserializationContext, HookContext, Response

API = "/api/v1"
PASSWORD = "nine lives of a lighthouse"
KNOWN = {"email": "ada@example.com", "password": "correct horse battery staple"}  # who signs in, in schemathesis.toml


class Account:
    """A user of the server, who is registered anew whenever the sign-in fails."""

    email = "nobody@fuzz.example"

    def sign_in(self, http: httpx.Client) -> dict[str, Any]:
        """Begin a session; `http` uses it from now on. What comes back are its tokens."""
        answer = self.ask_in(http)
        if answer.is_error:
            self.email = f"{uuid4().hex}@fuzz.example"
            register(http, {"email": self.email, "password": PASSWORD})
            answer = self.ask_in(http).raise_for_status()
        tokens: dict[str, Any] = answer.json()
        http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        return tokens

    def ask_in(self, http: httpx.Client) -> httpx.Response:
        return http.post(f"{API}/auth/login", json={"email": self.email, "password": PASSWORD})


@dataclass
class Stranger:
    """Another user, whose ids the caller tries in vain. They go by the names of parameters and members."""

    http: httpx.Client = field(default_factory=httpx.Client)
    account: Account = field(default_factory=Account)
    ids: dict[str, str] = field(default_factory=dict)
    tasks: bytes = b""

    def settle(self, url: str) -> None:
        """Come into being, with a session and tasks."""
        self.http.base_url = url
        session = self.account.sign_in(self.http)["session_id"]
        user = self.http.get(f"{API}/auth/me").raise_for_status().json()["id"]
        task = self.http.post(f"{API}/tasks", json={"title": "Not yours"}).raise_for_status().json()["id"]
        self.ids = {"task_id": task, "organization_id": user, "user_id": user, "session_id": session}
        self.tasks = self.read_tasks()

    def read_tasks(self) -> bytes:
        return self.http.get(f"{API}/tasks").raise_for_status().content


CALLER, STRANGER = Account(), Stranger()


def register(http: httpx.Client, account: Mapping[str, str]) -> None:
    http.post(f"{API}/auth/register", json=account).raise_for_status()


@schemathesis.hook
def after_load_schema(_context: HookContext, schema: BaseSchema) -> None:
    STRANGER.settle(schema.get_base_url())
    register(STRANGER.http, KNOWN)


@schemathesis.auth()
class SignedIn:
    """Has the caller's access token sent."""

    def get(self, _case: Case, context: AuthContext) -> str:
        with httpx.Client(base_url=context.operation.schema.get_base_url()) as http:
            return str(CALLER.sign_in(http)["access_token"])

    def set(self, case: Case, data: str, _context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook("flatmap_path_parameters")
@schemathesis.hook("flatmap_query")
@schemathesis.hook("flatmap_body")
def with_ids_of_the_stranger(_context: HookContext, given: Any) -> SearchStrategy[Any]:
    """Now and then the same with ids that the caller has no right to."""
    if not isinstance(given, dict):
        return st.just(given)
    his = {name: STRANGER.ids[name] for name in given if name in STRANGER.ids}
    return st.sampled_from([given] * 4 + [{**given, **his}]) if his else st.just(given)


@schemathesis.check
class WhatBelongsToAStranger:
    """No answer to the caller names an id of the stranger, and nothing of his has changed at the end."""

    def after_response(self, _ctx: CheckContext, response: Response, _case: Case) -> None:
        answer = f"{response.headers} {response.text}"
        named = {name for name, value in STRANGER.ids.items() if value in answer}
        if named:
            raise AssertionError(f"The answer names somebody else's {', '.join(sorted(named))}")

    def after_run(self, _ctx: CheckContext) -> None:
        STRANGER.account.sign_in(STRANGER.http)
        if STRANGER.read_tasks() != STRANGER.tasks:
            raise AssertionError("Somebody else's tasks have changed")


@schemathesis.deserializer("text/html")
def html(_context: DeserializationContext, response: Response) -> str:
    return response.text
