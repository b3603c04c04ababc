"""Paths to operations, by dictionaries: a lookup costs the same whatever the number of operations."""

from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Node(Generic[T]):
    """What may follow a beginning of a path: words, one value of a name, and the methods if the path may end here."""

    __slots__ = ("methods", "name", "value", "words")

    def __init__(self) -> None:
        self.words: dict[str, Node[T]] = {}
        self.name = ""
        self.value: Node[T] | None = None
        self.methods: dict[str, T] = {}


class Routes(Generic[T]):
    """Path templates of OpenAPI. A word goes before a value; a slash at the end does not matter."""

    def __init__(self) -> None:
        self.root: Node[T] = Node()
        self.literal: dict[str, dict[str, T]] = {}

    def add(self, method: str, path: str, target: T) -> None:
        node = self.root
        for part in path.strip("/").split("/"):
            if part.startswith("{"):
                node.name = part.strip("{}")
                node.value = node = node.value or Node()
            else:
                node = node.words.setdefault(part, Node())
        node.methods[method] = target
        if "{" not in path:
            self.literal[path] = node.methods

    def find(self, path: str) -> tuple[Mapping[str, T] | None, dict[str, str]]:
        """What each method of the path leads to, and the values in the path; None when there is no such path."""
        methods = self.literal.get(path)
        if methods is not None:
            return methods, {}
        values: dict[str, str] = {}
        node = self.root
        for part in path.removeprefix("/").removesuffix("/").split("/"):
            word = node.words.get(part)
            if word is not None:
                node = word
            elif node.value is not None and part:
                values[node.name] = part
                node = node.value
            else:
                return None, {}
        return node.methods or None, values
