"""The meta-schema of each version of OpenAPI, with the keywords of its schemas, from the packages that publish them."""

import json
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

from contract.generator.reading.document import Node, child

VERSIONS = ("3.0", "3.1", "3.2")
VOCABULARIES = ("core", "applicator", "unevaluated", "validation", "meta-data", "format-annotation", "content")
ITEM_SCHEMA = "x-itemSchema"
"""The one extension that holds a schema: what a stream is made of, which OpenAPI 3.2 calls `itemSchema`."""


@cache
def meta_schema(version: str) -> Node:
    """The meta-schema of a version. Its references are JSON Pointers into itself, but for `$dynamicRef` to a schema."""
    package = Path(str(distribution("openapi-spec-validator").locate_file("openapi_spec_validator")))
    text = (package / f"resources/schemas/v{version}/schema.json").read_text(encoding="utf-8")
    published: Node = json.loads(text)
    if version == "3.0":
        published["definitions"]["Schema"]["properties"]["required"].pop("minItems")  # an empty list says nothing wrong
        published["definitions"]["Discriminator"]["additionalProperties"] = False
        return published
    kinds: Node = published["$defs"]
    kinds["schema"] |= {"properties": {}, "patternProperties": {"^x-": True}, "unevaluatedProperties": False}
    for vocabulary in VOCABULARIES:
        found: Any = REGISTRY.contents(f"https://json-schema.org/draft/2020-12/meta/{vocabulary}")
        kinds["schema"]["properties"] |= found["properties"]
        kinds |= {name: rule for name, rule in found.get("$defs", {}).items() if name not in kinds}
    words: Node = meta_schema("3.0")["definitions"]
    for name, kind in ("discriminator", "Discriminator"), ("xml", "XML"):
        kinds[name] = words[kind] | {"patternProperties": {"^x-": True}}
        kinds["schema"]["properties"][name] = {"$ref": child("#/$defs", name)}
    kinds["schema"]["properties"] |= {"externalDocs": {"$ref": "#/$defs/external-documentation"}, "example": True}
    kinds["media-type"]["properties"][ITEM_SCHEMA] = {"$dynamicRef": "#meta"}
    kinds["link"]["properties"] = {"server": {"$ref": "#/$defs/server"}} | kinds["link"]["properties"]
    return published
