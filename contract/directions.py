"""What of a document holds in one direction: requests have no `readOnly` members, answers no `writeOnly` ones."""

import copy
from collections.abc import Iterator
from typing import Any, Literal

DATA = {"example", "examples", "const", "enum"}
"""What holds values, and no schemas."""
UNSENT = {"request": "readOnly", "answer": "writeOnly"}


def directed(document: dict[str, Any], direction: Literal["request", "answer"]) -> dict[str, Any]:
    """The document as it holds in a direction: itself, where it says nothing of directions.

    A member that is not for this direction is refused, and required in the other one alone.
    """
    word = UNSENT[direction]
    if not any(names_of(node, word, document) for node in objects_in(document)):
        return document
    made = copy.deepcopy(document)
    for node in list(objects_in(made)):
        for name in names_of(node, word, made):
            node["properties"][name] = {"not": {}, word: True}
        if "required" in node:
            unsent = names_of(node, word, made)
            node["required"] = [name for name in node["required"] if name not in unsent]
    return made


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


def is_marked(node: dict[str, Any], word: str, document: dict[str, Any]) -> bool:
    if node.get(word) is True or "$ref" not in node:
        return node.get(word) is True
    found: Any = document
    for part in node["$ref"].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        found = found[int(key)] if isinstance(found, list) else found[key]
    return isinstance(found, dict) and found.get(word) is True
