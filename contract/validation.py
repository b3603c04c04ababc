"""Judges values by the document's own schemas, and says in the contract's words what is wrong where.

What refuses a value is walked beside it, and no farther than faults are told: a list that is too long is one fault, and
nothing in it is looked at. Whether a value or a part of it is valid at all, jsonschema-rs says, which ends at the first
fault; to name every fault it would make an error of each before the first can be read.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Literal

from contract.schemas import Check, escape_name
from contract.types import Fault

Where = Literal["body", "query", "header"]
Path = tuple[object, ...]
MOST_FAULTS = 50
CODES = {
    "type": "type",
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
    "required": "required",
    "additionalProperties": "unknown_field",
}
"""Of each keyword that can be broken; what is none of them is `format`."""
SAYINGS = {
    "min_length": "Must have at least {limit} characters",
    "max_length": "Must have at most {limit} characters",
    "format": "Must be a valid {limit}",
    "minimum": "Must be at least {limit}",
    "maximum": "Must be at most {limit}",
    "min_items": "Must not have fewer items than {limit}",
    "max_items": "Must have at most {limit} items",
    "required": "Is required",
    "unknown_field": "Is not a member that the contract knows",
    "not_null": "Must not be null",
}
LIMITS = {"min_length", "max_length", "minimum", "maximum", "min_items", "max_items"}
FORMATS = {"date-time": "date-time, like 2026-01-31T09:30:00Z"}
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
UNSENT = ("additionalProperties", "Is read-only: leave it out")
TOO_MANY = ("maxItems", "maxProperties")


def pointer(parts: Iterable[object]) -> str:
    """The JSON Pointer (RFC 6901) of a place."""
    return "".join(f"/{escape_name(part)}" for part in parts)


def faults(where: Where, check: Check, value: object, prefix: tuple[str, ...] = ()) -> list[Fault]:
    """Every place where the value breaks its schema, up to a bound, if it does. The value is never quoted.

    Of a format and a pattern that a text breaks both, the format is named: people can read it. Of what has the wrong
    type nothing else is said.
    """
    if check.is_valid(value):
        return []
    walk = Walk(where)
    found = list(islice(walk.list_faults(check, value, prefix), MOST_FAULTS))
    named = {("pattern", fault.pointer) for fault in found if fault.code == "format"}
    named |= {("enum", fault.pointer) for fault in found if fault.code in {"type", "not_null"}}
    told = [fault for fault in dict.fromkeys(found) if (fault.code, fault.pointer) not in named]
    return told or [walk.fault(prefix, "format")]  # what is refused is never without a reason


class Walk:
    """Goes through a value and the schemas that refuse it. Each fault is looked for when it is asked for."""

    def __init__(self, where: Where) -> None:
        self.where = where

    def fault(
        self, at: Path, keyword: str, detail: str | None = None, code: str | None = None, wanted: object = None
    ) -> Fault:
        """The fault of a keyword; `wanted` is what the keyword says."""
        code = code or CODES.get(keyword, "format")
        detail = detail or SAYINGS[code].format(limit="value")
        limit = wanted if code in LIMITS and isinstance(wanted, int | float) else None
        return Fault(self.where, pointer(at), code, detail, limit, allowed_values(code, keyword, wanted))

    def list_faults(self, check: Check, value: object, at: Path) -> Iterator[Fault]:
        """What is wrong with a value that the schema refuses: one fault at least."""
        told = False
        for fault in self.parts(check, value, at):
            told = True
            yield fault
        if not told:
            yield self.fault(at, "format")

    def judge_value(self, check: Check, value: object, at: Path) -> Iterator[Fault]:
        """What is wrong with a value, if anything is."""
        return iter(()) if check.is_valid(value) else self.list_faults(check, value, at)

    def parts(self, check: Check, value: object, at: Path) -> Iterator[Fault]:
        for keyword, holds in check.assertions:
            if not holds(value):
                yield self.assertion_fault(check, keyword, value, at)
                if keyword in TOO_MANY:
                    return
        if isinstance(value, dict):
            both = self.missing(check.node, value, at), self.members(check, value, at)
            yield from chain(*(reversed(both) if is_fused(check.node) else both))
        elif isinstance(value, list):
            yield from self.items(check, value, at)
        yield from self.beside(check, value, at)

    def assertion_fault(self, check: Check, keyword: str, value: object, at: Path) -> Fault:
        """The fault of a value that breaks an assertion."""
        wanted = check.node[keyword]
        code = CODES.get(keyword, "format")
        if keyword == "type" and value is None:
            return self.fault(at, keyword, code="not_null")
        detail = step_missed(check.node, value) if keyword in {"pattern", "format"} else None
        detail = detail or saying(code, keyword, wanted, check.schemas.details.get)
        return self.fault(at, keyword, detail, wanted=wanted)

    def missing(self, node: dict[str, Any], value: dict[str, Any], at: Path) -> Iterator[Fault]:
        """The members that there must be, beside others too, and are not."""
        beside = [
            name for given, names in node.get("dependentRequired", {}).items() if given in value for name in names
        ]
        for name in (*node.get("required", ()), *beside):
            if name not in value:
                yield self.fault((*at, name), "required")

    def members(self, check: Check, value: dict[str, Any], at: Path) -> Iterator[Fault]:
        """What is wrong with the members, those last that should not be there."""
        node = check.node
        known = node.get("properties", {})
        others = node.get("additionalProperties", True)
        rest = [check.below("additionalProperties")] if isinstance(others, dict) else []
        unknown: list[str] = []
        for name in members_to_judge(value, known, node):
            judges = [check.below("properties", name)] if name in known else []
            judges += [below for matches, below in check.patterns if matches(name)]
            if not judges and others is False and len(unknown) < MOST_FAULTS:
                unknown.append(name)
            for judge in judges or rest:
                if not judge.is_valid(value[name]):
                    yield from self.list_faults(judge, value[name], (*at, name))
        for name in unknown:
            yield self.fault((*at, name), "additionalProperties")
        if "propertyNames" in node:
            names = check.below("propertyNames")
            yield from (self.fault(at, "propertyNames") for name in value if not names.is_valid(name))
        for name in node.get("dependentSchemas", {}):
            if name in value:
                yield from self.judge_value(check.below("dependentSchemas", name), value, at)

    def items(self, check: Check, value: list[Any], at: Path) -> Iterator[Fault]:
        """What is wrong with the items of a list."""
        first = check.node.get("prefixItems", ())
        if "items" in check.node:
            each = check.below("items")
            for index in range(len(first), len(value)):
                if not each.is_valid(value[index]):
                    yield from self.list_faults(each, value[index], (*at, index))
        for index in range(min(len(first), len(value))):
            yield from self.judge_value(check.below("prefixItems", index), value[index], (*at, index))
        if "contains" in check.node and not check.contains(value):
            yield self.fault(at, "contains")

    def beside(self, check: Check, value: object, at: Path) -> Iterator[Fault]:
        """What is wrong with a value by other schemas that it must fit, too."""
        node = check.node
        for index in range(len(node.get("allOf", ()))):
            yield from self.judge_value(check.below("allOf", index), value, at)
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                yield from self.judge_union(check, keyword, value, at)
        if "not" in node and check.below("not").is_valid(value):
            yield self.fitting(check, at)
        if "if" in node and (then := "then" if check.below("if").is_valid(value) else "else") in node:
            yield from self.judge_value(check.below(then), value, at)
        if "$ref" in node:
            yield from self.judge_value(check.schemas[node["$ref"]], value, at)

    def fitting(self, check: Check, at: Path) -> Fault:
        """The fault of a value that fits what it must not: said in words, where a pattern has them."""
        if check.node.get("readOnly"):
            return self.fault(at, *UNSENT)
        words = check.schemas.details.get(check.below("not").node.get("pattern"))
        return self.fault(at, "pattern" if words else "not", words)

    def judge_union(self, check: Check, keyword: str, value: object, at: Path) -> Iterator[Fault]:
        """What is wrong with a value of a union: of a schema and null what the schema says."""
        choices = [check.below(keyword, index) for index in range(len(check.node[keyword]))]
        fitting = sum(choice.is_valid(value) for choice in choices)
        if fitting == 1 or (fitting and keyword == "anyOf"):
            return
        telling = [choice for choice in choices if not choice.is_null] if not fitting else []
        yield from self.list_faults(telling[0], value, at) if telling else [self.fault(at, keyword)]


def step_missed(node: dict[str, Any], value: object) -> str | None:
    """What the first pattern of a list of details that a text does not match says, where a schema has such a list."""
    steps = node.get("x-pattern-detail")
    if not isinstance(steps, list) or not isinstance(value, str):
        return None
    return next((step["detail"] for step in steps if not re.search(step["pattern"], value)), None)


def is_fused(node: dict[str, Any]) -> bool:
    """Whether jsonschema-rs looks at the members of an object before it looks for the one that there must be."""
    closed = "properties" in node and node.get("additionalProperties") is False
    return closed and "patternProperties" not in node and len(node.get("required", ())) == 1


def members_to_judge(value: dict[str, Any], known: dict[str, Any], node: dict[str, Any]) -> Iterable[str]:
    """The names of the members to look at: all as they were sent, or of an open object those that are known."""
    if len(value) <= len(known) or node.keys() & {"additionalProperties", "patternProperties"}:
        return value
    return [name for name in sorted(known) if name in value]


def allowed_values(code: str, keyword: str, wanted: object) -> tuple[str, ...] | None:
    """What a value may be, where a keyword lists it."""
    if wanted is None or (code not in {"enum", "type"} and keyword != "format"):
        return None
    return tuple(map(str, wanted if isinstance(wanted, list) else [wanted]))


def saying(code: str, keyword: str, wanted: Any, detail_of: Any) -> str:
    """What a value must be that breaks an assertion."""
    if code == "type":
        types = [wanted] if isinstance(wanted, str) else sorted(wanted, key=TYPES.index)
        return f"Must be {' or '.join(types)}"
    if code == "enum":
        return f"Must be one of {', '.join(map(str, [wanted] if keyword == 'const' else wanted))}"
    if code == "pattern":
        return detail_of(wanted) or f"Must match {wanted}"
    if code == "format":
        wanted = FORMATS.get(wanted, wanted) if keyword == "format" else "value"
    return SAYINGS[code].format(limit=wanted)
