"""The document as models are made of it: each object has a name, and nothing is said but what a model can hold.

What else a schema says of a value is judged by the schema itself, before a model is made of the value.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any, Literal

from contract.generator.modelling.place_names import name_schemas
from contract.generator.names import pascal
from contract.generator.reading.document import Findings, Node, Refused, child, node_at
from contract.generator.reading.grammar import Placed
from contract.generator.reading.meta_schemas import ITEM_SCHEMA

Direction = Literal["request", "answer"]
HELD = {
    "title", "description", "default", "examples",
    "type", "format", "enum", "const", "pattern",
    "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
}  # fmt: skip
"""The keywords without schemas below them that a model can hold."""
BESIDE = {"description", "default", "examples", "title"}
"""What is kept beside a reference."""
SHAPES = {"type", "properties", "items", "$ref", "enum", "const", "allOf", "anyOf", "oneOf", "additionalProperties"}
"""What says what a value is, and not only what it must fulfil."""
DIFFERENT = re.compile(r"\\[WDSBbpPck1-9]|\[\^[^\]]*\\[wds]|\(\?[^:]")
"""Of patterns, what models read otherwise than schemas."""
COMPONENTS = "#/components/schemas"
UNSERVED = ("webhooks", "callbacks")
FREE: Node = {"type": "object", "additionalProperties": True}


class Modelling:
    """Makes the document that models are made of."""

    def __init__(self, document: Node, placed: list[Placed], findings: Findings) -> None:
        self.findings = findings
        self.document = document
        served = [one for one in placed if not is_unserved(one.pointer)]
        self.nodes: dict[str, Any] = {one.pointer: one.node for one in served if one.kind == "schema"}
        self.names = name_schemas(document, served)
        self.longer_names = name_schemas(document, served, parts_named=True)
        self.uses: dict[str, set[Direction]] = {}
        self.made: dict[tuple[str, Direction], str] = {}
        self.places: dict[str, str] = {}
        """The place that a name was made for."""
        self.classes: dict[str, str] = {}
        """The component of the result, by the place of a schema that has got one of its own."""
        self.result = copy.deepcopy({name: part for name, part in document.items() if name not in UNSERVED})
        self.schemas: Node = {}
        self.split = self.find_split()
        self.make(served)

    def make(self, served: list[Placed]) -> None:
        """Make the components, and put references to them where they are used."""
        roots = [
            (one, word, direction_of(one.pointer))
            for one in served
            if one.kind in ("parameter", "header", "media-type")
            for word in ("schema", ITEM_SCHEMA)
            if isinstance(one.node.get(word), dict)
        ]
        for one, word, direction in roots:
            self.use(child(one.pointer, word), direction, set())
        for place in [place for place in self.nodes if place.rpartition("/")[0] == COMPONENTS]:
            for direction in sorted(self.uses.get(place, {"answer"}), reverse=True):
                self.findings.attempt(self.component, place, direction)
        for one, word, direction in roots:
            modelled = self.findings.attempt(self.root, child(one.pointer, word), direction, one.kind)
            target = node_at(self.result, one.pointer)
            if isinstance(target, dict):  # what is not served has none
                target[word] = modelled or {}
        order = {place: index for index, place in enumerate(self.nodes)}
        names = sorted(self.schemas, key=lambda name: order[self.places[name]])
        self.result.setdefault("components", {})["schemas"] = {name: self.schemas[name] for name in names}
        self.name_operations()

    def name_operations(self) -> None:
        """Drop what others serve, and give each operation a name."""
        self.result["components"].pop("callbacks", None)
        for path, item in self.result.get("paths", {}).items():
            for method, operation in item.items():
                if isinstance(operation, dict):
                    operation.pop("callbacks", None)
                    operation.setdefault("operationId", pascal(f"{method} {path}"))

    def find_split(self) -> set[str]:
        """The places from which a member is reached that is not for both directions."""
        one_way = {
            place for place, node in self.nodes.items() if self.says(node, "readOnly") or self.says(node, "writeOnly")
        }
        if not one_way:
            return set()
        below = {place: set(references_in(node)) for place, node in self.nodes.items()}
        found = {place for place in self.nodes if any(one.startswith(f"{place}/") for one in one_way)}
        grown = True
        while grown:
            more = {place for place, targets in below.items() if place not in found and targets & found}
            grown = bool(more)
            found |= more
        return found

    def says(self, node: Node, word: str) -> bool:
        """Whether a schema, or what it refers to, is for one direction."""
        found = node_at(self.document, node["$ref"]) if "$ref" in node and word not in node else node
        return isinstance(found, dict) and found.get(word) is True

    def use(self, place: str, direction: Direction, seen: set[str]) -> None:
        """Note what is used in requests, and what in answers."""
        if place in seen or direction in self.uses.get(place, ()):
            return
        self.uses.setdefault(place, set()).add(direction)
        for target in references_in(self.nodes.get(place, {})):
            self.use(target, direction, seen)

    def uses_of(self, place: str) -> set[Direction]:
        """What a schema is used in: as what it is a part of, unless something refers to it."""
        while place and place not in self.uses:
            place = place.rpartition("/")[0]
        return self.uses.get(place, set())

    def root(self, place: str, direction: Direction, kind: str) -> Node:
        """The schema of a parameter, header or body. Those of bodies have a name always."""
        node = self.nodes[place]
        if "$ref" in node:
            made = self.of(node, place, direction)
            if made.get("$ref", "").removeprefix(f"{COMPONENTS}/") != self.names.get(node["$ref"]):
                self.classes[place] = made["$ref"]
            return made
        if kind != "media-type" or node.get("type") in ("string", "integer", "number", "boolean"):
            return self.of(node, place, direction)
        name = self.component(place, direction)
        self.classes[place] = f"{COMPONENTS}/{name}"
        return {"$ref": f"{COMPONENTS}/{name}"}

    def component(self, place: str, direction: Direction) -> str:
        """The name of the component that a schema has become. Raises Refused where another one is called so."""
        uses = self.uses_of(place) or {direction}
        name = self.names[place]
        if place not in self.split and "request" in uses:
            direction = "request"
        elif place in self.split and direction == "request" and "answer" in uses:
            name += "Request"
        if (place, direction) in self.made:
            return self.made[place, direction]
        if f"{COMPONENTS}/{name}" != place and f"{COMPONENTS}/{name}" in self.nodes:
            name += "Body"  # what stands in components goes by its own name
        if name in self.schemas and place in self.longer_names:
            name = self.longer_names[place] + name.removeprefix(self.names[place])
        if not name or name in self.schemas:
            other = self.places.get(name, "another schema")
            raise Refused(
                place,
                f"would be called {name!r}, as {other} is: put it into components/schemas, under a name of its own",
            )
        self.made[place, direction] = name
        self.places[name] = place
        self.schemas[name] = {}  # where its own parts find it
        self.schemas[name] = self.body(self.nodes[place], place, direction)
        if f"{COMPONENTS}/{name}" != place and place not in self.classes:
            self.classes[place] = f"{COMPONENTS}/{name}"
        return name

    def of(self, node: Any, place: str, direction: Direction) -> Node:
        """A schema below another one: by reference, where it is an object."""
        if not isinstance(node, dict):
            return {}
        if "$ref" in node:
            beside = {name: value for name, value in node.items() if name in BESIDE}
            return {"$ref": f"{COMPONENTS}/{self.component(node['$ref'], direction)}", **beside}
        if is_object(node):
            return {"$ref": f"{COMPONENTS}/{self.component(place, direction)}"}
        return self.body(node, place, direction)

    def body(self, node: Any, place: str, direction: Direction) -> Node:
        """A schema in words that a model can hold."""
        if "$ref" in node:
            return self.of(node, place, direction)
        made = {name: copy.deepcopy(value) for name, value in node.items() if name in HELD or name.startswith("x-enum")}
        drop_unheld(made)
        if not re.search("/(properties/[^/]+|schema)$", place):
            made.pop("default", None)  # which only what may be left out has
        unions = [keyword for keyword in ("oneOf", "anyOf") if tells(node, keyword)]
        if is_object(node):
            if unions:
                return {**{name: made[name] for name in ("description",) if name in made}, **FREE}
            self.add_members(made, node, place, direction)
        elif len(unions) > 1 or (unions and "allOf" in node):
            return {name: made[name] for name in ("description",) if name in made}
        elif unions:
            made[unions[0]] = [
                self.of(one, child(place, unions[0], index), direction) for index, one in enumerate(node[unions[0]])
            ]
        if isinstance(node.get("items"), dict):
            made["items"] = {} if "prefixItems" in node else self.of(node["items"], child(place, "items"), direction)
        if "allOf" in node:
            self.add_parts(made, node, place, direction)
        return made

    def add_members(self, made: Node, node: Node, place: str, direction: Direction) -> None:
        """The members of an object that are for this direction; those that are demanded only, as whatever they are."""
        unsent = "readOnly" if direction == "request" else "writeOnly"
        given = {name: one for name, one in node.get("properties", {}).items() if not self.says(one, unsent)}
        members = {name: self.of(one, child(place, "properties", name), direction) for name, one in given.items()}
        required = [
            name for name in node.get("required", ()) if name in given or name not in node.get("properties", {})
        ]
        is_part = place.rpartition("/")[0].endswith(("/allOf", "/oneOf", "/anyOf"))
        if not is_part and "allOf" not in node:
            members |= {name: {} for name in required if name not in members}
        made |= {"type": made.get("type", "object")}
        made |= {"properties": members} if members else {}
        made |= {"required": required} if required else {}
        others = node.get("additionalProperties", True)
        if isinstance(others, dict) and "patternProperties" not in node:
            made["additionalProperties"] = self.of(others, child(place, "additionalProperties"), direction)
        elif others is False and "patternProperties" not in node:
            made["additionalProperties"] = False
        elif direction == "request" or "additionalProperties" in node or not (members or "allOf" in node):
            made["additionalProperties"] = True

    def add_parts(self, made: Node, node: Node, place: str, direction: Direction) -> None:
        """The schemas that a value must fit all of."""
        if any(tells(one, "oneOf") or tells(one, "anyOf") for one in node["allOf"]):
            made.clear()
            made.update(FREE if is_object(node) else {})
            return
        shaped = [(index, one) for index, one in enumerate(node["allOf"]) if SHAPES & one.keys()]
        objects = [(index, one) for index, one in shaped if self.says_object(one, ())]
        parts = []
        for index, one in objects or shaped[:1]:  # a value that fits all of them fits one
            here = child(place, "allOf", index)
            parts.append(self.of(one, here, direction) if "$ref" in one else self.body(one, here, direction))
        if objects:
            made["allOf"] = parts
        elif parts:
            made.update({**parts[0], **{name: made[name] for name in BESIDE & made.keys()}})
        if direction == "request" and any("properties" in part for part in parts):
            made.setdefault("additionalProperties", True)  # which a part that is merged loses

    def says_object(self, node: Node, seen: tuple[str, ...]) -> bool:
        """Whether a schema is of objects, or what it refers to, or a part of it."""
        if "$ref" in node:
            target = node["$ref"]
            return target not in seen and self.says_object(self.nodes.get(target, {}), (*seen, target))
        one_type = len(set(types_of(node)) - {"null"}) < 2  # noqa: PLR2004 - one, or none is said
        return (is_object(node) and one_type) or any(self.says_object(one, seen) for one in node.get("allOf", ()))


def tells(node: Node, keyword: str) -> bool:
    """Whether alternatives say what a value is."""
    return any(isinstance(one, dict) and SHAPES & one.keys() for one in node.get(keyword, ()))


def is_object(node: Node) -> bool:
    """Whether a schema says what members a value has."""
    return "properties" in node or "object" in types_of(node)


def types_of(node: Node) -> list[str]:
    types: str | list[str] = node.get("type", [])
    return [types] if isinstance(types, str) else types


def drop_unheld(made: Node) -> None:
    """Drop what a model would read otherwise than the schema does."""
    options = made.get("enum", [made["const"]] if "const" in made else [])
    if not options or any(isinstance(one, bool | float | dict | list) for one in options):
        made.pop("enum", None)
        made.pop("const", None)
    if DIFFERENT.search(str(made.get("pattern", ""))):
        del made["pattern"]
    if "number" in str(made.get("type")):
        made.pop("multipleOf", None)
    if "format" in made and "string" not in str(made.get("type")):
        del made["format"]
    made.pop("minProperties", None)
    made.pop("maxProperties", None)
    made.pop("uniqueItems", None)


def references_in(value: Any) -> Iterator[str]:
    """What is referred to anywhere in a part of the document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references_in(item)


def direction_of(pointer: str) -> Direction:
    return "answer" if re.search("/(responses|headers)/", pointer) else "request"


def is_unserved(pointer: str) -> bool:
    """Whether a place is of a request that others serve."""
    return (
        pointer.startswith(("#/webhooks/", "#/components/callbacks/"))
        or re.search("^#/paths/[^/]+/[^/]+/callbacks/", pointer) is not None
    )
