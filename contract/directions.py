"""What of a document holds in one direction: requests have no `readOnly` members, answers no `writeOnly` ones."""

import copy
from collections.abc import Iterator
from typing import Any, Literal

from contract.schemas import Check

DATA = {"example", "examples", "const", "enum"}
"""What holds values, and no schemas."""
UNSENT = {"request": "readOnly", "answer": "writeOnly"}


def document_for(
    document: dict[str, Any], direction: Literal["request", "answer"], *, ignoring: bool = False
) -> dict[str, Any]:
    """The document as it holds in a direction: itself, where it says nothing of directions.

    A member that is not for this direction is refused, or may be anything when `ignoring` it, and required in the other
    one alone.
    """
    word = UNSENT[direction]
    if not is_said(document, word) or not any(names_of(node, word, document) for node in objects_in(document)):
        return document
    made = copy.deepcopy(document)
    for node in list(objects_in(made)):
        for name in names_of(node, word, made):
            node["properties"][name] = {word: True} if ignoring else {"not": {}, word: True}
        if "required" in node:
            unsent = names_of(node, word, made)
            node["required"] = [name for name in node["required"] if name not in unsent]
    return made


def is_said(node: object, word: str) -> bool:
    """Whether anything in the document has the word: a quick look, since most documents have none."""
    left = [node]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            if word in part:
                return True
            left += part.values()
        elif isinstance(part, list):
            left += part
    return False


def drop_unsent(check: Check, value: object) -> None:
    """Take the members out of a valid value of a request that are not for requests."""
    left = unevaluated_in(check, value) if isinstance(value, dict) else []
    for part in list(parts_of(check, value)):  # all are chosen by the value as it came
        drop_unsent(part, value)
    if isinstance(value, dict):
        drop_members(check, value)
        for name in left:
            drop_unsent(check.below("unevaluatedProperties"), value[name])
    elif isinstance(value, list):
        first, seen = len(check.node.get("prefixItems", ())), evaluated_items(check, value, "items")
        for index, item in enumerate(value):
            if index < first or "items" in check.node:
                drop_unsent(check.below("prefixItems", index) if index < first else check.below("items"), item)
            elif index not in seen and isinstance(check.node.get("unevaluatedItems"), dict):
                drop_unsent(check.below("unevaluatedItems"), item)


def parts_of(check: Check, value: object) -> Iterator[Check]:
    """The other schemas that a valid value fits."""
    node = check.node
    if "$ref" in node:
        yield check.schemas[node["$ref"]]
    for keyword in ("allOf", "anyOf", "oneOf"):
        parts = [check.below(keyword, index) for index in range(len(node.get(keyword, ())))]
        yield from (part for part in parts if part.is_valid(value))
    if "if" in node and (then := "then" if check.below("if").is_valid(value) else "else") in node:
        yield check.below(then)
    if isinstance(value, dict):
        yield from (check.below("dependentSchemas", name) for name in node.get("dependentSchemas", ()) if name in value)


def unevaluated_in(check: Check, value: dict[str, Any]) -> list[str]:
    """The members of a valid value that fall to `unevaluatedProperties`."""
    if not isinstance(check.node.get("unevaluatedProperties"), dict):
        return []
    seen = evaluated_by(check, value, {"additionalProperties"})
    return [name for name in value if name not in seen]


def evaluated_by(check: Check, value: dict[str, Any], rest: set[str]) -> set[str]:
    """The members of a valid value that a schema says something of; all where it has one of `rest`."""
    if check.node.keys() & rest:
        return set(value)
    known = check.node.get("properties", {})
    seen = {name for name in value if name in known or any(matches(name) for matches, _ in check.patterns)}
    every = {"additionalProperties", "unevaluatedProperties"}
    return seen.union(*[evaluated_by(part, value, every) for part in parts_of(check, value)])


def evaluated_items(check: Check, value: list[Any], *rest: str) -> set[int]:
    """The places in a valid list that a schema says something of; all where it has one of `rest`."""
    if not check.node.keys().isdisjoint(rest):
        return set(range(len(value)))
    seen = set(range(len(check.node.get("prefixItems", ()))))
    if "contains" in check.node:
        contained = check.below("contains").is_valid
        seen |= {index for index, item in enumerate(value) if contained(item)}
    return seen.union(*[evaluated_items(part, value, "items", "unevaluatedItems") for part in parts_of(check, value)])


def drop_members(check: Check, value: dict[str, Any]) -> None:
    known, others = check.node.get("properties", {}), isinstance(check.node.get("additionalProperties"), dict)
    rest = [check.below("additionalProperties")] if others else []
    for name in list(value):
        if name in known and is_marked(known[name], UNSENT["request"], check.schemas.document):
            del value[name]
            continue
        judges = [check.below("properties", name)] if name in known else []
        judges += [below for matches, below in check.patterns if matches(name)]
        for judge in judges or rest:
            drop_unsent(judge, value[name])


def objects_in(node: object, name: str = "") -> Iterator[dict[str, Any]]:
    """The schemas with members in a part of the document, which stands under a name."""
    if isinstance(node, dict):
        if name not in ("properties", "patternProperties", "$defs") and isinstance(node.get("properties"), dict):
            yield node
        for key, value in node.items():
            if name == "properties" or (key not in DATA and not key.startswith("x-")):
                yield from objects_in(value, "" if name == "properties" else key)
    elif isinstance(node, list):
        for item in node:
            yield from objects_in(item)


def names_of(node: dict[str, Any], word: str, document: dict[str, Any]) -> set[str]:
    """The members that a schema, or what it refers to, marks with the word."""
    return {
        name for name, one in node["properties"].items() if isinstance(one, dict) and is_marked(one, word, document)
    }


def is_marked(node: object, word: str, document: dict[str, Any]) -> bool:
    if not isinstance(node, dict) or node.get(word) is True or "$ref" not in node:
        return isinstance(node, dict) and node.get(word) is True
    found: Any = document
    for part in node["$ref"].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        found = found[int(key)] if isinstance(found, list) else found[key]
    return isinstance(found, dict) and found.get(word) is True
