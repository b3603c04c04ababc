"""The first and the last of every request: its id, its answer whatever happens, its line in the log."""

import re
import sys
import time
from collections.abc import Collection
from functools import partial

import structlog
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from contract.binding import Binding
from contract.exchange import ClientGone, Exchange
from contract.response_encoding import Answer
from contract.types import Headers, Problem, Streamed
from generated.operations import InternalError
from handlers.shared.call import Life
from persistence.embedded.binaries import EmbeddedError
from security.access_tokens import hide_tokens
from security.passwords import ClientLeft
from server.complaints import CommandError
from server.errors import MethodNotAllowed
from server.middleware.challenges import with_metadata
from server.middleware.common_headers import Common, encode_headers
from server.middleware.trusted_hosts import Gate
from server.observability.logs import current
from server.observability.metrics import NONE, Metrics
from server.observability.outages import describe_error, reason
from server.observability.telemetry import Telemetry, new_id
from server.protocol.capacity import PROBES
from server.protocol.client_address import Proxies
from server.protocol.connections import SEND_WHOLE
from server.protocol.streams import send_pieces
from server.rate_limiting.limiter import Limits
from server.terms import TERMS

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
READING = ("GET", "HEAD", "OPTIONS")
UNAUTHORIZED = 401
CONTENT_TOO_LARGE = 413
INTERNAL_ERROR = 500
SERVICE_UNAVAILABLE = 503
CLIENT_CLOSED_REQUEST = 499  # as nginx logs it; the client is gone and is not told
log = structlog.get_logger("access")


class Edge:
    """The outermost application. It has the contract's operations answered by their binding, `pages` by the shell.

    `proxies` say where a request comes from, `gate` whether it may go on, `limits` whether it is one page too many;
    `common` are the headers of every answer, `root` is the beginning of all paths at the proxy before us.
    """

    def __init__(
        self,
        shell: FastAPI,
        *,
        metrics: Metrics,
        telemetry: Telemetry,
        life: Life,
        binding: Binding,
        pages: Collection[str],
        proxies: Proxies,
        limits: Limits | None,
        gate: Gate,
        common: Common,
        root: str = "",
    ) -> None:
        self.shell, self.metrics, self.life, self.binding, self.pages = shell, metrics, life, binding, pages
        self.proxies, self.gate, self.common, self.telemetry = proxies, gate, common, telemetry
        self.limits, self.root = limits, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.shell(scope, receive, partial(send_words, send))
            return
        if self.root:
            scope = self.below_root(scope)
        exchange = Exchange(scope, receive, "", None)
        exchange.request_id = request_id(exchange)
        before = current.set(exchange)
        self.metrics.under_way += 1
        try:
            await self.take(scope, exchange, send)
        finally:
            self.metrics.under_way -= 1
            current.reset(before)
            if exchange.on_end is not None:
                exchange.on_end()

    def below_root(self, scope: Scope) -> Scope:
        """The request without the beginning that the proxy has left in its path: unless a path of ours begins so."""
        path, raw = scope["path"], scope.get("raw_path") or b""
        begins = f"{path}/".startswith(f"{self.root}/") and (raw + b"/").startswith(f"{self.root}/".encode())
        if not begins or path in self.pages or self.binding.routes.find(path)[0]:
            return scope
        size = len(self.root)
        return {**scope, "path": path[size:] or "/", "raw_path": raw[size:] or b"/"}

    async def take(self, scope: Scope, exchange: Exchange, send: Send) -> None:
        """Answer a request, count it and log it."""
        began = time.perf_counter()
        ended = self.telemetry.begin(exchange)
        client = scope.get("client")
        exchange.address, exchange.scheme = self.proxies.origin(
            client[0] if client else None, exchange.scheme, exchange
        )
        refusal = self.refusal(exchange)
        is_page = refusal is None and exchange.path in self.pages and self.common.cors.preflight(exchange) is None
        if is_page:
            refusal = await self.excess(exchange)
        if is_page and refusal is None:
            status = await self.show(scope, exchange, send)
        else:
            answer = await self.answer(exchange, refusal)
            status = await self.send(answer, scope, exchange, send) if answer else CLIENT_CLOSED_REQUEST
        operation, principal = exchange.operation, exchange.principal
        seconds = time.perf_counter() - began
        self.metrics.answer(operation.id if operation else NONE, status, seconds)
        bound = log.bind()  # itself looks for what it does not have
        tell = bound.debug if exchange.path in PROBES and status != INTERNAL_ERROR else bound.info
        tell(
            "request",
            operation=operation.id if operation else None,
            method=exchange.method,
            path=hide_tokens(scope.get("raw_path", b"").decode("latin-1")),
            status=status,
            duration_ms=round(seconds * 1000, 3),
            user_id=str(principal.user_id) if principal and principal.user_id else None,
            address=exchange.address,
        )
        if ended is not None:
            ended(status)

    def refusal(self, exchange: Exchange) -> Problem | None:
        """What is wrong with a request whatever its operation."""
        if refusal := self.gate.refusal(exchange):
            return refusal
        if exchange.path in self.pages and exchange.method not in READING:
            return MethodNotAllowed(", ".join(READING))
        return None

    async def excess(self, exchange: Exchange) -> Problem | None:
        """What there is to say of a page that is asked for too often: it counts as an operation of class `default`."""
        try:
            if self.limits is not None:
                await self.limits.count(exchange)
        except Problem as problem:
            return problem
        return None

    async def answer(self, exchange: Exchange, refusal: Problem | None) -> Answer | None:
        """The refusal, or else the answer; None when the client has left."""
        try:
            if refusal is not None:
                raise refusal  # noqa: TRY301 - it is told, counted and logged as every other
            return await self.answer_of(exchange)
        except Problem as problem:
            if problem.code == "rate_limit_exceeded":
                operation = exchange.operation
                self.metrics.refused.labels(TERMS[operation.id].rate_class if operation else "default").inc()
            if problem.status == SERVICE_UNAVAILABLE:
                operation, cause = exchange.operation, problem.__cause__ or problem
                name = operation.id if operation else None
                log.warning("unavailable", operation=name, reason=reason(cause), **describe_error(cause))
            return problem_answer(problem, exchange, self.root)
        except (ClientGone, ClientLeft):
            return None
        except Exception as error:
            log.exception("error")
            self.telemetry.report(error, exchange)
            return problem_answer(InternalError(), exchange, self.root)

    async def send(self, answer: Answer, scope: Scope, exchange: Exchange, send: Send) -> int:
        """Send the answer. What comes back is the status."""
        status, own, body = answer
        if self.root:
            own = below(self.root, own)
        headers = [*self.common.of(exchange), *encode_headers((*exchange.answer_headers, *own))]
        if status not in (204, 304) and not isinstance(body, Streamed):
            headers.append((b"content-length", str(len(body)).encode()))
        closing = status == CONTENT_TOO_LARGE or self.life.ending  # the rest is not worth reading; there is no next one
        body = b"" if exchange.method == "HEAD" else body
        send_whole = scope.get("extensions", {}).get(SEND_WHOLE)
        if send_whole is not None and not isinstance(body, Streamed):
            await send_whole(status, headers, body, closing=closing)
            return status
        if closing:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if isinstance(body, Streamed):
            return status if await send_pieces(body, exchange, send, self.telemetry) else CLIENT_CLOSED_REQUEST
        await send({"type": "http.response.body", "body": body})
        return status

    async def answer_of(self, exchange: Exchange) -> Answer:
        """What a browser asks before it asks, or else what the binding answers."""
        return self.common.cors.preflight(exchange) or await self.binding.answer(exchange)

    async def show(self, scope: Scope, exchange: Exchange, send: Send) -> int:
        """Let the application answer, with the headers that every answer carries."""
        status = 0

        async def send_more(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {name for name, _ in message["headers"]}
                common = [*self.common.of(exchange), *encode_headers(tuple(exchange.answer_headers))]
                missing = [(name, value) for name, value in common if name not in own or name == b"vary"]
                closing = [(b"connection", b"close")] if self.life.ending else []
                message["headers"] = [*missing, *closing, *message["headers"]]
            await send(message)

        await self.shell(scope, exchange.receive, send_more)
        return status


async def send_words(send: Send, message: Message) -> None:
    """Tell why the application does not start: what operators can do something about without a traceback."""
    error = sys.exception()
    if isinstance(error, CommandError | EmbeddedError):
        message = {**message, "message": str(error)}
    await send(message)


def request_id(exchange: Exchange) -> str:
    """The id that the caller gave the request, if it is one, or a new one."""
    given = exchange.header("x-request-id")
    if given is not None and REQUEST_ID.fullmatch(given):
        return given
    return new_id()


def problem_answer(problem: Problem, exchange: Exchange, root: str) -> Answer:
    headers = (*problem.constant_headers, *problem.headers, ("Content-Type", problem.media_type))
    if not problem.constant_headers:  # the errors of RFC 6749 have it of their own
        headers = (*headers, ("Cache-Control", "no-store"))
    if problem.status == UNAUTHORIZED:
        headers = with_metadata(headers, exchange, root)
    return Answer(problem.status, headers, problem.content(exchange.request_id, root))


def below(root: str, headers: Headers) -> Headers:
    """The headers, what refers to paths of ours as the client has them."""
    begins = {"Location": "/", "Link": "</"}
    return tuple(
        (name, value.replace("/", f"{root}/", 1) if value.startswith(begins.get(name, "\n")) else value)
        for name, value in headers
    )
