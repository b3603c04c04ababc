"""Docket's own rules for its contract, which the engine knows nothing of. A fork may shorten the list.

.venv/bin/python -m scripts.rules openapi.yaml generated
"""

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from contract.generator.__main__ import main
from contract.generator.lowering.bodies import measure_need
from contract.generator.reading.document import Node, Refused, child, resolve
from contract.media_types import is_json
from contract.parsing import DEEPEST, LARGE_BODY, MOST_VALUES
from contract.schemas import Schemas
from contract.types import ProblemType
from contract.validation import faults
from scripts.contract_parts import body_members, codes, is_open, is_problem, operations, parameters
from scripts.secret_rules import TOKEN, name_scopes, tell_secrets_once

TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 1}
YES = {"const": True}
MAP = {"type": "object", "additionalProperties": TEXT}
PROBLEM: Node = {"type": "object", "required": ["status", "title", "description"]}
PROBLEM["properties"] = {"status": {"type": "integer"}, "title": TEXT, "description": TEXT, "taken": TEXT}
PROBLEM["properties"] |= {"members": {"type": "array", "items": TEXT}}
QUOTA: Node = {"type": "object", "required": ["limit", "window"]}
QUOTA["properties"] = {"limit": COUNT, "window": COUNT, "site": COUNT}
RATE_CLASSES = {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": QUOTA}}
PROBLEMS = {"type": "object", "additionalProperties": PROBLEM}
OF_OPERATIONS: Node = dict.fromkeys(("x-rate-limit", "x-local", "x-feature", "x-bulkhead", "x-waits"), TEXT)
OURS = Schemas(
    {
        "document": {"properties": {"x-problems": PROBLEMS, "x-rate-limits": RATE_CLASSES}},
        "operation": {
            "properties": {
                **OF_OPERATIONS,
                "x-rate-limit-when": MAP,
                "x-signed-in-only": YES,
                "x-before-enrolment": YES,
            }
        },
    }
)
"""The types of what is ours in a document."""
PROBLEM_MEDIA = ("application/problem+json", "application/json")
LOCAL = ("accounts", "session")
OFF = "feature_disabled"
BEARER, COOKIE = "bearer", "cookie"
TAKEN = "an alternative is `bearer`, a cookie, the password flow of OAuth, or another token where calling is optional"
STATUS = "is no status: ranges and `default` are too vague to generate from"
EXAMPLE = "the example does not say what x-problems says of this code"
MOST = f"{LARGE_BODY} bytes, {MOST_VALUES} values or {DEEPEST} levels"
MET = {"path": ("404",), "header": ("400",), "query": ("422",)}
"""What an operation with a parameter there can answer."""
MET_BY_BODIES = ("400", "413", "415")


def say_all(document: Node) -> Iterator[Refused]:
    """An operation has an id, one declared tag, a summary, a description, and an answer that is no problem."""
    tags = [tag.get("name") for tag in document.get("tags", [])]
    yield from (Refused(child("#/tags", i), "has no name") for i, name in enumerate(tags) if not name)
    for operation, _, at in operations(document):
        for name in ("operationId", "summary", "description"):
            if not operation.get(name):
                yield Refused(at, f"has no {name}")
        told = operation.get("tags", [])
        if all(tags) and (len(told) != 1 or told[0] not in tags):
            yield Refused(at, "needs exactly one tag, declared in the document's tags")
        if all(is_problem(status) for status in operation.get("responses", {})):
            yield Refused(child(at, "responses"), "declares problems only")


def hold_to_types(document: Node) -> Iterator[Refused]:
    """What is ours in the document has the members and types that the server reads."""
    places = [("#/document", document, "#"), *(("#/operation", node, at) for node, _, at in operations(document))]
    for schema, node, at in places:
        for fault in faults("body", OURS[schema], node):
            yield Refused(at + fault.pointer, fault.detail[0].lower() + fault.detail[1:])


def count_requests(document: Node) -> Iterator[Refused]:
    """A class of x-rate-limits counts the requests, by address where anybody may call."""
    classes: Node = document.get("x-rate-limits", {})
    for operation, _, at in operations(document):
        named, place = operation.get("x-rate-limit"), child(at, "x-rate-limit")
        if named not in classes:
            yield Refused(place, "names no class of x-rate-limits")
            continue
        if is_open(document, operation) and classes[named] and "ip" not in classes[named]:
            yield Refused(place, "counts no address, where anybody may call")


def count_disclosures(document: Node) -> Iterator[Refused]:
    """An operation that tells that a value of others is taken says how often it does so, by member of its body."""
    classes: Node = document.get("x-rate-limits", {})
    for operation, _, at in operations(document):
        counted, place = operation.get("x-rate-limit-when", {}), child(at, "x-rate-limit-when")
        members = body_members(document, operation)
        for name, rate_class in counted.items():
            if name not in members:
                yield Refused(child(place, name), "is no member of the body")
            elif "user" not in classes.get(rate_class, {}) or rate_class == operation.get("x-rate-limit"):
                yield Refused(child(place, name), "names no other class of x-rate-limits that counts users")
        for code in codes(document, operation):
            taken = document.get("x-problems", {}).get(code, {}).get("taken")
            if taken is not None and taken not in counted:
                yield Refused(at, f"declares {code}, which tells of others: count {taken} in x-rate-limit-when")


def hold_to_security(document: Node) -> Iterator[Refused]:
    """What an operation demands is what the server checks: roles beside `bearer`, or a token where that is optional."""
    schemes: Node = document.get("components", {}).get("securitySchemes", {})
    yield from requirements_refused(document.get("security", []), schemes, "#")
    for operation, _, at in operations(document):
        if "security" in operation:
            yield from requirements_refused(operation["security"], schemes, at)
        security = operation.get("security", document.get("security", []))
        if isinstance(security, list) and not is_open(document, operation):
            roles = [one[BEARER] for one in security if isinstance(one, dict) and one.get(BEARER)]
            if not roles:
                yield Refused(child(at, "security"), "names no role beside `bearer`")


def requirements_refused(security: Any, schemes: Node, at: str) -> Iterator[Refused]:
    """The alternatives that the server would not hold a caller to."""
    alternatives = [one for one in security if isinstance(one, dict)] if isinstance(security, list) else []
    for index, requirement in enumerate(alternatives):
        here = child(at, "security", index)
        if len(requirement) > 1:
            names = " and ".join(requirement)
            yield Refused(here, f"demands {names} at once, of which the server would check one: make them alternatives")
            continue
        for name, scopes in requirement.items():
            if name in schemes and not is_checked(name, schemes[name], scopes, optional={} in alternatives):
                yield Refused(here, f"demands {name}, which the server does not check: {TAKEN}")
    if sum(BEARER in requirement for requirement in alternatives) > 1:
        yield Refused(child(at, "security"), "has `bearer` twice: name all roles at once")


def is_checked(name: str, scheme: Node, scopes: list[str], *, optional: bool) -> bool:
    """Whether the server holds a caller to a scheme, where it stands alone in an alternative."""
    is_token = scheme.get("type") == "http" and str(scheme.get("scheme", "")).lower() == "bearer"
    if name in (BEARER, TOKEN):
        return is_token and not optional  # a handler that anybody may call is not told who does
    if scopes:
        return False
    if scheme.get("type") == "oauth2":
        return list(scheme.get("flows", {})) == ["password"]
    return (scheme.get("type") == "apiKey" and scheme.get("in") == COOKIE) or (is_token and optional)


def name_what_is_ours(document: Node) -> Iterator[Refused]:
    """What an operation says of the server's own exists: a part of it, a switch, a bulkhead, a wait."""
    for operation, item, at in operations(document):
        if operation.get("x-local") not in (None, *LOCAL):
            yield Refused(child(at, "x-local"), f"is none of {', '.join(LOCAL)}")
        if operation.get("x-feature") and OFF not in codes(document, operation):
            yield Refused(child(at, "x-feature"), f"the operation does not declare {OFF}")
        flags = [p["name"] for p in parameters(document, item, operation) if is_of_type(document, p, "boolean")]
        if operation.get("x-bulkhead") not in (None, "always", *flags):
            yield Refused(child(at, "x-bulkhead"), "is neither `always` nor a boolean parameter of the query")
        times = [p["name"] for p in parameters(document, item, operation) if is_of_type(document, p, "integer")]
        if operation.get("x-waits") not in (None, "always", *times):
            yield Refused(child(at, "x-waits"), "is neither `always` nor an integer parameter of the query")


def is_of_type(document: Node, parameter: Node, kind: str) -> bool:
    schema, _ = resolve(document, parameter.get("schema", {}), "#")
    return bool(parameter.get("in") == "query" and schema.get("type") == kind)


def take_one_kind_of_body(document: Node) -> Iterator[Refused]:
    """A request has one kind of body: of several media types, when they are JSON of one shared schema."""
    for operation, _, at in operations(document):
        body, pointer = resolve(document, operation.get("requestBody", {}), child(at, "requestBody"))
        content: Node = body.get("content", {})
        shared = {one.get("schema", {}).get("$ref") for one in content.values()}
        if len(content) > 1 and (len(shared) > 1 or None in shared or not all(map(is_json, content))):
            yield Refused(pointer, "takes more than one kind of body: make an operation of each, or share one schema")


def take_small_bodies(document: Node) -> Iterator[Refused]:
    """A body that is parsed has 1 MiB at most, whatever it holds, and as many values and levels as are read."""
    for operation, _, at in operations(document):
        given, place = operation.get("x-max-body", 0), child(at, "x-max-body")
        body, pointer = resolve(document, operation.get("requestBody", {}), child(at, "requestBody"))
        for media_type, described in body.get("content", {}).items():
            here = child(pointer, "content", media_type, "schema")
            need = measure_need(document, described.get("schema", {}), here, ())
            if need.size > LARGE_BODY or need.values > MOST_VALUES or need.depth > DEEPEST:
                yield Refused(here, f"allows more than {MOST}: bound its texts and lists")
        if isinstance(given, int) and given > LARGE_BODY:
            yield Refused(place, f"is more than {LARGE_BODY}, which is what a body of ours may have")


def declare_problems(document: Node) -> Iterator[Refused]:
    """Errors are shared problems of one status, with an example for each of their codes."""
    for operation, _, at in operations(document):
        for status, raw in operation.get("responses", {}).items():
            here = child(at, "responses", status)
            if not status.isdecimal():
                yield Refused(here, STATUS)
            elif is_problem(status) and "$ref" in raw:
                node, pointer = resolve(document, raw, here)
                yield from problem_refused(document, node, pointer, int(status))


def problem_refused(document: Node, node: Node, pointer: str, status: int) -> Iterator[Refused]:
    """What keeps a shared response from being a problem with codes."""
    content: Node = node.get("content", {})
    media_type = next(iter(content), "")
    examples: Node = content[media_type].get("examples", {}) if content else {}
    at = child(pointer, "content", media_type, "examples")
    if media_type not in PROBLEM_MEDIA or not examples:
        yield Refused(pointer, "a shared response from 400 on needs a problem with an example for each of its codes")
    for code, example in examples.items():
        value: Node = example.get("value") or {}
        kind = document.get("x-problems", {}).get(code)
        if media_type == PROBLEM_MEDIA[1]:
            if value.get("error") != code:
                yield Refused(child(at, code), "the example is not named by its error")
        elif kind is None:
            yield Refused(child(at, code), "is no code of x-problems")
        else:
            said = {"code": code, "status": status, "type": f"/problems/{code}"}
            said |= {"title": kind["title"]} if "title" in kind else {}
            more = all(isinstance(value.get(name), int | str) for name in kind.get("members", []))
            if not said.items() <= value.items() or kind.get("status") != status or not more:
                yield Refused(child(at, code), EXAMPLE)


def declare_what_is_met(document: Node) -> Iterator[Refused]:
    """What reading a request can come to is declared."""
    for operation, item, at in operations(document):
        met = [status for p in parameters(document, item, operation) for status in MET.get(p.get("in", ""), ())]
        met += MET_BY_BODIES if "requestBody" in operation else ()
        declared = operation.get("responses", {})
        vague = [status for status in declared if not re.fullmatch("[2-5][0-9]{2}", status)]
        if missing := [status for status in dict.fromkeys(met) if status not in declared and not vague]:
            yield Refused(child(at, "responses"), f"lacks {', '.join(sorted(missing))}, which a request can come to")


def hold_to_rules(document: Node) -> Iterator[Refused]:
    """What the document breaks of the rules, of which all but the first rely on the types of what is ours."""
    yield from list(hold_to_types(document)) or (refused for rule in RULES for refused in rule(document))


def problem_types_of(document: Node) -> dict[str, ProblemType]:
    """The codes of `x-problems`, where they are what they should be."""
    if any(hold_to_types(document)):
        return {}
    return {
        code: ProblemType(kind["status"], kind["title"], kind["description"], tuple(kind.get("members", ())))
        for code, kind in document.get("x-problems", {}).items()
    }


RULES: tuple[Callable[[Node], Iterator[Refused]], ...] = (
    say_all,
    count_requests,
    count_disclosures,
    hold_to_security,
    name_scopes,
    tell_secrets_once,
    name_what_is_ours,
    take_one_kind_of_body,
    take_small_bodies,
    declare_problems,
    declare_what_is_met,
)
HOUSE = (hold_to_rules,), problem_types_of
"""What the generator is given of ours."""

if __name__ == "__main__":
    sys.exit(main(*HOUSE))
