"""Spells out `allowEmptyValue`: a parameter that may come without a value may also be the empty text."""

from contract.generator.lowering.shapes import shape_of
from contract.generator.reading.document import Findings, Node, Refused, child, member, resolve
from contract.generator.reading.grammar import Placed
from contract.schemas import Schemas
from contract.types import Scalar

WORD = "allowEmptyValue"
EMPTY: Node = {"type": "string", "enum": [""]}


def allow_empty_values(document: Node, placed: list[Placed], findings: Findings) -> bool:
    """Write the schemas of such parameters as they are meant. Answers whether there were any to write."""
    schemas, found = Schemas(document), False
    for one in placed:
        if one.kind in ("parameter", "header") and one.node.pop(WORD, False):
            found = bool(findings.attempt(allow_empty, document, schemas, one)) or found
    return found


def allow_empty(document: Node, schemas: Schemas, one: Placed) -> bool:
    """Whether the schema was another one. Raises Refused where an empty text is not defined."""
    if "content" in one.node:
        raise Refused(child(one.pointer, WORD), "says nothing of a parameter with `content`: leave it out")
    schema, at = member(one.node, "schema", one.pointer), child(one.pointer, "schema")
    if one.node.get("in") != "query":
        raise Refused(child(one.pointer, WORD), "is for parameters of the query alone: leave it out")
    if not isinstance(shape_of(document, schema, at), Scalar):
        raise Refused(child(one.pointer, WORD), "is defined for one value, not for lists and objects: leave it out")
    if schemas[at].is_valid(""):
        return False
    told = schema.get("default", resolve(document, schema, at)[0].get("default"))
    one.node["schema"] = {"anyOf": [schema, dict(EMPTY)]} | ({} if told is None else {"default": told})
    return True
