"""The words the generated code is written in: operations, parameters, results and problems."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import IO, Any, ClassVar, Generic, Literal, NamedTuple, Self, TypeAlias, TypeVar

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


@dataclass(slots=True)
class Received(Generic[T]):
    """A body of one media type, where an operation takes several."""

    content: T


class File:
    """What was uploaded: it lies in memory or, when it is large, on the disk, until the handler has returned."""

    __slots__ = ("content", "media_type", "name", "size")

    def __init__(self, content: IO[bytes], size: int, media_type: str, name: str | None = None) -> None:
        self.content, self.size, self.media_type, self.name = content, size, media_type, name

    def read(self) -> bytes:
        """All of it."""
        self.content.seek(0)
        return self.content.read()


@dataclass(slots=True, kw_only=True)
class Event(Generic[T]):
    """An event of `text/event-stream`: its data, if it has some, and what else its lines say."""

    data: T | Json[T] | MISSING = MISSING
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    comment: str | None = None
    """What readers pass over: it keeps the connection alive."""


class Fault(NamedTuple):
    """One place of a request that is wrong, as `components/schemas/Fault` of the contract."""

    where: Literal["body", "query", "header"]
    pointer: str
    code: str
    detail: str
    limit: float | None = None
    """The bound that the value breaks, where it is one."""
    allowed: tuple[str, ...] | None = None
    """The values, types or format that there may be, where these are told."""

    def document(self) -> dict[str, Any]:
        told = {"in": self.where, "pointer": self.pointer, "code": self.code, "detail": self.detail}
        more = {"limit": self.limit, "allowed": self.allowed}
        return told | {name: value for name, value in more.items() if value is not None}


class ProblemType(NamedTuple):
    """What the application says of a code of its problems."""

    status: int
    title: str
    description: str
    members: tuple[str, ...] = ()
    """Integers that it has beside what every problem has."""


class Result:
    """An answer that an operation declares below 400: its status, media type, body and headers."""

    __slots__ = ()
    status: ClassVar[int]
    declared: ClassVar[str] = ""
    """Where it stands among the responses, if that is no status of its own: `4XX` or `default`."""
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
        members: Mapping[str, int | str] = MappingProxyType({}),
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.members = members
        """Those that the code has beside the others of a problem."""

    def content(self, request_id: str, root: str = "") -> bytes:
        """The body, in UTF-8. `root` is what stands before all paths of this server."""
        kind = self.types[self.code]
        return to_json(
            {
                "type": f"{root}/problems/{self.code}",
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
    def content(self, request_id: str, root: str = "") -> bytes:
        return to_json({"error": self.code, "error_description": self.detail or self.code})


class Scalar(NamedTuple):
    """What is one text: its JSON types, those that fewer texts fit before others, and where its schema stands."""

    kinds: tuple[str, ...]
    schema: str


class Array(NamedTuple):
    """A list of texts, or one text that is no list."""

    items: Scalar
    alone: Scalar | None = None
    """What one text is, unless it is an item."""


class Members(NamedTuple):
    """An object of texts. An open one takes names that it does not know, as what `others` is."""

    known: Mapping[str, Scalar]
    others: Scalar | None = None


Shape: TypeAlias = Scalar | Array | Members
STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
"""The style of a parameter that names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter: what its texts stand for, how its style writes them, and where the document has its schema."""

    name: str
    where: Literal["path", "query", "header", "cookie"]
    argument: str
    shape: Shape
    type: Any
    schema: str
    required: bool = False
    default: Any = MISSING
    style: str = ""
    explode: bool = False
    allow_reserved: bool = False
    media_type: str | None = None
    """Of one that is a whole document: its media type."""
    role: Literal["if_match", "if_none_match", "idempotency_key"] | None = None
    """What the engine itself makes of it."""
    adapter: TypeAdapter[Any] = field(init=False)
    left_out: Any = field(init=False)
    """What the handler is given when the request does not have it: the default, or MISSING."""

    def __post_init__(self) -> None:
        style = self.style or STYLES[self.where]
        object.__setattr__(self, "style", style)
        object.__setattr__(self, "adapter", TypeAdapter(self.type))
        default = MISSING if self.default is MISSING else self.adapter.validate_python(self.default)
        object.__setattr__(self, "left_out", default)


class Part(NamedTuple):
    """A member of a form: a file, one text or several, or a JSON document; of a file the media types it may have."""

    kind: Literal["file", "text", "json"]
    argument: str
    scalar: Scalar | None = None
    is_list: bool = False
    alone: Scalar | None = None
    media_types: tuple[str, ...] = ()
    type: Any = None
    """What it is in Python, in a form with files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A body of one media type. `kind` is how it is read."""

    media_type: str
    kind: Literal["json", "form", "multipart", "text", "file", "lines"]
    type: Any
    schema: str | None
    wrapper: "type[Received[Any]] | None" = None
    """What tells it from the bodies of other media types."""
    parts: Mapping[str, Part] = field(default_factory=dict)
    """Of a form: its members."""
    item: str | None = None
    """Of lines: the schema of each."""
    adapter: TypeAdapter[Any] = field(init=False)
    adapters: Mapping[str, TypeAdapter[Any]] = field(init=False)

    def __post_init__(self) -> None:
        is_stored = self.kind in ("file", "multipart")
        object.__setattr__(self, "adapter", TypeAdapter(Any if is_stored else self.type))
        told = {name: TypeAdapter(part.type) for name, part in self.parts.items() if part.type is not None}
        object.__setattr__(self, "adapters", told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request body, of so many bytes at most."""

    contents: tuple[Content, ...]
    required: bool
    largest: int


class SetHeader(NamedTuple):
    """A header of an answer, the member of the result that carries its value, and how that is written."""

    name: str
    member: str
    schema: str
    required: bool = False
    explode: bool = False
    is_json: bool = False


class Representation(NamedTuple):
    """A media type that an answer may have: the type of its body, its schema, or that of each item of a stream."""

    media_type: str
    type: Any
    schema: str | None
    item: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A declared result: its class, the schema of its JSON, the headers that the handler sets, its media types."""

    result: type[Result]
    schema: str | None
    headers: tuple[SetHeader, ...] = ()
    contents: tuple[Representation, ...] = ()

    @property
    def declared_as(self) -> str:
        """Where it stands among the responses: `200`, `4XX`, `default`."""
        return self.result.declared or str(self.result.status)


class Scheme(NamedTuple):
    """A security scheme of the contract: `kind` as its `type` there, and `detail`, what makes one of that kind."""

    kind: str
    detail: str = ""
    where: str = ""


Requirement: TypeAlias = Mapping[str, tuple[str, ...]]
"""What a caller must prove at once: by scheme the scopes or roles it needs. An empty one needs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation of the contract, as the binding needs it."""

    id: str
    tag: str
    name: str
    method: str
    path: str
    servers: tuple[str, ...] = ("",)
    """The beginnings of its paths, as templates."""
    security: tuple[Requirement, ...] = ()
    """Of which a caller must meet one; none: anybody may call."""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    replies: tuple[Reply, ...] = ()
    not_modified: bool = False
    """Whether 304 is declared."""
    problems: tuple[type[Problem], ...] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict)
    """Its `x-` members, which are for the application."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the handler is given by keyword."""
        named = [p.argument for p in self.parameters if p.role in (None, "if_match")]
        return (*named, "body") if self.body else tuple(named)

    def declares(self, problem: Problem) -> bool:
        """Whether the operation may end in this: its status with its code, whatever the response is called."""
        return any(one.status == problem.status and problem.code in one.codes for one in self.problems)


class ContractError(TypeError):
    """The program does not do what the contract says: a mistake of ours, never of the caller."""
