"""Every example of a request in openapi.yaml, sent to the application as the contract shows it.

In the world that the examples tell of, Ada has an account, a session, a task and a place in a team, Grace has an
account, and a superuser administers the server. What answers is checked against the contract like everywhere.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import pyotp
import pytest
from passlib.hash import bcrypt_sha256
from pydantic import SecretStr

from persistence.tables import Organization, RecoveryCode
from security.one_time_tokens import hash_token
from server.settings.settings import Settings
from tests.api.conftest import SECRET, refresh_token, serving
from tests.api.prober import ALL, FORM, Operation, resolve_reference
from tests.client import DOCUMENT, ApiClient
from tests.conftest import Bench
from tests.factories import NOW, SEED, Factory, SignedIn

BY_SUPERUSERS = {
    "users",
    "audit",
    "organizations",
    "members",
    "invitations",
}  # the tags of what the superuser asks; Ada asks the rest
BEFORE_ADA = {"registerUser", "createUser"}  # which make the accounts that the others find
BY_COOKIE = {("refreshTokens", "cookie")}
OF_FACTORS = dict.fromkeys(("completeLogin", "reauthenticate", "deleteTotp", "createRecoveryCodes", "resetTotp"), NOW)
NO_MAIL = {"requestEmailVerification": 404}  # this server mails nothing
BEGUN = {"confirmTotp": None}
"""Operations upon a second factor, and when that was confirmed."""
RECOVERY_CODE = DOCUMENT["paths"]["/api/v1/auth/login/totp"]["post"]["requestBody"]["content"]["application/json"][
    "examples"
]["recovery"]["value"]["code"]
METRICS_TOKEN = "a-token-for-monitoring"
PARAMETERS = DOCUMENT["components"]["parameters"].values()
PATHS = {parameter["name"]: parameter["example"] for parameter in PARAMETERS if parameter["in"] == "path"}


@dataclass(frozen=True)
class Example:
    """A request as the contract shows it: a body, or a parameter beside those that it must have."""

    operation: Operation
    name: str
    body: Any = None
    query: tuple[str, Any] | None = None
    header: tuple[str, str] | None = None


def examples() -> Iterator[Example]:
    for operation in ALL.values():
        source = DOCUMENT["paths"][operation.path][operation.method.lower()]
        content = source.get("requestBody", {}).get("content", {})
        bodies = {name: one["value"] for each in content.values() for name, one in each.get("examples", {}).items()}
        for name, body in bodies.items():
            yield Example(operation, name, body)
        if not bodies:
            yield Example(operation, "plain")
        for name, parameter in operation.parameters.items():
            shown = {name: parameter["example"]} if "example" in parameter else {}
            shown |= {f"{name}-{key}": one["value"] for key, one in parameter.get("examples", {}).items()}
            for key, value in shown.items():
                if parameter["in"] == "query":
                    yield Example(operation, key, next(iter(bodies.values()), None), query=(name, value))
                if parameter["in"] == "header":
                    yield Example(operation, key, next(iter(bodies.values()), None), header=(name, value))


EXAMPLES = list(examples())


@cache
def keep_plain(password: str) -> str:
    text: str = bcrypt_sha256.using(rounds=12).hash(password)
    return text


@dataclass(frozen=True)
class World:
    """The accounts that the examples tell of."""

    ada: SignedIn
    superuser: SignedIn


async def people(make: Factory, example: Example) -> World:
    """Make the world of an example, in which Ada and Grace have accounts unless it makes them."""
    superuser = await make.user(is_superuser=True)
    if example.operation.id in BEFORE_ADA:
        return World(await make.user(), superuser)
    login = body_of("login")
    ada = await make.user(
        id=UUID(PATHS["user_id"]), email=login["email"], hashed_password=keep_plain(login["password"]), full_name="Ada"
    )
    await make.user(email=body_of("registerUser")["email"])
    await make.session(ada.id, id=UUID(PATHS["session_id"]))
    if example.operation.id == "verifyEmail":
        address = {"purpose": "email_verification", "email": login["email"]}
        await make.one_time_token(ada.id, token=body_of("verifyEmail")["token"], **address)
    else:
        await make.one_time_token(ada.id, token=body_of("resetPassword")["token"])
    await make.access_token(ada.id, "tasks:read", id=UUID(PATHS["access_token_id"]))
    if example.operation.id in (factors := OF_FACTORS | BEGUN):
        await make.second_factor(ada.id, SECRET, confirmed_at=factors[example.operation.id])
    challenge, bound_to = body_of("completeLogin")["challenge"], hash_token(keep_plain(login["password"]))
    await make.one_time_token(ada.id, token=challenge, purpose="sign_in", bound_to=bound_to)
    await make.row(RecoveryCode, {"user_id": ada.id, "key": hash_token(RECOVERY_CODE.replace("-", ""))})
    await make.task(ada.id, ada, id=UUID(PATHS["task_id"]))
    await make.audit_log(id=UUID(PATHS["audit_log_id"]), actor_id=ada.id)
    if "organization_id" in PATHS:
        team = UUID(PATHS["organization_id"])
        await make.row(Organization, {"id": team, "kind": "team", "name": "Team", "slug": "team"})
        await make.member(team, (await make.user()).id, "owner")
        if example.operation.id != "placeMember":
            await make.member(team, ada.id, "member")
        await invite(make, example, team, superuser)
    return World(ada, superuser)


async def invite(make: Factory, example: Example, team: UUID, superuser: SignedIn) -> None:
    """The invitation of the examples: of the superuser, who asks."""
    if example.operation.id == "redeemInvitation":
        await make.invitation(team, token=body_of("redeemInvitation")["token"])
    elif "invitation_id" in example.operation.parameters:
        await make.invitation(team, id=UUID(PATHS["invitation_id"]), user_id=superuser.id)


def body_of(operation: str) -> dict[str, Any]:
    """The last example of an operation's body."""
    return ALL[operation].good


@pytest.fixture(scope="module")
async def monitored(settings: Settings, bench: Bench) -> AsyncIterator[ApiClient]:
    """A client of an application that has a token for monitoring, upon the database of the test."""
    async with serving(settings.model_copy(update={"metrics_token": SecretStr(METRICS_TOKEN)}), bench) as client:
        yield client


def headers(example: Example, world: World, api: ApiClient, settings: Settings) -> dict[str, str]:
    """The headers of the request: who asks, by what he has, and those that are shown."""
    source = DOCUMENT["paths"][example.operation.path][example.operation.method.lower()]
    shown = {"Content-Type": example.operation.media_type} if example.body is not None else {}
    if example.header:
        shown |= dict([example.header])
    if {"metricsToken": []} in source.get("security", []):
        return shown | {"Authorization": f"Bearer {METRICS_TOKEN}"}
    if (example.operation.id, example.name) in BY_COOKIE:
        cookie = f"__Host-refresh={refresh_token(settings, world.ada)}"
        return shown | {"Cookie": cookie, "Origin": str(api.http.base_url)}
    if any("bearer" in one for one in source.get("security", DOCUMENT["security"])):
        who = world.superuser if set(source["tags"]) & BY_SUPERUSERS else world.ada
        return shown | dict(api.as_(who).headers)
    return shown


def content(example: Example, world: World, settings: Settings) -> dict[str, Any]:
    """The body as shown, but for the token or code that no document can know."""
    if example.body is None:
        return {}
    if example.operation.media_type == FORM:
        return {"data": example.body}
    secret = {"refresh_token": refresh_token(settings, world.ada)} if "refresh_token" in example.body else {}
    if example.body.get("code", "").isdecimal():
        secret = {"code": pyotp.TOTP(SEED).now()}
    return {"content": json.dumps(example.body | secret)}


def is_needed(parameter: dict[str, Any]) -> bool:
    return bool(parameter["in"] == "query" and parameter.get("required"))


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{one.operation.id}-{one.name}" for one in EXAMPLES])
async def test_an_example_is_answered_as_documented(
    example: Example, monitored: ApiClient, make: Factory, settings: Settings
) -> None:
    operation, world = example.operation, await people(make, example)
    path, success = re.sub(r"\{(\w+)\}", lambda name: PATHS[name[1]], operation.path), min(operation.answers)
    success = NO_MAIL.get(operation.id, success)
    query = {name: one["example"] for name, one in operation.parameters.items() if is_needed(one)}

    answer = await monitored.send(
        operation.method,
        f"/{path}",
        expect=success,
        headers=headers(example, world, monitored, settings),
        params=query | dict([example.query] if example.query else []),
        **content(example, world, settings),
    )

    declared = resolve_reference(DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"][str(success)])
    shown = declared.get("content", {}).get("application/json", {}).get("examples", {}).values()
    assert not shown or set(answer.body) in [set(one["value"]) for one in shown]
