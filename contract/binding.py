"""Binds operations to handlers: finds the operation of a request, reads it, has it answered, writes the answer."""

import inspect
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from difflib import get_close_matches
from types import UnionType
from typing import Any, NamedTuple, Protocol, TypeAlias, Union, get_args, get_origin, get_type_hints

from pydantic import MISSING, BaseModel
from pydantic_core import from_json, to_json

from contract import validation
from contract.conditional_requests import is_named
from contract.directions import directed
from contract.exchange import Exchange
from contract.request_decoding import Reader
from contract.routing import Routes
from contract.schemas import Schemas
from contract.types import ContractError, Headers, Json, Operation, Problem, Result, Streamed, Text

Handler: TypeAlias = Callable[..., Awaitable[Result]]
OWN = {"if_none_match", "idempotency_key"}
"""Arguments that no handler gets."""
Page: TypeAlias = Callable[[Any], bytes]
LARGEST_CHECKED = 1024 * 1024  # bytes of a streamed body, which is not streamed to be held in memory here


class Answer(NamedTuple):
    """What is sent: the status, the headers that this answer has of its own, and the body."""

    status: int
    headers: Headers
    body: bytes | Streamed[Any]


class Server(Protocol):
    """What the binding leaves to the server: who calls, how often, with what, and what lies outside the contract."""

    async def identify(self, exchange: Exchange, /) -> None:
        """Tell whose access token the request bears, or why it is no good."""

    async def admit(self, exchange: Exchange, /) -> None:
        """Count the request. Raises the problem for one too many."""

    async def permit(self, exchange: Exchange, /) -> None:
        """Ask, before its body is read, whether the caller may send one. Raises the problem for one who may not."""

    async def admit_body(self, exchange: Exchange, body: Any, /) -> None:
        """Count the request by what its body says. Raises the problem for one too many."""

    async def call(self, exchange: Exchange, handler: Handler, arguments: Mapping[str, Any], /) -> Result:
        """Run the handler of `exchange.operation`."""

    def not_found(self) -> Problem:
        """The problem for a path that the contract does not have."""

    def method_not_allowed(self, allow: str, /) -> Problem:
        """The problem for a method that a path does not have."""

    def refused(self, exchange: Exchange, /) -> Problem | None:
        """Why the request may not go on for want of credentials, or for what they are."""

    def mismatched(self, operation: Operation, error: ContractError, /) -> None:
        """Told of a body that breaks its schema. Raises the error where the body shall not be sent."""


class Endpoint:
    """An operation, its handler and its reader."""

    def __init__(
        self,
        operation: Operation,
        handler: Handler,
        schemas: tuple[Schemas, Schemas],
        server: Server,
        page: Page | None,
    ) -> None:
        self.operation, self.handler, self.server, self.page = operation, handler, server, page
        requests, self.schemas = schemas
        self.reader = Reader(operation, requests)
        self.replies = {reply.result: reply for reply in operation.replies}
        self.bodies = {reply.result: reply.schema for reply in operation.replies if reply.schema is not None}

    def written(self, result: Result, exchange: Exchange, if_none_match: str | MISSING, *, check: bool) -> Answer:
        """The answer for a result. Raises ContractError when the operation does not declare it."""
        kind = type(result)
        reply = self.replies.get(kind)
        if reply is None:
            raise ContractError(f"{self.operation.id} answered {kind.__name__}, which the contract does not declare")
        headers = list(kind.constant_headers)
        for name, member in reply.headers:
            value = getattr(result, member)
            if value is None:
                continue
            if name == "ETag" and if_none_match is not MISSING and is_named(value, if_none_match):
                return Answer(304, (*kind.constant_headers, ("ETag", value)), b"")
            headers.append((name, str(value)))
        if not kind.media_types:
            return Answer(kind.status, tuple(headers), b"")
        content: Any = result.body  # type: ignore[attr-defined]  # every result with a media type has one
        if isinstance(content, Text):
            headers += [("Content-Type", content.media_type), ("Vary", "Accept")]
            return Answer(kind.status, tuple(headers), content)
        if self.page is not None:
            headers.append(("Vary", "Accept"))
        if self.page is not None and prefers_html(exchange.header("accept")):
            headers.append(("Content-Type", "text/html; charset=utf-8"))
            return Answer(kind.status, tuple(headers), self.page(content))
        headers.append(("Content-Type", kind.media_types[0]))
        return Answer(kind.status, tuple(headers), self.body(kind, content, check=check))

    def body(self, kind: type[Result], content: Any, *, check: bool) -> bytes | Streamed[Any]:
        """The content as JSON text."""
        if isinstance(content, Streamed):
            return Streamed(self.checked(kind, content.pieces)) if check else content
        text = text_of(content)
        if check:
            self.check(kind, text)
        return text

    async def checked(self, kind: type[Result], pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The pieces; the whole of them is checked at the end, unless it is too large to be held."""
        whole = bytearray()
        async with aclosing(pieces):
            async for piece in pieces:
                if len(whole) <= LARGEST_CHECKED:
                    whole += piece
                yield piece
        if len(whole) <= LARGEST_CHECKED:
            self.check(kind, bytes(whole))

    def check(self, kind: type[Result], body: bytes) -> None:
        """Tell the server of a body that breaks its schema."""
        wrong = validation.faults("body", self.schemas[self.bodies[kind]], from_json(body))
        if wrong:
            places = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in wrong)
            error = ContractError(f"the body of {self.operation.id} {kind.status} breaks its schema: {places}")
            self.server.mismatched(self.operation, error)


class Binding:
    """All operations. `handlers` has a member for each tag; `pages` make HTML of bodies, by operation.

    `check_rate` is the share of bodies that are checked against their schema. Raises ContractError when a handler is
    missing or cannot be what its operation needs.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        handlers: object,
        document: dict[str, Any],
        server: Server,
        *,
        pages: Mapping[str, Page],
        check_rate: float,
    ) -> None:
        schemas = Schemas(directed(document, "request")), Schemas(directed(document, "answer"))
        self.server = server
        self.check_rate = check_rate
        self.routes: Routes[Endpoint] = Routes()
        for operation in operations:
            handler = handler_of(operation, handlers)
            endpoint = Endpoint(operation, handler, schemas, server, pages.get(operation.id))
            self.routes.add(operation.method, operation.path, endpoint)

    async def answer(self, exchange: Exchange) -> Answer:
        """The answer to a request. Raises the problem that it comes to, and ContractError."""
        methods, segments = self.routes.find(exchange.path)
        method = "GET" if exchange.method == "HEAD" else exchange.method
        endpoint = methods.get(method) if methods else None
        if endpoint is not None:
            exchange.operation = endpoint.operation
        await self.server.identify(exchange)
        await self.server.admit(exchange)
        if methods is None:
            raise self.server.not_found()
        if endpoint is None:
            if method == "OPTIONS":
                return Answer(204, (("Allow", allowed(methods)),), b"")
            raise self.server.method_not_allowed(allowed(methods))
        return await self.answer_by(endpoint, exchange, segments)

    async def answer_by(self, endpoint: Endpoint, exchange: Exchange, segments: Mapping[str, str]) -> Answer:
        operation = endpoint.operation
        try:
            arguments = await self.arguments_of(endpoint, exchange, segments)
            if_none_match = arguments.pop("if_none_match", MISSING)
            exchange.idempotency_key = arguments.pop("idempotency_key", MISSING)
            result = await self.server.call(exchange, endpoint.handler, arguments)
        except Problem as problem:
            if not operation.declares(problem):
                raise ContractError(
                    f"{operation.id} raised {type(problem).__name__}, which the contract does not declare"
                ) from problem
            raise
        check = self.check_rate > 0 and random.random() < self.check_rate  # noqa: S311 - a sample, no secret
        return endpoint.written(result, exchange, if_none_match, check=check)

    async def arguments_of(self, endpoint: Endpoint, exchange: Exchange, segments: Mapping[str, str]) -> dict[str, Any]:
        """What the request says. One with a body is counted by that, too."""
        if refusal := self.server.refused(exchange):
            raise refusal
        if endpoint.operation.body is None:
            return await endpoint.reader.read(exchange, segments)
        await self.server.permit(exchange)
        arguments = await endpoint.reader.read(exchange, segments)
        await self.server.admit_body(exchange, arguments["body"])
        return arguments


def allowed(methods: Mapping[str, object]) -> str:
    """The value of `Allow`."""
    implied = {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    return ", ".join(sorted(methods.keys() | implied))


def text_of(content: BaseModel | bytes) -> bytes:
    """The body as JSON text; what PostgreSQL wrote is JSON already."""
    return content if isinstance(content, Json) else to_json(content)


def prefers_html(accept: str | None) -> bool:
    """Whether `Accept` gives HTML more weight than JSON, as browsers do (RFC 9110, 12.5.1)."""
    weights: dict[str, float] = {}
    for item in (accept or "").lower().split(","):
        media_type, *parameters = [part.strip() for part in item.split(";")]
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        weights[media_type] = float(quality) if quality.replace(".", "", 1).isdecimal() else 0
    anything = weights.get("*/*", 0.0)
    json = max(weights.get(kind, 0.0) for kind in ("application/json", "application/*", "application/problem+json"))
    return weights.get("text/html", weights.get("text/*", 0.0)) > max(anything, json)


def handler_of(operation: Operation, handlers: object) -> Handler:
    """The handler of an operation. Raises ContractError when it is missing or cannot be what the operation needs."""
    module = getattr(handlers, operation.tag)
    where = f"{getattr(module, '__name__', operation.tag)}.{operation.name}"
    handler: Any = getattr(module, operation.name, None)
    if handler is None:
        close = get_close_matches(operation.name, dir(module), n=1, cutoff=0.8)
        hint = f"; did you mean {operation.name} where it says {close[0]}?" if close else ""
        raise ContractError(f"{where} is missing: the contract has the operation {operation.id}{hint}")
    if not inspect.iscoroutinefunction(handler):
        raise ContractError(f"{where} is no coroutine function")
    wanted = {p.argument for p in operation.parameters} - OWN | ({"body"} if operation.body else set())
    found = inspect.signature(handler).parameters.values()
    names = {p.name for p in found if p.kind is p.KEYWORD_ONLY}
    calls = [p for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if names != wanted or len(calls) != 1 or len(found) != len(names) + 1:
        gives = f"a call and, by keyword, {sorted(wanted)}"
        raise ContractError(f"{where} takes {[p.name for p in found]}, but the contract gives {gives}")
    declared = {reply.result for reply in operation.replies}
    for result in results(get_type_hints(handler).get("return")):
        if result not in declared:
            name = getattr(result, "__name__", result)
            raise ContractError(f"{where} answers {name}, which the contract does not declare for {operation.id}")
    checked: Handler = handler
    return checked


def results(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the one type that it is."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
