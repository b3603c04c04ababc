"""Bad input, everywhere: made from the contract for each operation, each parameter and each member of a body.

Whatever is sent, the answer is a problem that the contract declares and names the place; it does not repeat the input,
and nothing is written.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from generated.operations import OPERATIONS
from tests.api.prober import ALL, CANARY, CHECKED, FORM, WITH_BODY, WITH_JSON, Prober, good_body, resolve_reference
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import Factory

LARGEST = {operation.id: operation.body.largest for operation in OPERATIONS if operation.body}
DEPTH = 100_000
DIGITS = "7" * 5_000
CONDITIONS = {"If-Match", "If-None-Match"}
COUNT = """SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM sessions), (SELECT count(*) FROM organizations),
    (SELECT array_agg((id, title, version)::text) FROM tasks)"""
KINDS = {"integer": int | float, "string": str, "boolean": bool, "array": list}  # of JSON, as Python has them


@pytest.fixture
async def prober(api: ApiClient, make: Factory, db: Bench) -> AsyncIterator[Prober]:
    """It may write, and nothing is written."""
    ada = await make.user(email="ada@example.com", is_superuser=True)
    prober = Prober(api.as_(ada), await make.task(ada.id, ada))
    before = await db.fetch(COUNT, [])
    yield prober
    assert await db.fetch(COUNT, []) == before


class TestMembers:
    @pytest.mark.parametrize("name", WITH_BODY)
    async def test_a_text_with_nul(self, prober: Prober, name: str) -> None:
        operation = ALL[name]
        for member, _, _ in operation.members("string"):
            for text in (f"{CANARY}\0", f"\0{CANARY}", f"{CANARY}\0@example.com", "\0"):
                await prober.is_told(
                    operation, operation.good | {member: text}, f"/{member}", "pattern", "enum", "format", "min_length"
                )

    @pytest.mark.parametrize("name", WITH_BODY)
    async def test_a_text_that_is_too_long(self, prober: Prober, name: str) -> None:
        operation = ALL[name]
        for member, _, _ in operation.members("string"):
            for length in (4_000, 60_000):
                text = CANARY + "x" * length
                await prober.is_told(
                    operation, operation.good | {member: text}, f"/{member}", "max_length", "enum", "format", "pattern"
                )

    @pytest.mark.parametrize("name", WITH_JSON)
    async def test_a_value_of_another_type(self, prober: Prober, name: str) -> None:
        operation = ALL[name]
        for member, schema, _ in operation.members():
            values: list[Any] = [7, -0.5, 2**31, 2**63, 10**4_000, True, [CANARY], {CANARY: CANARY}, [], {}, CANARY]
            for value in values:
                if not isinstance(value, KINDS[schema["type"]]):
                    await prober.is_told(operation, operation.good | {member: value}, f"/{member}", "type")

    @pytest.mark.parametrize("name", WITH_JSON)
    async def test_null_where_it_is_not_taken(self, prober: Prober, name: str) -> None:
        operation = ALL[name]
        for member, _, nullable in operation.members():
            if not nullable:
                await prober.is_told(operation, operation.good | {member: None}, f"/{member}", "not_null")

    @pytest.mark.parametrize("name", WITH_BODY)
    async def test_a_member_that_is_missing(self, prober: Prober, name: str) -> None:
        operation = ALL[name]
        for member in operation.schema.get("required", []):
            body = {key: value for key, value in operation.good.items() if key != member}
            await prober.is_told(operation, body, f"/{member}", "required")

    @pytest.mark.proves("ASVS 5.0 15.3.3", "A member that the contract does not know is refused")
    @pytest.mark.parametrize("name", WITH_JSON)
    async def test_a_member_that_is_not_known(self, prober: Prober, name: str) -> None:
        operation = ALL[name]
        for member, pointer in [
            ("id", "/id"),
            ("a/b~c", "/a~1b~0c"),
            ("", "/"),
            ("\0", "/\0"),
            ("__proto__", "/__proto__"),
        ]:
            await prober.is_told(operation, operation.good | {member: CANARY}, pointer, "unknown_field")

    @pytest.mark.parametrize("name", WITH_JSON)
    async def test_a_thousand_members_that_are_not_known(self, prober: Prober, name: str) -> None:
        body = ALL[name].good | {f"m{number}": CANARY for number in range(1_000)}

        assert len((await prober.send_body(ALL[name], body)).json()["errors"]) == 50

    @pytest.mark.parametrize(
        "instant",
        [
            "1899-12-31T23:59:59Z",
            "0001-01-01T00:00:00Z",
            "9999-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "-2026-01-01T00:00:00Z",
            "2026-02-31T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2016-12-31T23:59:60Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+0100",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01t00:00:00z",
            "2026-01-01",
            "1767225600",
            "\u0662026-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z\n",
            "infinity",
            "now",
            "",
        ],
    )
    async def test_an_instant_that_is_none(self, prober: Prober, instant: str) -> None:
        for operation in ALL.values():
            for member, _, _ in operation.members("date-time"):
                await prober.is_told(operation, operation.good | {member: instant}, f"/{member}", "format", "pattern")

    @pytest.mark.parametrize("wrong", ["", "17", CANARY, "{0}x", "{0}\0", "\u0660" * 36, "0" * 36])
    async def test_an_id_that_is_none(self, prober: Prober, wrong: str) -> None:
        for operation in ALL.values():
            for member, _, _ in operation.members("uuid"):
                body = operation.good | {member: wrong.format(uuid4())}
                await prober.is_told(operation, body, f"/{member}", "format", "pattern")


class TestBodies:
    @pytest.mark.parametrize("name", WITH_JSON)
    async def test_what_is_no_json(self, prober: Prober, name: str) -> None:
        good = json.dumps(ALL[name].good).encode()
        bodies = [
            *([b""] if name not in {"toggleTaskCompletion", "refreshTokens"} else []),
            *(good[:length] for length in range(1, len(good))),
            good + b"}",
            good + good,
            b"\xef\xbb\xbf" + good,
            good.decode().encode("utf-16"),
            good.decode().encode("utf-16-le"),
            good.decode().encode("utf-32"),
            b"\0" + good,
            b" ",
            b"NaN",
            b"{'title': 1}",
            b'{"a":1,}',
            b"// a comment\n{}",
            b'{"\xff": 1}',
        ]
        for body in bodies:
            assert (await prober.send(ALL[name], content=body)).json()["code"] == "malformed_request"

    @pytest.mark.parametrize("name", WITH_JSON)
    async def test_a_value_that_is_no_json(self, prober: Prober, name: str) -> None:
        operation = ALL[name]
        values = [b"NaN", b"Infinity", b"-Infinity", b'"\\ud800"', b'"\\udfff\\ud800"', b'"\xed\xa0\x80"', b'"\xff"']
        values += [b'"\n"', b"01", b"+1", b".5", b"undefined", b'"\\x41"', b'"\\u00"', b"'kanarienvogel'", b"1_000"]
        for member, _, _ in operation.members():
            for value in values:
                body = b'{"%b":%b}' % (member.encode(), value)
                assert (await prober.send(operation, content=body)).json()["code"] == "malformed_request"

    @pytest.mark.parametrize("name", WITH_JSON)
    async def test_a_number_that_nobody_can_hold(self, prober: Prober, name: str) -> None:
        operation = ALL[name]
        for member in [*(member for member, _, _ in operation.members()), "unknown"]:
            for number in (DIGITS, f"-{DIGITS}", f"0.{DIGITS}", f"{DIGITS}.5", "1e999", "-1E+99999", f"1e{DIGITS}"):
                answer = await prober.send(operation, content=f'{{"{member}":{number}}}')
                assert answer.status_code in (400, 422)

    @pytest.mark.parametrize("name", WITH_JSON)
    async def test_nesting_without_end(self, prober: Prober, name: str) -> None:
        for body in (
            b"[" * DEPTH,
            b"[" * DEPTH + b"]" * DEPTH,
            b'{"title":' * DEPTH,
            b'{"title":' + b"[" * 150 + b"]" * 150 + b"}",
        ):
            assert (await prober.send(ALL[name], content=body)).status_code in (400, 413)

    @pytest.mark.parametrize("name", WITH_JSON)
    async def test_what_is_no_object(self, prober: Prober, name: str) -> None:
        for body in (b"null", b"[]", b"7", b"true", b'"kanarienvogel"', b'[{"title":"kanarienvogel"}]'):
            answer = await prober.send(ALL[name], content=body)

            [fault] = answer.json()["errors"]
            assert (answer.status_code, fault["pointer"]) == (422, "")
            assert fault["code"] == ("not_null" if body == b"null" else "type")

    @pytest.mark.parametrize("name", WITH_BODY)
    async def test_another_media_type(self, prober: Prober, name: str) -> None:
        operation = ALL[name]
        others = [
            "text/plain",
            "application/xml",
            "application/jsonx",
            "multipart/form-data; boundary=x",
            ",",
            "\u00e4",
        ]
        others += [
            media_type
            for media_type in ("application/json", "application/merge-patch+json", FORM)
            if media_type not in operation.media_types
        ]
        for media_type in others:
            headers = {"Content-Type": media_type.encode("latin-1")}
            answer = await prober.send(operation, content=json.dumps(operation.good), headers=headers)
            accepted = answer.headers["accept-patch" if operation.method == "PATCH" else "accept"]
            assert (answer.status_code, accepted) == (415, ", ".join(operation.media_types))

    @pytest.mark.parametrize("name", WITH_BODY)
    async def test_no_media_type(self, prober: Prober, name: str) -> None:
        content = json.dumps(ALL[name].good)

        assert (await prober.send(ALL[name], content=content, headers={"Content-Type": ""})).status_code == 415

    @pytest.mark.proves("RFC 9110 15.5.14", "A body of more than its operation takes is refused")
    @pytest.mark.parametrize("name", WITH_BODY)
    @pytest.mark.parametrize("length", ["told", "untold", "lied about"])
    async def test_more_than_the_operation_takes(self, prober: Prober, name: str, length: str) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(17):
                yield b" " * (LARGEST[name] // 16)

        headers = {"Content-Length": {"told": str(17 * LARGEST[name] // 16), "untold": "", "lied about": "10"}[length]}

        answer = await prober.send(ALL[name], content=chunks(), headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")

    @pytest.mark.parametrize("name", WITH_BODY)
    async def test_as_much_as_the_operation_takes_is_read(self, prober: Prober, name: str) -> None:
        assert (await prober.send(ALL[name], content=b" " * LARGEST[name])).status_code == 400


class TestQueries:
    @pytest.mark.parametrize("name", CHECKED)
    async def test_a_parameter_that_is_not_known(self, prober: Prober, name: str) -> None:
        for query, pointer in [
            ("colour=red", "/colour"),
            ("colour", "/colour"),
            ("=x", "/"),
            ("%00=x", "/\0"),
            ("%ed%a0%80=x", "/\ufffd\ufffd\ufffd"),
            ("%ff=x", "/\ufffd"),
            ("a%2Fb~c=x", "/a~1b~0c"),
            ("LIMIT=1", "/LIMIT"),
            ("x" * 5_000 + "=1", "/" + "x" * 5_000),
        ]:
            answer = await prober.send(ALL[name], query=query, **good_body(ALL[name]))

            [fault] = answer.json()["errors"]
            assert (fault["in"], fault["pointer"], fault["code"]) == ("query", pointer, "unknown_parameter")

    @pytest.mark.parametrize("name", CHECKED)
    async def test_a_thousand_parameters_that_are_not_known(self, prober: Prober, name: str) -> None:
        answer = await prober.send(ALL[name], query="a=1&" * 1_000, **good_body(ALL[name]))

        assert len(answer.json()["errors"]) == 50

    @pytest.mark.parametrize(
        "value", ["%00", "%ed%a0%80", "%ff", "%", "%zz", "%c0%80", f"{CANARY}%00", "9" * 5_000, "NaN", "1e5"]
    )
    async def test_a_value_that_no_parameter_takes(self, prober: Prober, value: str) -> None:
        for operation in ALL.values():
            for parameter in operation.parameters.values():
                if parameter["in"] != "query" or parameter["name"] == "q":  # which takes nearly any text
                    continue
                answer = await prober.send(operation, query=f"{parameter['name']}={value}")
                if parameter["name"] == "cursor" and answer.status_code == 400:
                    assert answer.json()["code"] == "invalid_cursor"
                    continue
                faults = answer.json()["errors"]
                assert {fault["pointer"].split("/")[1] for fault in faults} == {parameter["name"]}
                codes = {fault["code"] for fault in faults}
                assert codes <= {"format", "type", "enum", "maximum", "max_length", "pattern"}

    @pytest.mark.proves("ASVS 5.0 15.3.7", "A repeated parameter is refused")
    async def test_a_parameter_that_is_repeated(self, prober: Prober) -> None:
        for operation in ALL.values():
            for parameter in operation.parameters.values():
                if parameter["in"] == "query" and resolve_reference(parameter["schema"])["type"] != "array":
                    answer = await prober.send(operation, query=f"{parameter['name']}=1&{parameter['name']}=1")
                    [fault] = answer.json()["errors"]
                    assert (fault["pointer"], fault["code"]) == (f"/{parameter['name']}", "repeated")


@pytest.mark.parametrize(
    "wrong",
    [
        "17",
        "x" * 36,
        "{0}x",
        "{{{0}}}",
        "urn:uuid:{0}",
        "{0}%00",
        "%00",
        "%ff",
        "%ed%a0%80",
        "%20{0}",
        "{0}%0a",
        "%F0%9F%A6%A9",
        "%D9%A0" * 36,
        "9" * 5_000,
        "..%2f..",
        CANARY,
    ],
)
async def test_an_id_in_a_path_that_is_none_is_not_found(prober: Prober, wrong: str) -> None:
    for operation in ALL.values():
        if "{task_id}" in operation.path:
            lost = replace(operation, path=operation.path.replace("{task_id}", wrong.format(uuid4())))
            assert (await prober.send(lost, **good_body(operation))).status_code == 404


async def test_of_a_member_that_is_repeated_the_last_one_counts(api: ApiClient, make: Factory) -> None:
    ada = api.as_(await make.user())
    headers = {"Content-Type": "application/json"}

    task = await ada.send("POST", "/tasks", expect=201, headers=headers, content='{"title": 1, "title": "Last"}')

    assert task["title"] == "Last"


class TestConditions:
    @pytest.mark.parametrize("name", [name for name in sorted(ALL) if CONDITIONS & ALL[name].parameters.keys()])
    async def test_what_is_no_entity_tag(self, prober: Prober, name: str) -> None:
        for header in CONDITIONS & ALL[name].parameters.keys():
            for value in (CANARY, '"1', "1", '"1",', '* , "1"'):
                answer = await prober.send(ALL[name], headers={header: value}, **good_body(ALL[name]))
                assert (answer.status_code, answer.json()["code"]) == (400, "invalid_header")
