"""Binds operations to handlers: finds the operation of a request, reads it, has it answered, writes the answer."""

import inspect
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType, UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from pydantic import MISSING

from contract import media_types
from contract.authorization import Authenticator, Guard, keys_of
from contract.directions import document_for
from contract.exchange import Exchange
from contract.refusals import CONDITIONS, Condition, OwnProblem, Wanted, own_form, own_problem
from contract.request_decoding import Reader
from contract.response_encoding import Answer, Page, Writer
from contract.routing import Routes
from contract.schemas import Schemas
from contract.servers import bases_of
from contract.types import ContractError, Operation, Problem, Result, Scheme

Handler: TypeAlias = Callable[..., Awaitable[Result]]
OWN = ("if_none_match", "idempotency_key")
"""The roles of parameters that no handler gets."""
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Server:
    """What the binding leaves to the server: who calls, how often, with what. So it leaves all open."""

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
        return await handler(exchange, **arguments)

    def not_found(self) -> Problem | None:
        """The problem for a path that the contract does not have; None: as the conditions say it."""

    def method_not_allowed(self, allow: str, /) -> Problem | None:
        """The problem for a method that a path does not have; None: as the conditions and its operations say it."""

    def judge_credentials(self, exchange: Exchange, /) -> Problem | None:
        """Why the request may not go on for want of credentials, or for what they are."""

    def report_mismatch(self, operation: Operation, error: ContractError, /) -> None:  # noqa: ARG002 - for those who count
        """Told of a body that breaks its schema. Raises the error where the body shall not be sent."""
        raise error


class Endpoint:
    """An operation, its handler, and what holds callers to it, reads requests and writes answers."""

    def __init__(self, operation: Operation, handler: Handler, reader: Reader, guard: Guard, writer: Writer) -> None:
        self.operation, self.handler, self.reader, self.writer = operation, handler, reader, writer
        self.guard = guard if guard.alternatives else None
        self.own = {p.role: p.argument for p in operation.parameters if p.role in OWN}

    def negotiate(self, exchange: Exchange) -> None:
        """Choose by `Accept` among the media types of the answer. Raises the problem where it wants none of them."""
        wanted = media_types.select_media_type(exchange.header("accept"), self.writer.offered)
        if wanted is None and self.writer.is_strict:
            raise self.reader.refuse["accept"](f"This operation answers {', '.join(self.writer.offered)}.")
        exchange.media_type = wanted or self.writer.offered[0]


class Binding:
    """All operations. `handlers` has a member for each tag; `pages` make HTML of bodies, by operation.

    `check_rate` is the share of bodies that are checked against their schema. `authenticators` tell who calls, by
    scheme. `conditions` say what is wanted where a request is refused, `base` where this server stands among those of
    the contract, `read_only` what becomes of members that are not for requests. Raises ContractError when a handler is
    missing or cannot be what its operation needs, or a scheme has no authenticator.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        handlers: object,
        document: dict[str, Any],
        server: Server,
        *,
        pages: Mapping[str, Page] = NOTHING,
        check_rate: float = 0,
        authenticators: Mapping[str, Authenticator] = NOTHING,
        schemes: Mapping[str, Scheme] = NOTHING,
        conditions: Mapping[Condition, Wanted] = CONDITIONS,
        base: str | None = None,
        read_only: Literal["refused", "ignored"] = "refused",
    ) -> None:
        missed = conditions["not_found"]
        self.not_found = partial(own_problem, missed, missed.status, own_form(missed))
        ignoring = read_only == "ignored"
        sent, received = document_for(document, "answer"), document_for(document, "request", ignoring=ignoring)
        requests = Schemas(received)
        answers = requests if sent is received else Schemas(sent)
        self.server = server
        self.check_rate = check_rate
        self.routes: Routes[Endpoint] = Routes()
        bases = bases_of(operations, base)
        for operation in operations:
            handler = handler_of(operation, handlers)
            keys = keys_of(operation, schemes)
            reader = Reader(operation, requests, conditions, answers, drops_unsent=ignoring, keys=keys)
            guard = Guard(operation, authenticators, schemes, reader.refuse["credentials"])
            writer = Writer(operation, answers, pages.get(operation.id), server.report_mismatch)
            endpoint = Endpoint(operation, handler, reader, guard, writer)
            self.routes.add(operation.method, bases[operation.id] + operation.path, endpoint)

    async def answer(self, exchange: Exchange) -> Answer:
        """The answer to a request. Raises the problem that it comes to, and ContractError."""
        methods, segments = self.routes.find(exchange.route)
        method = exchange.method
        endpoint = methods.get(method) if methods else None
        if endpoint is None and methods and method == "HEAD":
            endpoint = methods.get("GET")
        if endpoint is not None:
            exchange.operation = endpoint.operation
        await self.server.identify(exchange)
        await self.server.admit(exchange)
        if methods is None:
            raise self.server.not_found() or self.not_found("There is nothing at this path.")
        if endpoint is None:
            if method == "OPTIONS":
                return Answer(204, (("Allow", allow_header(methods)),), b"")
            raise self.server.method_not_allowed(allow_header(methods)) or refused_method(methods)
        return await self.answer_by(endpoint, exchange, segments)

    async def answer_by(self, endpoint: Endpoint, exchange: Exchange, segments: Mapping[str, str]) -> Answer:
        operation = endpoint.operation
        try:
            arguments = await self.arguments_of(endpoint, exchange, segments)
            if_none_match: str | MISSING = MISSING
            for role, argument in endpoint.own.items():
                if role == "if_none_match":
                    if_none_match = arguments.pop(argument)
                else:
                    exchange.idempotency_key = arguments.pop(argument)
            result = await self.server.call(exchange, endpoint.handler, arguments)
        except Problem as problem:
            if not isinstance(problem, OwnProblem) and not operation.declares(problem):
                raise ContractError(
                    f"{operation.id} raised {type(problem).__name__}, which the contract does not declare"
                ) from problem
            raise
        finally:
            if exchange.files:
                exchange.close_files()
        check = self.check_rate > 0 and random.random() < self.check_rate  # noqa: S311 - a sample, no secret
        return endpoint.writer.write(result, exchange, if_none_match, check=check)

    async def arguments_of(self, endpoint: Endpoint, exchange: Exchange, segments: Mapping[str, str]) -> dict[str, Any]:
        """What the request says. One with a body is counted by that, too."""
        if refusal := self.server.judge_credentials(exchange):
            raise refusal
        if endpoint.guard is not None:
            await endpoint.guard.admit(exchange)
        if endpoint.writer.has_choice or endpoint.writer.is_strict:
            endpoint.negotiate(exchange)
        if endpoint.operation.body is None:
            return await endpoint.reader.read(exchange, segments)
        await self.server.permit(exchange)
        arguments = await endpoint.reader.read(exchange, segments)
        await self.server.admit_body(exchange, arguments["body"])
        return arguments


def refused_method(methods: Mapping[str, Endpoint]) -> Problem:
    """The problem for a method that a path does not have, as the first of its operations says it."""
    allow = allow_header(methods)
    return next(iter(methods.values())).reader.refuse["method"](f"This path has {allow}.", allow=allow)


def allow_header(methods: Mapping[str, object]) -> str:
    """The value of `Allow`."""
    implied = {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    return ", ".join(sorted(methods.keys() | implied))


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
    wanted = set(operation.arguments)
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
