"""What the engine itself refuses a request for, and which of the answers that an operation declares says so."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

from pydantic_core import from_json, to_json
from typing_extensions import override

from contract import media_types
from contract.problem_bodies import filler_of, members_of
from contract.schemas import Check, Schemas
from contract.types import PROBLEM_JSON, ContractError, Fault, Headers, OAuthProblem, Operation, Problem

Condition: TypeAlias = Literal[
    "path", "header", "query", "body", "malformed", "size", "media_type", "accept", "credentials", "method", "not_found"
]


Write: TypeAlias = Callable[[int, str, Sequence[Fault]], Any]
"""Makes the JSON of a problem of its status, what there is to say, and the places that are wrong."""


class Wanted(NamedTuple):
    """The status that a condition comes to, the codes that say so best, and the body, where no code is declared."""

    status: int
    codes: tuple[str, ...] = ()
    write: Write | None = None


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
OF_PATHS = ("method", "not_found")
"""What no parameter and no body is the reason of."""
UNSUPPORTED = "unsupported_grant_type"
BROKEN = "The request breaks the contract."
SAID = {401: "The request has no credentials that this operation takes.", 404: "There is nothing at this path."}


def usual(status: int, detail: str, errors: Sequence[Fault]) -> dict[str, Any]:
    """A problem of RFC 9457."""
    told: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    told["detail"] = detail
    return told | ({"errors": [fault.document() for fault in errors]} if errors else {})


class OwnProblem(Problem):
    """A problem that the engine writes itself."""

    types: ClassVar = {}

    def __init__(
        self,
        status: int,
        detail: str | None,
        *,
        errors: Sequence[Fault] = (),
        headers: Headers = (),
        form: "Form | None" = None,
    ) -> None:
        super().__init__("", detail, errors=errors, headers=headers)
        self.status = status  # type: ignore[misc]  # here it is told by the request
        self.form = form or USUAL
        self.media_type = self.form.media_type  # type: ignore[misc]  # none where it has no body

    @override
    def content(self, request_id: str, root: str = "") -> bytes:
        if not self.media_type:
            return b""
        told = self.form.write(self.status, self.detail or SAID.get(self.status, BROKEN), self.errors)
        return to_json(told) if self.form.is_json else str(told).encode()


class Form(NamedTuple):
    """What a problem of the engine's own is written as."""

    media_type: str
    write: Write
    is_json: bool = True


USUAL = Form(PROBLEM_JSON, usual)
WORDLESS = Form("", usual)


def choose(declared: Collection[str], condition: Condition, wanted: Wanted) -> str | None:
    """The first that is declared of the status itself, 400, `4XX` and `default`."""
    instead = ("400",) if condition not in OF_PATHS else ()
    return next((key for key in (str(wanted.status), *instead, "4XX", "default") if key in declared), None)


def status_of(key: str, wanted: Wanted) -> int:
    """The status that an answer is sent with, which is declared for this one or for several."""
    return int(key) if key.isdecimal() else wanted.status


class Media(Protocol):
    """A media type of an answer, and its schema."""

    @property
    def media_type(self) -> str: ...
    @property
    def schema(self) -> str | None: ...


def form_of(contents: Sequence[Media], schemas: Schemas, status: int, wanted: Wanted) -> Form | None:
    """How a problem is written in one of the media types of an answer; None where none of them has room for it.

    What the application wants goes before, then a problem of RFC 9457, then what the schema demands.
    """
    if not contents:
        return WORDLESS
    one = next((one for one in contents if media_types.is_json(one.media_type)), contents[0])
    is_json, check = media_types.is_json(one.media_type), None if one.schema is None else schemas[one.schema]
    if not is_json:
        is_text = media_types.parse_media_type(one.media_type).essence.startswith("text/") and fits(
            check, only_detail, status
        )
        return Form(one.media_type, only_detail, is_json=False) if is_text else None
    filler = None if check is None or wanted.write else filler_of(check, status)
    filled = None if filler is None else lambda _status, detail, _errors: filler(detail)
    says_it = filler is not None and filler("one") != filler("another")
    told = [filled, usual] if says_it and not is_problem(one.media_type, check) else [usual, filled]
    writes = [wanted.write] if wanted.write else [write for write in told if write is not None]
    return next((Form(one.media_type, write) for write in writes if fits(check, write, status)), None)


def only_detail(_status: int, detail: str, _errors: Sequence[Fault]) -> str:
    return detail


def is_problem(media_type: str, check: Check | None) -> bool:
    """Whether a body is meant to be a problem of RFC 9457, or nothing is said of it."""
    members = members_of(check, 0).keys() if check is not None else ()
    return (
        media_types.parse_media_type(media_type).essence == PROBLEM_JSON
        or not members
        or {"title", "detail"} <= set(members)
    )


def fits(check: Check | None, write: Write, status: int) -> bool:
    """Whether a schema takes what is written, with and without places that are wrong."""
    written = [write(status, BROKEN, errors) for errors in ((), (Fault("body", "/a", "type", BROKEN),))]
    return check is None or all(check.is_valid(from_json(to_json(value))) for value in written)


Refuse: TypeAlias = Callable[..., Problem]


def refusals_of(
    operation: Operation, schemas: Schemas, conditions: Mapping[Condition, Wanted] = CONDITIONS
) -> dict[Condition, Refuse]:
    """How the operation says each condition. What is called takes the detail, `errors`, and headers by argument.

    Raises ContractError where the answer that it declares has no room for what there is to say.
    """
    problems = {str(problem.status): problem for problem in operation.problems}
    others = {reply.declared_as: reply for reply in operation.replies if reply.declared_as[0] not in "123"}
    met = met_by(operation)
    found: dict[Condition, Refuse] = {}
    for condition, wanted in conditions.items():
        key: str | None = choose(problems.keys() | others.keys(), condition, wanted)
        if key is None:
            found[condition] = partial(own_problem, wanted, wanted.status, own_form(wanted))
        elif key in problems:
            found[condition] = declared_problem(problems[key], wanted)
        else:
            status = status_of(key, wanted)
            form = form_of(others[key].contents, schemas, status, wanted)
            if form is None and condition in met:
                raise ContractError(f"{operation.id} has no room in its {key} for what it has to say of {condition}")
            found[condition] = partial(own_problem, wanted, status, form or USUAL)
    return found


def own_form(wanted: Wanted) -> Form:
    """How a problem is written that no operation declares."""
    return Form("application/json", wanted.write) if wanted.write else USUAL


def met_by(operation: Operation) -> set[str]:
    """What a request of the operation may be refused for."""
    met: set[str] = {"header" if p.where == "cookie" else p.where for p in operation.parameters}
    met |= {"body", "malformed", "size", "media_type"} if operation.body else set()
    return met | ({"credentials"} if operation.security and {} not in operation.security else set())


def own_problem(
    wanted: Wanted, status: int, form: Form, detail: str | None, *, errors: Sequence[Fault] = (), **headers: str
) -> Problem:
    detail = detail or SAID.get(wanted.status)  # whatever the status that it is declared with
    named = tuple((argument.replace("_", "-").title(), value) for argument, value in headers.items())
    return OwnProblem(status, detail, errors=errors, headers=named, form=form)


@cache
def arguments_of(problem: type[Problem]) -> frozenset[str]:
    """What a problem is made of. It is asked for when the problem is: at the start of a server it would take long."""
    return frozenset(inspect.signature(problem).parameters)


def declared_problem(problem: Any, wanted: Wanted) -> Refuse:
    """How a problem of the contract is made: with the code that says best what there is to say."""
    code = next((code for code in wanted.codes if code in problem.codes), problem.codes[0])

    def refuse(detail: str | None, *, errors: Sequence[Fault] = (), **headers: str) -> Problem:
        known = arguments_of(problem)
        taken = {name: value for name, value in headers.items() if name in known}
        made: Problem = problem(code, detail, errors=errors, **taken)
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
