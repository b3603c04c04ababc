"""Reads the document into what the templates need, and refuses what no code can be generated from."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Literal, TypeAlias

from contract.generator.lowering.annotations import plain_type
from contract.generator.lowering.ir import CALLERS, Body, Content, Operation, Parameter, Response, Tag
from contract.generator.lowering.parameters import IGNORED, parameter_of, refuse_shared_names
from contract.generator.lowering.requests import body_of
from contract.generator.lowering.responses import refuse_unsaid, response_of
from contract.generator.lowering.security import Requirements, read_security, schemes_of
from contract.generator.lowering.servers import servers_of
from contract.generator.names import FUNCTIONS, check_name, pascal, refuse_doubles, snake
from contract.generator.reading.document import Findings, Node, Refused, child, member, resolve
from contract.refusals import CONDITIONS, Condition, Wanted
from contract.routing import Segment, segments_of
from contract.schemas import Schemas
from contract.types import ProblemType

Rule: TypeAlias = Callable[[Node], Iterable[Refused]]
"""What a house wants beside: the places of a document that it refuses."""
Kinds: TypeAlias = Callable[[Node], Mapping[str, ProblemType]]
"""What an application says of the codes of its problems, by code: from there its handlers raise them."""
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
DEFAULT_TAG = "default"
APART = "begin a segment with a word that the other one does not have, or make them one"
NONE: Node = {}


def compare_paths(one: list[Segment], other: list[Segment]) -> Literal["apart", "ordered", "crossing", "ambiguous"]:
    """Which requests match both paths: none, or some, which go to the path that is more literal where they differ."""
    if len(one) != len(other):
        return "apart"
    told = [compare(a, b) for a, b in zip(one, other, strict=True)]
    first = next((each for each in told if each != "alike"), "overlapping")
    if "apart" in told or first == "overlapping":
        return "apart" if "apart" in told else "ambiguous"
    return "crossing" if len({*told} - {"alike"}) > 1 else "ordered"


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


def no_kinds(_document: Node) -> Mapping[str, ProblemType]:
    """The codes of an application that has none of its own: every error is a result."""
    return {}


class Contract:
    """The document, and what datamodel-code-generator named its schemas: `names` by JSON Pointer."""

    def __init__(
        self,
        document: Node,
        names: dict[str, str],
        rules: Sequence[Rule] = (),
        kinds: Kinds = no_kinds,
        conditions: Mapping[Condition, Wanted] = CONDITIONS,
    ) -> None:
        """Raises InvalidContract with every place that is refused."""
        self.document = document
        self.names = names
        self.schemas = Schemas(document)
        self.findings = Findings()
        self.attempt = self.findings.attempt
        self.unusual: list[str] = []
        """What is answered otherwise than usual: operation, condition, and by what."""
        self.problem_types, self.conditions = kinds(document), conditions
        self.extensions = extensions_of(document)
        self.paths: Node = document.get("paths", {})
        info: Node = self.attempt(member, document, "info", "#") or {}
        self.version: str = self.attempt(member, info, "version", "#/info") or ""
        self.title: str = self.attempt(member, info, "title", "#/info") or ""
        self.schemes = self.attempt(schemes_of, document) or {}
        self.statuses = uses_of(document)
        self.house = [refused for rule in rules for refused in rule(document)]
        self.check_paths()
        self.findings.found += self.house if self.findings.found else []
        self.findings.close()
        found = [(path, method) for path, item in self.paths.items() for method in METHODS if method in item]
        made = [self.attempt(self.operation, path, method) for path, method in found]
        self.operations = [operation for operation in made if operation is not None]
        self.findings.found += self.house
        self.findings.close()
        self.attempt(refuse_doubles, [(o.name, o.pointer) for o in self.operations])
        self.attempt(
            lambda: refuse_doubles((check_name(snake(tag.name), tag.pointer), tag.pointer) for tag in self.tags)
        )
        responses = dict.fromkeys(response for o in self.operations for response in o.responses)
        self.attempt(refuse_doubles, [(response.name, response.pointer) for response in responses])
        self.findings.close()

    def check_paths(self) -> None:
        for path in self.paths:
            self.attempt(self.check_path, path)
        self.findings.close()
        for (one, segments), (other, others) in combinations([(p, segments_of(p)) for p in self.paths], 2):
            match compare_paths(segments, others):
                case "ambiguous":
                    self.findings.add(child("#/paths", other), f"matches the same requests as {one}: {APART}")
                case "crossing":
                    told = f"matches requests that {one} matches, too: they go where the first difference is a word"
                    self.unusual.append(f"{child('#/paths', other)}: {told}")

    def check_path(self, path: str) -> None:
        try:
            segments_of(path)
        except ValueError as error:
            raise Refused(child("#/paths", path), f"is no template of paths: {error}") from None

    @cached_property
    def tags(self) -> list[Tag]:
        """The tags that operations have, those first that the document describes."""
        declared: list[Node] = self.document.get("tags", [])
        described: dict[str, tuple[Node, int | None]] = {tag["name"]: (tag, i) for i, tag in enumerate(declared)}
        used = dict.fromkeys(operation.tag for operation in self.operations)
        found = []
        for name in [name for name in described if name in used] + [name for name in used if name not in described]:
            tag, index = described.get(name, (NONE, None))
            operations = [operation for operation in self.operations if operation.tag == name]
            place = operations[0].pointer if index is None else child("#/tags", index)
            found.append(Tag(name, tag.get("description") or f"The operations tagged {name}.", operations, place))
        return found

    @cached_property
    def callers(self) -> list[str]:
        """The type parameters that the handlers of any tag have."""
        return [name for name in CALLERS if any(name in tag.parameters for tag in self.tags)]

    @cached_property
    def bodies(self) -> list[Content]:
        """Every media type of every request."""
        return [content for o in self.operations if o.body for content in o.body.contents]

    @property
    def forms(self) -> list[Content]:
        return [content for content in self.bodies if content.form]

    @property
    def wrapped_contents(self) -> list[Content]:
        return [content for content in self.bodies if content.wrapper]

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
        told = plain_type(self, node, pointer)
        if "dict[" in told:
            raise Refused(
                pointer, "datamodel-code-generator wrote no type for this schema: name it in components/schemas"
            )
        return told

    def operation(self, path: str, method: str) -> Operation | None:
        """The operation; None where something of it is refused."""
        item: Node = self.paths[path]
        node: Node = item[method]
        at = child("#/paths", path, method)
        attempt, before = self.attempt, len(self.findings.found)
        operation_id: str = node.get("operationId") or pascal(f"{method} {path}")
        name = check_name(snake(operation_id), at, FUNCTIONS)  # what stands in the responses is named after it
        security = attempt(read_security, self.document, node, at) or []
        servers = attempt(servers_of, self.document, item, node, path, at) or ("",)
        parameters = attempt(self.parameters, path, method) or ()
        body = attempt(body_of, self, node, at, operation_id) if "requestBody" in node else None
        statuses = attempt(member, node, "responses", at) or {}
        told = [
            attempt(response_of, self, operation_id, raw, child(at, "responses", status), status)
            for status, raw in statuses.items()
        ]
        responses = [response for response in told if response is not None]
        if len(self.findings.found) == before and not self.house:  # which may be why it has no room
            self.unusual += attempt(refuse_unsaid, self, responses, list_refusals(parameters, body, security), at) or []
        if len(self.findings.found) > before:
            return None
        return Operation(
            id=operation_id,
            name=name,
            tag=next(iter(node.get("tags", [])), DEFAULT_TAG),
            method=method.upper(),
            path=path,
            summary=node.get("summary", ""),
            description=node.get("description", ""),
            servers=servers,
            security=tuple({name: tuple(scopes) for name, scopes in one.items()} for one in security),
            extensions=extensions_of(node),
            parameters=parameters,
            body=body,
            responses=tuple(responses),
        )

    def parameters(self, path: str, method: str) -> tuple[Parameter, ...]:
        """Those of the path and those of the operation, which come instead of the former when named alike."""
        raw: dict[tuple[str, str], tuple[Node, str]] = {}
        item = self.paths[path]
        for place, holder in ((("#/paths", path), item), (("#/paths", path, method), item[method])):
            for index, one in enumerate(holder.get("parameters", [])):
                node, pointer = resolve(self.document, one, child(*place, "parameters", index))
                raw[member(node, "in", pointer), member(node, "name", pointer)] = node, pointer
        used = [one for (where, name), one in raw.items() if where != "header" or name.lower() not in IGNORED]
        found = [parameter_of(self, node, pointer) for node, pointer in used]
        refuse_doubles((p.argument, p.schema) for p in found)
        refuse_shared_names(found)
        refuse_other_names(path, [name for where, name in raw if where == "path"], child("#/paths", path, method))
        return tuple(found)


def refuse_other_names(path: str, declared: Sequence[str], at: str) -> None:
    """Raises Refused where the template of a path and the parameters of an operation name different things."""
    named = re.findall(r"\{([^}]*)\}", path)
    if sorted(named) == sorted(declared):
        return
    missing = [name for name in named if name not in declared]
    reason = f"lacks the parameter {' and '.join(missing)} of its path: add it, `in: path`" if missing else ""
    others = [name for name in declared if name not in named]
    reason = (
        reason or f"has the parameter {' and '.join(others)} of the path, which {path} does not name: name it there"
    )
    raise Refused(at, reason if missing or others else f"names a parameter twice in {path}: rename one")


def extensions_of(node: Node) -> Node:
    """What is said of a node for the application to read."""
    return {name: value for name, value in node.items() if name.startswith("x-")}


def list_refusals(parameters: Sequence[Parameter], body: Body | None, security: Requirements) -> set[str]:
    """What the engine may refuse a request of the operation for."""
    where = {"cookie": "header"}
    told = {where.get(p.where, p.where) for p in parameters}
    told |= {"body", "malformed", "size", "media_type"} if body else set()
    return told | ({"credentials"} if security and {} not in security else set())


def uses_of(document: Node) -> dict[str, set[str]]:
    """The statuses for which each shared response stands."""
    found: dict[str, set[str]] = {}
    for item in document.get("paths", {}).values():
        for method in METHODS:
            for status, raw in item.get(method, {}).get("responses", {}).items():
                if isinstance(raw, dict) and "$ref" in raw:
                    found.setdefault(raw["$ref"], set()).add(status)
    return found
