"""Every fault has its code, its place and words that do not quote the value."""

import time
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.schemas import Check, Schemas, details_in
from contract.validation import CODES, MOST_FAULTS, faults, pointer
from handlers.accounts.one_line import INVISIBLE
from tests.client import DOCUMENT

SCHEMAS = Schemas(DOCUMENT)
COMPONENTS = DOCUMENT["components"]["schemas"]
CANARY = "do-not-quote-me"
ONE_LINE = (
    "Must be one line: something to be seen, no white space at its ends, no control character, none that turns the "
    "direction of writing"
)
AN_INSTANT = "Must be a valid date-time, like 2026-01-31T09:30:00Z"
UNKNOWN = "Is not a member that the contract knows"
NULL_OR = {"type": "object", "properties": {"due": {"oneOf": [{"type": "string", "minLength": 3}, {"type": "null"}]}}}
CLOSED = {"properties": {"a": {}}, "additionalProperties": False}
TAGS = {"type": "array", "maxItems": 2, "items": {"enum": ["a", "b"]}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
BODIES = ["UserRegister", "LoginRequest", "TokenRequest", "TaskCreate", "TaskReplace", "TaskPatch", "TaskCompletion"]
MEMBERS = [
    "title",
    "description",
    "status",
    "due_date",
    "organization_id",
    "email",
    "password",
    "username",
    "completed",
]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"required": ["title"]}, {}, ("/title", "required", "Is required")),
        ({"type": "string"}, 1, ("", "type", "Must be string")),
        ({"type": ["string", "integer"]}, True, ("", "type", "Must be integer or string")),
        ({"type": "string"}, None, ("", "not_null", "Must not be null")),
        ({"properties": {"a": {"type": "string"}}}, {"a": None}, ("/a", "not_null", "Must not be null")),
        ({"format": "uuid"}, CANARY, ("", "format", "Must be a valid uuid")),
        ({"format": "date-time"}, CANARY, ("", "format", AN_INSTANT)),
        ({"format": "date-time", "pattern": "Z$"}, CANARY, ("", "format", AN_INSTANT)),
        ({"format": "date-time", "pattern": "Z$"}, "2026-01-31T09:30:00+01:00", ("", "pattern", "Must match Z$")),
        ({"minLength": 99}, CANARY, ("", "min_length", "Must have at least 99 characters")),
        ({"maxLength": 2}, CANARY, ("", "max_length", "Must have at most 2 characters")),
        ({"pattern": "^[0-9]+$"}, CANARY, ("", "pattern", "Must match ^[0-9]+$")),
        ({"enum": ["a", "b"]}, CANARY, ("", "enum", "Must be one of a, b")),
        ({"const": "a"}, CANARY, ("", "enum", "Must be one of a")),
        ({"minimum": 1}, 0, ("", "minimum", "Must be at least 1")),
        ({"exclusiveMinimum": 1}, 1, ("", "minimum", "Must be at least 1")),
        ({"maximum": 200}, 201, ("", "maximum", "Must be at most 200")),
        ({"exclusiveMaximum": 1}, 1, ("", "maximum", "Must be at most 1")),
        ({"minItems": 1}, [], ("", "min_items", "Must not have fewer items than 1")),
        (TAGS, ["a", "b", "a"], ("", "max_items", "Must have at most 2 items")),
        (TAGS, ["a", CANARY], ("/1", "enum", "Must be one of a, b")),
        (CLOSED, {"more": CANARY}, ("/more", "unknown_field", UNKNOWN)),
        (CLOSED, {"a/b~c": 1}, ("/a~1b~0c", "unknown_field", UNKNOWN)),
        ({"multipleOf": 2}, 3, ("", "format", "Must be a valid value")),
        (NULL_OR, {"due": "x"}, ("/due", "min_length", "Must have at least 3 characters")),
        (NULL_OR, {"due": 1}, ("/due", "type", "Must be string")),
        ({"oneOf": [{"type": "null"}, {"type": "string"}]}, 1, ("", "type", "Must be string")),
        ({"anyOf": [{"type": "null"}]}, 1, ("", "format", "Must be a valid value")),
    ],
)
def test_a_fault_says_what_is_wrong_where(
    schema: dict[str, Any], value: object, expected: tuple[str, str, str]
) -> None:
    [fault] = faults("body", compile_schema(schema), value)

    assert (fault.pointer, fault.code, fault.detail) == expected
    told = dict(zip(("in", "pointer", "code", "detail"), ("body", *expected), strict=True))
    assert told.items() <= fault.document().items()


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("schemas/TaskTitle", " Ship it", ONE_LINE),
        ("schemas/TaskDescription", "\0", "Must not have NUL in it"),
        ("schemas/DeviceName", "a\nb", ONE_LINE),
        ("schemas/Username", "ada lovelace", "Must be of A to Z, a to z, 0 to 9, `.`, `_` and `-`"),
        ("schemas/Slug", "Household", "Must be of a to z, 0 to 9 and `-`, and not begin with `-`"),
        ("schemas/IdempotencyKey", "a b", "Must be of printable ASCII characters without white space"),
        ("schemas/EntityTagCondition", "1", 'Must be `*` or entity tags with their quotes, like "1"'),
        (
            "schemas/Instant",
            "1899-12-31T23:59:59Z",
            "Must be of a year from 1900 to 9998",
        ),
        ("schemas/AuditActionFilter", "Task", "Must be an action, like auth.login, or an area and a dot, like auth."),
    ],
)
def test_a_pattern_of_the_contract_is_told_in_words(place: str, value: str, said: str) -> None:
    [fault] = faults("body", SCHEMAS[f"#/components/{place}"], value)

    assert (fault.code, fault.detail) == ("pattern", said)


def test_every_pattern_that_a_request_can_break_has_its_words() -> None:
    read = set()
    for path in DOCUMENT["paths"].values():
        for operation in (part for part in path.values() if isinstance(part, dict)):
            given = [p for p in map(resolve_reference, operation.get("parameters", [])) if p["in"] != "path"]
            read |= set(patterns([*given, operation.get("requestBody")]))

    details = set(details_in(DOCUMENT))
    assert read == {pattern for pattern, _ in details}
    assert len(details) == len(read), "a pattern is told in two ways"


def resolve_reference(node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        place, node = node["$ref"], DOCUMENT
        for part in place.split("/")[1:]:
            node = node[part]
    return node


def patterns(node: Any) -> Iterator[str]:
    """The patterns of the schemas in a part of the document."""
    node = resolve_reference(node)
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        node = [value for name, value in node.items() if name != "x-pattern-detail"]
    for part in node if isinstance(node, list) else ():
        yield from patterns(part)


def compile_schema(schema: dict[str, Any]) -> Check:
    return Schemas({"it": schema})["#/it"]


@pytest.mark.parametrize(
    ("schema", "value", "places"),
    [
        ({"prefixItems": [{"type": "string"}, {"type": "integer"}]}, ["a", "b"], ["/1"]),
        ({"dependentSchemas": {"a": {"required": ["b"]}, "c": {}}}, {"a": 1, "d": 2}, ["/b"]),
        ({"dependentSchemas": {"a": {"required": ["b"]}}, "required": ["z"]}, {}, ["/z"]),
        ({"anyOf": [{"type": "string"}, {"maxLength": 9}], "pattern": "^b"}, "a", [""]),
        ({"oneOf": [{"type": "string"}, {"type": "null"}], "pattern": "^b"}, "a", [""]),
        ({"oneOf": [{"type": "string"}, {"maxLength": 9}]}, "a", [""]),
        ({"not": {"type": "string"}}, "a", [""]),
        ({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}}, 1, [""]),
    ],
)
def test_a_value_is_judged_by_all_that_stands_beside(schema: dict[str, Any], value: object, places: list[str]) -> None:
    assert sorted(fault.pointer for fault in faults("body", compile_schema(schema), value)) == places


def test_every_place_is_named() -> None:
    found = faults("body", SCHEMAS["#/components/schemas/UserRegister"], {"password": "short", "e-mail": 1, "x": None})

    assert {(fault.pointer, fault.code) for fault in found} == {
        ("/e-mail", "unknown_field"),
        ("/x", "unknown_field"),
        ("/password", "min_length"),
        ("/email", "required"),
    }


def test_a_parameter_is_named_before_the_place_in_it() -> None:
    check = SCHEMAS["#/components/parameters/StatusFilter/schema"]

    assert [fault.pointer for fault in faults("query", check, ["open", "late"], ("status",))] == ["/status/1"]
    assert [fault.pointer for fault in faults("query", check, ["all", "open"], ("status",))] == ["/status"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("1899-12-31T23:59:59Z", "year"),
        ("9999-01-01T00:00:00Z", "year"),
        ("2026-01-31T09:30:00", "offset"),
        ("2026-01-31T09:30:00 01:00", "offset"),
        ("2026-01-31T09:30:00+0100", "offset"),
        ("2026-01-31T09:30:00z", "offset"),
        ("2026-01-31T09:30:00.1234567890Z", "digits"),
        ("2026-01-31T09:30:00.Z", "digits"),
        ("2026-01-31T09:30:00,5Z", "digits"),
        ("2026-01-31", "begin with a day and a time"),
        ("2026-01-31t09:30:00Z", "begin with a day and a time"),
        ("2026-02-30T09:30:00Z", "valid date-time"),
        ("2026-01-31T09:30:60Z", "valid date-time"),
    ],
)
def test_what_is_wrong_with_an_instant_is_named(text: str, named: str) -> None:
    [fault] = faults("body", SCHEMAS["#/components/schemas/Instant"], text)

    assert named in fault.detail


@pytest.mark.parametrize("name", ["TaskTitle", "OrganizationName", "PersonName", "DeviceName"])
def test_a_text_of_one_line_has_something_to_be_seen_and_nothing_that_misleads(name: str) -> None:
    check = SCHEMAS[f"#/components/schemas/{name}"]
    breaks = "\t\n\v\f\r\x85\u2028\u2029"
    controls = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
    turning = [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))]
    spaces = " \xa0\u1680\u2000\u2003\u200a\u202f\u205f\u3000"
    unseen = "\U000e0041\U000e007f\U000e0100\U000e01ef\U000e0fff\U0001d173\U0001d17a\U0001bca0\U0001bca3\U00013430"
    unseen += "\u0378\u0605\ue000\ufdd0\uffff\U0001ffff\U00050000\U000f0000\U0010fffd\U0010ffff\ufffb"
    unseen += "\xad\u034f\u061c\u115f\u180e\u200b\u200d\u2060\u2800\u3164\ufe0f\ufeff\uffa0"

    for char in (*breaks, *controls, *turning):
        assert not check.is_valid(f"a{char}b"), ascii(char)
    for char in spaces:
        assert check.is_valid(f"a{char}b"), ascii(char)
        assert not check.is_valid(f"{char}a"), ascii(char)
        assert not check.is_valid(f"a{char}"), ascii(char)
    for char in unseen:
        assert not check.is_valid(char + char), ascii(char)
        assert not check.is_valid(f"{char} {char}"), ascii(char)
        assert check.is_valid(f"{char}a{char}"), ascii(char)
    for text in ("a", "a b", "\u200f\u05e9\u05dc\u05d5\u05dd", "\U0001f469\u200d\U0001f467", "\u0e01\u0e33", "\u0301"):
        assert check.is_valid(text), ascii(text)
    for text in ("\U0001f600", "\U00020000", "\U00010330", "\U0001d11e", "\ufffd", "\U0001f1e9\U0001f1ea"):
        assert check.is_valid(text), ascii(text)
        assert check.is_valid(f"{text}\U000e0041\U000e007f"), ascii(text)


@pytest.mark.parametrize("text", ["\U000e0041", "\U000e0041 \u200b", " ", "\x01"])
def test_what_has_nothing_to_be_seen_in_it_is_one_fault_in_words(text: str) -> None:
    [fault] = faults("body", SCHEMAS["#/components/schemas/TaskTitle"], text)

    assert (fault.code, fault.detail) == ("pattern", ONE_LINE)


def test_every_text_of_one_line_has_the_same_pattern() -> None:
    lines = [one for one in COMPONENTS.values() if one.get("x-pattern-detail") == ONE_LINE]

    assert len(lines) == 5
    assert len({(one["pattern"], one["not"]["pattern"]) for one in lines}) == 1
    assert lines[0]["not"]["pattern"] == INVISIBLE
    assert lines[0]["not"]["x-pattern-detail"] == ONE_LINE


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        ({"type": "string", "minLength": 2}, "a", {"limit": 2}),
        ({"type": "string", "maxLength": 2}, "abc", {"limit": 2}),
        ({"type": "number", "minimum": 0.5}, 0, {"limit": 0.5}),
        ({"type": "integer", "exclusiveMaximum": 3}, 3, {"limit": 3}),
        ({"type": "array", "minItems": 1}, [], {"limit": 1}),
        ({"type": "array", "maxItems": 1}, [1, 2], {"limit": 1}),
        ({"enum": ["a", "b"]}, "c", {"allowed": ("a", "b")}),
        ({"const": "a"}, "c", {"allowed": ("a",)}),
        ({"type": "string"}, 1, {"allowed": ("string",)}),
        ({"type": ["string", "integer"]}, [], {"allowed": ("string", "integer")}),
        ({"type": "string", "format": "uuid"}, "x", {"allowed": ("uuid",)}),
        ({"type": "string", "pattern": "^a$"}, "x", {}),
        ({"type": "object", "required": ["a"]}, {}, {}),
        ({"type": "string"}, None, {}),
    ],
)
def test_what_a_program_can_say_of_a_fault_is_told(schema: Any, value: object, told: dict[str, object]) -> None:
    [fault] = faults("body", compile_schema(schema), value)

    assert {name: said for name, said in fault.document().items() if name in {"limit", "allowed"}} == told


def test_there_is_an_end_of_faults() -> None:
    everywhere = {"type": "array", "items": {"type": "string"}}

    assert len(faults("body", compile_schema(everywhere), list(range(10_000)))) == MOST_FAULTS
    many = {str(number): 1 for number in range(10_000)}
    assert len(faults("body", compile_schema(CLOSED), many)) == MOST_FAULTS


@given(st.sampled_from(BODIES), JSON | st.dictionaries(st.sampled_from(MEMBERS), JSON | st.just(CANARY), max_size=5))
def test_a_value_has_faults_when_its_schema_refuses_it_and_they_are_the_contracts(name: str, value: object) -> None:
    check = SCHEMAS[f"#/components/schemas/{name}"]
    found = faults("body", check, value)

    assert bool(found) is not check.is_valid(value)
    assert all(SCHEMAS["#/components/schemas/Fault"].is_valid(fault.document()) for fault in found)
    assert not any(CANARY in fault.detail for fault in found)


@given(st.lists(st.text() | st.integers(min_value=0)))
def test_a_pointer_can_be_read_back(parts: list[str | int]) -> None:
    read = [part.replace("~1", "/").replace("~0", "~") for part in pointer(parts).split("/")[1:]]

    assert read == [str(part) for part in parts]


def test_the_codes_are_those_of_the_contract() -> None:
    assert all(SCHEMAS["#/components/schemas/FaultCode"].is_valid(code) for code in CODES.values())


ZOO: dict[str, dict[str, Any]] = {
    "list": {"type": "array", "minItems": 2, "maxItems": 4, "uniqueItems": True, "items": {"$ref": "#/zoo/leaf"}},
    "leaf": {
        "type": ["string", "null"],
        "minLength": 2,
        "maxLength": 5,
        "pattern": "^[ab]*$",
        "enum": ["ab", None, "c"],
    },
    "tuple": {
        "prefixItems": [{"type": "string"}, {"type": "integer"}],
        "items": {"type": "null"},
        "contains": {"const": 1},
    },
    "map": {"propertyNames": {"maxLength": 1}, "additionalProperties": {"$ref": "#/zoo/list"}, "minProperties": 1},
    "closed": {
        "type": "object",
        "required": ["b", "a"],
        "properties": {"b": {"$ref": "#/zoo/leaf"}, "a": {"$ref": "#/zoo/number"}, "c": {"$ref": "#/zoo/closed"}},
        "patternProperties": {"^[ax]": {"type": "integer"}},
        "additionalProperties": False,
    },
    "one": {"required": ["a"], "properties": {"b": {"type": "null"}, "a": {}}, "additionalProperties": False},
    "open": {"properties": {"b": {"type": "string"}, "a": {"type": "null"}}, "dependentRequired": {"a": ["z"]}},
    "number": {"minimum": 1, "maximum": 2, "multipleOf": 0.5, "not": {"const": 2}},
    "either": {"oneOf": [{"$ref": "#/zoo/closed"}, {"type": "null"}]},
    "any": {"anyOf": [{"type": "null"}, {"$ref": "#/zoo/list"}]},
    "all": {
        "allOf": [{"required": ["a"]}, {"$ref": "#/zoo/open"}],
        "if": {"required": ["b"]},
        "then": {"required": ["c"]},
    },
    "beside": {"$ref": "#/zoo/open", "dependentSchemas": {"a": {"required": ["j"]}}, "maxProperties": 9},
}
SMALL = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 1.5, 2, 3]) | st.sampled_from(["", "a", "ab", "c", "bbbbbb"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcxyz"), inner, max_size=5),
    max_leaves=10,
)
IN_ZOO = Schemas({"zoo": ZOO})


def name_fault(error: jsonschema_rs.ValidationError) -> Iterator[tuple[str, str]]:
    """The places and codes of one error of jsonschema-rs, as the contract has them."""
    facts = error.kind.as_dict()
    telling = [
        branch
        for branch in facts.get("context", ())
        if not any(one.kind.name == "type" and one.kind.as_dict()["types"] == ["null"] for one in branch)
    ]
    if telling and telling[0]:
        for one in telling[0]:
            yield from name_fault(one)
    elif error.kind.name == "additionalProperties":
        yield from ((pointer([*error.instance_path, name]), "unknown_field") for name in facts["unexpected"])
    elif error.kind.name == "required":
        yield pointer([*error.instance_path, facts["property"]]), "required"
    else:
        said = "pattern" if error.kind.name == "not" and "pattern" in str(facts) else error.kind.name
        code = CODES.get(said, "format")
        yield pointer(error.instance_path), "not_null" if code == "type" and error.instance is None else code


@given(st.sampled_from([*BODIES, *ZOO]), SMALL | st.dictionaries(st.sampled_from(MEMBERS), SMALL, max_size=5))
def test_few_faults_are_those_that_jsonschema_rs_names_in_its_order(name: str, value: object) -> None:
    check = IN_ZOO[f"#/zoo/{name}"] if name in ZOO else SCHEMAS[f"#/components/schemas/{name}"]
    document = {"zoo": ZOO} if name in ZOO else DOCUMENT
    registry = jsonschema_rs.Registry([("urn:it", document)])
    schema = {"$ref": f"urn:it{check.place}"}
    errors = jsonschema_rs.validator_for(schema, registry=registry, validate_formats=True).iter_errors(value)
    told = list(dict.fromkeys(one for error in errors for one in name_fault(error)))
    hidden = {("pattern", at) for at, code in told if code == "format"}
    hidden |= {("enum", at) for at, code in told if code in {"type", "not_null"}}

    expected = [(at, code) for at, code in told if (code, at) not in hidden]
    assert [(fault.pointer, fault.code) for fault in faults("body", check, value)] == expected


def test_of_a_list_that_is_too_long_nothing_else_is_told() -> None:
    [fault] = faults("body", compile_schema(TAGS), [CANARY] * 3)

    assert (fault.pointer, fault.code) == ("", "max_items")


TREE = {"properties": {"of": {"type": "array", "items": {"$ref": "#/it"}}, "n": {"type": "integer"}}, "required": ["n"]}
MANY = 10_000


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": {"type": "string"}}, [0] * MANY),
        ({"type": "array", "items": {"type": "integer"}}, [0] * MANY + [""]),
        ({"type": "array", "maxItems": 9, "items": {"type": "string"}}, [0] * MANY),
        ({"type": "array", "uniqueItems": True, "items": {"type": "object"}}, [[] for _ in range(MANY)]),
        ({"type": "array", "contains": {"type": "string"}}, [[0]] * MANY),
        (CLOSED, {str(number): 0 for number in range(MANY)}),
        ({"additionalProperties": {"type": "string"}}, {str(number): 0 for number in range(MANY)}),
        ({"propertyNames": {"maxLength": 0}}, {str(number): 0 for number in range(MANY)}),
        ({"patternProperties": {"^[0-9]+$": {"type": "string"}}}, {str(number): 0 for number in range(MANY)}),
        ({"unevaluatedProperties": False}, {str(number): 0 for number in range(MANY)}),
        ({"required": [str(number) for number in range(MANY)]}, {}),
        ({"dependentSchemas": {"0": {"additionalProperties": False}}}, {str(number): 0 for number in range(MANY)}),
        ({"anyOf": [{"items": {"type": "string"}}, {"items": {"type": "null"}}]}, [0] * MANY),
        ({"oneOf": [{"type": "array", "items": {"$ref": "#/it"}}, {"type": "null"}]}, [[[[0] * 100] * 10] * 10]),
        ({"allOf": [{"items": {"type": "string"}}] * 20}, [0] * MANY),
        ({"not": {"type": "array"}}, [[0]] * MANY),
        ({"if": True, "then": {"items": {"enum": ["a", "b"]}}}, [0] * MANY),
        (TREE, {"n": 0, "of": [{"of": [{}] * 9}] * 1_000}),
        ({"pattern": "^(?:a|aa)*$", "format": "email"}, "a" * 1_000_000 + "!"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_no_schema_makes_a_value_cost_more_than_its_faults(schema: dict[str, Any], value: object) -> None:
    check = compile_schema(schema)
    found = faults("body", check, value)  # compiles it

    def measure() -> float:
        began = time.thread_time()
        faults("body", check, value)
        return time.thread_time() - began

    # Traced for coverage 25 ms at most; to tell of all takes 66 ms at least. The least: others use a core's caches.
    assert min(measure() for _ in range(5)) < 0.05
    assert 1 <= len(found) <= MOST_FAULTS
