"""What schemathesis cannot read in the contract: who calls, what belongs to somebody else, what only works once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import schemathesis
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis import AuthContext, BaseSchema, Case, CheckContext, DeserializationContext, HookContext, Response
from schemathesis.generation.meta import TestPhase

API = "/api/v1"
PASSWORD = "nine lives of a lighthouse"
KNOWN = {"email": "ada@example.com", "password": "correct horse battery staple"}  # as in schemathesis.toml
ENTITY_TAGS = r'(?:W/)?"[!#-~]*"(?:[ \t]*,[ \t]*(?:W/)?"[!#-~]*")*'


class Account:
    """A user of the server, who is registered anew whenever the sign-in fails."""

    email = "nobody@fuzz.example"

    def sign_in(self, http: httpx.Client) -> dict[str, Any]:
        """Begin a session, which `http` uses from now on. What comes back are its tokens."""
        answer = self.ask_in(http)
        if answer.is_error:
            self.email = new_email()
            register(http, {"email": self.email, "password": PASSWORD})
            answer = self.ask_in(http).raise_for_status()
        tokens: dict[str, Any] = answer.json()
        http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        return tokens

    def ask_in(self, http: httpx.Client) -> httpx.Response:
        return http.post(f"{API}/auth/login", json={"email": self.email, "password": PASSWORD})


@dataclass
class Stranger:
    """Another user. `ids` are what the caller tries in vain, by the names of parameters and members."""

    http: httpx.Client = field(default_factory=httpx.Client)
    account: Account = field(default_factory=Account)
    ids: dict[str, str] = field(default_factory=dict)
    tasks: bytes = b""

    def settle(self, url: str) -> None:
        """Come into being, with a session and a task."""
        self.http.base_url = url
        session = self.account.sign_in(self.http)["session_id"]
        user = self.http.get(f"{API}/auth/me").raise_for_status().json()["id"]
        task = self.http.post(f"{API}/tasks", json={"title": "Not yours"}).raise_for_status().json()["id"]
        self.ids = {"task_id": task, "organization_id": user, "user_id": user, "session_id": session}
        self.tasks = self.read_tasks()

    def read_tasks(self) -> bytes:
        return self.http.get(f"{API}/tasks").raise_for_status().content


CALLER, STRANGER = Account(), Stranger()
TAKEN: set[str] = set()


def register(http: httpx.Client, account: Mapping[str, str]) -> None:
    http.post(f"{API}/auth/register", json=account).raise_for_status()


def new_email() -> str:
    return f"{uuid4().hex}@fuzz.example"


schemathesis.openapi.format("entity-tags", st.just("*") | st.from_regex(ENTITY_TAGS, fullmatch=True))


@schemathesis.hook
def before_load_schema(_context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Say how to make entity tags, since headers whose pattern needs quotes are not made; begin with what matches."""
    components = raw_schema["components"]
    components["schemas"]["EntityTagCondition"]["format"] = "entity-tags"
    components["parameters"]["IfMatch"]["example"] = "*"


@schemathesis.hook
def after_load_schema(_context: HookContext, schema: BaseSchema) -> None:
    STRANGER.settle(schema.get_base_url())
    register(STRANGER.http, KNOWN)


@schemathesis.auth()
class SignedIn:
    """Sends the caller's access token."""

    def get(self, _case: Case[Any], context: AuthContext) -> str:
        with httpx.Client(base_url=context.operation.schema.get_base_url()) as http:
            return str(CALLER.sign_in(http)["access_token"])

    def set(self, case: Case[Any], data: str, _context: AuthContext) -> None:
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


@schemathesis.hook
def map_case(_context: HookContext, case: Case[Any]) -> Case[Any]:
    """Renew or leave out what would have the request refused for nothing that it is about."""
    if case.meta is None or case.meta.generation.mode.is_negative:
        return case
    if case.meta.phase.name is TestPhase.COVERAGE:  # which puts a made-up cursor into every request
        case.query.pop("cursor", None)
    if case.operation.definition.raw["operationId"] == "registerUser" and isinstance(case.body, dict):
        case.body = renewed(case.body)
    return case


def renewed(account: dict[str, Any]) -> dict[str, Any]:
    """The account with names that none before it had."""
    names = {"email": new_email(), "username": uuid4().hex}
    anew = {name: names[name] for name in names if account.get(name) in TAKEN}
    TAKEN.update(account[name] for name in names if account.get(name))
    return {**account, **anew}


@schemathesis.check
class WhatBelongsToAStranger:
    """No answer to the caller names an id of the stranger, and at the end nothing of his has changed."""

    def after_response(self, _ctx: CheckContext, response: Response, _case: Case[Any]) -> None:
        answer = f"{response.headers} {response.text}"
        named = [name for name, value in STRANGER.ids.items() if value in answer]
        if named:
            raise AssertionError(f"The answer names somebody else's {', '.join(named)}")

    def after_run(self, _ctx: CheckContext) -> None:
        STRANGER.account.sign_in(STRANGER.http)
        if STRANGER.read_tasks() != STRANGER.tasks:
            raise AssertionError("Somebody else's tasks have changed")


@schemathesis.deserializer("text/html")
def html(_context: DeserializationContext, response: Response) -> str:
    return response.text
