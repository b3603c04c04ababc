"""What the templates read: operations, results and problems with the names they get in Python."""

from dataclasses import dataclass
from typing import Any

from contract.generator.document import child


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
    largest: int


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
    members: tuple[str, ...]
    """Integers that a problem has beside the others, whichever of its codes it is."""
    pointer: str

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
    cookie: str | None
    local: str | None
    feature: str | None
    rate_class: str
    rate_class_when: dict[str, str]
    bulkhead: str | None
    parameters: tuple[Parameter, ...]
    body: Body | None
    responses: tuple[Response, ...]

    @property
    def pointer(self) -> str:
        return child("#/paths", self.path, self.method.lower())

    @property
    def arguments(self) -> list[Parameter]:
        """What the handler gets: `If-None-Match` and `Idempotency-Key` are not its affair."""
        return [p for p in self.parameters if p.name not in ("If-None-Match", "Idempotency-Key")]

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
    pointer: str

    @property
    def parameters(self) -> list[str]:
        """The type parameters of the Protocol: public operations and the others take different calls."""
        public = any(o.roles is None for o in self.operations)
        signed_in = any(o.roles is not None for o in self.operations)
        return ["Public_contra"] * public + ["Call_contra"] * signed_in
