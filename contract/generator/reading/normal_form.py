"""Spells out what schemas mean, so that one judge can hold to it: objects, bounds of integers, encodings."""

import re

from contract.generator.reading.document import Node
from contract.generator.reading.grammar import Placed

INTEGERS = {f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)}
INTEGERS |= {f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)}
SAID = {"type", "enum", "const", "$ref", "anyOf", "oneOf"}
"""What says of which type a value is."""
CONDITIONS = "/(not|if|then|else|contains|dependentSchemas)(/|$)"
BOUNDS = (("minimum", "exclusiveMinimum", max), ("maximum", "exclusiveMaximum", min))


def spell_out(placed: list[Placed]) -> None:
    """Write what the schemas mean as keywords: what has members is an object, and a format may bound a value."""
    for one in placed:
        if one.kind == "schema":
            bound_integer(one.node)
            if "properties" in one.node and not SAID & one.node.keys() and not re.search(CONDITIONS, one.pointer):
                one.node["type"] = "object"
            if one.node.get("contentEncoding") == "base64" and "format" not in one.node:
                one.node["format"] = "byte"


def bound_integer(node: Node) -> None:
    """Bound an integer as its format does."""
    limits = INTEGERS.get(str(node.get("format")))
    types = node["type"] if isinstance(node.get("type"), list) else [node.get("type")]
    if limits is None or not {"integer", "number"} & set(types):
        return
    for (bound, exclusive, stricter), limit in zip(BOUNDS, limits, strict=True):
        if exclusive not in node:
            node[bound] = stricter(node.get(bound, limit), limit)
