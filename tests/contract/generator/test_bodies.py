"""How many bytes an operation takes: what its schema can need, or what it says."""

from typing import Any

import pytest

from contract.generator.bodies import most_bytes
from contract.generator.document import Refused

USUAL = 64 * 1024
SCHEMAS: dict[str, Any] = {
    "Text": {"type": "string", "maxLength": 20_000},
    "Ids": {"type": "array", "maxItems": 1_000, "items": {"type": "string", "format": "uuid"}},
    "Tree": {"type": "object", "properties": {"of": {"type": "array", "maxItems": 2, "items": {"$ref": "#/s/Tree"}}}},
}


def taken(schema: dict[str, Any], **operation: Any) -> int:
    return most_bytes({"s": SCHEMAS}, operation, schema, "#/it", "#/body")


@pytest.mark.parametrize(
    ("schema", "size"),
    [
        ({"type": "boolean"}, USUAL),
        ({"type": "string"}, USUAL),
        ({"type": "array", "items": {"type": "string"}}, USUAL),
        ({"$ref": "#/s/Tree"}, USUAL),
        ({"$ref": "#/s/Text"}, 2 + 12 * 20_000),
        ({"oneOf": [{"$ref": "#/s/Text"}, {"type": "null"}]}, 2 + 12 * 20_000),
        ({"$ref": "#/s/Ids"}, 2 + 1_000 * (2 + 12 * 36 + 1)),
        ({"type": "object", "properties": {"a": {"$ref": "#/s/Text"}, "b": {"type": ["integer", "null"]}}}, 240_068),
        ({"type": ["string", "null"], "enum": ["x" * 6_000, None]}, 2 + 12 * 6_000),
    ],
)
def test_an_operation_takes_what_its_schema_can_need(schema: dict[str, Any], size: int) -> None:
    assert taken(schema) == size
    assert taken(schema, **{"x-max-body": 2**20}) == 2**20


@pytest.mark.parametrize(
    ("schema", "operation", "said"),
    [
        ({"$ref": "#/s/Text"}, {"x-max-body": 240_001}, "can need 240002"),
        ({"type": "string"}, {"x-max-body": 2**20 + 1}, "up to 1048576"),
        ({"type": "string"}, {"x-max-body": "1 MiB"}, "up to 1048576"),
        ({"type": "string", "maxLength": 100_000}, {}, "up to 1048576"),
        ({"type": "array", "maxItems": 10_000, "items": {"type": "null"}}, {}, "more than 10000 values"),
    ],
)
def test_what_is_not_read_is_refused(schema: dict[str, Any], operation: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        taken(schema, **operation)


def test_a_body_that_is_nested_deeper_than_is_read_is_refused() -> None:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(33):
        schema = {"type": "array", "maxItems": 1, "items": schema}

    with pytest.raises(Refused, match="more than 32 levels"):
        taken(schema)
