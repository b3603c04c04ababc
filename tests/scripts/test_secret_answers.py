"""What the rules of the contract say about answers that tell a secret."""

from typing import Any

import pytest

from scripts.contract_parts import operations
from scripts.secret_rules import SECRETS, members_in, tell_secrets_once
from tests.client import DOCUMENT

NO_STORE = {"Cache-Control": {"schema": {"const": "no-store"}}}
LINK = {"$ref": "#/components/schemas/Link"}
KEY = [{"name": "Idempotency-Key", "in": "header"}]


def refusals(schema: dict[str, Any], headers: dict[str, Any], parameters: list[dict[str, str]]) -> list[str]:
    answer = {"headers": headers, "content": {"application/json": {"schema": schema}}}
    operation = {"parameters": parameters, "responses": {"201": answer, "404": answer}}
    document = {
        "paths": {"/links": {"post": operation}},
        "components": {
            "securitySchemes": {"accessToken": {}},
            "schemas": {"Link": {"properties": {"url": {}, "next": LINK}}},
        },
    }
    return [refused.reason for refused in tell_secrets_once(document)]


@pytest.mark.parametrize(
    ("schema", "headers", "parameters", "reasons"),
    [
        ({"properties": {"token": {}}}, NO_STORE, [], []),
        ({"properties": {"name": {}}}, {}, KEY, []),
        (
            {"properties": {"token": {}}},
            NO_STORE,
            KEY,
            ["tells token, which is not kept: take no `Idempotency-Key`"],
        ),
        ({"properties": {"secret": {}}}, {}, [], ["tells secret: say `Cache-Control: no-store`"]),
        (
            {"items": {"allOf": [{"$ref": "#/components/schemas/Link"}]}},
            {},
            [],
            ["tells url: say `Cache-Control: no-store`"],
        ),
    ],
)
def test_a_secret_is_told_once(
    schema: dict[str, Any], headers: dict[str, Any], parameters: list[dict[str, str]], reasons: list[str]
) -> None:
    assert refusals(schema, headers, parameters) == reasons


def test_the_contract_tells_secrets_and_keeps_none() -> None:
    telling = {
        operation["operationId"]
        for operation, _, at in operations(DOCUMENT)
        for status, answer in operation["responses"].items()
        for one in answer.get("content", {}).values()
        if int(status) < 400 and SECRETS & set(members_in(DOCUMENT, one.get("schema", {}), at, ()))
    }

    assert {"login", "issueToken", "refreshTokens", "createAccessToken", "createPasswordReset"} <= telling
    assert list(tell_secrets_once(DOCUMENT)) == []
