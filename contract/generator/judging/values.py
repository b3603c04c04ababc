"""Judges what a document says of values: its patterns and ranges, and by their schemas its defaults and examples."""

from collections.abc import Iterator
from typing import Any

from contract.generator.reading.document import Findings, Node, Refused, child
from contract.generator.reading.grammar import Placed
from contract.schemas import Schemas
from contract.validation import faults

RANGES = (
    ("minimum", "maximum"),
    ("exclusiveMinimum", "maximum"),
    ("minimum", "exclusiveMaximum"),
    ("exclusiveMinimum", "exclusiveMaximum"),
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minContains", "maxContains"),
    ("minProperties", "maxProperties"),
)
TOLD = 3  # places of one value


def check_values(document: Node, placed: list[Placed], findings: Findings) -> None:
    """Find every pattern, range, default and example that cannot be meant."""
    schemas = Schemas(document)
    nodes = [one for one in placed if one.kind == "schema"]
    before = len(findings.found)
    for one in nodes:
        findings.attempt(check_range, one)
        for place, pattern in patterns_of(one):
            findings.attempt(check_pattern, schemas, pattern, place)
    if len(findings.found) > before:
        return  # no schema with such a pattern can be compiled
    for one in placed:
        for place, schema, value in values_of(one):
            refused = fault_of(schemas, schema, value, place)
            if refused and (one.kind == "media-type" or place.endswith("/default")):
                findings.found.append(refused)
            elif refused:  # a sketch for readers
                findings.doubts.append(refused)


def check_range(one: Placed) -> None:
    """Raises Refused where nothing is both so much and so little."""
    for low, high in RANGES:
        if low in one.node and high in one.node:
            least, most = one.node[low], one.node[high]
            if least > most or (least == most and "exclusive" in low + high):
                raise Refused(
                    child(one.pointer, low),
                    f"is {least}, which no value with {high} {most} can be: lower it, or raise the other",
                )


def patterns_of(one: Placed) -> Iterator[tuple[str, str]]:
    if "pattern" in one.node:
        yield child(one.pointer, "pattern"), one.node["pattern"]
    for pattern in one.node.get("patternProperties", {}):
        yield child(one.pointer, "patternProperties", pattern), pattern


def check_pattern(schemas: Schemas, pattern: str, place: str) -> None:
    try:
        schemas.compile_schema({"pattern": pattern})
    except ValueError:
        raise Refused(
            place, f"{pattern} is no regular expression: escape by a backslash what stands for itself"
        ) from None


def values_of(one: Placed) -> Iterator[tuple[str, str, Any]]:
    """The values that a node gives: where each stands, where its schema does, and the value itself."""
    if one.kind == "schema":
        for word in ("default", "example"):
            if word in one.node:
                yield child(one.pointer, word), one.pointer, one.node[word]
        for index, value in enumerate(one.node.get("examples", ())):
            yield child(one.pointer, "examples", index), one.pointer, value
    elif isinstance(one.node.get("schema"), dict) and is_judged(one):
        schema = child(one.pointer, "schema")
        if "example" in one.node:
            yield child(one.pointer, "example"), schema, one.node["example"]
        for name, example in one.node.get("examples", {}).items():
            if "value" in example:
                yield child(one.pointer, "examples", name, "value"), schema, example["value"]


def is_judged(one: Placed) -> bool:
    """Whether the examples of a node are values of its schema, and not texts of another media type."""
    if one.kind in ("parameter", "header"):
        return True
    return one.kind == "media-type" and one.pointer.partition(";")[0].rstrip().endswith("json")


def fault_of(schemas: Schemas, schema: str, value: Any, place: str) -> Refused | None:
    """The refusal of a value that breaks its schema."""
    found = faults("body", schemas[schema], value)
    told = "; ".join(f"{fault.pointer or 'it'}: {fault.detail}" for fault in found[:TOLD])
    return Refused(place, f"breaks its schema: {told}") if found else None
