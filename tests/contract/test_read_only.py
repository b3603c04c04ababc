"""Members that are not for requests are refused there, or ignored where the application wants that."""

import json
from pathlib import Path

import pytest

from tests.contract.small import NOTHING, Node, Small, document

ID: Node = {"type": "integer", "readOnly": True}
SCHEMAS: Node = {
    "Id": ID,
    "Part": {"type": "object", "required": ["id", "n"], "properties": {"id": ID, "n": {"type": "integer"}}},
    "Whole": {
        "allOf": [
            {"$ref": "#/components/schemas/Part"},
            {
                "type": "object",
                "properties": {
                    "key": {"$ref": "#/components/schemas/Id"},
                    "list": {"type": "array", "items": {"$ref": "#/components/schemas/Part"}},
                    "any": {"anyOf": [{"type": "integer"}, {"$ref": "#/components/schemas/Part"}]},
                    "free": {"type": "object"},
                    "list_of_all": {"type": "array"},
                    "map": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Part"}},
                    "named": {"type": "object", "patternProperties": {"^p": {"$ref": "#/components/schemas/Part"}}},
                    "rest": {
                        "type": "object",
                        "properties": {"own": {"type": "object"}},
                        "allOf": [{"properties": {"part": {"type": "object"}}}, {"patternProperties": {"^p_": {}}}],
                        "unevaluatedProperties": {"$ref": "#/components/schemas/Part"},
                    },
                    "said": {
                        "type": "object",
                        "allOf": [{"additionalProperties": {"type": "object"}}],
                        "unevaluatedProperties": {"$ref": "#/components/schemas/Part"},
                    },
                    "row": {"type": "array", "prefixItems": [{}, {"$ref": "#/components/schemas/Part"}]},
                    "tail": {
                        "type": "array",
                        "prefixItems": [{}],
                        "allOf": [{"prefixItems": [{}, {}]}, {"contains": {"required": ["free"]}, "minContains": 0}],
                        "unevaluatedItems": {"$ref": "#/components/schemas/Part"},
                    },
                    "whole": {
                        "type": "array",
                        "allOf": [{"items": {"type": "object"}}],
                        "unevaluatedItems": {"$ref": "#/components/schemas/Part"},
                    },
                },
                "if": {"required": ["late"]},
                "then": {"properties": {"then": ID}},
                "else": {"properties": {"else": ID}},
                "dependentSchemas": {"n": {"properties": {"with_n": ID}}, "m": {"properties": {"free": {"not": {}}}}},
            },
        ]
    },
}
CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/Whole"}}}
PATHS = {"/it": {"post": {"operationId": "it", "requestBody": {"content": CONTENT}, "responses": NOTHING}}}
PART = {"id": 7, "n": 1}
SENT = {**PART, "key": 7, "list": [PART], "any": PART, "map": {"a": PART}, "free": {"id": 7}, "list_of_all": [PART]}
SENT |= {"named": {"p": PART, "q": PART}, "row": [PART, PART, PART], "else": 7, "with_n": 7}
KEPT = {"n": 1, "list": [{"n": 1}], "any": {"n": 1}, "map": {"a": {"n": 1}}, "free": {"id": 7}, "list_of_all": [PART]}
SENT |= {"said": {"a": PART}}
KEPT |= {"said": {"a": PART}}
SENT |= {"rest": {"own": PART, "part": PART, "p_1": PART, "other": PART}}
KEPT |= {"rest": {"own": PART, "part": PART, "p_1": PART, "other": {"n": 1}}}
SENT |= {"tail": [PART, PART, PART, PART | {"free": 1}], "whole": [PART]}
KEPT |= {"tail": [PART, PART, {"n": 1}, PART | {"free": 1}], "whole": [PART]}
KEPT |= {"named": {"p": {"n": 1}, "q": PART}, "row": [PART, {"n": 1}, PART]}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def contract() -> Node:
    return document(PATHS, components={"schemas": SCHEMAS})


async def test_they_are_refused(contract: Node, tmp_path: Path) -> None:
    status, places = await Small(contract, tmp_path).refusal(
        "POST", "/it", headers=JSON, body=json.dumps(SENT).encode()
    )

    assert status == 422
    assert {"/id", "/key", "/list/0/id", "/map/a/id"} <= {place for place, _ in places}


async def test_they_are_ignored_at_any_depth(contract: Node, tmp_path: Path) -> None:
    small = Small(contract, tmp_path, read_only="ignored")

    given = await small.arguments_of("POST", "/it", headers=JSON, body=json.dumps(SENT).encode())

    assert given["body"].model_dump(exclude_unset=True, by_alias=True) == KEPT


async def test_what_they_are_dropped_by_is_the_value_as_it_came(contract: Node, tmp_path: Path) -> None:
    small = Small(contract, tmp_path, read_only="ignored")
    sent = {"late": 1, "then": "x", "else": 7, "n": 1}

    given = await small.arguments_of("POST", "/it", headers=JSON, body=json.dumps(sent).encode())

    assert given["body"].model_dump(exclude_unset=True, by_alias=True) == {"late": 1, "else": 7, "n": 1}


async def test_what_is_wrong_beside_them_is_told(contract: Node, tmp_path: Path) -> None:
    small = Small(contract, tmp_path, read_only="ignored")

    assert await small.refusal("POST", "/it", headers=JSON, body=b'{"id": "x", "n": "y"}') == (422, [("/n", "type")])
