"""What a request body can need that its schema allows, and how many bytes of it are read."""

from typing import NamedTuple, TypeAlias

from contract.generator.reading.document import Node, Refused, child, resolve
from contract.parsing import DEEPEST, LARGE_BODY, LARGEST_BODY, MOST_VALUES, USUAL_BODY

CHARACTER = 12  # bytes: an escape of each half of a pair, or percent-encoded UTF-8
NUMBER = 32
LITERAL = 5  # false
FORMATS = {"uuid": 36, "date": 10, "date-time": 40, "ipv4": 15, "ipv6": 45}  # characters of a text without a maxLength


Schema: TypeAlias = Node | bool
"""True takes anything, false nothing."""


class Need(NamedTuple):
    """The most that a value can come to: bytes, values, and levels of lists and objects."""

    size: int = 0
    values: int = 1
    depth: int = 0


ENDLESS = Need()
"""What has no end needs nothing: it may take what there is room for."""


def most_bytes(document: Node, operation: Node, schema: Node, at: str, pointer: str) -> tuple[int, str]:
    """How many bytes the operation at `at` takes, and what its schema allows beyond that.

    Raises Refused where `x-max-body` is no such number, or less than what the schema can need.
    """
    need = measure_need(document, schema, pointer, ())
    given = operation.get("x-max-body", max(USUAL_BODY, min(LARGE_BODY, need.size)))
    where = child(at, "x-max-body")
    if type(given) is not int or not 0 < given <= LARGEST_BODY:
        raise Refused(where, f"is {given} bytes, of which there must be a number from 1 to {LARGEST_BODY}")
    if given < need.size and "x-max-body" in operation:
        more = "raise it, or bound the texts and lists"
        raise Refused(where, f"is {given} bytes, but a body that the schema allows can need {need.size}: {more}")
    beyond = []
    if given < need.size:
        beyond = [f"{given} bytes, which `x-max-body` of the operation could raise to {LARGEST_BODY}"]
    beyond += [f"{MOST_VALUES} values"] if need.values > MOST_VALUES else []
    beyond += [f"{DEEPEST} levels of lists and objects"] if need.depth > DEEPEST else []
    told = f"{pointer}: allows more than is read of a body: {'; '.join(beyond)}" if beyond else ""
    return given, told


def measure_need(document: Node, schema: Schema, pointer: str, inside: tuple[str, ...]) -> Need:
    """What a value of the schema can need."""
    if isinstance(schema, bool):
        return ENDLESS
    node, pointer = resolve(document, schema, pointer)
    if pointer in inside:
        return ENDLESS
    inside = (*inside, pointer)
    for union in ("oneOf", "anyOf"):
        if union in node:
            places = [child(pointer, union, index) for index in range(len(node[union]))]
            return most([measure_need(document, *one, inside) for one in zip(node[union], places, strict=True)])
    if "enum" in node or "const" in node:
        options = node.get("enum", [node.get("const")])
        return Need(max(2 + CHARACTER * len(str(option)) for option in [*options, ""]))
    kinds = node["type"] if isinstance(node.get("type"), list) else [node.get("type")]
    return most([of_kind(document, kind, node, pointer, inside) for kind in kinds])


def of_kind(document: Node, kind: str | None, node: Node, pointer: str, inside: tuple[str, ...]) -> Need:
    match kind:
        case "null" | "boolean":
            return Need(LITERAL)
        case "integer" | "number":
            return Need(NUMBER)
        case "string":
            longest = node.get("maxLength", FORMATS.get(node.get("format", "")))
            return ENDLESS if longest is None else Need(2 + CHARACTER * longest)
        case "array" if "maxItems" in node:
            item, number = (
                measure_need(document, node.get("items", {}), child(pointer, "items"), inside),
                node["maxItems"],
            )
            return Need(2 + number * (item.size + 1), 1 + number * item.values, 1 + item.depth)
        case "object":
            named = node.get("properties", {})
            each = [
                measure_need(document, one, child(pointer, "properties", name), inside) for name, one in named.items()
            ]
            sizes = [4 + CHARACTER * len(name) + need.size for name, need in zip(named, each, strict=True)]
            return Need(2 + sum(sizes), 1 + sum(one.values for one in each), 1 + most(each).depth)
        case _:
            return ENDLESS


def most(needs: list[Need]) -> Need:
    """As much as each of them, in each regard."""
    return Need(*map(max, zip(*needs, ENDLESS, strict=True)))
