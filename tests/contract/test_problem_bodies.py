"""What the engine says in errors that a document declares in schemas of its own."""

from pathlib import Path
from typing import Any

import pytest

from contract.problem_bodies import filler_of
from contract.refusals import CONDITIONS, Wanted
from contract.schemas import Schemas
from contract.types import ContractError, Problem
from tests.contract.small import NOTHING, Node, Small, document, refusals

SCHEMAS: Node = {
    "Basic": {"type": "object", "properties": {"message": {"type": "string"}, "status": {"type": "string"}}},
    "Nested": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"enum": ["api_error", "invalid_request_error"]}, "message": {"type": "string"}},
            }
        },
    },
    "Listed": {
        "type": "object",
        "properties": {"errors": {"type": "array", "items": {"type": "object", "properties": {"detail": {}}}}},
    },
    "Merged": {"allOf": [{"$ref": "#/s/Basic"}, {"type": "object", "required": ["code", "id", "at"]}]},
    "Coded": {
        "type": "object",
        "required": ["errorCode", "at", "id", "count", "is_fatal", "parts", "more", "kind"],
        "properties": {
            "errorCode": {"type": "integer"},
            "at": {"type": "string", "format": "date-time"},
            "id": {"type": "string", "format": "uuid"},
            "count": {"type": "integer", "minimum": 7},
            "is_fatal": {"type": "boolean"},
            "parts": {"type": "array", "items": {"type": "string"}, "maxItems": 0},
            "more": {"type": "object"},
            "kind": {"const": "k"},
        },
    },
    "Either": {"oneOf": [{"type": "integer", "multipleOf": 7, "minimum": 8}, {"$ref": "#/s/Basic"}]},
    "Defaulted": {"type": "string", "maxLength": 2, "minLength": 2, "default": "ab"},
    "Shown": {"type": "string", "pattern": "^Z9$", "examples": ["Z9"]},
    "Short": {"type": "object", "properties": {"message": {"type": "string", "maxLength": 20}}},
    "Round": {"type": "object", "required": ["in"], "properties": {"in": {"$ref": "#/s/Round"}}},
    "Odd": {"type": "string", "pattern": "^odd$"},
    "Twice": {"allOf": [{"$ref": "#/s/Twice"}], "required": ["a"], "type": "object"},
}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("Basic", {"message": "so", "status": "404"}),
        ("Nested", {"error": {"type": "invalid_request_error", "message": "so"}}),
        ("Listed", {"errors": [{"detail": "so"}]}),
        ("Merged", {"message": "so", "status": "404", "code": None, "id": None, "at": None}),
        (
            "Coded",
            {
                "errorCode": 404,
                "at": "1970-01-01T00:00:00Z",
                "id": "00000000-0000-0000-0000-000000000000",
                "count": 7,
                "is_fatal": False,
                "parts": [],
                "more": {},
                "kind": "k",
            },
        ),
        ("Either", {"message": "so", "status": "404"}),
        ("Defaulted", "ab"),
        ("Shown", "Z9"),
        ("Short", {"message": "Not Found"}),
        ("Round", None),
        ("Odd", None),
        ("Twice", {"a": None}),
    ],
)
def test_a_body_is_made_of_what_is_demanded_and_what_is_known(name: str, body: Any) -> None:
    fill = filler_of(Schemas({"s": SCHEMAS})[f"#/s/{name}"], 404)

    assert (None if fill is None else fill("so")) == body


def answering(content: Node, *, key: str = "400") -> Node:
    parameter = {"name": "q", "in": "query", "schema": {"type": "integer"}}
    responses = {**NOTHING, key: {"description": "E.", "content": content}}
    return document({"/it": {"get": {"operationId": "it", "parameters": [parameter], "responses": responses}}})


async def read_problem(small: Small, method: str = "GET", target: str = "/it?q=x") -> tuple[int, str, bytes]:
    with pytest.raises(Problem) as problem:
        await small.send(method, target)
    return problem.value.status, problem.value.media_type, problem.value.content("the-request")


BASIC = {"application/json": {"schema": SCHEMAS["Basic"]}}
DETAIL = "The request breaks the contract in 1 place."


@pytest.mark.parametrize(
    ("content", "media_type", "body"),
    [
        (BASIC, "application/json", f'{{"message":"{DETAIL}","status":"400"}}'),
        ({"text/csv": {}, **BASIC}, "application/json", f'{{"message":"{DETAIL}","status":"400"}}'),
        ({"text/plain": {"schema": {"type": "string"}}}, "text/plain", DETAIL),
        ({"text/plain": {}}, "text/plain", DETAIL),
        ({}, "", ""),
    ],
)
async def test_the_engine_answers_in_what_is_declared(
    tmp_path: Path, content: Node, media_type: str, body: str
) -> None:
    assert await read_problem(Small(answering(content), tmp_path)) == (400, media_type, body.encode())


@pytest.mark.parametrize(("key", "status"), [("405", 405), ("4XX", 405), ("default", 405)])
async def test_a_method_that_there_is_not_is_refused_as_the_path_says(tmp_path: Path, key: str, status: int) -> None:
    small = Small(answering(BASIC, key=key), tmp_path)

    wanted = (status, "application/json", f'{{"message":"This path has GET, HEAD, OPTIONS.","status":"{status}"}}')
    assert await read_problem(small, "DELETE") == (*wanted[:2], wanted[2].encode())


def make_problem(status: int, detail: str, errors: object) -> Node:
    return {"no": status, "why": detail, "where": len(list(errors))}  # type: ignore[call-overload]


OURS = {condition: wanted._replace(write=make_problem) for condition, wanted in CONDITIONS.items()}


async def test_an_application_says_what_the_bodies_are(tmp_path: Path) -> None:
    small = Small(answering({"application/json": {"schema": {"required": ["why"]}}}), tmp_path, conditions=OURS)

    assert await read_problem(small) == (400, "application/json", f'{{"no":400,"why":"{DETAIL}","where":1}}'.encode())
    assert (await read_problem(small, "GET", "/nowhere"))[
        2
    ] == b'{"no":404,"why":"There is nothing at this path.","where":0}'
    assert (await read_problem(small, "DELETE"))[:2] == (405, "application/json")


def test_what_the_application_says_is_judged_by_what_is_declared(tmp_path: Path) -> None:
    for key in ("400", "404", "405"):
        folder = tmp_path / key
        folder.mkdir()
        contract = answering({"application/json": {"schema": {"required": ["other"]}}}, key=key)

        found = refusals(contract, folder, conditions=OURS)

        assert [place for place, _ in found] == [f"#/paths/~1it/get/responses/{key}"]
    with pytest.raises(ContractError, match="it has no room in its 400 for what it has to say of query"):
        Small(contract_of_400(), tmp_path, conditions={**CONDITIONS, "query": Wanted(400, write=make_problem)})


def contract_of_400() -> Node:
    return answering({"application/json": {"schema": {"required": ["message"]}}})
