"""What the templates read: operations, results and problems with the names they get in Python."""

from dataclasses import dataclass, replace
from typing import Any

from contract.generator.reading.document import Node, child
from contract.types import STYLES, Part, Shape

NO_DEFAULT = object()
CALLERS = ("Public_contra", "Optional_contra", "Call_contra")


@dataclass(frozen=True)
class Parameter:
    """A parameter of an operation."""

    name: str
    where: str
    argument: str
    shape: Shape
    type: str
    schema: str
    required: bool
    style: str
    explode: bool
    allow_reserved: bool = False
    media_type: str | None = None
    role: str | None = None
    default: Any = NO_DEFAULT

    @property
    def has_default(self) -> bool:
        return self.default is not NO_DEFAULT

    @property
    def annotation(self) -> str:
        if self.role == "if_match":
            return "EntityTags | MISSING"
        return self.type if self.required or self.has_default else f"{self.type} | MISSING"

    @property
    def more(self) -> list[tuple[str, Any]]:
        """What there is to say of it that is not as usual."""
        told = {"required": self.required or None, "style": self.style if self.style != STYLES[self.where] else None}
        told |= {"explode": self.explode or None, "allow_reserved": self.allow_reserved or None}
        told |= {"media_type": self.media_type, "role": self.role}
        default = [("default", self.default)] if self.has_default else []
        return default + [(name, value) for name, value in told.items() if value is not None]


@dataclass
class FormMember:
    """A member of a form, how it is read, and what it is in Python."""

    name: str
    schema: str
    part: Part
    type: str
    shape: Shape | None
    required: bool = False

    @property
    def annotation(self) -> str:
        return self.type if self.required else f"{self.type} | MISSING = MISSING"


@dataclass(frozen=True)
class Content:
    """A media type of a request body. `form` is the class of a form with files, `wrapper` what tells it from others."""

    media_type: str
    kind: str
    type: str
    schema: str | None
    members: tuple[FormMember, ...] = ()
    form: str | None = None
    item: str | None = None
    wrapper: str | None = None

    def within(self, wrapper: str) -> "Content":
        return replace(self, wrapper=wrapper)


@dataclass(frozen=True)
class Body:
    """The request body of an operation."""

    contents: tuple[Content, ...]
    required: bool
    largest: int

    @property
    def type(self) -> str:
        return " | ".join(dict.fromkeys(content.wrapper or content.type for content in self.contents))


@dataclass(frozen=True)
class Header:
    """A response header that the handler sets."""

    name: str
    argument: str
    type: str
    required: bool
    schema: str
    explode: bool
    is_json: bool

    @property
    def more(self) -> list[tuple[str, bool]]:
        told = {"required": self.required, "explode": self.explode, "is_json": self.is_json}
        return [(name, value) for name, value in told.items() if value]


@dataclass(frozen=True)
class Representation:
    """A media type of an answer, and what a body of it is in Python."""

    media_type: str
    type: str
    schema: str | None
    item: str | None = None
    is_json: bool = False
    model: str = "None"


@dataclass(frozen=True)
class Response:
    """A response: a problem when it has codes, as the shared ones from 400 on may have, otherwise a result.

    `declared` is `4XX` or `default` where it is for several statuses, and then the status is 0.
    """

    name: str
    status: int
    declared: str
    description: str
    contents: tuple[Representation, ...]
    schema: str | None
    headers: tuple[Header, ...]
    constants: tuple[tuple[str, str], ...]
    codes: tuple[str, ...]
    members: tuple[tuple[str, bool], ...]
    """Integers and texts that a problem has beside the others, and whether it has them with each of its codes."""
    pointer: str

    @property
    def media_types(self) -> tuple[str, ...]:
        return tuple(content.media_type for content in self.contents)

    @property
    def media_type(self) -> str:
        return self.media_types[0]

    @property
    def body(self) -> str | None:
        """What its body may be."""
        return " | ".join(dict.fromkeys(content.type for content in self.contents)) or None


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
    servers: tuple[str, ...]
    security: tuple[dict[str, tuple[str, ...]], ...]
    extensions: Node
    parameters: tuple[Parameter, ...]
    body: Body | None
    responses: tuple[Response, ...]

    @property
    def pointer(self) -> str:
        return child("#/paths", self.path, self.method.lower())

    @property
    def arguments(self) -> list[Parameter]:
        """What the handler gets: `If-None-Match` and `Idempotency-Key` are not its affair."""
        return [p for p in self.parameters if p.role in (None, "if_match")]

    @property
    def results(self) -> list[Response]:
        return [r for r in self.responses if not r.codes and r.status != 304]  # noqa: PLR2004 - RFC 9110

    @property
    def problems(self) -> list[Response]:
        return [r for r in self.responses if r.codes]

    @property
    def caller(self) -> str:
        """The type parameter of the handler's call: who calls is told, may be told, or is not."""
        if not any(self.security):
            return "Public_contra"
        return "Optional_contra" if {} in self.security else "Call_contra"

    @property
    def not_modified(self) -> bool:
        return any(r.status == 304 for r in self.responses)  # noqa: PLR2004 - RFC 9110


@dataclass(frozen=True)
class Tag:
    """A tag: one Protocol, one module of handlers."""

    name: str
    description: str
    operations: list[Operation]
    pointer: str

    @property
    def parameters(self) -> list[str]:
        """The type parameters of the Protocol: operations that anybody may call and the others take different calls."""
        used = {o.caller for o in self.operations}
        return [name for name in CALLERS if name in used]
