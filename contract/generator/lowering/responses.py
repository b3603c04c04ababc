"""Reads the responses of an operation: results and problems, their media types and headers."""

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

from contract import media_types
from contract.generator.lowering.ir import Header, Representation, Response
from contract.generator.lowering.requests import SKIP
from contract.generator.lowering.shapes import shape_of
from contract.generator.names import CLASSES, MEMBERS, argument, pascal, refuse_doubles
from contract.generator.reading.document import Node, Refused, child, member, resolve
from contract.refusals import Condition, Form, Wanted, choose, form_of, status_of, usual
from contract.schemas import Schemas
from contract.types import Members, ProblemType

PROBLEM_MEDIA = ("application/problem+json", "application/json")
STREAMS = {"text/event-stream": "Events", "application/x-ndjson": "Lines", "application/jsonl": "Lines"}
STREAMS |= {"application/ndjson": "Lines", "application/json-lines": "Lines", "application/json-seq": ""}
BODILESS = ("204", "205", "304")
IGNORED = "content-type"
"""A header that the media type says (OpenAPI, 4.8.17.1)."""
STATUS = re.compile("[2-5][0-9]{2}|[2-5]XX|default")


class Contract(Protocol):
    """What is known of the document."""

    document: Node
    schemas: Schemas
    problem_types: Mapping[str, ProblemType]
    conditions: Mapping[Condition, Wanted]
    statuses: dict[str, set[str]]

    def type(self, node: Node, pointer: str, /) -> str:
        """The Python type of a schema."""


def response_of(contract: Contract, operation_id: str, raw: Node, here: str, status: str) -> Response:
    """The response at a place. Raises Refused."""
    if not STATUS.fullmatch(status):
        raise Refused(here, "is no status: there are 200 to 599, ranges like 4XX, and `default`")
    node, pointer = resolve(contract.document, raw, here)
    contents = contents_of(contract, node, pointer, status)
    headers, constants = headers_of(contract, node, pointer)
    codes = codes_of(contract, node, status) if "$ref" in raw else ()
    schema = next((one.schema for one in contents if one.is_json), None)
    return Response(
        name=name_of(contract, operation_id, pointer, status, shared="$ref" in raw),
        status=int(status) if status.isdecimal() else 0,
        declared="" if status.isdecimal() else status,
        description=member(node, "description", pointer),
        contents=contents,
        schema=schema,
        headers=tuple(headers),
        constants=tuple(constants),
        codes=codes,
        members=members_of(contract, codes),
        pointer=pointer,
    )


def name_of(contract: Contract, operation_id: str, pointer: str, status: str, *, shared: bool) -> str:
    """The name of the class: that of a shared response, if it stands for one status; else the operation's."""
    if not shared:
        return f"{pascal(operation_id)}{pascal(status)}"
    name = (
        pascal(pointer.rsplit("/", 1)[1]) if not pointer.rsplit("/", 1)[1].isidentifier() else pointer.rsplit("/", 1)[1]
    )
    several = len(contract.statuses.get(pointer, ())) > 1
    return f"{name}{pascal(status)}" if several or name in CLASSES else name


def contents_of(contract: Contract, node: Node, pointer: str, status: str) -> tuple[Representation, ...]:
    """The media types of an answer, with what their bodies are in Python."""
    content: Node = node.get("content", {})
    if content and status in BODILESS:
        raise Refused(child(pointer, "content"), f"a {status} has no body: take this away, or answer another status")
    return tuple(
        representation_of(contract, media_type, described, child(pointer, "content", media_type), node)
        for media_type, described in content.items()
    )


def representation_of(contract: Contract, media_type: str, described: Node, at: str, node: Node) -> Representation:
    essence = media_types.parse_media_type(media_type).essence
    if "x-itemSchema" in described:
        return stream_of(contract, media_type, described["x-itemSchema"], at)
    schema, place = described.get("schema"), child(at, "schema")
    if not media_types.is_json(media_type):
        if not is_written(contract.document, media_type, described, at):
            remedy = "`x-itemSchema` names its items" if essence in STREAMS else "give it {type: string}"
            raise Refused(place, f"{media_type} is written as text: {remedy}, or {SKIP}")
        return Representation(media_type, "Text", place if schema is not None else None)
    if schema is None:
        return Representation(media_type, "Any", None, is_json=True)
    kind = contract.type(schema, place)
    body = f"Streamed[{kind}]" if node.get("x-streamed") else f"{kind} | Json[{kind}]"
    return Representation(media_type, body, place, is_json=True, model=kind)


def stream_of(contract: Contract, media_type: str, schema: Node, at: str) -> Representation:
    """A stream of typed items: events, or lines of JSON."""
    place = child(at, "x-itemSchema")
    wrapper = STREAMS.get(media_types.parse_media_type(media_type).essence)
    if not wrapper:
        raise Refused(place, "is for text/event-stream and application/x-ndjson or application/jsonl: take it away")
    if not re.fullmatch("#/components/schemas/[^/]+", str(schema.get("$ref"))):
        raise Refused(place, "is no $ref into components/schemas: put the schema there")
    kind = contract.type(schema, place)
    item = f"{kind} | Event[{kind}]" if wrapper == "Events" else kind
    return Representation(media_type, f"AsyncIterator[{item}]", None, item=schema["$ref"])


def is_written(document: Node, media_type: str, described: Node, at: str) -> bool:
    """Whether there is code that writes a body of the media type: JSON, a stream, or what the handler wrote."""
    if "schema" not in described or "x-itemSchema" in described or media_types.is_json(media_type):
        return True
    node, _ = resolve(document, described["schema"], child(at, "schema"))
    kinds = node.get("type", "string")
    return "string" in (kinds if isinstance(kinds, list) else [kinds]) and "properties" not in node


def headers_of(contract: Contract, node: Node, pointer: str) -> tuple[list[Header], list[tuple[str, str]]]:
    """The headers that the handler sets, and those that are always the same. The server's own are left out."""
    headers, constants = [], []
    for name, raw in node.get("headers", {}).items():
        header, at = resolve(contract.document, raw, child(pointer, "headers", name))
        if header.get("x-set-by") == "server" or name.lower() == IGNORED:
            continue
        made = header_of(contract, name, header, at)
        if isinstance(made, str):
            constants.append((name, made))
        else:
            headers.append(made)
    refuse_doubles((header.argument, child(pointer, "headers", header.name)) for header in headers)
    return headers, constants


def header_of(contract: Contract, name: str, header: Node, at: str) -> Header | str:
    """A header of an answer, or the text that it always is."""
    is_json = "content" in header
    if is_json:
        media_type = next(iter(header["content"]), "")
        if not media_types.is_json(media_type) or "schema" not in header["content"][media_type]:
            raise Refused(child(at, "content"), "is written as JSON only: take application/json, with a schema")
        outer, place = header["content"][media_type]["schema"], child(at, "content", media_type, "schema")
    else:
        outer, place = member(header, "schema", at), child(at, "schema")
    schema, _ = resolve(contract.document, outer, place)
    if not is_json and isinstance(schema.get("const"), (str, int, float)):
        return contract_text(schema["const"])
    if header.get("style", "simple") != "simple":
        raise Refused(child(at, "style"), "is no style of a header: it is `simple`")
    if not is_json:
        shape = shape_of(contract.document, outer, place)
        if isinstance(shape, Members):
            raise Refused(place, "is an object: give it `content: {application/json: ...}` instead of a schema")
    kind = header_type(contract, schema, outer, place)
    return Header(
        name,
        argument(name, at, MEMBERS),
        kind,
        header.get("required", False),
        place,
        header.get("explode", False),
        is_json,
    )


def header_type(contract: Contract, schema: Node, outer: Node, place: str) -> str:
    """The Python type of a header's value: of plain texts and integers without a model's name."""
    if schema.get("type") == "integer":
        return "int"
    if schema.get("type") == "string" and "format" not in schema:
        return "str"
    return contract.type(outer, place)


def contract_text(value: Any) -> str:
    """The text of a value that is always the same."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def codes_of(contract: Contract, node: Node, status: str) -> tuple[str, ...]:
    """The codes of a problem that is raised: the names of its examples, where they all are what they say."""
    content: Node = node.get("content", {})
    media_type = next(iter(content), "")
    examples: Node = content[media_type].get("examples", {}) if content else {}
    if media_type not in PROBLEM_MEDIA or not status.isdecimal() or int(status) < 400:  # noqa: PLR2004 - RFC 9110
        return ()
    for code, example in examples.items():
        value = example.get("value") if isinstance(example, dict) else None
        if not isinstance(value, dict) or not says(contract, code, value, int(status), media_type):
            return ()
    return tuple(examples)


def members_of(contract: Contract, codes: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    """The integers and texts that a problem has beside the members of all, and whether it has them with each code."""
    each = [contract.problem_types[code].members for code in codes if code in contract.problem_types]
    named = dict.fromkeys(name for members in each for name in members)
    return tuple((name, all(name in members for members in each)) for name in named)


def says(contract: Contract, code: str, value: Node, status: int, media_type: str) -> bool:
    """Whether an example says the code that it is named by."""
    if media_type == PROBLEM_MEDIA[1]:
        return bool(value.get("error") == code)
    kind = contract.problem_types.get(code)
    if kind is None:
        return False
    said = {"code": code, "status": status, "title": kind.title, "type": f"/problems/{code}"}
    more = all(isinstance(value.get(name), int | str) for name in kind.members)
    return said.items() <= value.items() and kind.status == status and more


def refuse_unsaid(contract: Contract, responses: list[Response], met: set[str], at: str) -> list[str]:
    """What the operation says otherwise than usual. Raises Refused where what it declares has no room for it."""
    declared = {str(one.status) if one.status else one.declared: one for one in responses if is_error(one)}
    told = []
    for condition, wanted in contract.conditions.items():
        key = choose(declared, condition, wanted)
        is_of_path = key is not None and (condition == "method" or (condition == "not_found" and wanted.write))
        if condition not in met and not is_of_path:
            continue
        body = ""
        if key and not declared[key].codes:
            status = status_of(key, wanted)
            form = form_of(declared[key].contents, contract.schemas, status, wanted)
            if form is None:
                raise Refused(
                    child(at, "responses", key),
                    f"has no room for what there is to say of {condition}: declare {wanted.status} for it, let its"
                    " schema take a problem of RFC 9457, or give the generator `conditions` that write what it takes",
                )
            body = "" if form.write is usual else describe_form(form, status)
        if key != str(wanted.status) or body:
            told.append(f"{at}: {condition} is answered by {key or f'{wanted.status}, undeclared'}{body}")
    return told


def describe_form(form: Form, status: int) -> str:
    """What a problem that is not the usual one looks like."""
    value = form.write(status, "...", ())
    return f", as {json.dumps(value, ensure_ascii=False) if form.is_json else value}"


def is_error(response: Response) -> bool:
    return not response.status or response.status >= 400  # noqa: PLR2004 - RFC 9110
