"""Judges values by the document's own schemas, and says in the contract's words what is wrong where."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal
from urllib.parse import quote

import jsonschema_rs
from jsonschema_rs import ValidationError, Validator

from contract.vocabulary import Fault

Where = Literal["body", "query", "header"]
BASE = "urn:docket"
MOST_FAULTS = 50
CODES = {
    "required": "required",
    "type": "type",
    "format": "format",
    "minLength": "min_length",
    "maxLength": "max_length",
    "pattern": "pattern",
    "enum": "enum",
    "const": "enum",
    "minimum": "minimum",
    "exclusiveMinimum": "minimum",
    "maximum": "maximum",
    "exclusiveMaximum": "maximum",
    "minItems": "min_items",
    "maxItems": "max_items",
    "additionalProperties": "unknown_field",
}
SAYINGS = {
    "min_length": "Must have at least {limit} characters",
    "max_length": "Must have at most {limit} characters",
    "format": "Must be a valid {format}",
    "minimum": "Must be at least {limit}",
    "maximum": "Must be at most {limit}",
    "min_items": "Must not have fewer items than {limit}",
    "max_items": "Must have at most {limit} items",
    "required": "Is required",
    "unknown_field": "Is not a member that the contract knows",
    "not_null": "Must not be null",
}
FORMATS = {"date-time": "date-time, like 2026-01-31T09:30:00Z"}


class Check:
    """A schema, compiled. `details` say in words what a pattern wants."""

    def __init__(self, validator: Validator, details: Mapping[str, str]) -> None:
        self.is_valid, self.iter_errors, self.details = validator.is_valid, validator.iter_errors, details


class Schemas:
    """A check for a schema of the document, by the JSON Pointer of the schema.

    Each is compiled when it is asked for first: those of all the places of the document would take 20 MB.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.registry = jsonschema_rs.Registry([(BASE, document)])
        self.details = dict(details_in(document))
        self.compiled: dict[str, Check] = {}

    def __getitem__(self, place: str) -> Check:
        if place not in self.compiled:
            schema = {"$ref": BASE + quote(place, safe="#/~")}
            validator = jsonschema_rs.validator_for(schema, registry=self.registry, validate_formats=True)
            self.compiled[place] = Check(validator, self.details)
        return self.compiled[place]


def details_in(node: object) -> Iterator[tuple[str, str]]:
    """The patterns in a part of the document, each with its `x-pattern-detail`, where there is one."""
    if isinstance(node, dict):
        if "x-pattern-detail" in node:
            yield node["pattern"], node["x-pattern-detail"]
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        yield from details_in(part)


def pointer(parts: Iterable[object]) -> str:
    """The JSON Pointer (RFC 6901) of a place."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def faults(where: Where, check: Check, value: object, prefix: tuple[str, ...] = ()) -> list[Fault]:
    """Every place where the value breaks its schema, up to a bound, if it does. The value is never quoted.

    Of a format and a pattern that a text breaks both, the format is named: people can read it. Of what has the wrong
    type nothing else is said.
    """
    found: list[Fault] = []
    for error in check.iter_errors(value):
        for leaf in leaves(error):
            found += described(where, leaf, prefix, check.details)
        if len(found) >= MOST_FAULTS:
            break
    named = {("pattern", fault.pointer) for fault in found if fault.code == "format"}
    named |= {("enum", fault.pointer) for fault in found if fault.code in {"type", "not_null"}}
    return [fault for fault in found if (fault.code, fault.pointer) not in named][:MOST_FAULTS]


def leaves(error: ValidationError) -> Iterator[ValidationError]:
    """The error, or of a union of a schema and null those of the schema."""
    branches = error.kind.as_dict().get("context", ())
    telling = [branch for branch in branches if not any(nothing_but_null(one) for one in branch)]
    if not telling:
        yield error
    for branch in telling[:1]:
        for one in branch:
            yield from leaves(one)


def nothing_but_null(error: ValidationError) -> bool:
    return error.kind.name == "type" and error.kind.as_dict()["types"] == ["null"]


def described(where: Where, error: ValidationError, prefix: tuple[str, ...], details: Mapping[str, str]) -> list[Fault]:
    facts = error.kind.as_dict()
    at = (*prefix, *error.instance_path)
    code = CODES.get(error.kind.name, "format")
    if code == "type" and error.instance is None:
        code = "not_null"
    if code == "required":
        return [Fault(where, pointer((*at, facts["property"])), code, SAYINGS[code])]
    if code == "unknown_field":
        return [Fault(where, pointer((*at, name)), code, SAYINGS[code]) for name in facts["unexpected"]]
    return [Fault(where, pointer(at), code, saying(code, facts, details))]


def saying(code: str, facts: dict[str, Any], details: Mapping[str, str]) -> str:
    if code == "type":
        return f"Must be {' or '.join(facts['types'])}"
    if code == "enum":
        return (
            f"Must be one of {', '.join(str(option) for option in facts.get('options', [facts.get('expected_value')]))}"
        )
    if code == "pattern":
        return details.get(facts["pattern"]) or f"Must match {facts['pattern']}"
    words = {"format": "value", **facts}
    return SAYINGS[code].format(**words | {"format": FORMATS.get(words["format"], words["format"])})
