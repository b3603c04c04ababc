"""Paths to operations, by dictionaries: a lookup costs the same whatever the number of operations."""

import re
from collections.abc import Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
Values: TypeAlias = tuple[str, ...]
NAME = re.compile(r"\{([^{}]*)\}")


class Segment:
    """One part of a path template: `literals` around the parameters `names`, as `v` and `` around `version`.

    Raises ValueError where braces are not balanced, or nothing stands between two parameters.
    """

    __slots__ = ("literals", "names")

    def __init__(self, template: str) -> None:
        pieces = NAME.split(template)
        self.literals: Values = tuple(pieces[::2])
        self.names: Values = tuple(pieces[1::2])
        if any("{" in literal or "}" in literal for literal in self.literals):
            raise ValueError(f"the braces of {template} are not balanced")
        if "" in self.names:
            raise ValueError(f"a parameter of {template} has no name")
        if "" in self.literals[1:-1]:
            raise ValueError(f"nothing tells where the first of the parameters of {template} ends")

    @property
    def is_word(self) -> bool:
        """Whether it is literal: it matches itself."""
        return not self.names

    @property
    def is_value(self) -> bool:
        """Whether it is a parameter alone: it matches whatever is not empty."""
        return self.literals == ("", "")

    def match(self, text: str) -> Values | None:
        """The values in a text, each as short as it can be and none empty; None when the text is another one."""
        first, *between, last = self.literals
        at, end = len(first), len(text) - len(last)
        if not (text.startswith(first) and text.endswith(last)):
            return None
        values = []
        for literal in between:
            found = text.find(literal, at + 1, end)
            if found < 0:
                return None
            values.append(text[at:found])
            at = found + len(literal)
        return (*values, text[at:end]) if at < end else None


def segments_of(path: str) -> list[Segment]:
    """The segments of a path template; a slash at the end does not matter. Raises ValueError."""
    return [Segment(part) for part in path.removeprefix("/").removesuffix("/").split("/")]


class Node(Generic[T]):
    """What may follow a beginning of a path: words, words with values in them, any value; its methods if it ends here.

    `names` are those of the parameters of the one template that ends here.
    """

    __slots__ = ("methods", "mixed", "names", "value", "words")

    def __init__(self) -> None:
        self.words: dict[str, Node[T]] = {}
        self.mixed: dict[Values, tuple[Segment, Node[T]]] = {}
        self.value: Node[T] | None = None
        self.names: Values = ()
        self.methods: dict[str, T] = {}

    def follow(self, segment: Segment) -> "Node[T]":
        """The node for a segment after this one, which is made where there is none."""
        if segment.is_word:
            return self.words.setdefault(segment.literals[0], Node())
        if segment.is_value:
            self.value = self.value or Node()
            return self.value
        return self.mixed.setdefault(segment.literals, (segment, Node()))[1]


class Routes(Generic[T]):
    """Path templates of OpenAPI. What is more literal goes before, where it leads on; a last slash is nothing.

    Two templates may call what they share differently: `/tasks/{id}` beside `/tasks/{task_id}/files`.
    """

    def __init__(self) -> None:
        self.root: Node[T] = Node()
        self.literal: dict[str, dict[str, T]] = {}

    def add(self, method: str, path: str, target: T) -> None:
        """Lead a method of a path to a target. Raises ValueError where it is none, or has other names already."""
        node = self.root
        names: Values = ()
        for segment in segments_of(path):
            node = node.follow(segment)
            names += segment.names
        if node.methods and node.names != names:
            raise ValueError(f"{path} is there already, and calls its parameters {', '.join(node.names)}")
        node.names = names
        node.methods[method] = target
        if not names:
            self.literal[path] = node.methods

    def find(self, path: str) -> tuple[Mapping[str, T] | None, dict[str, str]]:
        """What each method of the path leads to, and the values in the path; None when there is no such path."""
        methods = self.literal.get(path)
        if methods is not None:
            return methods, {}
        parts = path.removeprefix("/").removesuffix("/").split("/")
        found = step(self.root, parts) or walk(self.root, parts, 0)
        if found is None:
            return None, {}
        node, values = found
        return node.methods, dict(zip(node.names, values, strict=True))


def step(node: Node[T], parts: Sequence[str]) -> tuple[Node[T], Sequence[str]] | None:
    """What `walk` answers where the first way is the right one, as it mostly is, at a third of the cost."""
    values: list[str] = []
    for part in parts:
        following = node.words.get(part)
        if following is None:
            following = node.value
            if following is None or not part or node.mixed:
                return None
            values.append(part)
        node = following
    return (node, values) if node.methods else None


def walk(node: Node[T], parts: Sequence[str], at: int) -> tuple[Node[T], Values] | None:
    """Where the parts from `at` on lead, and the values among them. Of two ways the more literal one that leads on."""
    if at == len(parts):
        return (node, ()) if node.methods else None
    part = parts[at]
    word = node.words.get(part)
    if word is not None and (found := walk(word, parts, at + 1)):
        return found
    for segment, following in node.mixed.values():
        if (values := segment.match(part)) and (found := walk(following, parts, at + 1)):
            return found[0], values + found[1]
    if node.value is not None and part and (found := walk(node.value, parts, at + 1)):
        return found[0], (part, *found[1])
    return None
