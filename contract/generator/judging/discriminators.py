"""Holds discriminators to what they say: each alternative fixes the member that tells it apart."""

from collections.abc import Iterator
from typing import Any

from contract.generator.reading.document import Findings, Node, Refused, child, resolve
from contract.generator.reading.grammar import Placed


def check_discriminators(document: Node, placed: list[Placed], findings: Findings) -> None:
    """Find the discriminators that a schema does not enforce."""
    for one in placed:
        if one.kind == "schema" and "discriminator" in one.node:
            findings.attempt(check_one, document, one, findings)


def check_one(document: Node, one: Placed, findings: Findings) -> None:
    name: str = one.node["discriminator"]["propertyName"]
    at = child(one.pointer, "discriminator")
    keyword = "oneOf" if "oneOf" in one.node else "anyOf"
    if keyword not in one.node:
        raise Refused(
            at, "names no alternatives: write them in oneOf beside it, each with its value of the member as const"
        )
    mapping = mapping_of(one.node)
    pins: dict[str, list[Any]] = {}
    for index, branch in enumerate(one.node[keyword]):
        place = child(one.pointer, keyword, index)
        target = branch.get("$ref", place)
        pins[target] = fixed_values(document, branch, place, name)
        if not pins[target]:
            value = next((value for value, meant in mapping.items() if meant == target), target.rpartition("/")[2])
            findings.add(target, f"is an alternative of a discriminator: require its member {name}, with const {value}")
    values = [str(value) for pinned_to in pins.values() for value in pinned_to]
    if len(values) != len(set(values)):
        findings.add(at, f"does not tell its alternatives apart: two have the same {name}")
    for value, target in mapping.items():
        if target not in pins:
            findings.add(child(at, "mapping", value), f"leads to {target}, which is none of the alternatives")
        elif pins[target] and value not in pins[target]:
            findings.add(child(at, "mapping", value), f"leads to {target}, whose {name} is {pins[target][0]}")


def mapping_of(node: Node) -> dict[str, str]:
    """The JSON Pointer of each value that is mapped."""
    mapping = node["discriminator"].get("mapping", {})
    return {
        value: target if target.startswith("#") else child("#/components/schemas", target)
        for value, target in mapping.items()
    }


def fixed_values(document: Node, node: Node, pointer: str, name: str) -> list[Any]:
    """The values that a schema fixes a member to, where it requires it."""
    parts = list(parts_of(document, node, pointer, ()))
    if not any(name in part.get("required", ()) for part, _ in parts):
        return []
    members = [(part["properties"][name], at) for part, at in parts if name in part.get("properties", {})]
    fixed = [resolve(document, member, child(at, "properties", name))[0] for member, at in members]
    return [value for one in fixed for value in one.get("enum", [one["const"]] if "const" in one else [])]


def parts_of(document: Node, node: Node, pointer: str, seen: tuple[str, ...]) -> Iterator[tuple[Node, str]]:
    """A schema and those in its `allOf`, each in full."""
    node, pointer = resolve(document, node, pointer)
    if pointer not in seen:
        yield node, pointer
        for index, part in enumerate(node.get("allOf", ())):
            yield from parts_of(document, part, child(pointer, "allOf", index), (*seen, pointer))
