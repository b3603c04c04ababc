"""What the engine itself refuses a request for, and which of the answers that an operation declares says so."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from pydantic_core import from_json, to_json
from typing_extensions import override

from contract.schemas import Check, Schemas
from contract.types import PROBLEM_JSON, ContractError, Fault, Headers, OAuthProblem, Operation, Problem

Condition: TypeAlias = Literal[
    "path", "header", "query", "body", "malformed", "size", "media_type", "accept", "credentials", "method", "not_found"
]


class Wanted(NamedTuple):
    """The status that a condition comes to, and the codes that say so best."""

    status: int
    codes: tuple[str, ...] = ()


INVALID = ("validation_error", "invalid_request", "malformed_request")
CONDITIONS: Mapping[Condition, Wanted] = MappingProxyType(
    {
        "path": Wanted(404, ("not_found",)),
        "header": Wanted(400, ("invalid_header", *INVALID)),
        "query": Wanted(422, INVALID),
        "body": Wanted(422, INVALID),
        "malformed": Wanted(400, ("malformed_request", *INVALID)),
        "size": Wanted(413, ("content_too_large",)),
        "media_type": Wanted(415, ("unsupported_media_type",)),
        "accept": Wanted(406, ("not_acceptable",)),
        "credentials": Wanted(401, ("authentication_required",)),
        "method": Wanted(405, ("method_not_allowed",)),
        "not_found": Wanted(404, ("not_found",)),
    }
)
"""The usual answer to each condition; an application may want another."""
UNSUPPORTED = "unsupported_grant_type"
BROKEN = "The request breaks the contract."
SAID = {401: "The request has no credentials that this operation takes.", 404: "There is nothing at this path."}


class OwnProblem(Problem):
    """A problem that the engine writes itself (RFC 9457)."""

    types: ClassVar = {}

    def __init__(
        self,
        status: int,
        detail: str | None,
        *,
        errors: Sequence[Fault] = (),
        headers: Headers = (),
        media_type: str = PROBLEM_JSON,
    ) -> None:
        super().__init__("", detail, errors=errors, headers=headers)
        self.status = status  # type: ignore[misc]  # here it is told by the request
        self.media_type = media_type  # type: ignore[misc]  # none where it has no body

    @override
    def content(self, request_id: str) -> bytes:
        if not self.media_type:
            return b""
        phrase = HTTPStatus(self.status).phrase
        told: dict[str, Any] = {"type": "about:blank", "title": phrase, "status": self.status}
        told["detail"] = self.detail or SAID.get(self.status, BROKEN)
        return to_json(told | ({"errors": [fault.document() for fault in self.errors]} if self.errors else {}))


def choose(declared: Collection[str], wanted: Wanted) -> str | None:
    """The first that is declared of the status itself, 400, `4XX` and `default`."""
    return next((key for key in (str(wanted.status), "400", "4XX", "default") if key in declared), None)


def status_of(key: str, wanted: Wanted) -> int:
    """The status that an answer is sent with, which is declared for this one or for several."""
    return int(key) if key.isdecimal() else wanted.status


def fits(check: Check, status: int) -> bool:
    """Whether a schema takes what the engine writes of its own."""
    fault = Fault("body", "/a", "type", BROKEN)
    written = [OwnProblem(status, BROKEN), OwnProblem(status, BROKEN, errors=[fault])]
    return all(check.is_valid(from_json(problem.content(""))) for problem in written)


Refuse: TypeAlias = Callable[..., Problem]


def refusals_of(
    operation: Operation, schemas: Schemas, conditions: Mapping[Condition, Wanted] = CONDITIONS
) -> dict[Condition, Refuse]:
    """How the operation says each condition. What is called takes the detail, `errors`, and headers by argument.

    Raises ContractError where the answer that it declares has no room for what there is to say.
    """
    problems = {str(problem.status): problem for problem in operation.problems}
    others = {reply.declared: reply for reply in operation.replies if reply.declared[0] not in "123"}
    met = met_by(operation)
    found: dict[Condition, Refuse] = {}
    for condition, wanted in conditions.items():
        key: str | None = choose(problems.keys() | others.keys(), wanted)
        if key is None:
            found[condition] = partial(own_problem, wanted.status, PROBLEM_JSON)
        elif key in problems:
            found[condition] = declared_problem(problems[key], wanted)
        else:
            reply, status = others[key], status_of(key, wanted)
            if condition in met and reply.schema is not None and not fits(schemas[reply.schema], status):
                raise ContractError(f"the {key} of {operation.id} has no room for a problem of RFC 9457")
            found[condition] = partial(own_problem, status, next(iter(reply.result.media_types), ""))
    return found


def met_by(operation: Operation) -> set[str]:
    """What a request of the operation may be refused for."""
    met: set[str] = {"header" if p.where == "cookie" else p.where for p in operation.parameters}
    met |= {"body", "malformed", "size", "media_type"} if operation.body else set()
    return met | ({"credentials"} if operation.security and {} not in operation.security else set())


def own_problem(
    status: int, media_type: str, detail: str | None, *, errors: Sequence[Fault] = (), **headers: str
) -> Problem:
    named = tuple((argument.replace("_", "-").title(), value) for argument, value in headers.items())
    return OwnProblem(status, detail, errors=errors, headers=named, media_type=media_type)


def declared_problem(problem: Any, wanted: Wanted) -> Refuse:
    """How a problem of the contract is made: with the code that says best what there is to say."""
    code = next((code for code in wanted.codes if code in problem.codes), problem.codes[0])
    known = inspect.signature(problem).parameters

    def refuse(detail: str | None, *, errors: Sequence[Fault] = (), **headers: str) -> Problem:
        made: Problem = problem(
            code, detail, errors=errors, **{name: value for name, value in headers.items() if name in known}
        )
        return made

    def refuse_once(detail: str | None, *, errors: Sequence[Fault] = (), **_headers: str) -> Problem:
        """RFC 6749, 5.2: one error for the whole request."""
        if not errors:
            return refuse(detail)
        first = errors[0]
        special = (first.pointer, first.code) == ("/grant_type", "enum") and UNSUPPORTED in problem.codes
        made: Problem = problem(UNSUPPORTED if special else code, f"{first.pointer.removeprefix('/')}: {first.detail}")
        return made

    return refuse_once if issubclass(problem, OAuthProblem) else refuse
