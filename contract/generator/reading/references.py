"""Follows what a document refers to: every `$ref`, anchor and link, and refuses those that lead nowhere."""

import re
from difflib import get_close_matches
from urllib.parse import unquote

from contract.generator.reading.document import Findings, Node, Refused, child, resolve
from contract.generator.reading.grammar import Placed, describe_kind, suggest_word

BUNDLE = "npx @redocly/cli bundle openapi.yaml --output bundled.yaml"
CORRECT, NAME = "correct the reference", ": name one of its operations"
SCOPES = ("$id", "$schema", "$vocabulary", "$dynamicRef", "$dynamicAnchor")
DIALECTS = ("https://json-schema.org/draft/2020-12/schema", "https://spec.openapis.org/oas/3.1/dialect/base")


class References:
    """What the nodes of a document refer to. Afterwards each `$ref` is the JSON Pointer of its target."""

    def __init__(self, document: Node, placed: list[Placed], findings: Findings) -> None:
        before = len(findings.found)
        self.document = document
        self.kinds = {one.pointer: one.kind for one in placed}
        self.anchors = {one.node["$anchor"]: one.pointer for one in placed if "$anchor" in one.node}
        self.operations = {one.node.get("operationId") for one in placed if one.kind == "operation"} - {None}
        if document.get("jsonSchemaDialect", DIALECTS[0]) not in DIALECTS:
            findings.add("#/jsonSchemaDialect", f"is none of {', '.join(DIALECTS)}")
        for one in placed:
            if one.kind == "schema":
                findings.attempt(self.check_scope, one)
            if one.kind == "link":
                findings.attempt(self.check_link, one)
            if "$ref" in one.node:
                findings.attempt(self.follow, one)
        if len(findings.found) > before:
            findings.close()
        for one in placed:
            findings.attempt(resolve, document, one.node, one.pointer)
        if len(findings.found) > before:
            findings.close()

    def follow(self, one: Placed) -> None:
        """Make the reference a JSON Pointer. Raises Refused where it leads to nothing, or to another kind of thing."""
        given = one.node["$ref"]
        if not given.startswith("#"):
            raise Refused(one.pointer, f"the $ref {given} leads to another file: bundle them into one ({BUNDLE})")
        target = unquote(given)
        if re.fullmatch("#[^/].*", target):
            target = self.anchors.get(target.removeprefix("#"), target)
        if target not in self.kinds:
            near = get_close_matches(target, [place for place, kind in self.kinds.items() if kind == one.target], n=1)
            told = f"; did you mean {near[0]}?" if near else ": declare it there, or correct the reference"
            raise Refused(one.pointer, f"the $ref {given} leads nowhere in this document{told}")
        if one.target != self.kinds[target] and self.kinds[target] != "reference":
            found, wanted = describe_kind(self.kinds[target]), describe_kind(one.target)
            raise Refused(one.pointer, f"the $ref {given} leads to {found}, not {wanted}: {CORRECT}")
        one.node["$ref"] = target

    def check_scope(self, one: Placed) -> None:
        """Raises Refused for what changes the meaning of references, or of keywords."""
        for word in SCOPES:
            if word in one.node and not (word == "$schema" and one.node[word] in DIALECTS):
                raise Refused(
                    child(one.pointer, word),
                    "changes what the words and references below it mean: leave it out, and write JSON Pointers",
                )

    def check_link(self, one: Placed) -> None:
        """Raises Refused for a link to no operation."""
        if "operationId" in one.node and one.node["operationId"] not in self.operations:
            name = one.node["operationId"]
            raise Refused(
                child(one.pointer, "operationId"),
                f"there is no operation {name}{suggest_word(name, list(self.operations)) or NAME}",
            )
        reference = unquote(one.node.get("operationRef", ""))
        if reference.startswith("#") and self.kinds.get(reference) != "operation":
            raise Refused(
                child(one.pointer, "operationRef"),
                f"leads to no operation of this document{NAME}",
            )


def insert_path_items(document: Node, placed: list[Placed]) -> bool:
    """Write each path in full that is given by `$ref`. Answers whether there was one."""
    found = [one for one in placed if one.kind == "reference" and one.target == "path-item"]
    for one in found:
        target, _ = resolve(document, one.node, one.pointer)
        del one.node["$ref"]
        one.node.update({**target, **one.node})
    return bool(found)
