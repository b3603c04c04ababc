"""Requests read as the contract gives them, and what is said of those that break it."""

from dataclasses import replace
from typing import Any, Literal
from urllib.parse import quote, urlencode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import MISSING
from pydantic_core import to_json

from contract.exchange import Exchange
from contract.parsing import DEEPEST, MOST_VALUES, USUAL_BODY
from contract.request_decoding import Reader
from contract.schemas import Schemas
from contract.types import Parameter, Problem, Scalar
from contract.validation import MOST_FAULTS
from generated import models
from generated.models import TaskSort, TaskStatusFilter
from tests.binding.conftest import BY_ID, request
from tests.client import DOCUMENT

ID = "019b76da-a800-7000-8000-0000000000a1"
JSON, PATCH, FORM = "application/json", "application/merge-patch+json", "application/x-www-form-urlencoded"
GRANT = "grant_type=password&username=ada&password=secret"
SCHEMAS = Schemas(DOCUMENT)
READERS = {name: Reader(operation, SCHEMAS) for name, operation in BY_ID.items()}
DEFAULTS = {
    "limit": 50,
    "cursor": MISSING,
    "sort": TaskSort.created_at_descending,
    **dict.fromkeys(["status", "completed", "priority", "user_id", "organization_id", "scope"], MISSING),
    **dict.fromkeys(["has_author", "has_description", "has_due_date", "time_zone"], MISSING),
    **{f"{name}_{end}": MISSING for name in ("due", "created", "updated") for end in ("before", "after")},
    "include_total": False,
}


def one_text(
    name: str, where: Literal["path", "query"], type: Any, schema: str, *, kind: str = "string", required: bool = False
) -> Parameter:
    shape = Scalar((kind,), schema)
    return Parameter(name=name, where=where, argument=name, shape=shape, type=type, schema=schema, required=required)


async def read(operation: str, exchange: Exchange, **segments: str) -> dict[str, Any]:
    return await READERS[operation].read(exchange, segments)


async def refusal(operation: str, exchange: Exchange, **segments: str) -> Problem:
    with pytest.raises(Problem) as refused:
        await read(operation, exchange, **segments)
    return refused.value


async def places(operation: str, exchange: Exchange, **segments: str) -> list[tuple[str, str]]:
    """The pointer and the code of each fault of a request that breaks the contract."""
    problem = await refusal(operation, exchange, **segments)
    assert (problem.status, problem.code) == (422, "validation_error")
    return [(fault.pointer, fault.code) for fault in problem.errors]


def post_request(body: object, media_type: str = JSON, method: str = "POST") -> Exchange:
    content = body if isinstance(body, bytes) else to_json(body)
    return request(method, headers={"Content-Type": media_type}, chunks=[content])


class TestPath:
    async def test_an_id_is_read(self) -> None:
        read_arguments = await read("getTask", request(), task_id=ID)

        assert read_arguments == {"task_id": UUID(ID), "if_none_match": MISSING}

    @pytest.mark.parametrize("text", ["", "7", ID[:-1], ID + "0", ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}"])
    async def test_a_malformed_id_is_not_found(self, text: str) -> None:
        problem = await refusal("getTask", request(), task_id=text)

        assert (problem.status, problem.code) == (404, "not_found")

    async def test_what_only_the_type_refuses_is_not_found_either(self) -> None:
        wanted = one_text("code", "path", Literal["yes"], "#/components/schemas/ProblemCode")
        reader = Reader(replace(BY_ID["getProblemType"], parameters=(wanted,)), SCHEMAS)

        assert await reader.read(request(), {"code": "yes"}) == {"code": "yes"}
        with pytest.raises(Problem) as refused:
            await reader.read(request(), {"code": "no_such"})
        assert refused.value.status == 404


class TestHeaders:
    @pytest.mark.parametrize(
        ("sent", "tags"), [("*", MISSING), ('"1"', ("1",)), ('W/"1", "2"', ("2",)), ('W/"1"', ()), (None, MISSING)]
    )
    async def test_if_match_is_read(self, sent: str | None, tags: object) -> None:
        headers = {} if sent is None else {"If-Match": sent}

        arguments = await read("deleteTask", request("DELETE", headers=headers), task_id=ID)

        assert arguments == {"task_id": UUID(ID), "if_match": tags}

    @pytest.mark.parametrize("text", ["", "1", '"1', '"1" "2"', '"1",', "*, *", '"é"', '"' + "1" * 1000 + '"'])
    @pytest.mark.parametrize(("operation", "name"), [("deleteTask", "If-Match"), ("getTask", "If-None-Match")])
    async def test_a_malformed_condition_is_refused(self, operation: str, name: str, text: str) -> None:
        problem = await refusal(operation, request(headers={name: text}), task_id=ID)

        assert (problem.status, problem.code) == (400, "invalid_header")
        assert problem.detail == f"{name} does not have the form it needs."
        assert {fault.where for fault in problem.errors} == {"header"}
        assert {fault.pointer for fault in problem.errors} == {f"/{name}"}

    async def test_an_id_is_looked_at_before_a_header(self) -> None:
        assert (await refusal("deleteTask", request(headers={"If-Match": "1"}), task_id="7")).status == 404

    async def test_a_header_is_looked_at_before_a_body(self) -> None:
        exchange = request("PUT", headers={"If-Match": "1"}, chunks=[b"{"])

        assert (await refusal("replaceTask", exchange, task_id=ID)).code == "invalid_header"


class TestQuery:
    async def test_without_a_query_there_are_the_defaults(self) -> None:
        assert await read("listTasks", request()) == DEFAULTS

    @pytest.mark.parametrize(
        ("query", "given_arguments"),
        [
            ("limit=1", {"limit": 1}),
            ("limit=200&&", {"limit": 200}),
            ("%6cimit=1%30", {"limit": 10}),
            ("sort=-title", {"sort": TaskSort.title_descending}),
            ("status=open", {"status": [TaskStatusFilter.open]}),
            ("status=open&status=completed", {"status": [TaskStatusFilter.open, TaskStatusFilter.completed]}),
            ("status=all", {"status": [TaskStatusFilter.all]}),
            ("cursor=a+b%2Bc%3D", {"cursor": "a b+c="}),
            ("cursor=a=b", {"cursor": "a=b"}),
            (f"organization_id={ID}", {"organization_id": UUID(ID)}),
        ],
    )
    async def test_parameters_are_read(self, query: str, given_arguments: dict[str, object]) -> None:
        assert await read("listTasks", request(query=query)) == DEFAULTS | given_arguments

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
    async def test_a_text_is_read_however_it_is_encoded(self, cursor: str) -> None:
        everything = "".join(f"%{byte:02x}" for byte in cursor.encode())

        for query in (urlencode({"cursor": cursor}), f"cursor={quote(cursor)}", f"cursor={everything}"):
            assert (await read("listTasks", request(query=query)))["cursor"] == cursor

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("limit=0", ("/limit", "minimum")),
            ("limit=201", ("/limit", "maximum")),
            ("limit=" + "9" * 5000, ("/limit", "maximum")),
            ("limit=-" + "9" * 5000, ("/limit", "minimum")),
            ("limit=", ("/limit", "type")),
            ("limit", ("/limit", "type")),
            ("limit=1.5", ("/limit", "type")),
            ("limit=1e1", ("/limit", "type")),
            ("limit=010", ("/limit", "type")),
            ("limit=+1", ("/limit", "type")),
            ("limit=-", ("/limit", "type")),
            ("limit=%D9%A1", ("/limit", "type")),
            ("limit=true", ("/limit", "type")),
            ("limit=1&limit=2", ("/limit", "repeated")),
            ("sort=colour", ("/sort", "enum")),
            ("sort=title&sort=title", ("/sort", "repeated")),
            ("status=late", ("/status/0", "enum")),
            ("status=open&status=", ("/status/1", "enum")),
            ("status=all&status=open", ("/status", "max_items")),
            ("cursor=", ("/cursor", "min_length")),
            ("cursor=" + "c" * 2401, ("/cursor", "max_length")),
            ("cursor=%ff", ("/cursor", "format")),
            ("cursor=é", ("/cursor", "format")),
            ("cursor=%ED%A0%80", ("/cursor", "format")),
            ("organization_id=7", ("/organization_id", "format")),
            ("Limit=1", ("/Limit", "unknown_parameter")),
            ("limit%00=1", ("/limit\0", "unknown_parameter")),
            ("a%2Fb=1", ("/a~1b", "unknown_parameter")),
            ("%ff=1", ("/\ufffd", "unknown_parameter")),
            ("=1", ("/", "unknown_parameter")),
        ],
    )
    async def test_a_fault_is_named(self, query: str, expected: tuple[str, str]) -> None:
        assert await places("listTasks", request(query=query)) == [expected]

    async def test_every_fault_is_named(self) -> None:
        query = "limit=0&colour=red&sort=colour&status=open&status=late&cursor="

        assert await places("listTasks", request(query=query)) == [
            ("/colour", "unknown_parameter"),
            ("/limit", "minimum"),
            ("/sort", "enum"),
            ("/status/1", "enum"),
            ("/cursor", "min_length"),
        ]

    async def test_what_cannot_be_decoded_came_all_the_same(self) -> None:
        assert await places("searchTasks", request(query="q=%ff")) == [("/q", "format")]

    async def test_there_is_an_end_of_faults(self) -> None:
        query = "&".join(f"p{number}=1" for number in range(10_000))

        assert len(await places("listTasks", request(query=query))) == MOST_FAULTS

    async def test_there_is_one_end_of_faults_for_the_whole_request(self) -> None:
        body = to_json({f"m{number}": 1 for number in range(100)})
        query = "&".join(f"p{number}=1" for number in range(100))

        problem = await refusal(
            "createTask", request("POST", query=query, headers={"Content-Type": JSON}, chunks=[body])
        )

        assert len(problem.errors) == MOST_FAULTS
        assert problem.detail == "The request breaks the contract in 50 places or more."

    async def test_an_operation_without_parameters_takes_none(self) -> None:
        assert await places("getApiInfo", request(query="x=1")) == [("/x", "unknown_parameter")]

    @pytest.mark.parametrize("operation", ["getHealth", "getLiveness", "getReadiness"])
    async def test_a_probe_ignores_a_query(self, operation: str) -> None:
        assert await read(operation, request(query="x=1&%ff")) == {}

    @pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
    async def test_a_boolean_is_read(self, text: str, value: bool) -> None:  # noqa: FBT001 - a row of the table
        completed = "#/components/schemas/TaskCompletion/properties/completed"
        wanted = one_text("done", "query", bool, completed, kind="boolean", required=True)
        reader = Reader(replace(BY_ID["listTasks"], parameters=(wanted,)), SCHEMAS)

        assert await reader.read(request(query=f"done={text}"), {}) == {"done": value}
        for query, code in (("done=1", "type"), ("done=True", "type"), ("", "required")):
            with pytest.raises(Problem) as refused:
                await reader.read(request(query=query), {})
            assert [(fault.pointer, fault.code) for fault in refused.value.errors] == [("/done", code)]

    async def test_what_only_the_type_refuses_is_a_fault_too(self) -> None:
        cursor = "#/components/parameters/Cursor/schema"
        wanted = one_text("cursor", "query", Literal["a"], cursor)
        reader = Reader(replace(BY_ID["listTasks"], parameters=(wanted,)), SCHEMAS)

        with pytest.raises(Problem) as refused:
            await reader.read(request(query="cursor=secret"), {})

        [fault] = refused.value.errors
        assert (fault.where, fault.pointer, fault.code) == ("query", "/cursor", "format")
        assert "secret" not in fault.detail


class TestBody:
    async def test_a_body_becomes_its_model(self) -> None:
        arguments = await read("createTask", post_request({"title": "Ship it", "due_date": None}))

        assert arguments == {"body": models.TaskCreate(title="Ship it", due_date=None), "idempotency_key": MISSING}
        assert arguments["body"].description is MISSING

    async def test_what_is_null_and_what_is_missing_are_told_apart(self) -> None:
        arguments = await read("updateTask", post_request({"due_date": None}, PATCH, "PATCH"), task_id=ID)

        assert arguments["body"].due_date is None
        assert arguments["body"].description is MISSING

    @pytest.mark.parametrize(
        "media_type", [JSON, "Application/JSON", f"{JSON}; charset=utf-8", f" {JSON} ;x=y", f"{JSON};"]
    )
    async def test_a_media_type_has_parameters_and_no_case(self, media_type: str) -> None:
        assert await read("createTask", post_request({"title": "Ship it"}, media_type))

    @pytest.mark.parametrize("media_type", ["", "text/plain", PATCH, FORM, f"{JSON}x", f"text/plain, {JSON}"])
    async def test_another_media_type_is_refused_with_the_right_one(self, media_type: str) -> None:
        problem = await refusal("createTask", post_request({"title": "Ship it"}, media_type))

        assert (problem.status, problem.code) == (415, "unsupported_media_type")
        assert problem.headers == (("Accept", JSON),)

    @pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "identity, gzip"])
    async def test_a_content_coding_is_refused_and_said_to_be(self, coding: str) -> None:
        exchange = post_request({"title": "Ship it"})
        exchange.headers[b"content-encoding"] = coding.encode()

        problem = await refusal("createTask", exchange)

        assert (problem.status, problem.code) == (415, "unsupported_media_type")
        assert problem.headers == (("Accept", JSON), ("Accept-Encoding", "identity"))

    async def test_no_content_coding_may_be_told(self) -> None:
        exchange = post_request({"title": "Ship it"})
        exchange.headers[b"content-encoding"] = b"Identity"

        assert await read("createTask", exchange)

    async def test_a_patch_names_its_media_type_by_another_header(self) -> None:
        problem = await refusal("updateTask", post_request({"title": "Ship it"}, "text/plain", "PATCH"), task_id=ID)

        assert problem.headers == (("Accept-Patch", f"{PATCH}, {JSON}"),)

    @pytest.mark.parametrize("name", ["updateTask", "toggleTaskCompletion"])
    @pytest.mark.parametrize("media_type", [JSON, PATCH, f"{JSON}; charset=utf-8"])
    async def test_a_patch_means_the_same_in_both_media_types(self, name: str, media_type: str) -> None:
        member = {"updateTask": "due_date", "toggleTaskCompletion": "completed"}[name]
        value = {"due_date": None, "completed": False}[member]

        arguments = await read(name, post_request({member: value}, media_type, "PATCH"), task_id=ID)

        assert getattr(arguments["body"], member) is value

    @pytest.mark.proves("", "A refusal never quotes what was sent")
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b" ",
            b"{",
            b'{"title": "Ship',
            b'{"title": "Ship it"} x',
            b"{'title': 'Ship it'}",
            b'{"title": NaN}',
            b'{"title": Infinity}',
            b'{"title": "\\ud800"}',
            b'{"title": "\xff"}',
            b"\xff\xfe{\x00}\x00",
            b"\xef\xbb\xbf{}",
        ],
    )
    async def test_what_is_no_json_is_refused_and_not_quoted(self, content: bytes) -> None:
        problem = await refusal("createTask", post_request(content))

        assert (problem.status, problem.code) == (400, "malformed_request")
        assert "Ship" not in (problem.detail or "")

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"{}", [("/title", "required")]),
            (b"[]", [("", "type")]),
            (b"null", [("", "not_null")]),
            (b'"title"', [("", "type")]),
            (b"9" * 4000, [("", "type")]),
            (b'{"title": "\\u0000"}', [("/title", "pattern")]),
            (b'{"title": " Ship it"}', [("/title", "pattern")]),
            (b'{"title": ""}', [("/title", "min_length"), ("/title", "pattern")]),
            (b'{"title": 5, "status": "late"}', [("/status", "enum"), ("/title", "type")]),
            (b'{"title": null}', [("/title", "not_null")]),
            (b'{"title": "a", "status": null, "priority": 5}', [("/priority", "type"), ("/status", "not_null")]),
            (b'{"title": "a", "description": "%s"}' % (b"x" * 2001), [("/description", "max_length")]),
            (b'{"title": "a", "titel": "b"}', [("/titel", "unknown_field")]),
            (b'{"title": "a", "due_date": "1899-12-31T23:59:59Z"}', [("/due_date", "pattern")]),
            (b'{"title": "a", "due_date": "9999-01-01T00:00:00Z"}', [("/due_date", "pattern")]),
            (b'{"title": "a", "due_date": "2026-02-30T00:00:00Z"}', [("/due_date", "format")]),
            (b'{"title": "a", "due_date": "2026-02-03"}', [("/due_date", "format")]),
        ],
    )
    async def test_every_fault_is_named(self, content: bytes, expected: list[tuple[str, str]]) -> None:
        assert sorted(await places("createTask", post_request(content))) == expected

    async def test_a_place_with_two_faults_is_one_place(self) -> None:
        problem = await refusal("createTask", post_request({"title": ""}))

        assert problem.detail == "The request breaks the contract in 1 place."

    async def test_query_and_body_are_judged_together(self) -> None:
        exchange = request("POST", query="x=1", headers={"Content-Type": JSON}, chunks=[b"{}"])

        assert await places("createTask", exchange) == [("/x", "unknown_parameter"), ("/title", "required")]

    async def test_a_body_may_be_left_out_where_the_contract_says_so(self) -> None:
        arguments = await read("toggleTaskCompletion", request("PATCH"), task_id=ID)

        assert arguments["body"] is MISSING
        problem = await refusal("createTask", request("POST", headers={"Content-Type": JSON}))
        assert problem.code == "malformed_request"

    async def test_too_large_a_body_is_refused(self) -> None:
        problem = await refusal("createTask", post_request(b" " * (USUAL_BODY + 1)))

        assert (problem.status, problem.code) == (413, "content_too_large")

    @pytest.mark.parametrize(
        ("content", "status"),
        [
            (b"[%b0]" % (b"0," * (MOST_VALUES - 2)), 422),
            (b"[%b0]" % (b"0," * (MOST_VALUES - 1)), 413),
            (b"[%b[ ]]" % (b"{}, " * (MOST_VALUES - 2)), 422),
            (b"[%b[ ]]" % (b"{}, " * (MOST_VALUES - 1)), 413),
            (b'{"a":[%b""]}' % (b'"",' * (MOST_VALUES - 3)), 422),
            (b'{"a":[%b""]}' % (b'"",' * (MOST_VALUES - 2)), 413),
            (b"[" * DEEPEST + b"]" * DEEPEST, 422),
            (b'{"a":' * DEEPEST + b"[]" + b"}" * DEEPEST, 413),
            (b"[" * 60_000, 413),
            (to_json("[],{}" * 10_000), 422),
            (to_json('\\",[' * 9_000), 422),
            (to_json([["["] * DEEPEST, "]"]), 422),
        ],
        ids=lambda value: str(value)[:20],
    )
    async def test_so_many_values_and_levels_of_them_are_read_and_no_more(self, content: bytes, status: int) -> None:
        problem = await refusal("createTask", post_request(content))

        assert problem.status == status

    async def test_a_body_of_an_operation_without_one_is_not_looked_at(self) -> None:
        assert await read("getLiveness", post_request(b"{")) == {}


class TestForm:
    @pytest.mark.parametrize("form", [GRANT, f"{GRANT}&scope=all&client_id=", GRANT.replace("ada", "%61d%61")])
    async def test_a_form_becomes_its_model(self, form: str) -> None:
        body = (await read("issueToken", post_request(form.encode(), FORM)))["body"]

        assert (body.username, body.password) == ("ada", "secret")

    @pytest.mark.parametrize(
        ("form", "code", "detail"),
        [
            (f"{GRANT}&username=bob", "invalid_request", "A member of the form is repeated."),
            (f"{GRANT}&x=%ff", "invalid_request", "The body is not a form in percent-encoded UTF-8."),
            (f"{GRANT}&x=\xff", "invalid_request", "The body is not a form in percent-encoded UTF-8."),
            ("&".join(f"p{n}=1" for n in range(101)), "invalid_request", "The body is not a form"),
            ("grant_type=password&username=ada", "invalid_request", "password: Is required"),
            ("grant_type=password&username=ada&password=", "invalid_request", "password: Is required"),
            ("", "invalid_request", ": Is required"),
            (f"{GRANT}%00", "invalid_request", "password: Must not have NUL in it"),
            (GRANT.replace("=password", "=magic"), "unsupported_grant_type", "grant_type: Must be one of password"),
        ],
    )
    async def test_a_form_that_is_no_good_is_refused_as_rfc_6749_says(self, form: str, code: str, detail: str) -> None:
        problem = await refusal("issueToken", post_request(form.encode("latin-1"), FORM))

        assert (problem.status, problem.code) == (400, code)
        assert detail in (problem.detail or "")

    async def test_a_query_does_not_count_there(self) -> None:
        exchange = request("POST", query="x=1", headers={"Content-Type": FORM}, chunks=[GRANT.encode()])

        assert (await read("issueToken", exchange))["body"].username == "ada"
