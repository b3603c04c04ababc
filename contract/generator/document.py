"""Reads openapi.yaml as JSON would be read, and follows its references."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

import yaml
from typing_extensions import override

P = ParamSpec("P")
T = TypeVar("T")
Node: TypeAlias = dict[str, Any]
DATA = {"example", "examples", "default", "const", "enum"}


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


class JsonLoader(yaml.SafeLoader):
    """YAML's JSON schema: no dates, no octal numbers, no yes and no; a key is a text and may stand once."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own class variable, emptied

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key: Any = self.construct_object(key_node, deep=True)
            line = f"line {key_node.start_mark.line + 1}"
            if not isinstance(key, str):
                raise Refused(line, f"the key {key!r} is no text: quote it")
            if key in seen:
                raise Refused(line, f"the key {key!r} stands twice")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


for tag, pattern, first in [
    ("tag:yaml.org,2002:bool", r"^(?:true|false)$", "tf"),
    ("tag:yaml.org,2002:null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("tag:yaml.org,2002:int", r"^-?(?:0|[1-9][0-9]*)$", "-0123456789"),
    ("tag:yaml.org,2002:float", r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", "-0123456789"),
]:
    JsonLoader.add_implicit_resolver(tag, re.compile(pattern), list(first))


def load(source: Path) -> Node:
    """The document. Raises Refused when the file is not YAML, or not an object."""
    try:
        document = yaml.load(source.read_text(encoding="utf-8"), JsonLoader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else "#"
        raise Refused(line, f"is not YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused("#", f"is not YAML: {error}") from None
    if not isinstance(document, dict):
        raise Refused("#", "is not an object")
    return document


def line_of(text: str, place: str) -> int:
    """The line of a place in the text of a document, or of what is nearest around it."""
    if place.startswith("line "):
        return int(place.removeprefix("line "))
    if place == "#":
        return 1
    line, node = 1, yaml.compose(text, yaml.CSafeLoader)
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


def member(node: Node, name: str, pointer: str) -> Any:
    """What stands in the node at `pointer` under that name. Raises Refused when nothing does."""
    if node.get(name) in (None, ""):
        raise Refused(pointer, f"has no {name}")
    return node[name]


def walk(value: object, pointer: str = "#") -> Iterator[tuple[Node, str]]:
    """Every object and where it stands, but for those that are examples and other data."""
    if isinstance(value, dict):
        yield value, pointer
        for name, item in value.items():
            if name not in DATA:
                yield from walk(item, child(pointer, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, child(pointer, index))


def resolve(document: Node, node: Node, pointer: str) -> tuple[Node, str]:
    """What the node is or refers to, and where that stands."""
    seen: set[str] = set()
    while "$ref" in node:
        target = str(node["$ref"])
        if target in seen:
            raise Refused(pointer, f"the $ref {target} refers to itself")
        seen.add(target)
        found: Any = document
        for part in target.removeprefix("#/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        if not target.startswith("#/") or not isinstance(found, dict):
            raise Refused(pointer, f"the $ref {target} leads nowhere in this document")
        node, pointer = found, target
    return node, pointer
