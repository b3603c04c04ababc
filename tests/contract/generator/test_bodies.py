"""How many bytes an operation takes: what its schema can need, or what it says."""

from typing import Any

import pytest

from contract.generator.lowering.bodies import most_bytes
from contract.generator.reading.document import Refused

USUAL = 64 * 1024
SCHEMAS: dict[str, Any] = {
    "Text": {"type": "string", "maxLength": 20_000},
    "Ids": {"type": "array", "maxItems": 1_000, "items": {"type": "string", "format": "uuid"}},
    "Tree": {"type": "object", "properties": {"of": {"type": "array", "maxItems": 2, "items": {"$ref": "#/s/Tree"}}}},
}


def measure_body(schema: dict[str, Any], **operation: Any) -> int:
    size, beyond = most_bytes({"s": SCHEMAS}, operation, schema, "#/it", "#/body")
    assert not beyond
    return size


@pytest.mark.parametrize(
    ("schema", "size"),
    [
        ({"type": "boolean"}, USUAL),
        ({"type": "string"}, USUAL),
        ({"type": "array", "items": {"type": "string"}}, USUAL),
        ({"type": "array", "maxItems": 3, "items": True}, USUAL),
        ({"anyOf": [False, {"type": "array", "maxItems": 3, "items": False}]}, USUAL),
        ({"$ref": "#/s/Tree"}, USUAL),
        ({"$ref": "#/s/Text"}, 2 + 12 * 20_000),
        ({"oneOf": [{"$ref": "#/s/Text"}, {"type": "null"}]}, 2 + 12 * 20_000),
        ({"$ref": "#/s/Ids"}, 2 + 1_000 * (2 + 12 * 36 + 1)),
        ({"type": "object", "properties": {"a": {"$ref": "#/s/Text"}, "b": {"type": ["integer", "null"]}}}, 240_068),
        ({"type": ["string", "null"], "enum": ["x" * 6_000, None]}, 2 + 12 * 6_000),
    ],
)
def test_an_operation_takes_what_its_schema_can_need(schema: dict[str, Any], size: int) -> None:
    assert measure_body(schema) == size
    assert measure_body(schema, **{"x-max-body": 2**20}) == 2**20


@pytest.mark.parametrize(
    ("schema", "operation", "said"),
    [
        ({"$ref": "#/s/Text"}, {"x-max-body": 240_001}, "can need 240002"),
        ({"type": "string"}, {"x-max-body": 2**24 + 1}, "from 1 to 16777216"),
        ({"type": "string"}, {"x-max-body": "1 MiB"}, "from 1 to 16777216"),
    ],
)
def test_a_bound_that_cannot_be_meant_is_refused(schema: dict[str, Any], operation: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        measure_body(schema, **operation)


def nest_schema(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(levels):
        schema = {"type": "array", "maxItems": 1, "items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "size", "beyond"),
    [
        ({"type": "string", "maxLength": 100_000}, 2**20, "1048576 bytes, which `x-max-body` of the operation could"),
        ({"type": "array", "maxItems": 10_000, "items": {"type": "null"}}, USUAL, "10000 values"),
        (nest_schema(33), USUAL, "32 levels of lists and objects"),
    ],
)
def test_what_the_schema_allows_beyond_what_is_read_is_told(schema: dict[str, Any], size: int, beyond: str) -> None:
    found, told = most_bytes({}, {}, schema, "#/it", "#/body")

    assert found == size
    assert told.startswith(f"#/body: allows more than is read of a body: {beyond}")
