"""Schemas and values at random: what the validator accepts is answered as it was sent, all else has a fault."""

import copy
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from contract.schemas import Schemas
from tests.contract.generator.trying import Document, Trial

SEEDS = range(int(os.environ.get("SEEDS", "1")))
"""More of them are a proof: SEEDS=50."""
SCHEMAS, VALUES = 40, 25  # of each seed, of each schema
NAMES = ["a", "b", "c", "kind", "in", "Class"]
PLAIN: list[Any] = [None, True, False, 0, 1, 2, 3, 1.5, -1, "x", "y", "", "ab", "2026-01-31", "a-b"]
SIMPLE: list[Document] = [
    *({"type": one} for one in ("string", "integer", "number", "boolean", "null")),
    *({"type": [one, "null"]} for one in ("string", "array")),
    *({"enum": one} for one in (["x", "y"], [1, 2], ["x", None], ["", " ", "a-b", "1"], [1, "1", True])),
    *({"const": one} for one in ("x", None, 1)),
    {"type": ["integer", "string"]},
    {"type": ["boolean", "object"]},
    {"type": "string", "minLength": 2},
    {"type": "string", "format": "date"},
    {"type": "string", "pattern": "^[a-z]+$"},
    {"type": "integer", "minimum": 2},
    {},
]


class Chance:
    """Draws schemas, which may refer to those that were drawn before, and values near to them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - no secret
        self.schemas: Document = {}
        for index in range(SCHEMAS):
            self.schemas[f"S{index}"] = self.schema(3)

    def happens(self, share: float) -> bool:
        return self.random.random() < share

    def schema(self, depth: int) -> Document:
        if depth == 0 or self.happens(0.25):
            return copy.deepcopy(self.random.choice(SIMPLE))
        if self.schemas and self.happens(0.1):
            return {"$ref": f"#/components/schemas/{self.random.choice(list(self.schemas))}"}
        if self.happens(0.5):
            return self.object(depth)
        if self.happens(0.35):
            made: Document = {"type": "array", "items": self.schema(depth - 1)}
            return made | self.perhaps(0.15, maxItems=2) | self.perhaps(0.1, prefixItems=[self.schema(depth - 1)])
        union = self.random.choice(["oneOf", "anyOf", "allOf"])
        return {union: [self.schema(depth - 1) for _ in range(self.random.randint(1, 3))]}

    def object(self, depth: int) -> Document:
        made: Document = {"type": "object"} | self.perhaps(0.5, required=self.random.sample(NAMES, 2))
        made["properties"] = {name: self.schema(depth - 1) for name in self.random.sample(NAMES, 3)}
        others = self.random.choice([None, None, False, True, self.schema(depth - 1)])
        made |= {} if others is None else {"additionalProperties": others}
        made |= self.perhaps(0.08, patternProperties={"^c": self.schema(depth - 1)})
        made |= self.perhaps(0.05, oneOf=[{"required": ["a"]}, {"required": ["b"]}])
        made |= self.perhaps(0.05, anyOf=[self.schema(depth - 1), self.schema(depth - 1)])
        made |= self.perhaps(0.05, dependentRequired={"a": ["b"]}) | self.perhaps(0.05, type=["object", "null"])
        return made | self.perhaps(0.05, **{"not": {"required": ["a"]}})

    def perhaps(self, share: float, **keywords: Any) -> Document:
        return keywords if self.happens(share) else {}

    def value(self, depth: int) -> Any:
        if depth == 0 or self.happens(0.5):
            return self.random.choice(PLAIN)
        if self.happens(0.3):
            return [self.value(depth - 1) for _ in range(self.random.randint(0, 3))]
        return {name: self.value(depth - 1) for name in self.random.sample(NAMES, self.random.randint(0, 4))}

    def near(self, schema: Any, depth: int) -> Any:
        """A value that may well fit a schema."""
        if not isinstance(schema, dict) or depth == 0 or self.happens(0.1):
            return self.value(2)
        if "$ref" in schema:
            return self.near(self.schemas[schema["$ref"].rsplit("/", 1)[1]], depth - 1)
        for choice in ("enum", "oneOf", "anyOf", "allOf"):
            if choice in schema and "properties" not in schema:
                chosen = self.random.choice(schema[choice])
                return chosen if choice == "enum" else self.near(chosen, depth)
        if "properties" in schema:
            members = [name for name in schema["properties"] if name in schema.get("required", ()) or self.happens(0.6)]
            return {name: self.near(schema["properties"][name], depth - 1) for name in members} | self.more(schema)
        if "items" in schema:
            return [self.near(schema["items"], depth - 1) for _ in range(self.random.randint(0, 3))]
        return schema.get("const", self.random.choice(PLAIN))

    def more(self, schema: Document) -> Document:
        missing = [name for name in schema.get("required", ()) if name not in schema["properties"]]
        return {name: self.value(1) for name in missing + self.random.sample(NAMES, self.random.randint(0, 1))}


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_model_holds_what_the_schema_accepts(seed: int, tmp_path: Path) -> None:
    chance = Chance(seed)
    whole: Document = {"paths": {}, "components": {"schemas": copy.deepcopy(chance.schemas)}}
    for name in chance.schemas:
        content = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}
        responses = {"200": {"description": "It.", **content}}
        whole["paths"][f"/{name}"] = {"post": {"requestBody": {"required": True, **content}, "responses": responses}}
    trial = Trial(tmp_path, whole)
    schemas = Schemas(trial.document)

    for name, schema in chance.schemas.items():
        for _ in range(VALUES):
            value = chance.near(schema, 4)
            status, answer = await trial.send("POST", f"/{name}", [] if value is None else value)
            sent = [] if value is None else value

            if schemas[f"#/components/schemas/{name}"].is_valid(sent):
                assert (name, sent, status, answer) == (name, sent, 200, sent)
            else:
                assert (name, sent, status, bool(answer)) == (name, sent, 422, True)
