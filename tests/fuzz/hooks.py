"""What schemathesis cannot read in the contract: who calls, what belongs to somebody else, what only works once."""

import re
from typing import Any
from uuid import uuid4

import httpx
import schemathesis
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis import AuthContext, BaseSchema, Case, CheckContext, DeserializationContext, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.generation.meta import TestPhase

API = "/api/v1"
PASSWORD = "nine lives of a lighthouse"
KNOWN = ("ada@example.com", "correct horse battery staple")  # as in schemathesis.toml
LONGEST_URL = 8192
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
CURSOR = re.compile(r"(?s).{1,2000}")
ENTITY_TAGS = r'(?:W/)?"[!#-~]*"(?:[ \t]*,[ \t]*(?:W/)?"[!#-~]*")*'


class Account:
    """A user of the server, who is registered anew whenever the sign-in fails.

    `ids` are what belongs to him, by the names that parameters and members have.
    """

    def __init__(self) -> None:
        self.email = new_email()
        self.ids: dict[str, str] = {}

    def sign_in(self, http: httpx.Client) -> str:
        """Begin a session, which `http` uses from now on. What comes back is its access token."""
        answer = self.ask_in(http)
        if answer.is_error:
            self.email = new_email()
            register(http, self.email, PASSWORD)
            answer = self.ask_in(http).raise_for_status()
        tokens = answer.json()
        http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        user = http.get(f"{API}/auth/me").raise_for_status().json()["id"]
        self.ids |= {"session_id": tokens["session_id"], "user_id": user, "organization_id": user}
        return str(tokens["access_token"])

    def ask_in(self, http: httpx.Client) -> httpx.Response:
        return http.post(f"{API}/auth/login", json={"email": self.email, "password": PASSWORD})


class Stranger(Account):
    """Another user, whose ids the caller tries in vain."""

    def __init__(self) -> None:
        super().__init__()
        self.http = httpx.Client()
        self.tasks = b""

    def settle(self, url: str) -> None:
        """Come into being, with a task."""
        self.http.base_url = url
        self.sign_in(self.http)
        task = self.http.post(f"{API}/tasks", json={"title": "Not yours"}).raise_for_status().json()
        self.ids["task_id"] = task["id"]
        self.tasks = self.read_tasks()

    def read_tasks(self) -> bytes:
        return self.http.get(f"{API}/tasks").raise_for_status().content


def register(http: httpx.Client, email: str, password: str) -> None:
    """The account exists afterwards, whoever made it."""
    http.post(f"{API}/auth/register", json={"email": email, "password": password})


def new_email() -> str:
    return f"{uuid4().hex}@fuzz.example"


CALLER, STRANGER = Account(), Stranger()
TAKEN: set[str] = set()  # the names of those who were registered


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
    register(STRANGER.http, *KNOWN)


@schemathesis.auth()
class SignedIn:
    """Sends the caller's access token."""

    def get(self, _case: Case[Any], context: AuthContext) -> str:
        with httpx.Client(base_url=context.operation.schema.get_base_url()) as http:
            return CALLER.sign_in(http)

    def set(self, case: Case[Any], data: str, _context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook("flatmap_path_parameters")
@schemathesis.hook("flatmap_query")
@schemathesis.hook("flatmap_body")
def of_somebody(_context: HookContext, given: Any) -> SearchStrategy[Any]:
    """Mostly the same with ids of the caller or of the stranger in place of made-up ones, and no made-up cursor."""
    if not isinstance(given, dict):
        return st.just(given)
    ids = {name for name, value in given.items() if fits(UUID, value)}
    rest = {name: value for name, value in given.items() if name != "cursor" or not fits(CURSOR, value)}
    real = [{**rest, **{name: who.ids[name] for name in ids & {*who.ids}}} for who in (CALLER, CALLER, STRANGER)]
    return st.sampled_from([given, *real])


def fits(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


@schemathesis.hook
def map_case(_context: HookContext, case: Case[Any]) -> Case[Any]:
    """Renew what can be registered once; in the coverage, leave out the cursor that it puts into every request."""
    if case.meta is None or case.meta.generation.mode.is_negative:
        return case
    if case.meta.phase.name is TestPhase.COVERAGE:
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


@schemathesis.hook
def filter_failure(_context: HookContext, _failure: Failure, _case: Case[Any], response: Response) -> bool:
    """No operation declares that a URL is too long: the contract says so once, for all."""
    return response.status_code != httpx.codes.REQUEST_URI_TOO_LONG or len(response.request.url or "") <= LONGEST_URL


@schemathesis.check
class WhatBelongsToAStranger:
    """No answer to the caller names an id of the stranger, and at the end nothing of his has changed."""

    def after_response(self, _ctx: CheckContext, response: Response, _case: Case[Any]) -> None:
        answer = f"{response.headers} {response.text}"
        named = [name for name, value in STRANGER.ids.items() if value in answer]
        if named:
            raise AssertionError(f"The answer names somebody else's {', '.join(named)}")

    def after_run(self, _ctx: CheckContext) -> None:
        STRANGER.sign_in(STRANGER.http)
        if STRANGER.read_tasks() != STRANGER.tasks:
            raise AssertionError("Somebody else's tasks have changed")


@schemathesis.deserializer("text/html")
def html(_context: DeserializationContext, response: Response) -> str:
    return response.text
