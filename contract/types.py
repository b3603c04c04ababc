"""The words the generated code is written in: operations, parameters, results and problems."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Self, TypeAlias, TypeVar

from pydantic import MISSING, TypeAdapter
from pydantic_core import to_json
from typing_extensions import override

T = TypeVar("T")
Headers: TypeAlias = tuple[tuple[str, str], ...]
EntityTags: TypeAlias = tuple[str, ...]
"""The strong entity tags of `If-Match`, without their quotes: a write needs one of them to be the current one."""
PROBLEM_JSON = "application/problem+json"


class Json(bytes, Generic[T]):
    """A body that is JSON text already, as PostgreSQL built it. Where responses are checked, it must be a `T`."""

    __slots__ = ()


class Streamed(Generic[T]):
    """A body that is JSON text in pieces, made while it is sent. Where responses are checked, the whole must be a `T`.

    What is raised between the pieces cuts the answer: it has begun, so there is no other way to take it back.
    """

    __slots__ = ("pieces",)

    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self.pieces = pieces


class Text(bytes):
    """A body that is not JSON, and its media type with parameters."""

    media_type: str

    def __new__(cls, content: bytes, media_type: str) -> Self:
        text = super().__new__(cls, content)
        text.media_type = media_type
        return text


class Fault(NamedTuple):
    """One place of a request that is wrong, as `components/schemas/Fault` of the contract."""

    where: Literal["body", "query", "header"]
    pointer: str
    code: str
    detail: str

    def document(self) -> dict[str, str]:
        return {"in": self.where, "pointer": self.pointer, "code": self.code, "detail": self.detail}


class ProblemType(NamedTuple):
    """What the contract's `x-problems` says of a code."""

    status: int
    title: str
    description: str


class Result:
    """An answer that an operation declares below 400: its status, media type, body and headers."""

    __slots__ = ()
    status: ClassVar[int]
    media_types: ClassVar[tuple[str, ...]] = ()
    constant_headers: ClassVar[Headers] = ()


class Problem(Exception):  # noqa: N818 - the contract's word, after RFC 9457
    """An answer that an operation declares from 400 on: an RFC 9457 problem document."""

    status: ClassVar[int]
    media_type: ClassVar[str] = PROBLEM_JSON
    constant_headers: ClassVar[Headers] = ()
    codes: ClassVar[tuple[str, ...]] = ()
    """Those it is declared with."""
    types: ClassVar[Mapping[str, ProblemType]]

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        errors: Sequence[Fault] = (),
        headers: Headers = (),
        members: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.members = members
        """Those that the code has beside the others of a problem."""

    def content(self, request_id: str) -> bytes:
        """The body, in UTF-8."""
        kind = self.types[self.code]
        return to_json(
            {
                "type": f"/problems/{self.code}",
                "title": kind.title,
                "status": self.status,
                "detail": self.detail or kind.description,
                "code": self.code,
                "request_id": request_id,
                "errors": [fault.document() for fault in self.errors],
                **self.members,
            }
        )


class OAuthProblem(Problem):
    """An error of RFC 6749, 5.2."""

    media_type: ClassVar[str] = "application/json"

    @override
    def content(self, request_id: str) -> bytes:
        return to_json({"error": self.code, "error_description": self.detail or self.code})


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in path, query or header. `kind` is its JSON type, `schema` where the document has its schema."""

    name: str
    where: Literal["path", "query", "header"]
    argument: str
    kind: str
    type: Any
    schema: str
    required: bool = False
    default: Any = None
    adapter: TypeAdapter[Any] = field(init=False)
    left_out: Any = field(init=False)
    """What the handler is given when the request does not have it: the default, or MISSING."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "adapter", TypeAdapter(self.type))
        default = MISSING if self.default is None else self.adapter.validate_python(self.default)
        object.__setattr__(self, "left_out", default)


@dataclass(frozen=True, slots=True)
class Body:
    """A request body, of so many bytes at most."""

    media_type: str
    type: Any
    schema: str
    required: bool
    largest: int
    adapter: TypeAdapter[Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "adapter", TypeAdapter(self.type))


@dataclass(frozen=True, slots=True)
class Reply:
    """A declared result: its class, the schema of its body and the headers that the handler sets."""

    result: type[Result]
    schema: str | None
    headers: tuple[tuple[str, str], ...] = ()
    """The name of each header and of the result's member that carries it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation of the contract, as the binding needs it."""

    id: str
    tag: str
    name: str
    method: str
    path: str
    roles: tuple[str, ...] | None
    """Who may call; None: anybody."""
    cookie: str | None
    """The cookie that may stand for an access token."""
    local: Literal["accounts", "session"] | None
    """What of the server's own it is about: its accounts, or also the caller's session."""
    rate_class: str
    parameters: tuple[Parameter, ...]
    body: Body | None
    replies: tuple[Reply, ...]
    not_modified: bool
    """Whether 304 is declared."""
    problems: tuple[type[Problem], ...]
    feature: str | None = None
    """What the operator can turn off, and this with it."""
    rate_class_when: Mapping[str, str] = field(default_factory=dict)
    """By members of the body: what a request is also counted as when it changes them."""
    bulkhead: str | None = None
    """With which query parameter it asks much of the database, or `always`."""

    def declares(self, problem: Problem) -> bool:
        """Whether the operation may end in this: its status with its code, whatever the response is called."""
        return any(one.status == problem.status and problem.code in one.codes for one in self.problems)


class ContractError(TypeError):
    """The program does not do what the contract says: a mistake of ours, never of the caller."""
