"""Reads the request body of an operation: its media types, and the members of forms."""

from typing import Protocol

from contract import media_types
from contract.generator.lowering.annotations import plain_type
from contract.generator.lowering.bodies import most_bytes
from contract.generator.lowering.ir import Body, Content, FormMember
from contract.generator.lowering.shapes import kinds_of, parts, shape_of
from contract.generator.names import argument, pascal, refuse_doubles
from contract.generator.reading.document import Node, Refused, child, member, resolve
from contract.parsing import LARGE_BODY, LARGEST_BODY
from contract.types import Array, Part, Scalar

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines")
LARGEST_UPLOAD = 1024**3  # bytes that an operation may take of what goes to the disk
SKIP = "leave it out beside another one by --skip-media-types"


class Contract(Protocol):
    """What is known of the document."""

    document: Node
    names: dict[str, str]
    unusual: list[str]

    def type(self, node: Node, pointer: str, /) -> str:
        """The Python type of a schema."""


def body_of(contract: Contract, operation: Node, at: str, operation_id: str) -> Body:
    """The request body of the operation at a place. Raises Refused."""
    node, pointer = resolve(contract.document, operation["requestBody"], child(at, "requestBody"))
    content: Node = member(node, "content", pointer)
    if not content:
        raise Refused(child(pointer, "content"), "has no media type: name one, or take the request body away")
    contents = tuple(
        content_of(contract, media_type, described, child(pointer, "content", media_type), operation_id)
        for media_type, described in content.items()
    )
    seen: dict[object, str] = {}
    for one in contents:
        told = media_types.parse_media_type(one.media_type)
        if told in seen:
            raise Refused(
                child(pointer, "content", one.media_type), f"is the same media type as {seen[told]}: take one away"
            )
        seen[told] = one.media_type
    if not are_alike(contents, content):
        contents = tuple(one.within(f"{pascal(operation_id)}{pascal(one.media_type)}") for one in contents)
        refuse_doubles((one.wrapper or "", child(pointer, "content", one.media_type)) for one in contents)
    largest = 0
    for one in contents:
        largest = max(largest, largest_of(contract, operation, one, at))
    return Body(contents, node.get("required", False), largest)


def are_alike(contents: tuple[Content, ...], described: Node) -> bool:
    """Whether the body is the same thing in each of its media types: JSON of one shared schema."""
    schemas = [one.get("schema", {}).get("$ref") for one in described.values()]
    is_json = all(one.kind == "json" for one in contents)
    return len(contents) == 1 or (is_json and schemas[0] is not None and len(set(schemas)) == 1)


def largest_of(contract: Contract, operation: Node, content: Content, at: str) -> int:
    """How many bytes of a body are read."""
    if content.schema is None or content.kind in ("file", "multipart"):
        given = operation.get("x-max-body", LARGE_BODY)
        most = LARGEST_UPLOAD if content.kind in ("file", "multipart") else LARGEST_BODY
        if type(given) is not int or not 0 < given <= most:
            where = child(at, "x-max-body")
            raise Refused(where, f"is {given} bytes, of which there must be a number from 1 to {most}")
        return given
    largest, told = most_bytes(contract.document, operation, {"$ref": content.schema}, at, content.schema)
    contract.unusual += [told] if told else []
    return largest


def content_of(contract: Contract, media_type: str, described: Node, at: str, operation_id: str) -> Content:
    """A media type of a request, how it is read, and what it is in Python."""
    essence = media_types.parse_media_type(media_type).essence
    if essence in (FORM, MULTIPART):
        return form_of(contract, media_type, described, at, operation_id)
    if "encoding" in described:
        raise Refused(child(at, "encoding"), f"is for forms, which {essence} is not: take it away")
    place, schema = child(at, "schema"), described.get("schema")
    if essence in LINES:
        return lines_of(contract, media_type, described, at)
    if media_types.is_json(media_type):
        if schema is None:
            return Content(media_type, "json", "Any", None)
        return Content(media_type, "json", contract.type(schema, place), place)
    return text_of(contract, media_type, schema, place)


def text_of(contract: Contract, media_type: str, schema: Node | None, place: str) -> Content:
    """A body that is not taken apart: bytes, which are a file, or a text."""
    essence = media_types.parse_media_type(media_type).essence
    if is_bytes(contract.document, schema, place) and not essence.startswith("text/"):
        return Content(media_type, "file", "File", None)
    if not is_text(contract.document, schema, place):
        remedy = f"a schema of {{type: string}} gives it as a text, or take application/json, or {SKIP}"
        raise Refused(place, f"{essence} is read as text, and not taken apart: {remedy}")
    if "*" in essence:
        return Content(media_type, "file", "File", None)
    if schema is None:
        return Content(media_type, "text", "str", None)
    return Content(media_type, "text", contract.type(schema, place), place)


def is_text(document: Node, schema: Node | None, place: str) -> bool:
    """Whether what is not taken apart can be a value of the schema."""
    return not schema or kinds_of(document, schema, place, ()) in (None, frozenset({"string"}))


def is_read(document: Node, media_type: str, described: Node, at: str) -> bool:
    """Whether there is code that reads a body of the media type."""
    essence, schema = media_types.parse_media_type(media_type).essence, described.get("schema")
    if media_types.is_json(media_type) or essence in (FORM, MULTIPART, *LINES):
        return True
    place = child(at, "schema")
    return is_text(document, schema, place) or (is_bytes(document, schema, place) and not essence.startswith("text/"))


def is_bytes(document: Node, schema: Node | None, place: str) -> bool:
    """Whether a body is bytes: it has no schema (3.1), an empty one, or one of `format: binary` (3.0)."""
    if not schema:
        return True
    return any(node.get("format") == "binary" or is_media(node) for node, _ in parts(document, schema, place, ()))


def is_media(node: Node) -> bool:
    """Whether a text is bytes of a media type of their own."""
    return "contentMediaType" in node and "contentEncoding" not in node


def lines_of(contract: Contract, media_type: str, described: Node, at: str) -> Content:
    """A body of a JSON value in each line: a list of what `x-itemSchema` is."""
    if "x-itemSchema" not in described:
        raise Refused(at, "has no x-itemSchema, which is what each line is: add it, as a $ref into components/schemas")
    item = described["x-itemSchema"]
    place = child(at, "x-itemSchema")
    if not str(item.get("$ref", "")).startswith("#/components/schemas/"):
        raise Refused(place, "is no $ref into components/schemas: put the schema there")
    return Content(media_type, "lines", f"list[{contract.type(item, place)}]", None, item=item["$ref"])


def form_of(contract: Contract, media_type: str, described: Node, at: str, operation_id: str) -> Content:
    """A form: its members by name. A form with files is a class of its own."""
    schema, place = member(described, "schema", at), child(at, "schema")
    is_multipart = media_types.parse_media_type(media_type).essence == MULTIPART
    encoding: Node = described.get("encoding", {})
    members: dict[str, FormMember] = {}
    required: set[str] = set()
    if kinds_of(contract.document, schema, place, ()) not in (None, frozenset({"object"})):
        raise Refused(place, "is no object, which a form is: give it a member for each field")
    for node, where in parts(contract.document, schema, place, ()):
        required |= set(node.get("required", []))
        for name, one in node.get("properties", {}).items():
            told, spot = encoding.get(name, {}), child(at, "encoding", name)
            refuse_encoding(told, spot, is_multipart=is_multipart)
            members[name] = member_of(
                contract, name, one, child(where, "properties", name), told, is_multipart=is_multipart
            )
    for name in encoding:
        if name not in members:
            raise Refused(
                child(at, "encoding", name), "is the encoding of no member: add that to the schema, or take this away"
            )
    if not is_multipart:
        return Content(media_type, "form", contract.type(schema, place), place, members=tuple(members.values()))
    refuse_doubles((one.part.argument, one.schema) for one in members.values())
    for one in members.values():
        one.required = one.name in required
    name = f"{pascal(operation_id)}Form"
    return Content(media_type, "multipart", name, place, members=tuple(members.values()), form=name)


def refuse_encoding(told: Node, at: str, *, is_multipart: bool) -> None:
    for name in told:
        if name == "contentType" or name.startswith("x-"):
            continue
        default = {"style": "form", "explode": True, "allowReserved": False}
        if not is_multipart and name in default and told[name] == default[name]:
            continue
        raise Refused(
            child(at, name), "is not read: a form is written in its usual way, or a member as `contentType` JSON"
        )


def member_of(contract: Contract, name: str, schema: Node, place: str, told: Node, *, is_multipart: bool) -> FormMember:
    """A member of a form: a file, texts, or a JSON document."""
    named = argument(name, place)
    wanted = tuple(part.strip() for part in told.get("contentType", "").split(",") if part.strip())
    kinds = (kinds_of(contract.document, schema, place, ()) or frozenset({"string"})) - {"null"}
    if kinds == {"array"}:
        each, spot = items(contract, schema, place)
        inner = member_of(contract, name, each, spot, told, is_multipart=is_multipart)
        if inner.part.is_list:
            raise Refused(
                spot,
                "is a list in a list, which no form can say: give it `contentType: application/json`",
            )
        return FormMember(name, place, inner.part._replace(is_list=True), f"list[{inner.type}]", inner.shape)
    if is_multipart and is_bytes(contract.document, schema, place):
        return FormMember(name, place, Part("file", named, media_types=wanted), "File", None)
    kind = plain_type(contract, schema, place) if is_multipart else ""
    if kinds == {"object"} or (wanted and all(media_types.is_json(one) for one in wanted)):
        return FormMember(name, place, Part("json", named), kind, None)
    shape = shape_of(contract.document, schema, place)
    if isinstance(shape, Array):
        return FormMember(name, place, Part("text", named, shape.items, is_list=True, alone=shape.alone), kind, shape)
    if not isinstance(shape, Scalar):
        raise Refused(place, "could be several things, which a form does not tell apart: give it one type")
    return FormMember(name, place, Part("text", named, scalar=shape), kind, shape)


def items(contract: Contract, schema: Node, place: str) -> tuple[Node, str]:
    shape = [
        (node["items"], child(at, "items"))
        for node, at in parts(contract.document, schema, place, ())
        if "items" in node
    ]
    if len(shape) != 1:
        raise Refused(place, "does not say in one place what its items are: give it one `items`")
    return shape[0]
