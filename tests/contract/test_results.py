"""Answers of any status, with headers of any type, and what the engine itself answers where an operation says how."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json

from contract.exchange import Exchange
from contract.refusals import CONDITIONS, Wanted
from contract.response_encoding import Answer
from contract.types import ContractError, OAuthProblem, Problem, ProblemType, Result
from tests.contract.small import NOTHING, Node, Small, document, refusals

THING: Node = {"type": "object", "properties": {"a": {"type": "integer"}}}
COMPONENTS: Node = {
    "schemas": {
        "Thing": THING,
        "Closed": {**THING, "additionalProperties": False},
        "Odd": {"type": "string", "pattern": "^odd$"},
        "Error": {"type": "object", "required": ["code"], "properties": {"code": {"type": "integer"}}},
    },
    "responses": {
        "Gone": {"description": "G."},
        "Shared": {
            "description": "S.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
        },
        "T": {"description": "T."},
    },
}
HEADERS: Node = {
    "X-List": {"schema": {"type": "array", "items": {"type": "string"}}},
    "X-Json": {"content": {"application/json": {"schema": {"type": "string"}}}},
    "X-Date": {"schema": {"type": "string", "format": "date-time"}},
    "X-Enum": {"schema": {"enum": ["a", "b"]}},
    "From": {"schema": {"type": "string"}},
    "X-Null": {"schema": {"type": ["string", "null"]}},
    "X-Least": {"required": True, "schema": {"type": "integer", "minimum": 3}},
    "X-Flag": {"schema": {"type": "boolean"}},
    "X-Number": {"schema": {"type": "number"}},
    "X-Same": {"schema": {"const": True}},
    "Content-Type": {"schema": {"type": "string"}},
    "ETag": {"schema": {"type": "string"}},
}


def json(name: str) -> Node:
    return {"description": name, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}


def refer_to(name: str) -> Node:
    return {"$ref": f"#/components/responses/{name}"}


def content(media_type: str, schema: Node) -> Node:
    return {"description": "C.", "content": {media_type: {"schema": schema}}}


def get(operation_id: str, responses: Node, *parameters: Node) -> Node:
    return {"get": {"operationId": operation_id, "parameters": list(parameters), "responses": responses}}


QUERY: Node = {"name": "q", "in": "query", "schema": {"type": "integer"}}
PATH: Node = {"name": "a", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 2}}
BODY: Node = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}
PATHS: Node = {
    "/headers": get("headers", {"204": {"description": "N.", "headers": HEADERS}}),
    "/default": get("default", {"204": {"description": "N."}, "default": json("Error")}),
    "/range": get("range", {"204": {"description": "N."}, "4XX": json("Thing"), "404": refer_to("Gone")}, QUERY),
    "/gone": get("gone", {"204": {"description": "N."}, "410": refer_to("Gone")}),
    "/shared": get("shared", {"200": refer_to("Shared"), "201": refer_to("Shared")}),
    "/named": get("named", {"204": refer_to("T")}),
    "/inline/{a}": get("inline", {**NOTHING, "404": json("Thing")}, PATH),
    "/none": get("none", NOTHING, QUERY),
    "/bad": get("bad", {**NOTHING, "400": json("Thing")}, QUERY),
    "/body": {"post": {"operationId": "postIt", "requestBody": BODY, "responses": NOTHING}},
    "/head": {
        "get": {"operationId": "getIt", "responses": NOTHING},
        "head": {"operationId": "headIt", "responses": {"200": {"description": "O."}}},
    },
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return Small(document(PATHS, components=COMPONENTS), tmp_path_factory.mktemp("results"))


async def answer_with(small: Small, path: str, name: str, **members: Any) -> Answer:
    async def act(_exchange: Exchange, _arguments: Mapping[str, Any]) -> Result:
        made: Result = getattr(small.operations, name)(**members)
        return made

    return await small.doing(act).send("GET", path)


class TestHeaders:
    @pytest.mark.parametrize(
        ("member", "value", "name", "text"),
        [
            ("x_list", ["a", "b"], "X-List", "a,b"),
            ("x_json", "a b", "X-Json", '"a b"'),
            ("x_date", datetime(2026, 1, 31, 9, 30, tzinfo=UTC), "X-Date", "2026-01-31T09:30:00Z"),
            ("x_enum", "a", "X-Enum", "a"),
            ("from_", "ada", "From", "ada"),
            ("x_null", "a", "X-Null", "a"),
            ("x_least", 3, "X-Least", "3"),
            ("x_flag", True, "X-Flag", "true"),
            ("x_number", 1.5, "X-Number", "1.5"),
        ],
    )
    async def test_a_header_is_written_as_its_schema_says(
        self, small: Small, member: str, value: object, name: str, text: str
    ) -> None:
        answer = await answer_with(small, "/headers", "Headers204", **{"x_least": 3, member: value})

        assert dict(answer.headers)[name] == text
        assert dict(answer.headers)["X-Same"] == "true"
        assert "Content-Type" not in dict(answer.headers)

    async def test_what_is_null_is_not_sent(self, small: Small) -> None:
        answer = await answer_with(small, "/headers", "Headers204", x_least=3, x_null=None)

        assert {name for name, _ in answer.headers} == {"X-Least", "X-Same"}

    @pytest.mark.parametrize(
        ("members", "reason"),
        [
            ({"x_least": 1}, "the header X-Least of headers 204 breaks its schema: : Must be at least 3"),
            ({"x_least": None}, "headers 204 lacks the header X-Least"),
            ({"x_least": 3, "x_enum": "c"}, "the header X-Enum of headers 204 breaks its schema"),
            ({"x_least": 3, "from_": "a\r\nX-Other: b"}, "the header From of headers 204 has a control character"),
        ],
    )
    async def test_a_header_is_judged_as_a_body_is(self, small: Small, members: dict[str, Any], reason: str) -> None:
        with pytest.raises(ContractError, match=reason):
            await answer_with(small, "/headers", "Headers204", **members)


class TestErrors:
    async def test_an_error_is_a_result_like_others(self, small: Small) -> None:
        models = small.operations.models

        any_status = await answer_with(small, "/default", "DefaultDefault", status=503, body=models.Error(code=7))
        within = await answer_with(small, "/range", "Range4XX", status=409, body=models.Thing(a=1))

        assert (any_status.status, any_status.body) == (503, b'{"code":7}')
        assert (within.status, within.body) == (409, b'{"a":1}')
        assert (await answer_with(small, "/gone", "Gone410")).status == 410

    @pytest.mark.parametrize(
        ("path", "name", "status"),
        [("/range", "Range4XX", 500), ("/range", "Range4XX", 404), ("/default", "DefaultDefault", 204)],
    )
    async def test_a_status_that_it_is_not_declared_for_is_a_mistake_of_ours(
        self, small: Small, path: str, name: str, status: int
    ) -> None:
        with pytest.raises(ContractError, match=f"answered {status}, which is not what"):
            await answer_with(small, path, name, status=status, body=small.operations.models.Thing(a=1))

    async def test_one_response_may_stand_for_several_statuses(self, small: Small) -> None:
        thing = small.operations.models.Thing(a=1)

        assert [(await answer_with(small, "/shared", f"Shared{n}", body=thing)).status for n in (200, 201)] == [
            200,
            201,
        ]
        assert (await answer_with(small, "/named", "T204")).status == 204

    async def test_head_may_be_an_operation_of_its_own(self, small: Small) -> None:
        async def act(exchange: Exchange, _arguments: Mapping[str, Any]) -> Result:
            assert exchange.operation is not None
            made: Result = getattr(small.operations, exchange.operation.replies[0].result.__name__)()
            return made

        assert [(await small.doing(act).send(method, "/head")).status for method in ("HEAD", "GET")] == [200, 204]


class TestConditions:
    @pytest.mark.parametrize(
        ("method", "path", "status", "media_type"),
        [
            ("GET", "/inline/abc", 404, "application/json"),
            ("GET", "/none?q=x", 422, "application/problem+json"),
            ("GET", "/bad?q=x", 400, "application/json"),
            ("GET", "/range?q=x", 422, "application/json"),
            ("POST", "/body", 415, "application/problem+json"),
            ("GET", "/nowhere", 404, "application/problem+json"),
            ("DELETE", "/none", 405, "application/problem+json"),
        ],
    )
    async def test_what_the_engine_refuses_is_said_by_the_nearest_that_is_declared(
        self, small: Small, method: str, path: str, status: int, media_type: str
    ) -> None:
        with pytest.raises(Problem) as problem:
            await small.send(method, path)

        told = from_json(problem.value.content("the-request"))
        assert (problem.value.status, problem.value.media_type) == (status, media_type)
        assert (told["status"], told["type"]) == (status, "about:blank")
        assert told["title"]
        assert told["detail"]

    async def test_an_application_may_want_another_status(self, tmp_path: Path) -> None:
        wanted = {**CONDITIONS, "query": Wanted(400)}
        small = Small(document({"/none": PATHS["/none"]}), tmp_path, conditions=wanted)

        assert await small.refusal("GET", "/none?q=x") == (400, [("/q", "type")])

    def test_a_status_whose_answer_has_no_room_cannot_be_wanted(self, tmp_path: Path) -> None:
        paths = {"/odd": get("odd", {**NOTHING, "404": json("Odd")}, QUERY)}
        wanted = {**CONDITIONS, "query": Wanted(404)}

        with pytest.raises(ContractError, match="odd has no room in its 404 for what it has to say of query"):
            Small(document(paths, components=COMPONENTS), tmp_path, conditions=wanted)

    def test_an_answer_without_room_for_a_problem_is_refused(self, tmp_path: Path) -> None:
        paths = {
            "/odd/{a}": get("odd", {**NOTHING, "404": json("Odd")}, PATH),
            "/csv": get("csv", {**NOTHING, "default": content("text/csv", {"enum": ["a,b"]})}, QUERY),
            "/octets": get("octets", {**NOTHING, "4XX": content("application/octet-stream", {})}, QUERY),
        }

        found = refusals(document(paths, components=COMPONENTS), tmp_path)

        assert [place for place, _ in found] == [
            "#/paths/~1odd~1{a}/get/responses/404",
            "#/paths/~1csv/get/responses/default",
            "#/paths/~1octets/get/responses/4XX",
        ]
        assert found[0][1].startswith(
            "has no room for what there is to say of path: declare 404 for it, let its schema"
        )


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Small:
    def problem(status: int, *codes: str) -> Node:
        told = {
            code: {"value": {"type": f"/problems/{code}", "title": "T", "status": status, "code": code}}
            for code in codes
        }
        return {"description": "P.", "content": {"application/problem+json": {"schema": {}, "examples": told}}}

    oauth = {code: {"value": {"error": code}} for code in ("invalid_request", "unsupported_grant_type")}
    responses = {
        "Bad": problem(400, "other", "invalid_header"),
        "Refused": {"description": "R.", "content": {"application/json": {"schema": {}, "examples": oauth}}},
    }
    kinds = {code: ProblemType(400, "T", "D.") for code in ("other", "invalid_header")}
    grant = {"type": "object", "properties": {"grant_type": {"enum": ["password"]}, "n": {"type": "integer"}}}
    form = {"application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/Grant"}}}
    paths = {
        "/coded": get("coded", {**NOTHING, "400": refer_to("Bad")}, {**QUERY, "in": "header"}),
        "/token": {
            "post": {
                "operationId": "token",
                "requestBody": {"required": True, "content": form},
                "responses": {**NOTHING, "400": refer_to("Refused")},
            }
        },
    }
    whole = document(paths, components={"responses": responses, "schemas": {"Grant": grant}})
    return Small(whole, tmp_path_factory.mktemp("coded"), kinds=lambda _document: kinds)


class TestCodes:
    async def test_the_code_that_says_it_best_is_taken(self, coded: Small) -> None:
        with pytest.raises(Problem) as problem:
            await coded.send("GET", "/coded", headers={"q": "x"})

        assert (problem.value.status, problem.value.code) == (400, "invalid_header")

    @pytest.mark.parametrize(
        ("body", "code", "detail"),
        [
            (b"grant_type=other", "unsupported_grant_type", "grant_type: Must be one of password"),
            (b"n=x", "invalid_request", "n: Must be integer"),
            (b"n=1&n=2", "invalid_request", "A member of the form is repeated."),
            (b"grant_type=", "invalid_request", ""),
        ],
    )
    async def test_oauth_has_one_error_for_a_request(self, coded: Small, body: bytes, code: str, detail: str) -> None:
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        if not detail:
            assert (await coded.arguments_of("POST", "/token", headers=sent, body=body))[
                "body"
            ].model_fields_set == set()
            return
        with pytest.raises(OAuthProblem) as problem:
            await coded.send("POST", "/token", headers=sent, body=body)

        assert (problem.value.code, problem.value.detail) == (code, detail)
