"""Reads the document into what the templates need, and refuses what no code can be generated from."""

import re
from functools import cached_property
from itertools import combinations
from typing import Literal

from contract.generator.bodies import most_bytes
from contract.generator.document import Findings, Node, Refused, child, member, objects_at, resolve
from contract.generator.ir import Body, Header, Operation, Parameter, Response, Tag
from contract.generator.names import CLASSES, MEMBERS, checked, pascal, refuse_doubles, snake
from contract.generator.security import cookie_of, read_security, roles_of
from contract.routing import Segment, segments_of

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
PROBLEM_MEDIA = ("application/problem+json", "application/json")
LOCAL = ("accounts", "session")
OFF = "feature_disabled"
HEADER_TYPES = {"integer": "int", "string": "str"}


def ambiguous(one: str, other: str) -> bool:
    """Whether some request matches both paths, and neither of them is the more literal one."""
    pairs = list(zip(segments_of(one), segments_of(other), strict=False))
    told = {compare(a, b) for a, b in pairs}
    if len(segments_of(one)) != len(segments_of(other)) or "apart" in told:
        return False
    return "overlapping" in told or ("more literal" in told) == ("less literal" in told)


def compare(one: Segment, other: Segment) -> Literal["alike", "apart", "overlapping", "more literal", "less literal"]:
    """How the texts that a segment matches are to those of another one."""
    if one.literals == other.literals:
        return "alike"
    if one.is_value or other.is_value:
        return "less literal" if one.is_value else "more literal"
    if one.is_word or other.is_word:
        word, mixed = (one, other) if one.is_word else (other, one)
        if mixed.is_word or mixed.match(word.literals[0]) is None:
            return "apart"
        return "more literal" if one.is_word else "less literal"
    (begin, *_, end), (other_begin, *_, other_end) = one.literals, other.literals
    begins = begin.startswith(other_begin) or other_begin.startswith(begin)
    ends = end.endswith(other_end) or other_end.endswith(end)
    return "overlapping" if begins and ends else "apart"


class Contract:
    """The document, and what datamodel-code-generator named its schemas: `names` by JSON Pointer."""

    def __init__(self, document: Node, names: dict[str, str]) -> None:
        """Raises InvalidContract with every place that is refused."""
        self.document = document
        self.names = names
        self.findings = Findings()
        self.attempt = self.findings.attempt
        self.problem_types: Node = self.attempt(objects_at, document, "x-problems") or {}
        self.rate_classes: Node = self.attempt(objects_at, document, "x-rate-limits") or {}
        self.paths: Node = document.get("paths", {})
        info: Node = self.attempt(member, document, "info", "#") or {}
        self.version: str = self.attempt(member, info, "version", "#/info") or ""
        self.title: str = self.attempt(member, info, "title", "#/info") or ""
        tags = enumerate(document.get("tags", []))
        self.declared_tags = [self.attempt(member, tag, "name", child("#/tags", i)) for i, tag in tags]
        self.check_extensions()
        self.check_paths()
        self.findings.close()
        found = [(path, method) for path, item in self.paths.items() for method in METHODS if method in item]
        made = [self.attempt(self.operation, path, method) for path, method in found]
        self.operations = [operation for operation in made if operation is not None]
        self.findings.close()
        self.attempt(refuse_doubles, [(o.name, o.pointer) for o in self.operations])
        self.attempt(lambda: refuse_doubles((checked(snake(tag.name), tag.pointer), tag.pointer) for tag in self.tags))
        responses = dict.fromkeys(response for o in self.operations for response in o.responses)
        self.attempt(refuse_doubles, [(response.name, response.pointer) for response in responses])
        self.findings.close()

    def check_extensions(self) -> None:
        for code, kind in self.problem_types.items():
            for name in ("status", "title", "description"):
                self.attempt(member, kind, name, child("#/x-problems", code))
        for rate_class, quotas in self.rate_classes.items():
            for name, quota in quotas.items():
                for number in ("limit", "window"):
                    self.attempt(member, quota, number, child("#/x-rate-limits", rate_class, name))

    def check_paths(self) -> None:
        for path in self.paths:
            self.attempt(self.check_path, path)
        self.findings.close()
        for one, other in combinations(self.paths, 2):
            if ambiguous(one, other):
                self.findings.add(child("#/paths", other), f"matches the same requests as {one}")

    def check_path(self, path: str) -> None:
        try:
            segments_of(path)
        except ValueError as error:
            raise Refused(child("#/paths", path), f"is no template of paths: {error}") from None

    @cached_property
    def tags(self) -> list[Tag]:
        return [
            Tag(tag["name"], tag.get("description", ""), operations, child("#/tags", i))
            for i, tag in enumerate(self.document.get("tags", []))
            if (operations := [o for o in self.operations if o.tag == tag["name"]])
        ]

    @cached_property
    def results(self) -> list[Response]:
        """Every result, once."""
        return list({r.name: r for o in self.operations for r in o.results}.values())

    @cached_property
    def problems(self) -> list[Response]:
        """Every problem, once."""
        return list({r.name: r for o in self.operations for r in o.problems}.values())

    def type(self, node: Node, pointer: str) -> str:
        """The Python type of a schema that has a name in `components`, or is a plain value."""
        where = pointer if pointer in self.names else node.get("$ref", pointer)
        if where not in self.names:
            raise Refused(
                pointer, "datamodel-code-generator wrote no type for this schema: name it in components/schemas"
            )
        return f"models.{self.names[where]}"

    def operation(self, path: str, method: str) -> Operation | None:
        """The operation; None where something of it is refused."""
        node: Node = self.paths[path][method]
        at = child("#/paths", path, method)
        attempt, before = self.attempt, len(self.findings.found)
        operation_id: str = member(node, "operationId", at)
        name = checked(snake(operation_id), at)  # what stands in the responses is named after it
        tags = node.get("tags", [])
        if len(tags) != 1 or tags[0] not in self.declared_tags:
            self.findings.add(at, "needs exactly one tag, declared in the document's tags")
        if node.get("x-rate-limit") not in self.rate_classes:
            self.findings.add(child(at, "x-rate-limit"), "names no class of x-rate-limits")
        security = attempt(read_security, self.document, node, at) or []
        summary, description = (attempt(member, node, name, at) or "" for name in ("summary", "description"))
        roles = attempt(roles_of, security, at) if security else None
        counts = self.rate_classes.get(node.get("x-rate-limit", ""), {})
        if roles is None and counts and "ip" not in counts:
            self.findings.add(child(at, "x-rate-limit"), "counts no address, where anybody may call")
        local = attempt(self.local, node, at)
        parameters = attempt(self.parameters, path, method) or ()
        body = attempt(self.body, node, at) if "requestBody" in node else None
        statuses = attempt(member, node, "responses", at) or {}
        responses = [attempt(self.response, node, at, status) for status in statuses]
        if len(self.findings.found) > before:
            return None
        operation = Operation(
            id=operation_id,
            name=name,
            tag=tags[0],
            method=method.upper(),
            path=path,
            summary=summary,
            description=description,
            roles=roles,
            cookie=cookie_of(self.document, security),
            local=local,
            feature=node.get("x-feature"),
            rate_class=node["x-rate-limit"],
            rate_class_when=node.get("x-rate-limit-when", {}),
            bulkhead=node.get("x-bulkhead"),
            parameters=parameters,
            body=body,
            responses=tuple(response for response in responses if response is not None),
        )
        if not operation.results:
            raise Refused(child(at, "responses"), "declares problems only")
        attempt(self.refuse_switch, operation, at)
        attempt(self.refuse_uncounted, operation, at)
        attempt(refuse_unbounded, operation, at)
        return operation

    def refuse_switch(self, operation: Operation, at: str) -> None:
        """Whoever can be off says so in a problem."""
        if operation.feature and OFF not in {code for problem in operation.problems for code in problem.codes}:
            raise Refused(child(at, "x-feature"), f"the operation does not declare {OFF}")

    def refuse_uncounted(self, operation: Operation, at: str) -> None:
        """Whoever tells that a value of others is taken says how often it does so, for each member of the body."""
        counted, told = operation.rate_class_when, child(at, "x-rate-limit-when")
        members: Node = {}
        if operation.body:
            members = resolve(self.document, {"$ref": operation.body.schema}, at)[0]
            members = resolve(self.document, members, at)[0].get("properties", {})
        for name, rate_class in counted.items():
            if name not in members:
                raise Refused(child(told, name), "is no member of the body")
            if "user" not in self.rate_classes.get(rate_class, {}) or rate_class == operation.rate_class:
                raise Refused(child(told, name), "names no other class of x-rate-limits that counts users")
        for code in dict.fromkeys(code for problem in operation.problems for code in problem.codes):
            taken = self.problem_types.get(code, {}).get("taken")
            if taken is not None and taken not in counted:
                raise Refused(at, f"declares {code}, which tells of others: count {taken} in x-rate-limit-when")

    def parameters(self, path: str, method: str) -> tuple[Parameter, ...]:
        """Those of the path and those of the operation, which come instead of the former when named alike."""
        places = ("#/paths", path, "parameters"), ("#/paths", path, method, "parameters")
        lists = self.paths[path].get("parameters", []), self.paths[path][method].get("parameters", [])
        found = {
            (p.where, p.name): p
            for place, nodes in zip(places, lists, strict=True)
            for i, raw in enumerate(nodes)
            for p in [self.parameter(raw, child(*place, i))]
        }
        refuse_doubles((p.argument, p.schema) for p in found.values())
        if set(re.findall(r"\{([^}]*)\}", path)) != {name for where, name in found if where == "path"}:
            raise Refused(child("#/paths", path, method), "the path and its parameters name different things")
        return tuple(found.values())

    def local(self, operation: Node, at: str) -> str | None:
        """What of this server's own the operation is about, so that it is off where there is none."""
        found: str | None = operation.get("x-local")
        if found not in (None, *LOCAL):
            raise Refused(child(at, "x-local"), f"is none of {', '.join(LOCAL)}")
        return found

    def parameter(self, raw: Node, at: str) -> Parameter:
        node, pointer = resolve(self.document, raw, at)
        at, outer = child(pointer, "schema"), member(node, "schema", pointer)
        schema, _ = resolve(self.document, outer, at)
        name: str = member(node, "name", pointer)
        return Parameter(
            name=name,
            where=member(node, "in", pointer),
            argument=checked(snake(name), pointer),
            kind=schema.get("type", "string"),
            type=self.type(outer, at),
            schema=at,
            required=node.get("required", False),
            default=outer.get("default", schema.get("default")),
        )

    def body(self, operation: Node, at: str) -> Body:
        node, pointer = resolve(self.document, operation["requestBody"], child(at, "requestBody"))
        content: Node = member(node, "content", pointer)
        if len(content) != 1:
            raise Refused(pointer, "takes more than one media type: make an operation of each")
        [media_type] = content
        kind, schema = self.content(content, media_type, pointer)
        largest = most_bytes(self.document, operation, content[media_type]["schema"], at, schema)
        return Body(media_type, kind, schema, node.get("required", False), largest)

    def content(self, content: Node, media_type: str, pointer: str) -> tuple[str, str]:
        """The Python type of a body, and where its schema stands."""
        at = child(pointer, "content", media_type)
        schema = child(at, "schema")
        return self.type(member(content[media_type], "schema", at), schema), schema

    def response(self, operation: Node, at: str, status: str) -> Response:
        raw: Node = operation["responses"][status]
        here = child(at, "responses", status)
        if not re.fullmatch(r"[2-5][0-9]{2}", status):
            raise Refused(here, "is no status: ranges and `default` are too vague to generate from")
        node, pointer = resolve(self.document, raw, here)
        shared = "$ref" in raw
        name = pointer.rsplit("/", 1)[1] if shared else f"{pascal(operation['operationId'])}{status}"
        checked(name, pointer, CLASSES)
        content: Node = node.get("content", {})
        media_types = tuple(content)
        body = schema = None
        if content and not media_types[0].endswith("json"):
            body = "Text"
        elif content:
            kind, schema = self.content(content, media_types[0], pointer)
            body = f"Streamed[{kind}]" if node.get("x-streamed") else f"{kind} | Json[{kind}]"
        headers, constants = self.headers(node, pointer)
        codes: tuple[str, ...] = ()
        if shared and int(status) >= 400:  # noqa: PLR2004 - RFC 9110
            codes = self.codes(node, pointer, int(status))
        description: str = member(node, "description", pointer)
        return Response(
            name=name,
            status=int(status),
            description=description,
            media_types=media_types,
            body=body,
            schema=schema,
            headers=tuple(headers),
            constants=tuple(constants),
            codes=codes,
            members=self.members(codes),
            pointer=pointer,
        )

    def members(self, codes: tuple[str, ...]) -> tuple[str, ...]:
        """What a problem has beside the members of all: the same, whichever of the codes it is."""
        each = [self.problem_types.get(code, {}).get("members", []) for code in codes]
        return tuple(name for name in (each[0] if each else []) if all(name in others for others in each))

    def headers(self, node: Node, pointer: str) -> tuple[list[Header], list[tuple[str, str]]]:
        """The headers that the handler sets, and those that are always the same. The server's own are left out."""
        headers, constants = [], []
        for name, raw in node.get("headers", {}).items():
            header, at = resolve(self.document, raw, child(pointer, "headers", name))
            if header.get("x-set-by") == "server":
                continue
            schema, _ = resolve(self.document, member(header, "schema", at), at)
            kind = HEADER_TYPES.get(schema.get("type", ""))
            if kind is None:
                raise Refused(at, "is neither a string nor an integer")
            if "const" in schema:
                constants.append((name, str(schema["const"])))
            else:
                headers.append(Header(name, checked(snake(name), at, MEMBERS), kind, header.get("required", False)))
        refuse_doubles((header.argument, child(pointer, "headers", header.name)) for header in headers)
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
            value: Node = member(example, "value", child(at, code))
            if media_type == PROBLEM_MEDIA[1]:
                if value.get("error") != code:
                    raise Refused(child(at, code), "the example is not named by its error")
                continue
            kind = self.problem_types.get(code)
            if kind is None:
                raise Refused(child(at, code), "is no code of x-problems")
            said = {"code": code, "status": status, "title": kind["title"], "type": f"/problems/{code}"}
            more = all(isinstance(value.get(name), int) for name in kind.get("members", []))
            if not said.items() <= value.items() or kind["status"] != status or not more:
                raise Refused(child(at, code), "the example does not say what x-problems says of this code")
        return tuple(examples)


def refuse_unbounded(operation: Operation, at: str) -> None:
    """A bulkhead is always there, or with a parameter of the query that is true or false."""
    flags = [p.argument for p in operation.parameters if p.where == "query" and p.kind == "boolean"]
    if operation.bulkhead not in (None, "always", *flags):
        raise Refused(child(at, "x-bulkhead"), "is neither `always` nor a boolean parameter of the query")
