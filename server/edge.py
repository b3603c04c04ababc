"""The first and the last of every request: its id, its answer whatever happens, its line in the log."""

import re
import secrets
import time
from collections.abc import Collection

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contract.binding import Answer, Binding
from contract.exchange import ClientGone, Exchange
from contract.vocabulary import Problem
from generated.operations import InternalError
from server.errors import HeaderFieldsTooLarge, MethodNotAllowed, UriTooLong
from server.headers import encoded

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
READING = ("GET", "HEAD", "OPTIONS")
LONGEST_TARGET = 8 * 1024
LARGEST_HEADERS = 16 * 1024
CONTENT_TOO_LARGE = 413
SERVICE_UNAVAILABLE = 503
CLIENT_CLOSED_REQUEST = 499  # as nginx logs it; nobody is there to be told
log = structlog.get_logger("access")


class Edge:
    """The outermost middleware. It has the contract's operations answered by their binding, `pages` by the application.

    `common` are the headers that every answer carries.
    """

    def __init__(
        self, app: ASGIApp, *, binding: Binding, pages: Collection[str], common: list[tuple[bytes, bytes]]
    ) -> None:
        self.app, self.binding, self.pages, self.common = app, binding, pages, common

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        client = scope.get("client")
        exchange = Exchange(scope, receive, "", client[0] if client else None)
        exchange.request_id = request_id(exchange)
        refusal = self.refusal(scope, exchange)
        if refusal is None and exchange.path in self.pages:
            status = await self.show(scope, exchange, send)
        else:
            status = await self.answer(exchange, refusal, send)
        operation, principal = exchange.operation, exchange.principal
        log.info(
            "request",
            request_id=exchange.request_id,
            operation=operation.id if operation else None,
            method=exchange.method,
            path=scope.get("raw_path", b"").decode("latin-1"),
            status=status,
            duration_ms=round((time.perf_counter() - began) * 1000, 3),
            user_id=str(principal.user_id) if principal else None,
            address=exchange.address,
        )

    def refusal(self, scope: Scope, exchange: Exchange) -> Problem | None:
        """What is wrong with a request whatever its operation."""
        if len(scope.get("raw_path", b"")) + len(exchange.query) > LONGEST_TARGET:
            return UriTooLong()
        if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > LARGEST_HEADERS:
            return HeaderFieldsTooLarge()
        if exchange.path in self.pages and exchange.method not in READING:
            return MethodNotAllowed(", ".join(READING))
        return None

    async def answer(self, exchange: Exchange, refusal: Problem | None, send: Send) -> int:
        """Send the refusal, or else what the binding answers. What comes back is the status."""
        try:
            answer = written(refusal, exchange) if refusal else await self.binding.answer(exchange)
        except Problem as problem:
            answer = written(problem, exchange)
            if problem.status == SERVICE_UNAVAILABLE:
                log.warning("unavailable", request_id=exchange.request_id, reason=type(problem.__cause__).__name__)
        except ClientGone:
            return CLIENT_CLOSED_REQUEST
        except Exception:
            log.exception("error", request_id=exchange.request_id)
            answer = written(InternalError(), exchange)
        status, headers, body = answer
        sent = [
            *self.common,
            (b"x-request-id", exchange.request_id.encode()),
            *encoded((*exchange.answer_headers, *headers)),
        ]
        if status not in (204, 304):
            sent.append((b"content-length", str(len(body)).encode()))
        if status == CONTENT_TOO_LARGE:
            sent.append((b"connection", b"close"))  # else the rest would be read, only to be thrown away
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": b"" if exchange.method == "HEAD" else body})
        return status

    async def show(self, scope: Scope, exchange: Exchange, send: Send) -> int:
        """Let the application answer, with the headers that every answer carries."""
        status = 0

        async def send_more(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {name for name, _ in message["headers"]}
                missing = [(name, value) for name, value in self.common if name not in own]
                message["headers"] = [*missing, (b"x-request-id", exchange.request_id.encode()), *message["headers"]]
            await send(message)

        await self.app(scope, exchange.receive, send_more)
        return status


def request_id(exchange: Exchange) -> str:
    """The id that the caller gave the request, if it is one, or a new one."""
    given = exchange.header("x-request-id")
    return given if given is not None and REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def written(problem: Problem, exchange: Exchange) -> Answer:
    headers = (*problem.constant_headers, *problem.headers, ("Content-Type", problem.media_type))
    return Answer(problem.status, headers, problem.content(exchange.request_id))
