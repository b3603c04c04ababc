"""Reads openapi.yaml as JSON would be read, and follows its references."""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

import yaml
from typing_extensions import override

P = ParamSpec("P")
T = TypeVar("T")
Node: TypeAlias = dict[str, Any]


class Refused(ValueError):  # noqa: N818 - what the generator does with a contract it cannot generate from
    """A place that no code can be generated from (a JSON Pointer, or `line N`), and the reason."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(place, reason)
        self.place, self.reason = place, reason


class InvalidContract(ValueError):  # noqa: N818 - as above
    """All places that no code can be generated from."""

    def __init__(self, found: Sequence[Refused]) -> None:
        super().__init__(*found)
        self.found = found


class Findings:
    """The places that were refused so far."""

    def __init__(self) -> None:
        self.found: list[Refused] = []
        self.doubts: list[Refused] = []
        """What is told, and not refused."""

    def attempt(self, read: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `read` answers; None when it refuses, which is kept."""
        try:
            return read(*args, **kwargs)
        except Refused as refused:
            self.found.append(refused)
            return None

    def add(self, place: str, reason: str) -> None:
        """Refuse a place."""
        self.found.append(Refused(place, reason))

    def close(self) -> None:
        """Go on if there is none. Raises InvalidContract."""
        if self.found:
            raise InvalidContract(list({(one.place, one.reason): one for one in self.found}.values()))


class JsonLoader(yaml.CSafeLoader):
    """YAML's JSON schema: no dates, no octal numbers, no yes and no; a key is a text or a number, and stands once."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own class variable, emptied

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.found: list[Refused] = []

    def refuse(self, node: yaml.Node, reason: str) -> None:
        """Keep what is wrong with a node, which is read on."""
        self.found.append(Refused(f"line {node.start_mark.line + 1}", reason))

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for index, (key_node, value) in enumerate(node.value):
            key: Any = self.construct_object(key_node, deep=True)
            if isinstance(key, int) and not isinstance(key, bool):  # the status of an answer
                key = key_node.value
                node.value[index] = (yaml.ScalarNode("tag:yaml.org,2002:str", key, key_node.start_mark), value)
            if not isinstance(key, str):
                self.refuse(key_node, f"the key {key!r} is no text: quote it")
                node.value[index] = (yaml.ScalarNode("tag:yaml.org,2002:str", "", key_node.start_mark), value)
            elif key in seen:
                self.refuse(key_node, f"the key {key!r} stands twice: take one away")
            seen.add(str(key))
        return super().construct_mapping(node, deep=deep)


for tag, pattern, first in [
    ("tag:yaml.org,2002:bool", r"^(?:true|false)$", "tf"),
    ("tag:yaml.org,2002:null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("tag:yaml.org,2002:int", r"^-?(?:0|[1-9][0-9]*)$", "-0123456789"),
    ("tag:yaml.org,2002:float", r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", "-0123456789"),
]:
    JsonLoader.add_implicit_resolver(tag, re.compile(pattern), list(first))


PAIR = re.compile(r"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})")
"""A character beyond the first 65,536 as JSON escapes it, which YAML does not know."""
DEEPEST = 100  # lists and objects, one in another
APART = "put parts into components, and refer to them"


def load(source: Path) -> Node:
    """The document. Raises InvalidContract when the file is not YAML, or not an object."""
    try:
        loader = JsonLoader(PAIR.sub(pair_with, refuse_endless(source.read_text(encoding="utf-8-sig"))))
        document: Any = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else "#"
        raise InvalidContract([Refused(line, f"is not YAML: {error.problem}")]) from None
    except InvalidContract:
        raise
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidContract([Refused("#", f"is not YAML: {error}")]) from None
    if loader.found:
        raise InvalidContract(loader.found)
    if not isinstance(document, dict):
        raise InvalidContract([Refused("#", "is not an object: a document begins with `openapi: 3.1.1`")])
    copied: Node = deep_copy(document, "#")
    return copied


def refuse_endless(text: str) -> str:
    """The text. Raises InvalidContract where more is opened, one in another, than a parser in C survives."""
    depth = deepest = 0
    for found in re.finditer(r"[\[\]{}]", text):
        depth += 1 if found[0] in "[{" else -1
        deepest = max(depth, deepest)
    if deepest > 10 * DEEPEST or re.search(rf"(?:[-?][ \t]+){{{10 * DEEPEST}}}", text):
        raise InvalidContract([Refused("#", f"is nested deeper than {DEEPEST} levels: {APART}")])
    return text


def pair_with(found: re.Match[str]) -> str:
    text: str = json.loads(f'"{found[2]}"')
    return found[1] + text


def deep_copy(value: Any, pointer: str) -> Any:
    """The value without anything in it that stands at two places, as what an alias names does."""
    if pointer.count("/") > DEEPEST:
        raise InvalidContract([Refused(pointer, f"is nested deeper than {DEEPEST} levels, or in itself: {APART}")])
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidContract([Refused(pointer, "is a number beyond all bounds: write one that a double can be")])
    if isinstance(value, dict):
        return {name: deep_copy(item, child(pointer, name)) for name, item in value.items()}
    if isinstance(value, list):
        return [deep_copy(item, child(pointer, index)) for index, item in enumerate(value)]
    return value


class Lines:
    """The lines of the places in the text of a document."""

    def __init__(self, text: str) -> None:
        self.text = text.removeprefix("\ufeff")

    @cached_property
    def root(self) -> yaml.Node | None:
        root: yaml.Node | None = yaml.compose(PAIR.sub(pair_with, self.text), yaml.CSafeLoader)
        return root

    def of(self, place: str) -> int:
        """The line of a place, or of what is nearest around it."""
        if place.startswith("line "):
            return int(place.removeprefix("line "))
        if place == "#":
            return 1
        line, node = 1, self.root
        for part in place.split("/")[1:]:
            following = dict(members_of(node)).get(part.replace("~1", "/").replace("~0", "~"))
            if following is None:
                break
            line, node = following
        return line


def members_of(node: yaml.Node | None) -> Iterator[tuple[str, tuple[int, yaml.Node]]]:
    """The members of an object or list by name or index, each with its line."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), (key.start_mark.line + 1, value)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield str(index), (item.start_mark.line + 1, item)


def child(pointer: str, *names: object) -> str:
    """The JSON Pointer of a member."""
    return "/".join([pointer, *[str(name).replace("~", "~0").replace("/", "~1") for name in names]])


def member(node: Any, name: str, pointer: str) -> Any:
    """What stands in the node at `pointer` under that name. Raises Refused when nothing does."""
    if not isinstance(node, dict):
        raise Refused(pointer, "is not an object")
    if node.get(name) in (None, ""):
        raise Refused(pointer, f"has no {name}: add it")
    return node[name]


def node_at(document: Node, pointer: str) -> Any:
    """What stands at a JSON Pointer; None where nothing does."""
    found: Any = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = found[int(name)] if name.isdecimal() and int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return found


def resolve(document: Node, node: Node, pointer: str) -> tuple[Node, str]:
    """What the node is or refers to, and where that stands."""
    seen: set[str] = set()
    while "$ref" in node:
        target = str(node["$ref"])
        if target in seen:
            raise Refused(pointer, f"the $ref {target} refers to itself: write out at one place what is meant")
        seen.add(target)
        found = node_at(document, target)
        if not target.startswith("#/") or not isinstance(found, dict):
            raise Refused(pointer, f"the $ref {target} leads nowhere in this document")
        node, pointer = found, target
    return node, pointer
