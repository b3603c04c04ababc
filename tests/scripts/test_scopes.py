"""What the rules of the contract say about the scopes of access tokens."""

from typing import Any

import pytest

from scripts.secret_rules import name_scopes

READ, WRITE, ADMIN = [{"bearer": ["user"]}], [{"bearer": ["owner"]}], [{"bearer": ["superuser"]}]
EITHER = "needs either scopes beside `accessToken` or `x-signed-in-only: true`"
OTHER = "has other scopes beside `accessToken` than"


def refusals(method: str, operation: dict[str, Any], schemes: tuple[str, ...] = ("accessToken",)) -> list[str]:
    """The reasons for which a document with this operation is refused."""
    examples: dict[str, Any] = {"insufficient_scope": {}, "mfa_enrolment_required": {}}
    problem: dict[str, Any] = {"content": {"application/problem+json": {"examples": examples}}}
    document = {
        "tags": [{"name": "books"}],
        "components": {"securitySchemes": {scheme: {} for scheme in schemes}},
        "paths": {"/books": {method: {"tags": ["books"], "responses": {"403": problem}} | operation}},
    }
    return [refused.reason for refused in name_scopes(document)]


def demand(roles: list[dict[str, list[str]]], *scopes: str) -> dict[str, Any]:
    return {"security": [*roles, {"accessToken": list(scopes)}]}


@pytest.mark.parametrize(
    ("method", "operation", "reasons"),
    [
        ("get", demand(READ, "books:read"), []),
        ("post", demand(WRITE, "books:write"), []),
        ("get", demand(ADMIN, "books:read", "admin"), []),
        ("get", {"security": READ, "x-signed-in-only": True}, []),
        ("get", {"security": []}, []),
        ("get", {"security": READ}, [EITHER]),
        ("get", demand(READ, "books:read") | {"x-signed-in-only": True}, [EITHER]),
        ("get", demand(READ, "books:write"), [f"{OTHER} a tag with `read` alone"]),
        ("put", demand(WRITE, "books:read"), [f"{OTHER} a tag with `write` alone"]),
        ("get", demand(READ, "films:read"), [f"{OTHER} a tag with `read` alone"]),
        ("get", demand(READ, "books:read", "admin"), [f"{OTHER} a tag with `read` alone"]),
        ("get", demand(ADMIN, "books:read"), [f"{OTHER} a tag with `read`, then `admin`"]),
        (
            "get",
            demand(READ, "books:read") | {"responses": {}},
            [f"does not declare {code}" for code in ("insufficient_scope", "mfa_enrolment_required")],
        ),
    ],
)
def test_an_operation_names_its_scopes_or_takes_no_access_token(
    method: str, operation: dict[str, Any], reasons: list[str]
) -> None:
    assert refusals(method, operation) == reasons


def test_a_scope_that_no_token_can_have_is_refused() -> None:
    problem: dict[str, Any] = {"content": {"application/problem+json": {"examples": {"insufficient_scope": {}}}}}
    document = {
        "tags": [{"name": "books"}],
        "components": {"securitySchemes": {"accessToken": {}}, "schemas": {"AccessTokenScope": {"enum": []}}},
        "paths": {"/books": {"get": {"responses": {"403": problem}} | demand(READ, "books:read")}},
    }

    reasons = [refused.reason for refused in name_scopes(document)]

    assert "names books:read, which AccessTokenScope does not have" in reasons


def test_a_contract_without_access_tokens_need_not_name_them() -> None:
    assert refusals("get", {"security": READ}, schemes=("bearer",)) == []
