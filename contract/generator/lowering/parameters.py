"""Reads the parameters of an operation, and refuses those that no request could satisfy."""

from collections.abc import Iterable
from typing import Protocol

from contract.generator.lowering.ir import NO_DEFAULT, Parameter
from contract.generator.lowering.shapes import shape_of, style_of
from contract.generator.names import argument
from contract.generator.reading.document import Node, Refused, child, member, resolve
from contract.types import Members, Scalar

IGNORED = frozenset({"accept", "authorization", "content-type"})
"""Headers that a document describes otherwise (OpenAPI, 4.8.12.2)."""
ROLES = {"if-match": "if_match", "if-none-match": "if_none_match", "idempotency-key": "idempotency_key"}


class Contract(Protocol):
    """What is known of the document."""

    document: Node

    def type(self, node: Node, pointer: str, /) -> str:
        """The Python type of a schema."""


def parameter_of(contract: Contract, node: Node, pointer: str) -> Parameter:
    """The parameter at a place. Raises Refused."""
    name: str = member(node, "name", pointer)
    where: str = member(node, "in", pointer)
    role = ROLES.get(name.lower()) if where == "header" else None
    named = argument(name, pointer)
    required = node.get("required", False)
    if "content" in node:
        media_type, schema, at = content_of(node, pointer)
        scalar = Scalar(("string",), at)
        return Parameter(
            name, where, named, scalar, contract.type(schema, at), at, required, "", False, media_type=media_type
        )
    at, outer = child(pointer, "schema"), member(node, "schema", pointer)
    shape = shape_of(contract.document, outer, at)
    style, exploded = style_of(node, shape, pointer)
    if required and resolve(contract.document, outer, at)[0].get("enum") == []:
        raise Refused(child(at, "enum"), "is empty, so that no request can have this parameter, which is required")
    return Parameter(
        name=name,
        where=where,
        argument=named,
        shape=shape,
        type=contract.type(outer, at),
        schema=at,
        required=required,
        style=style,
        explode=exploded and not isinstance(shape, Scalar),
        allow_reserved=where == "query" and node.get("allowReserved", False),
        role=role,
        default=default_of(contract, outer, at),
    )


def content_of(node: Node, pointer: str) -> tuple[str, Node, str]:
    """The one media type of a parameter that has no style, its schema and where that stands."""
    content: Node = node["content"]
    [(media_type, described)] = content.items()
    at = child(pointer, "content", media_type)
    told = media_type.lower().partition(";")[0].strip()
    if not told.endswith("json") and told != "text/plain":
        raise Refused(at, "is read neither as JSON nor as text: take application/json or text/plain")
    return told, member(described, "schema", at), child(at, "schema")


def default_of(contract: Contract, outer: Node, at: str) -> object:
    """The default of a parameter, which its schema takes."""
    schema, _ = resolve(contract.document, outer, at)
    return outer.get("default", schema.get("default", NO_DEFAULT))


def refuse_shared_names(parameters: Iterable[Parameter]) -> None:
    """Raises Refused where a member of an object comes as another parameter does."""
    first: dict[str, str] = {}
    takes_all: str | None = None
    for p in parameters:
        if p.where != "query":
            continue
        names = [p.name]
        if isinstance(p.shape, Members) and p.media_type is None and (p.explode or p.style == "deepObject"):
            names = [f"{p.name}[{name}]" if p.style == "deepObject" else name for name in p.shape.known]
            if p.style == "form" and p.shape.others is not None:
                if takes_all is not None:
                    raise Refused(p.schema, f"takes parameters of any name, as {takes_all} does: make one of them")
                takes_all = p.schema
        for name in names:
            if name in first:
                raise Refused(p.schema, f"comes as `{name}`, as {first[name]} does: choose another name or style")
            first[name] = p.schema
