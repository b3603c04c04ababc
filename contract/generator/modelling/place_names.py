"""Names schemas by the place where they stand: the `address` in the body of createTask is CreateTaskRequestAddress."""

from contract.generator.names import pascal
from contract.generator.reading.document import Node, node_at
from contract.generator.reading.grammar import Placed
from contract.generator.reading.meta_schemas import ITEM_SCHEMA

SUFFIXES = {"parameters": "Parameter", "headers": "Header", "responses": "Response", "requestBodies": "Request"}
IN_OPERATIONS = {"requestBody": "Request", ITEM_SCHEMA: "Item"}
SINGLE = {"items": "Item", "additionalProperties": "Value"}
NUMBERED = {"oneOf": "Option", "anyOf": "Option", "prefixItems": "Item"}


def name_schemas(document: Node, placed: list[Placed], *, parts_named: bool = False) -> dict[str, str]:
    """The name of each schema by its JSON Pointer. Nothing elsewhere in the document changes it.

    The parts of an `allOf` add to a name where `parts_named`.
    """
    names: dict[str, str] = {}
    for one in placed:
        if one.kind == "schema":
            parent = one.pointer
            while parent and parent not in names:
                parent = parent.rpartition("/")[0]
            parts = [unescape_part(part) for part in one.pointer.removeprefix(parent).split("/")[1:]]
            names[one.pointer] = (
                names[parent] + within(parts, parts_named=parts_named) if parent else of_root(document, parts)
            )
    return names


def within(parts: list[str], *, parts_named: bool) -> str:
    """What a schema in another one adds to its name."""
    keyword, *rest = parts
    if keyword == "allOf":
        return f"Part{int(rest[0]) + 1}" if parts_named else ""
    if keyword in SINGLE:
        return SINGLE[keyword]
    if keyword in NUMBERED:
        return f"{NUMBERED[keyword]}{int(rest[0]) + 1}"
    return pascal(rest[-1] if rest else keyword)


def of_root(document: Node, parts: list[str]) -> str:
    """The name of a schema that stands in no other one."""
    match parts:
        case ["#" | "", *_]:
            return of_root(document, parts[1:])
        case ["components", "schemas", name]:
            return name if name.isidentifier() else pascal(name)
        case ["components", kind, name, *rest]:
            return pascal(name) + SUFFIXES.get(kind, pascal(kind)) + inner(document, parts[:3], rest)
        case ["paths", path, method, *rest] if method != "parameters":
            operation = node_at(document, pointer_of(["paths", path, method]))
            named = operation.get("operationId") if isinstance(operation, dict) else None
            return pascal(str(named or f"{method} {path}")) + inner(document, parts[:3], rest)
        case [first, path, *rest]:
            return pascal(f"{first} {path}" if first != "paths" else path) + inner(document, parts[:2], rest)
    return "Document"


def inner(document: Node, above: list[str], parts: list[str]) -> str:
    """What the way from an operation or component to a schema of it adds to the name."""
    added, number = "", 2
    match parts:
        case [] | ["schema"]:
            return ""
        case ["responses", status, *_]:
            added = f"{pascal(status)}Response"
        case ["parameters", index, *_]:
            given = node_at(document, pointer_of([*above, "parameters", index]))
            added = pascal(str(given.get("name", index))) + "Parameter"
        case ["headers", name, *_]:
            added = pascal(name) + "Header"
        case ["content", media_type, *_]:
            several = len(node_at(document, pointer_of([*above, "content"]))) > 1
            added = pascal(media_type) if several else ""
        case [first, *_]:
            added, number = IN_OPERATIONS.get(first, pascal(first)), 1
    return added + inner(document, [*above, *parts[:number]], parts[number:])


def pointer_of(parts: list[str]) -> str:
    return "/".join(["#", *(part.replace("~", "~0").replace("/", "~1") for part in parts)])


def unescape_part(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
