"""Python types of plain schemas, where datamodel-code-generator names none."""

from typing import Any, Protocol

from contract.generator.lowering.shapes import kinds_of, parts
from contract.generator.reading.document import Node, child

PLAIN = {
    "boolean": "bool",
    "integer": "int",
    "number": "float",
    "string": "str",
    "null": "None",
    "object": "dict[str, Any]",
}


class Contract(Protocol):
    """What is known of the document."""

    document: Node
    names: dict[str, str]


def plain_type(contract: Contract, schema: Any, place: str) -> str:
    """The Python type of a schema: that of its model, or the one of its values, which the schema itself judges."""
    where = schema.get("$ref", place) if isinstance(schema, dict) and place not in contract.names else place
    if where in contract.names:
        return f"models.{contract.names[where]}"
    options = schema.get("enum") if isinstance(schema, dict) else None
    if options and all(isinstance(option, (str, int, bool)) or option is None for option in options):
        return f"Literal[{', '.join(map(repr, options))}]"
    kinds = kinds_of(contract.document, schema, place, ())
    if kinds is None:
        return "Any"
    told = [list_type(contract, schema, place) if kind == "array" else PLAIN[kind] for kind in sorted(kinds - {"null"})]
    return " | ".join([*dict.fromkeys(told), *(["None"] if "null" in kinds else [])])


def list_type(contract: Contract, schema: Node, place: str) -> str:
    each = [
        (node["items"], child(at, "items"))
        for node, at in parts(contract.document, schema, place, ())
        if "items" in node
    ]
    return f"list[{plain_type(contract, *each[0])}]" if len(each) == 1 else "list[Any]"
