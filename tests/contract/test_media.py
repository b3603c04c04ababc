"""Bodies of every media type that the engine reads and writes, chosen by what a request says of itself."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import MISSING, TypeAdapter

from contract import media_types
from contract.exchange import Exchange
from contract.request_bodies import MOST_KNOWN, validate_value
from contract.response_encoding import Answer
from contract.spools import IN_MEMORY
from contract.types import ContractError, Event, Fault, File, Json, Problem, Result, Streamed, Text
from tests.contract.small import NOTHING, Node, Small, document, refusals

THING: Node = {"type": "object", "properties": {"a": {"type": "integer"}}}
OTHER: Node = {"type": "object", "required": ["z"], "properties": {"z": {"type": "string"}}}
UPLOAD: Node = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "note": {"type": "string", "maxLength": 5},
        "count": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "more": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "thing": {"$ref": "#/components/schemas/Thing"},
        "picture": {},
        "kind": {"enum": ["a", "b"]},
    },
}
FORM: Node = {
    "type": "object",
    "properties": {
        "c": {"type": "string"},
        "n": {"type": "integer"},
        "list": {"type": "array", "items": {"type": "integer"}},
        "one_or_many": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "array", "items": {"type": "string"}}]},
        "thing": {"$ref": "#/components/schemas/Thing"},
    },
}
TICK: Node = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
COMPONENTS: Node = {"schemas": {"Thing": THING, "Other": OTHER, "Upload": UPLOAD, "Form": FORM, "Tick": TICK}}


def ref(name: str) -> Node:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def post(operation_id: str, content: Node, more: Node | None = None, *, required: bool = True) -> Node:
    body = {"required": required, "content": content}
    return {"post": {"operationId": operation_id, "requestBody": body, "responses": NOTHING, **(more or {})}}


def answers(operation_id: str, content: Node, **more: Any) -> Node:
    responses = {"200": {"description": "It.", "content": content}, **more}
    return {"get": {"operationId": operation_id, "responses": responses}}


TEXT: Node = {"schema": {"type": "string", "maxLength": 5}}
BINARY: Node = {"schema": {"type": "string", "format": "binary"}}
MULTIPART: Node = {**ref("Upload"), "encoding": {"picture": {"contentType": "image/png, image/jpeg"}}}
TICKS: Node = {"x-itemSchema": {"$ref": "#/components/schemas/Tick"}}
PATHS: Node = {
    "/two": post("two", {"application/json": ref("Thing"), "application/x-www-form-urlencoded": ref("Thing")}),
    "/alike": post("alike", {"application/merge-patch+json": ref("Thing"), "application/json": ref("Thing")}),
    "/inline": post("inline", {"application/vnd.x+json": {"schema": THING}, "application/json": {"schema": THING}}),
    "/case": post("case", {"Application/JSON": ref("Thing")}),
    "/versions": post(
        "versions", {"application/json; version=1": ref("Thing"), "application/json; version=2": ref("Other")}
    ),
    "/form": post("form", {"application/x-www-form-urlencoded": ref("Form")}),
    "/multipart": post("multipart", {"multipart/form-data": MULTIPART}, {"x-max-body": 3 * 1024 * 1024}),
    "/csv": post("csv", {"text/csv": TEXT}),
    "/plain": post("plain", {"text/plain": {}}),
    "/octets": post("octets", {"application/octet-stream": BINARY}),
    "/bare": post("bare", {"application/octet-stream": {}}, required=False),
    "/image": post("image", {"image/*": BINARY, "image/png": BINARY}),
    "/xml": post("xml", {"application/xml": {"schema": {"type": "string"}}}),
    "/lines": post("lines", {"application/x-ndjson": TICKS}),
    "/any": post("any", {"application/json": {}}),
    "/answers/csv": answers(
        "answerCsv", {"text/csv": {"schema": {"type": "string"}}, "application/json": ref("Thing")}
    ),
    "/answers/json": answers("answerJson", {"application/json": {}}),
    "/answers/parameters": answers("answerParameters", {"application/json; charset=utf-8": ref("Thing")}),
    "/answers/two": answers("answerTwo", {"application/json": ref("Thing"), "application/vnd.x+json": ref("Other")}),
    "/answers/strict": answers(
        "answerStrict", {"text/csv": {"schema": {"type": "string"}}}, **{"406": {"description": "None of them."}}
    ),
    "/answers/image": answers("answerImage", {"image/*": {}}),
    "/answers/events": answers("answerEvents", {"text/event-stream": TICKS}),
    "/answers/lines": answers("answerLines", {"application/x-ndjson": TICKS, "application/json": ref("Tick")}),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return Small(document(PATHS, components=COMPONENTS), tmp_path_factory.mktemp("media"))


async def read_body(small: Small, path: str, media_type: str, body: bytes, **headers: str) -> Any:
    return (await small.arguments_of("POST", path, headers={"Content-Type": media_type, **headers}, body=body))["body"]


async def refusal_of(small: Small, path: str, media_type: str, body: bytes) -> tuple[int, list[tuple[str, str]]]:
    return await small.refusal("POST", path, headers={"Content-Type": media_type}, body=body)


def dump_model(value: Any) -> Any:
    return value.model_dump(exclude_unset=True, by_alias=True)


class TestSeveral:
    async def test_a_body_is_told_by_its_media_type(self, small: Small) -> None:
        json = await read_body(small, "/two", "application/json", b'{"a": 1}')
        form = await read_body(small, "/two", "application/x-www-form-urlencoded", b"a=1")

        assert type(json).__name__ == "TwoApplicationJson"
        assert type(form).__name__ == "TwoApplicationXWwwFormUrlencoded"
        assert dump_model(json.content) == dump_model(form.content) == {"a": 1}

    @pytest.mark.parametrize("media_type", ["application/json", "application/merge-patch+json"])
    async def test_json_of_one_shared_schema_is_the_same_in_each(self, small: Small, media_type: str) -> None:
        assert dump_model(await read_body(small, "/alike", media_type, b'{"a": 1}')) == {"a": 1}

    async def test_json_of_schemas_that_are_not_shared_is_told_apart(self, small: Small) -> None:
        body = await read_body(small, "/inline", "application/json", b'{"a": 1}')

        assert type(body).__name__ == "InlineApplicationJson"

    @pytest.mark.parametrize(
        "media_type", ["application/json", "APPLICATION/json; charset=UTF-8", 'application/json;charset="utf-8"']
    )
    async def test_case_and_utf_8_do_not_matter(self, small: Small, media_type: str) -> None:
        assert dump_model(await read_body(small, "/case", media_type, b'{"a": 1}')) == {"a": 1}

    @pytest.mark.parametrize("media_type", ["", "text/plain", "application/json; charset=latin-1", "json"])
    async def test_another_media_type_or_character_set_is_not_taken(self, small: Small, media_type: str) -> None:
        assert await refusal_of(small, "/case", media_type, b'{"a": 1}') == (415, [])

    async def test_parameters_tell_media_types_apart(self, small: Small) -> None:
        one = await read_body(small, "/versions", "application/json; Version=1; x=y", b'{"a": 1}')
        two = await read_body(small, "/versions", 'application/json; version="2"', b'{"z": "b"}')

        assert (dump_model(one.content), dump_model(two.content)) == ({"a": 1}, {"z": "b"})
        assert await refusal_of(small, "/versions", "application/json", b"{}") == (415, [])

    async def test_a_coding_is_not_taken(self, small: Small) -> None:
        with pytest.raises(Problem) as problem:
            await read_body(small, "/csv", "text/csv", b"a", **{"Content-Encoding": "gzip"})

        assert (problem.value.status, problem.value.headers) == (
            415,
            (("Accept", "text/csv"), ("Accept-Encoding", "identity")),
        )


class TestForm:
    async def test_its_members_are_what_their_schemas_say(self, small: Small) -> None:
        body = b"c=&n=7&list=1&list=2&thing=%7B%22a%22%3A1%7D"

        assert dump_model(await read_body(small, "/form", "application/x-www-form-urlencoded", body)) == {
            "c": "",
            "n": 7,
            "list": [1, 2],
            "thing": {"a": 1},
        }

    @pytest.mark.parametrize(
        ("body", "value"),
        [
            (b"one_or_many=a", {"one_or_many": "a"}),
            (b"one_or_many=abcd", {"one_or_many": ["abcd"]}),
            (b"one_or_many=a&one_or_many=b", {"one_or_many": ["a", "b"]}),
            (b"other=a&other=b", {"other": ["a", "b"]}),
        ],
    )
    async def test_what_comes_several_times_is_a_list(self, small: Small, body: bytes, value: Node) -> None:
        assert dump_model(await read_body(small, "/form", "application/x-www-form-urlencoded", body)) == value

    @pytest.mark.parametrize(
        ("body", "status", "places"),
        [
            (b"c=x&c=y", 400, []),
            (b"c=%FF", 400, []),
            (b"n=x", 422, [("/n", "type")]),
            (b"list=x", 422, [("/list/0", "type")]),
            (b"thing=x", 422, [("/thing", "format")]),
            (b"thing=%7B%22a%22%3A%22x%22%7D", 422, [("/thing/a", "type")]),
        ],
    )
    async def test_what_is_wrong_with_one_is_told(
        self, small: Small, body: bytes, status: int, places: list[tuple[str, str]]
    ) -> None:
        assert await refusal_of(small, "/form", "application/x-www-form-urlencoded", body) == (status, places)


BOUNDARY = "multipart/form-data; boundary=X"


def part(name: str, content: bytes, media_type: str = "", filename: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    head += f"\r\nContent-Type: {media_type}" if media_type else ""
    return b"--X\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--X--\r\n"


class TestMultipart:
    async def test_files_and_texts_are_typed(self, small: Small) -> None:
        seen: dict[str, Any] = {}

        async def look(_exchange: Exchange, arguments: Mapping[str, Any]) -> Result:
            body = arguments["body"]
            seen.update(read=body.file.read(), size=body.file.size, name=body.file.name, type=body.file.media_type)
            seen.update(note=body.note, count=body.count, tags=body.tags, more=[one.read() for one in body.more])
            seen.update(thing=body.thing.a, picture=body.picture.read(), kind=body.kind.value, file=body.file)
            made: Result = small.operations.Multipart204()
            return made

        body = form(
            part("file", b"\x00\xff", "application/pdf", "a.pdf"),
            part("note", "é".encode()),
            part("count", b"3"),
            part("tags", b"a"),
            part("tags", b"b"),
            part("more", b"1", filename="1"),
            part("more", b"2", filename="2"),
            part("thing", b'{"a": 1}', "application/json"),
            part("picture", b"png", "image/png", "p.png"),
            part("kind", b"a"),
        )

        await small.doing(look).send("POST", "/multipart", headers={"Content-Type": BOUNDARY}, body=body)

        assert seen.pop("file").content.closed
        assert seen == {
            "read": b"\x00\xff",
            "size": 2,
            "name": "a.pdf",
            "type": "application/pdf",
            "note": "é",
            "count": 3,
            "tags": ["a", "b"],
            "more": [b"1", b"2"],
            "thing": 1,
            "picture": b"png",
            "kind": "a",
        }

    async def test_what_is_left_out_is_missing(self, small: Small) -> None:
        body = await read_body(small, "/multipart", BOUNDARY, form(part("file", b"x")))

        assert (body.note, body.more) == (MISSING, MISSING)

    async def test_a_large_file_goes_to_the_disk(self, small: Small) -> None:
        large = b"x" * (IN_MEMORY + 1)
        body = await read_body(small, "/multipart", BOUNDARY, form(part("file", large)))

        assert body.file.size == len(large)

    @pytest.mark.parametrize(
        ("body", "status", "places"),
        [
            (form(part("note", b"x")), 422, [("/file", "required")]),
            (form(part("file", b"x"), part("note", b"123456")), 422, [("/note", "max_length")]),
            (form(part("file", b"x"), part("count", b"x")), 422, [("/count", "type")]),
            (form(part("file", b"x"), part("other", b"x")), 422, [("/other", "unknown_field")]),
            (form(part("file", b"x"), part("thing", b"{")), 422, [("/thing", "format")]),
            (form(part("file", b"x"), part("picture", b"x", "text/html")), 422, [("/picture", "media_type")]),
            (form(part("file", b"x"), part("file", b"y")), 400, []),
            (form(part("file", b"x"), part("note", b"a"), part("note", b"b")), 400, []),
            (form(part("file", b"x"), part("note", b"\xff")), 400, []),
            (part("file", b"x"), 400, []),
            (b"nothing", 400, []),
            (b"", 400, []),
            (form(*[part("tags", b"x")] * 101), 413, []),
            (form(part("file", b"x"), part("note", b"x" * (1024 * 1024 + 1))), 413, []),
            (form(part("file", b"x" * 3 * 1024 * 1024)), 413, []),
        ],
    )
    async def test_what_is_wrong_is_told(
        self, small: Small, body: bytes, status: int, places: list[tuple[str, str]]
    ) -> None:
        assert await refusal_of(small, "/multipart", BOUNDARY, body) == (status, places)

    async def test_without_a_boundary_it_is_none(self, small: Small) -> None:
        assert await refusal_of(small, "/multipart", "multipart/form-data", form(part("file", b"x"))) == (400, [])


class TestTexts:
    @pytest.mark.parametrize(
        ("path", "media_type", "body", "value"),
        [
            ("/csv", "text/csv", b"a,b", "a,b"),
            ("/csv", "text/csv; charset=latin-1", b"\xe9", "é"),
            ("/plain", "text/plain", b"", ""),
            ("/xml", "application/xml", b"<a/>", "<a/>"),
            ("/any", "application/json", b"[1, null]", [1, None]),
        ],
    )
    async def test_a_text_is_a_text(self, small: Small, path: str, media_type: str, body: bytes, value: object) -> None:
        assert await read_body(small, path, media_type, body) == value

    @pytest.mark.parametrize(
        ("media_type", "body", "status", "places"),
        [
            ("text/csv", b"123456", 422, [("", "max_length")]),
            ("text/csv", b"\xff", 400, []),
            ("text/csv; charset=none-such", b"a", 415, []),
        ],
    )
    async def test_one_that_is_none_is_refused(
        self, small: Small, media_type: str, body: bytes, status: int, places: list[tuple[str, str]]
    ) -> None:
        assert await refusal_of(small, "/csv", media_type, body) == (status, places)

    @pytest.mark.parametrize(
        ("path", "media_type"),
        [("/octets", "application/octet-stream"), ("/bare", "application/octet-stream"), ("/image", "image/gif")],
    )
    async def test_bytes_are_a_file(self, small: Small, path: str, media_type: str) -> None:
        told = await read_body(small, path, media_type, b"hello")
        file = getattr(told, "content", told) if path == "/image" else told

        assert (type(file), file.size, file.media_type, file.name) == (File, 5, media_type, None)

    async def test_the_more_exact_media_type_goes_before(self, small: Small) -> None:
        assert type(await read_body(small, "/image", "image/png", b"x")).__name__ == "ImageImagePng"

    async def test_bytes_may_be_left_out(self, small: Small) -> None:
        assert await read_body(small, "/bare", "application/octet-stream", b"") is MISSING

    async def test_lines_are_a_list(self, small: Small) -> None:
        told = await read_body(small, "/lines", "application/x-ndjson", b'{"n": 1}\n\n{"n": 2}\n')

        assert [one.n for one in told] == [1, 2]
        assert await refusal_of(small, "/lines", "application/x-ndjson", b'{"n": 1}\n{"n": "x"}') == (
            422,
            [("/1/n", "type")],
        )
        assert await refusal_of(small, "/lines", "application/x-ndjson", b"{") == (400, [])


Make = Callable[[Any], Any]


async def answer_with(small: Small, path: str, body: Any, accept: str | None = None, *, of: str = "200") -> Answer:
    """The answer to a request whose handler answers this body."""
    operation = next(one for one in small.operations.OPERATIONS if one.path == path)
    result = next(reply.result for reply in operation.replies if reply.declared_as == of)

    async def act(_exchange: Exchange, _arguments: Mapping[str, Any]) -> Result:
        made: Result = result(body=body(small.operations.models) if callable(body) else body)
        return made

    return await small.doing(act).send("GET", path, headers={"Accept": accept} if accept else {})


def media_type_of(answer: Answer) -> str:
    return dict(answer.headers)["Content-Type"]


class TestAnswers:
    @pytest.mark.parametrize(
        ("accept", "wanted"), [(None, "text/csv"), ("application/json", "application/json"), ("image/png", "text/csv")]
    )
    async def test_the_handler_is_told_what_is_wanted(self, small: Small, accept: str | None, wanted: str) -> None:
        seen: list[str | None] = []

        async def act(exchange: Exchange, _arguments: Mapping[str, Any]) -> Result:
            seen.append(exchange.media_type)
            made: Result = small.operations.AnswerCsv200(body=Text(b"a", "text/csv"))
            return made

        answer = await small.doing(act).send("GET", "/answers/csv", headers={"Accept": accept} if accept else {})

        assert (seen, dict(answer.headers)["Vary"]) == ([wanted], "Accept")

    async def test_either_can_be_answered(self, small: Small) -> None:
        csv = await answer_with(small, "/answers/csv", Text(b"a", "text/csv; charset=utf-8"))
        json = await answer_with(small, "/answers/csv", lambda models: models.Thing(a=1))

        assert (media_type_of(csv), csv.body) == ("text/csv; charset=utf-8", b"a")
        assert (media_type_of(json), json.body) == ("application/json", b'{"a":1}')

    async def test_the_type_of_a_body_tells_which_json_it_is(self, small: Small) -> None:
        thing = await answer_with(small, "/answers/two", lambda models: models.Thing(a=1), "application/vnd.x+json")
        other = await answer_with(small, "/answers/two", lambda models: models.Other(z="b"), "application/json")
        text = await answer_with(small, "/answers/two", Json(b'{"z": "b"}'), "application/vnd.x+json")

        assert [media_type_of(one) for one in (thing, other, text)] == [
            "application/json",
            "application/vnd.x+json",
            "application/vnd.x+json",
        ]

    async def test_json_without_a_schema_is_any(self, small: Small) -> None:
        assert (await answer_with(small, "/answers/json", [1, None])).body == b"[1,null]"

    async def test_parameters_are_sent_as_declared(self, small: Small) -> None:
        answer = await answer_with(small, "/answers/parameters", lambda models: models.Thing(a=1))

        assert media_type_of(answer) == "application/json; charset=utf-8"

    @pytest.mark.parametrize(
        ("path", "body", "reason"),
        [
            (
                "/answers/csv",
                Text(b"a", "application/pdf"),
                "answerCsv answered application/pdf with 200, which is declared as",
            ),
            ("/answers/image", [1], "answerImage answered JSON with 200, which is declared as image/*"),
            ("/answers/two", Json(b'{"z": 1}'), "the body of answerTwo 200 breaks its schema: /z: Must be string"),
        ],
    )
    async def test_what_is_not_declared_is_a_mistake_of_ours(
        self, small: Small, path: str, body: Any, reason: str
    ) -> None:
        with pytest.raises(ContractError) as wrong:
            await answer_with(small, path, body, "application/vnd.x+json")

        assert str(wrong.value).startswith(reason)

    async def test_a_range_takes_what_is_within_it(self, small: Small) -> None:
        assert media_type_of(await answer_with(small, "/answers/image", Text(b"x", "image/gif"))) == "image/gif"

    async def test_406_is_answered_where_it_is_declared(self, small: Small) -> None:
        with pytest.raises(Problem) as problem:
            await answer_with(small, "/answers/strict", Text(b"a", "text/csv"), "image/png, text/*;q=0")

        assert problem.value.status == 406
        assert problem.value.content("") == b""
        assert (await answer_with(small, "/answers/strict", Text(b"a", "text/csv"), "text/*")).status == 200


async def ticks(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def pieces_of(answer: Answer) -> list[bytes]:
    assert isinstance(answer.body, Streamed)
    return [piece async for piece in answer.body.pieces]


class TestStreams:
    async def test_events_are_written_with_what_their_lines_say(self, small: Small) -> None:
        answer = await answer_with(
            small,
            "/answers/events",
            lambda models: ticks(models.Tick(n=1), Event(data=models.Tick(n=2), event="tick", id="7", retry=5)),
        )

        assert media_type_of(answer) == "text/event-stream"
        assert await pieces_of(answer) == [
            b'data: {"n":1}\n\n',
            b'event: tick\nid: 7\nretry: 5\ndata: {"n":2}\n\n',
        ]

    async def test_an_event_may_have_no_data_and_say_what_is_passed_over(self, small: Small) -> None:
        comment: Event[Any] = Event(comment="here", id="7")

        answer = await answer_with(small, "/answers/events", ticks(comment, Event(data=Json(b'{"n":1}'))))

        assert await pieces_of(answer) == [b": here\nid: 7\n\n", b'data: {"n":1}\n\n']

    async def test_lines_are_written_one_by_one(self, small: Small) -> None:
        answer = await answer_with(small, "/answers/lines", lambda models: ticks(models.Tick(n=1), models.Tick(n=2)))
        whole = await answer_with(small, "/answers/lines", lambda models: models.Tick(n=3))

        assert await pieces_of(answer) == [b'{"n":1}\n', b'{"n":2}\n']
        assert (media_type_of(whole), whole.body) == ("application/json", b'{"n":3}')

    @pytest.mark.parametrize(
        ("item", "reason"),
        [
            ({"n": "x"}, "an item of answerEvents 200 breaks its schema: /n: Must be integer"),
            (Event(data=Json(b'{"n":"x"}')), "an item of answerEvents 200 breaks its schema: /n: Must be integer"),
            (Event(data={"n": 1}, id="a\nb"), "the id of an event has a control character"),
            (Event(comment="a\nb"), "the comment of an event has a control character"),
        ],
    )
    async def test_an_item_that_is_none_cuts_the_stream(self, small: Small, item: Any, reason: str) -> None:
        answer = await answer_with(small, "/answers/events", ticks(item))

        with pytest.raises(ContractError, match=reason):
            await pieces_of(answer)

    async def test_a_stream_that_is_not_declared_is_a_mistake_of_ours(self, small: Small) -> None:
        with pytest.raises(ContractError, match="answerTwo answered a stream with 200, which is not declared"):
            await answer_with(small, "/answers/two", ticks())


class Counting:
    """An iterator that is no generator."""

    def __init__(self, *items: Any) -> None:
        self.items = iter(items)

    def __aiter__(self) -> "Counting":
        return self

    async def __anext__(self) -> Any:
        for item in self.items:
            return item
        raise StopAsyncIteration


async def test_a_stream_that_is_not_checked_is_sent_as_it_is(tmp_path: Path) -> None:
    paths = {"/answers/events": PATHS["/answers/events"]}
    small = Small(document(paths, components=COMPONENTS), tmp_path, check_rate=0)

    answer = await answer_with(small, "/answers/events", Counting("a\nb"))

    assert await pieces_of(answer) == [b"data: a\ndata: b\n\n"]


async def test_an_operation_remembers_only_so_many_media_types(small: Small) -> None:
    for number in range(MOST_KNOWN + 2):
        assert dump_model(await read_body(small, "/case", f"application/json; x={number}", b'{"a": 1}')) == {"a": 1}


def test_what_only_the_type_refuses_is_a_fault_too() -> None:
    found: list[Fault] = []

    assert validate_value(TypeAdapter(Literal["a"]), "b", found, ("kind",)) is MISSING
    assert [(fault.where, fault.pointer, fault.code) for fault in found] == [("body", "/kind", "format")]


AT = "#/paths/~1try/post/requestBody/content"


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        ({"application/xml": ref("Thing")}, f"{AT}/application~1xml/schema", "application/xml is read as text, and"),
        (
            {"application/json": ref("Thing"), "Application/JSON": ref("Thing")},
            f"{AT}/Application~1JSON",
            "is the same media type as application/json",
        ),
        (
            {"application/x-ndjson": {}},
            f"{AT}/application~1x-ndjson",
            "has no x-itemSchema, which is what each line is",
        ),
        (
            {"multipart/form-data": {**ref("Upload"), "encoding": {"file": {"style": "form"}}}},
            f"{AT}/multipart~1form-data/encoding/file/style",
            "is not read: a form is written in its usual way",
        ),
        (
            {"multipart/form-data": {**ref("Upload"), "encoding": {"none": {}}}},
            f"{AT}/multipart~1form-data/encoding/none",
            "is the encoding of no member",
        ),
        (
            {"text/plain": {**TEXT, "encoding": {}}},
            f"{AT}/text~1plain/encoding",
            "is for forms, which text/plain is not",
        ),
        ({"multipart/form-data": TEXT}, f"{AT}/multipart~1form-data/schema", "is no object, which a form is"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(tmp_path: Path, content: Node, place: str, reason: str) -> None:
    found = refusals(document({"/try": post("tryIt", content)}, components=COMPONENTS), tmp_path)

    assert [one for one, _ in found] == [place]
    assert found[0][1].startswith(reason)


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        ({"application/json": ref("Thing")}, "204", "a 204 has no body: take this away, or answer another status"),
        ({"text/csv": ref("Thing")}, "200", "text/csv is written as text: give it {type: string}"),
        ({"text/event-stream": ref("Thing")}, "200", "text/event-stream is written as text: `x-itemSchema` names its"),
        ({"text/csv": TICKS}, "200", "is for text/event-stream and application/x-ndjson or application/jsonl"),
    ],
)
def test_an_answer_that_cannot_be_written_is_refused(tmp_path: Path, content: Node, status: str, reason: str) -> None:
    operation = {"get": {"operationId": "tryIt", "responses": {status: {"description": "It.", "content": content}}}}
    [(_, told)] = refusals(document({"/try": operation}, components=COMPONENTS), tmp_path)

    assert told.startswith(reason)


@pytest.mark.parametrize(
    ("accept", "offered", "expected"),
    [
        (None, ["a/b", "c/d"], "a/b"),
        (" ", ["a/b"], "a/b"),
        ("c/d", ["a/b", "c/d"], "c/d"),
        ("*/*", ["a/b", "c/d"], "a/b"),
        ("c/*, a/b;q=0.5", ["a/b", "c/d"], "c/d"),
        ("*/*;q=0.1, C/D", ["a/b", "c/d"], "c/d"),
        ("a/*, a/b;q=0", ["a/b"], None),
        ("a/b;level=1, a/b;q=0.4", ["a/b; level=1", "a/b"], "a/b; level=1"),
        ("x/y", ["a/b"], None),
        ("a/b;q=many", ["a/b"], None),
    ],
)
def test_what_is_wanted_most_is_chosen(accept: str | None, offered: list[str], expected: str | None) -> None:
    assert media_types.select_media_type(accept, offered) == expected
