"""Reads OpenAPI 3.0 as 3.0 and 3.2 as 3.2, in the words of 3.1, and refuses what is another version."""

import re
from collections.abc import Callable
from typing import Any

from contract.generator.reading.document import Findings, Node, Refused, node_at
from contract.generator.reading.grammar import Grammar, Placed
from contract.generator.reading.meta_schemas import ITEM_SCHEMA, VERSIONS

READ = "3.1.1"
NEW = {
    "document": {"$self"},
    "path-item": {"query", "additionalOperations"},
    "media-type": {"prefixEncoding", "itemEncoding"},
    "media-type-or-reference": {"$ref"},
    "components": {"mediaTypes"},
    "discriminator": {"defaultMapping"},
    "example": {"dataValue", "serializedValue"},
}
"""By kind of node, the words of OpenAPI 3.2 that say something of requests or answers, and that are not read."""


def read_document(document: Node, findings: Findings) -> list[Placed]:
    """The nodes of the document, which is in the words of OpenAPI 3.1 afterwards. Raises InvalidContract."""
    version = findings.attempt(version_of, document)
    findings.close()
    grammar = Grammar(str(version), findings)
    placed = grammar.read(document)
    if grammar.fatal:
        findings.close()  # what follows relies on what stands where
    for node, name in grammar.strangers:
        node.pop(name, None)
    if grammar.strangers:
        placed = grammar.read(document)
    if version == "3.1" and not spell_out_booleans(document, grammar, placed):
        return placed
    if version == "3.1":
        return grammar.read(document)
    translations: dict[str | None, Callable[[Placed], None]] = {"3.0": translate_older, "3.2": translate_newer}
    before = len(findings.found)
    for one in placed:
        findings.attempt(translations[version], one)
    if len(findings.found) > before:
        findings.close()
    if version == "3.0":
        document["openapi"] = READ
        return Grammar("3.1", findings).read(document)
    placed = Grammar("3.2", findings).read(document)
    document["openapi"] = READ
    return placed


def spell_out_booleans(document: Node, grammar: Grammar, placed: list[Placed]) -> bool:
    """Write `true` and `false` as objects, where a reference may lead to them. Answers whether there were any."""
    schemas = {one.pointer for one in placed if one.kind == "schema"}
    found = [place for place in grammar.booleans if place.rpartition("/")[0] not in schemas]
    for place in found:
        above, _, name = place.rpartition("/")
        parent: Any = node_at(document, above)
        key = int(name) if isinstance(parent, list) else name.replace("~1", "/").replace("~0", "~")
        parent[key] = {} if parent[key] else {"not": {}}
    return bool(found)


def version_of(document: Node) -> str:
    """The version by its first two numbers. Raises Refused."""
    if "swagger" in document:
        raise Refused(
            "#/swagger", "Swagger 2.0 is not read: convert it to OpenAPI 3 (npx swagger2openapi), which says more"
        )
    if "openapi" not in document:
        raise Refused("#", "has no openapi")
    found = re.fullmatch(r"(3\.[0-9]+)\.[0-9]+(-.+)?", str(document["openapi"]))
    if not found or found[1] not in VERSIONS:
        raise Refused("#/openapi", f"is {document['openapi']}, none of {', '.join(f'{one}.x' for one in VERSIONS)}")
    return found[1]


def translate_older(placed: Placed) -> None:
    """Write a node of OpenAPI 3.0 in the words of 3.1."""
    node = placed.node
    if "$ref" in node and placed.kind != "PathItem":
        for name in node.keys() - {"$ref"}:  # which stand for nothing there
            del node[name]
    if placed.kind != "Schema" or "$ref" in node:
        return
    for bound, exclusive in ("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"):
        if node.pop(exclusive, False) and bound in node:
            node[exclusive] = node.pop(bound)
    if node.pop("nullable", False):
        allow_null(node)
    if "example" in node:
        node["examples"] = [node.pop("example")]
    if node.get("format") == "byte":
        node["contentEncoding"] = "base64"
    if placed.pointer.split("/")[-2] not in ("properties", "schemas"):  # where they stand for nothing
        node.pop("readOnly", None)
        node.pop("writeOnly", None)


def allow_null(node: Node) -> None:
    """Take null, too: by its type, or where it has none beside all that it says of a value, as is common."""
    if "type" in node:
        node["type"] = [node["type"], "null"]
        return
    said = {name: node.pop(name) for name in list(node) if name in ("allOf", "anyOf", "oneOf", "enum", "not")}
    if said:
        node["anyOf"] = [said, {"type": "null"}]


def translate_newer(placed: Placed) -> None:
    """Write a node of OpenAPI 3.2 in the words of 3.1. Raises Refused for what 3.1 has no words for."""
    node = placed.node
    for name in sorted(NEW.get(placed.kind, set()) & node.keys()):
        raise Refused(
            f"{placed.pointer}/{name}", f"{name} is a word of OpenAPI 3.2 that is not read: say it in those of 3.1"
        )
    if placed.kind == "parameter" and node.get("in") == "querystring":
        raise Refused(
            f"{placed.pointer}/in",
            "querystring is a word of OpenAPI 3.2 that is not read: name the parameters one by one",
        )
    if placed.kind == "media-type" and "itemSchema" in node:
        node[ITEM_SCHEMA] = node.pop("itemSchema")
    if placed.kind == "response" and "$ref" not in node:
        node.setdefault("description", node.get("summary", ""))
