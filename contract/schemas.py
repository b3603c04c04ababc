"""The schemas of a document, compiled when they are asked for: whole, and assertion by assertion."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeAlias
from urllib.parse import quote

import jsonschema_rs
from jsonschema_rs import FancyRegexOptions, RegexOptions

from contract.formats import FORMATS

BASE = "urn:docket"
LINEAR = RegexOptions()  # takes time by the length of a text, whatever the pattern
BOUNDED = FancyRegexOptions(backtrack_limit=10_000)  # knows look-around and back-references, and gives up
ASSERTIONS = (
    "type",
    "const",
    "enum",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)
"""What says something of a value by itself, in the order in which it is told. A value breaks each of them once."""
Holds: TypeAlias = Callable[[Any], bool]


class Check:
    """The schema at a place of the document. `node` is the schema itself."""

    def __init__(self, schemas: "Schemas", place: str, node: Any) -> None:
        self.schemas, self.place = schemas, place
        self.node: dict[str, Any] = node if isinstance(node, dict) else {}
        self.is_valid: Holds = schemas.compile_schema(reference(place))

    @cached_property
    def assertions(self) -> list[tuple[str, Holds]]:
        return [
            (name, self.schemas.compile_schema({name: self.node[name]})) for name in ASSERTIONS if name in self.node
        ]

    @cached_property
    def patterns(self) -> list[tuple[Holds, "Check"]]:
        """The patterns that names of members may match, and what their values must be."""
        named = self.node.get("patternProperties", {})
        return [(self.schemas.compile_schema({"pattern": p}), self.below("patternProperties", p)) for p in named]

    @cached_property
    def contains(self) -> Holds:
        """Whether a list contains what it must."""
        counts = {name: self.node[name] for name in ("minContains", "maxContains") if name in self.node}
        return self.schemas.compile_schema(counts | {"contains": reference(self.below("contains").place)})

    @property
    def is_null(self) -> bool:
        return self.node.get("type") == "null"

    def below(self, *names: object) -> "Check":
        """The schema that stands below this one."""
        return self.schemas["/".join([self.place, *[escape_name(name) for name in names]])]


class Schemas:
    """A check for a schema of the document, by the JSON Pointer of the schema.

    Each is compiled when it is asked for first: those of all the places of the document would take 20 MB. `details`
    say in words what a pattern wants.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.registry = jsonschema_rs.Registry([(BASE, document)])
        self.details: dict[str | None, str] = dict(details_in(document))
        self.checks: dict[str, Check] = {}

    def __getitem__(self, place: str) -> Check:
        found = self.checks.get(place)
        if found is None:
            found = self.checks[place] = Check(self, place, self.node(place))
        return found

    def node(self, place: str) -> Any:
        node: Any = self.document
        for part in place.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            node = node[int(name)] if isinstance(node, list) else node[name]
        return node

    def compile_schema(self, schema: Mapping[str, Any]) -> Holds:
        options = {"registry": self.registry, "validate_formats": True, "formats": FORMATS}
        try:
            compiled = jsonschema_rs.validator_for(dict(schema), pattern_options=LINEAR, **options)  # type: ignore[arg-type]
        except jsonschema_rs.ValidationError:
            compiled = jsonschema_rs.validator_for(dict(schema), pattern_options=BOUNDED, **options)  # type: ignore[arg-type]
        return compiled.is_valid


def reference(place: str) -> dict[str, str]:
    return {"$ref": BASE + quote(place, safe="#/~")}


def escape_name(name: object) -> str:
    """A name as it stands in a JSON Pointer (RFC 6901)."""
    return str(name).replace("~", "~0").replace("/", "~1")


def details_in(node: object) -> Iterator[tuple[str, str]]:
    """The patterns in a part of the document, each with its `x-pattern-detail`, where there is one."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str) and "x-pattern-detail" in node:
            words = node["x-pattern-detail"]
            yield node["pattern"], str(words[-1]["detail"] if isinstance(words, list) else words)
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        yield from details_in(part)
