"""The contract as the templates need it: operations, results and problems with the names they get in Python."""

import keyword
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scripts.codegen.document import Node, Refused, child, resolve

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
OURS = {"call", "self", "body"}
PROBLEM_MEDIA = ("application/problem+json", "application/json")


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).strip("_").lower()


def pascal(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))


def identifier(name: str, pointer: str) -> str:
    """The name in Python. Raises Refused when it is none, or is taken by the generated code itself."""
    argument = snake(name)
    if not argument.isidentifier() or keyword.iskeyword(argument) or argument in OURS:
        raise Refused(pointer, f"the name {name!r} would be {argument!r} in Python, which clashes: choose another")
    return argument


@dataclass(frozen=True)
class Parameter:
    """A parameter of an operation."""

    name: str
    where: str
    argument: str
    kind: str
    type: str
    schema: str
    required: bool
    default: Any

    @property
    def annotation(self) -> str:
        if self.name == "If-Match":
            return "EntityTags | MISSING"
        return self.type if self.required or self.default is not None else f"{self.type} | MISSING"


@dataclass(frozen=True)
class Body:
    """The one request body of an operation."""

    media_type: str
    type: str
    schema: str
    required: bool


@dataclass(frozen=True)
class Header:
    """A response header that the handler sets."""

    name: str
    argument: str
    type: str
    required: bool


@dataclass(frozen=True)
class Response:
    """A response: a problem when it has codes, as the shared ones from 400 on have, otherwise a result."""

    name: str
    status: int
    description: str
    media_types: tuple[str, ...]
    body: str | None
    schema: str | None
    headers: tuple[Header, ...]
    constants: tuple[tuple[str, str], ...]
    codes: tuple[str, ...]

    @property
    def media_type(self) -> str:
        return self.media_types[0]


@dataclass(frozen=True)
class Operation:
    """An operation."""

    id: str
    name: str
    tag: str
    method: str
    path: str
    summary: str
    description: str
    roles: tuple[str, ...] | None
    rate_class: str
    parameters: tuple[Parameter, ...]
    body: Body | None
    responses: tuple[Response, ...]

    @property
    def arguments(self) -> list[Parameter]:
        """What the handler gets: `If-None-Match` is the binding's own affair."""
        return [p for p in self.parameters if p.name != "If-None-Match"]

    @property
    def results(self) -> list[Response]:
        return [r for r in self.responses if not r.codes and r.status != 304]  # noqa: PLR2004 - RFC 9110

    @property
    def problems(self) -> list[Response]:
        return [r for r in self.responses if r.codes]

    @property
    def not_modified(self) -> bool:
        return any(r.status == 304 for r in self.responses)  # noqa: PLR2004 - RFC 9110


@dataclass(frozen=True)
class Tag:
    """A tag: one Protocol, one module of handlers."""

    name: str
    description: str
    operations: list[Operation]

    @property
    def parameters(self) -> list[str]:
        """The type parameters of the Protocol: public operations and the others take different calls."""
        public = any(o.roles is None for o in self.operations)
        signed_in = any(o.roles is not None for o in self.operations)
        return ["Public_contra"] * public + ["Call_contra"] * signed_in


class Contract:
    """The document, and what datamodel-code-generator named its schemas: `names` by JSON Pointer."""

    def __init__(self, document: Node, names: dict[str, str]) -> None:
        self.document = document
        self.names = names
        self.version: str = document["info"]["version"]
        self.title: str = document["info"]["title"]
        self.problem_types: Node = document.get("x-problems", {})
        self.rate_classes: Node = document.get("x-rate-limits", {})
        self.operations = [
            self.operation(path, method)
            for path, item in document.get("paths", {}).items()
            for method in METHODS
            if method in item
        ]
        self.refuse_clashes()

    def refuse_clashes(self) -> None:
        shapes = Counter(re.sub(r"\{[^}]*\}", "{}", path.rstrip("/")) for path in self.document.get("paths", {}))
        names = Counter(operation.name for operation in self.operations)
        if doubled := [shape for shape, n in shapes.items() if n > 1]:
            raise Refused("#/paths", f"two paths match the same requests: {doubled[0]}")
        if doubled := [name for name, n in names.items() if n > 1]:
            raise Refused("#/paths", f"two operations are called {doubled[0]!r} in Python")

    @cached_property
    def tags(self) -> list[Tag]:
        described = {tag["name"]: tag.get("description", "") for tag in self.document.get("tags", [])}
        return [
            Tag(name, description, operations)
            for name, description in described.items()
            if (operations := [o for o in self.operations if o.tag == name])
        ]

    @cached_property
    def problems(self) -> list[Response]:
        """Every problem, once."""
        return list({r.name: r for o in self.operations for r in o.problems}.values())

    def type(self, node: Node, pointer: str) -> str:
        """The Python type of a schema that has a name in `components`, or is a plain value."""
        where = node.get("$ref", pointer)
        schema, _ = resolve(self.document, node, pointer)
        if "$ref" not in node and (schema.get("type") == "object" or "properties" in schema):
            raise Refused(pointer, "an inline object has no name: put it into components/schemas")
        if where not in self.names:
            raise Refused(
                pointer, "datamodel-code-generator wrote no type for this schema: name it in components/schemas"
            )
        return f"models.{self.names[where]}"

    def operation(self, path: str, method: str) -> Operation:
        item: Node = self.document["paths"][path]
        node: Node = item[method]
        base, at = child("#/paths", path), child("#/paths", path, method)
        for member in ("operationId", "summary", "description"):
            if not node.get(member):
                raise Refused(at, f"has no {member}")
        tags = node.get("tags", [])
        if len(tags) != 1 or tags[0] not in {tag["name"] for tag in self.document.get("tags", [])}:
            raise Refused(at, "needs exactly one tag, declared in the document's tags")
        if node.get("x-rate-limit") not in self.rate_classes:
            raise Refused(child(at, "x-rate-limit"), "names no class of x-rate-limits")
        parameters = {
            (p.where, p.name): p
            for pointer, nodes in ((base, item.get("parameters", [])), (at, node.get("parameters", [])))
            for i, raw in enumerate(nodes)
            for p in [self.parameter(raw, child(pointer, "parameters", i))]
        }
        arguments = Counter(p.argument for p in parameters.values())
        if doubled := [name for name, n in arguments.items() if n > 1]:
            raise Refused(at, f"two parameters are called {doubled[0]!r} in Python")
        if set(re.findall(r"\{([^}]*)\}", path)) != {name for where, name in parameters if where == "path"}:
            raise Refused(at, "the path and its parameters name different things")
        operation_id: str = node["operationId"]
        return Operation(
            id=operation_id,
            name=identifier(operation_id, at),
            tag=tags[0],
            method=method.upper(),
            path=path,
            summary=node["summary"],
            description=node["description"],
            roles=self.roles(node.get("security") if "security" in node else self.document.get("security"), at),
            rate_class=node["x-rate-limit"],
            parameters=tuple(parameters.values()),
            body=self.body(node["requestBody"], child(at, "requestBody")) if "requestBody" in node else None,
            responses=tuple(self.response(node, at, status) for status in node.get("responses", {})),
        )

    def roles(self, security: list[dict[str, list[str]]] | None, at: str) -> tuple[str, ...] | None:
        """The roles beside `bearer`; None when the operation is public."""
        if not security:
            return None
        found = [requirement["bearer"] for requirement in security if "bearer" in requirement]
        if not found or not found[0]:
            raise Refused(child(at, "security"), "names no role beside `bearer`")
        return tuple(found[0])

    def parameter(self, raw: Node, at: str) -> Parameter:
        node, pointer = resolve(self.document, raw, at)
        schema, _ = resolve(self.document, node["schema"], child(pointer, "schema"))
        return Parameter(
            name=node["name"],
            where=node["in"],
            argument=identifier(node["name"], pointer),
            kind=schema.get("type", "string"),
            type=self.type(node["schema"], child(pointer, "schema")),
            schema=child(pointer, "schema"),
            required=node.get("required", False),
            default=node["schema"].get("default", schema.get("default")),
        )

    def body(self, raw: Node, at: str) -> Body:
        node, pointer = resolve(self.document, raw, at)
        if len(node["content"]) != 1:
            raise Refused(pointer, "takes more than one media type: make an operation of each")
        [(media_type, content)] = node["content"].items()
        schema = child(pointer, "content", media_type, "schema")
        return Body(media_type, self.type(content["schema"], schema), schema, node.get("required", False))

    def response(self, operation: Node, at: str, status: str) -> Response:
        raw: Node = operation["responses"][status]
        here = child(at, "responses", status)
        if not re.fullmatch(r"[2-5][0-9]{2}", status):
            raise Refused(here, "is no status: ranges and `default` are too vague to generate from")
        node, pointer = resolve(self.document, raw, here)
        shared = "$ref" in raw
        name = pointer.rsplit("/", 1)[1] if shared else f"{pascal(operation['operationId'])}{status}"
        content: Node = node.get("content", {})
        media_types = tuple(content)
        body = schema = None
        if content:
            schema = child(pointer, "content", media_types[0], "schema")
            body = self.type(content[media_types[0]]["schema"], schema)
        headers, constants = self.headers(node, pointer)
        codes: tuple[str, ...] = ()
        if shared and int(status) >= 400:  # noqa: PLR2004 - RFC 9110
            codes = self.codes(node, pointer, int(status))
        return Response(
            name, int(status), node["description"], media_types, body, schema, tuple(headers), tuple(constants), codes
        )

    def headers(self, node: Node, pointer: str) -> tuple[list[Header], list[tuple[str, str]]]:
        """The headers that the handler sets, and those that are always the same. The server's own are left out."""
        headers, constants = [], []
        for name, raw in node.get("headers", {}).items():
            header, at = resolve(self.document, raw, child(pointer, "headers", name))
            if header.get("x-set-by") == "server":
                continue
            if "const" in header["schema"]:
                constants.append((name, header["schema"]["const"]))
                continue
            kind = {"integer": "int", "string": "str"}[header["schema"]["type"]]
            headers.append(Header(name, identifier(name, at), kind, header.get("required", False)))
        return headers, constants

    def codes(self, node: Node, pointer: str, status: int) -> tuple[str, ...]:
        """The codes of a problem: the names of its examples, which must be what they say."""
        content: Node = node.get("content", {})
        media_type = next(iter(content), "")
        examples: Node = content[media_type].get("examples", {}) if content else {}
        at = child(pointer, "content", media_type, "examples")
        if media_type not in PROBLEM_MEDIA or not examples:
            raise Refused(
                pointer, "a shared response from 400 on needs a problem with an example for each of its codes"
            )
        for code, example in examples.items():
            value: Node = example["value"]
            if media_type == PROBLEM_MEDIA[1]:
                if value.get("error") != code:
                    raise Refused(child(at, code), "the example is not named by its error")
                continue
            kind = self.problem_types.get(code)
            if kind is None:
                raise Refused(child(at, code), "is no code of x-problems")
            said = (value["code"], value["status"], value["title"], value["type"])
            if said != (code, status, kind["title"], f"/problems/{code}") or kind["status"] != status:
                raise Refused(child(at, code), "the example does not say what x-problems says of this code")
        return tuple(examples)
