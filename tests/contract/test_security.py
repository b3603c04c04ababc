"""Demands of callers, kept whole: alternatives, each a set of schemes, and who calls where that is optional."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from contract.authorization import Authenticator
from contract.credentials import credentials_of
from contract.exchange import Exchange
from contract.generator.lowering.security import schemes_of
from contract.refusals import OwnProblem
from contract.types import ContractError, Scheme
from tests.contract.small import NOTHING, Node, Small, document, refusals

SCHEMES: Node = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "Basic"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
    "oauth": {
        "type": "oauth2",
        "flows": {"clientCredentials": {"tokenUrl": "/t", "scopes": {"read": "R", "write": "W"}}},
    },
    "oidc": {"type": "openIdConnect", "openIdConnectUrl": "https://x.example"},
    "m": {"type": "mutualTLS"},
}
DEMANDS: dict[str, list[Node]] = {
    "both": [{"bearer": ["user"], "key": []}],
    "either": [{"bearer": []}, {"key": []}],
    "optional": [{}, {"key": []}],
    "scopes": [{"oauth": ["read", "write"]}],
    "basic": [{"basic": []}],
    "oidc": [{"oidc": []}],
    "mtls": [{"m": []}],
    "cookie": [{"cookie": []}],
    "open": [],
}


class Header:
    """An authenticator that takes the one value of a header, and says who sent it with which scopes."""

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    async def __call__(self, exchange: Exchange, scopes: Sequence[str], /) -> object | None:
        given = exchange.header(self.name)
        if given is None:
            return None
        if given != self.value:
            raise OwnProblem(403, f"{self.name} is no good.")
        return (self.name, *scopes)


AUTHENTICATORS: dict[str, Authenticator] = {name: Header(f"X-{name}", "good") for name in SCHEMES}


def paths() -> Node:
    return {
        f"/{name}": {"get": {"operationId": name, "tags": [name], "security": security, "responses": NOTHING}}
        for name, security in DEMANDS.items()
    }


def contract() -> Node:
    return document(paths(), components={"securitySchemes": SCHEMES})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("security")
    schemes = schemes_of(contract())
    return Small(contract(), folder, authenticators=AUTHENTICATORS, schemes=schemes)


async def callers(small: Small, name: str, **headers: str) -> dict[str, Any]:
    exchanges: list[Exchange] = []

    async def act(exchange: Exchange, _arguments: Any) -> Any:
        exchanges.append(exchange)
        return getattr(small.operations, f"{name.title()}204")()

    await small.doing(act).send("GET", f"/{name}", headers=headers)
    return dict(exchanges[0].callers)


@pytest.mark.parametrize(
    ("name", "headers", "expected"),
    [
        ("both", {"X-bearer": "good", "X-key": "good"}, {"bearer": ("X-bearer", "user"), "key": ("X-key",)}),
        ("either", {"X-bearer": "good"}, {"bearer": ("X-bearer",)}),
        ("either", {"X-key": "good"}, {"key": ("X-key",)}),
        ("either", {"X-bearer": "bad", "X-key": "good"}, {"key": ("X-key",)}),
        ("optional", {}, {}),
        ("optional", {"X-key": "good"}, {"key": ("X-key",)}),
        ("scopes", {"X-oauth": "good"}, {"oauth": ("X-oauth", "read", "write")}),
        ("open", {}, {}),
    ],
)
async def test_who_meets_an_alternative_is_let_in(
    small: Small, name: str, headers: dict[str, str], expected: dict[str, Any]
) -> None:
    assert await callers(small, name, **headers) == expected


@pytest.mark.parametrize(
    ("name", "headers", "status"),
    [
        ("both", {"X-bearer": "good"}, 401),
        ("both", {"X-key": "good"}, 401),
        ("both", {"X-bearer": "good", "X-key": "bad"}, 403),
        ("either", {}, 401),
        ("either", {"X-bearer": "bad"}, 403),
        ("optional", {"X-key": "bad"}, 403),
    ],
)
async def test_who_meets_none_is_refused(small: Small, name: str, headers: dict[str, str], status: int) -> None:
    assert await small.refusal("GET", f"/{name}", headers=headers) == (status, [])


@pytest.mark.parametrize(
    ("name", "challenge"),
    [
        ("both", "Bearer"),
        ("scopes", "Bearer"),
        ("basic", 'Basic realm="api"'),
        ("oidc", "Bearer"),
        ("mtls", "Bearer"),
        ("cookie", "Bearer"),
    ],
)
async def test_the_answer_says_what_credentials_are_wanted(small: Small, name: str, challenge: str) -> None:
    with pytest.raises(OwnProblem) as problem:
        await small.send("GET", f"/{name}")

    assert problem.value.headers == (("Www-Authenticate", challenge),)


def test_a_scheme_without_an_authenticator_refuses_to_start(tmp_path: Path) -> None:
    known = {name: one for name, one in AUTHENTICATORS.items() if name != "key"}

    with pytest.raises(ContractError, match="both demands key, for which no authenticator is given"):
        Small(contract(), tmp_path, authenticators=known)


def test_the_type_of_a_handler_says_whether_it_is_told_who_calls(small: Small) -> None:
    calls = {
        name: inspect.signature(getattr(getattr(small.operations, f"{name.title()}Operations"), name)).parameters[
            "call"
        ]
        for name in ("both", "optional", "open")
    }

    assert {name: call.annotation for name, call in calls.items()} == {
        "both": "Call_contra",
        "optional": "Optional_contra",
        "open": "Public_contra",
    }


@pytest.mark.parametrize(
    ("security", "place"),
    [
        ({"bearer": ["user"]}, "#/paths/~1try/get/security"),
        ("bearer", "#/paths/~1try/get/security"),
        ([{"bearer": "user"}], "#/paths/~1try/get/security/0/bearer"),
        ([{"bearer": []}, {"nothere": []}], "#/paths/~1try/get/security/1"),
    ],
)
def test_demands_that_are_none_are_refused(tmp_path: Path, security: Any, place: str) -> None:
    operation = {"get": {"operationId": "tryIt", "security": security, "responses": NOTHING}}
    found = refusals(document({"/try": operation}, components={"securitySchemes": SCHEMES}), tmp_path)

    assert [one for one, _ in found] == [place]


async def test_a_lack_of_credentials_is_said_whatever_the_status_that_is_declared_for_it(tmp_path: Path) -> None:
    operation = {"security": [{"key": []}], "responses": {**NOTHING, "400": {"description": "Bad."}}}
    schemes = {"securitySchemes": {"key": SCHEMES["key"]}}
    asked = {"get": {"operationId": "getIt", **operation}}
    small = Small(document({"/it": asked}, components=schemes), tmp_path, authenticators=AUTHENTICATORS)

    with pytest.raises(OwnProblem) as refused:
        await small.send("GET", "/it")

    assert (refused.value.status, refused.value.detail) == (
        400,
        "The request has no credentials that this operation takes.",
    )


async def test_a_key_in_the_query_is_no_parameter_that_the_operation_does_not_know(tmp_path: Path) -> None:
    key = {"type": "apiKey", "in": "query", "name": "key"}
    asked = {
        "operationId": "getIt",
        "security": [{"key": []}],
        "parameters": [{"name": "q", "in": "query", "schema": {"type": "string"}}],
        "responses": NOTHING,
    }

    async def admit(exchange: Exchange, _scopes: Sequence[str], /) -> str | None:
        return credentials_of(exchange, Scheme("apiKey", "key", "query"))

    contract = document({"/it": {"get": asked}}, components={"securitySchemes": {"key": key}})
    schemes = {"key": Scheme("apiKey", "key", "query")}
    small = Small(contract, tmp_path, authenticators={"key": admit}, schemes=schemes)

    assert await small.arguments_of("GET", "/it?q=a&key=secret") == {"q": "a"}
    assert await small.refusal("GET", "/it?q=a&key=secret&other=b") == (422, [("/other", "unknown_parameter")])
    assert (await small.refusal("GET", "/it?q=a"))[0] == 401
