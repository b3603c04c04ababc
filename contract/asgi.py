"""Serves the operations of a binding by ASGI: sends answers, whole or as they are made, and says what went wrong."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import uuid4

from contract.binding import Binding
from contract.exchange import ClientGone, Exchange, Receive, Scope, Send
from contract.refusals import OwnProblem
from contract.response_encoding import NO_BODY, Answer
from contract.types import Headers, Problem, Streamed

CONTENT_TOO_LARGE = 413
log = logging.getLogger("contract")


class Application:
    """An application for any ASGI server. `patience`: the seconds that a reader may take for a piece of an answer."""

    def __init__(self, binding: Binding, *, patience: float = 30) -> None:
        self.binding, self.patience = binding, patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            client = scope.get("client")
            exchange = Exchange(scope, receive, uuid4().hex, client[0] if client else None)
            answer = await self.answer(exchange)
            if answer is not None:
                await self.send(answer, exchange, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            for message in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{message}.complete"})

    async def answer(self, exchange: Exchange) -> Answer | None:
        """The answer, whatever happens; None when the client has left."""
        try:
            return await self.binding.answer(exchange)
        except Problem as problem:
            return problem_answer(problem, exchange.request_id)
        except ClientGone:
            return None
        except Exception:
            log.exception("%s %r failed", exchange.method, exchange.path)
            return problem_answer(
                OwnProblem(500, "The server made a mistake, and has written it down."), exchange.request_id
            )

    async def send(self, answer: Answer, exchange: Exchange, send: Send) -> None:
        status, own, body = answer
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in own]
        if status not in NO_BODY and not isinstance(body, Streamed):
            headers.append((b"content-length", str(len(body)).encode()))
        if status == CONTENT_TOO_LARGE:
            headers.append((b"connection", b"close"))  # the rest of the request is not worth reading
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if exchange.method == "HEAD" or not isinstance(body, Streamed):
            await send({"type": "http.response.body", "body": body if exchange.method != "HEAD" else b""})
            return
        try:
            await send_pieces(body.pieces, exchange, send, patience=self.patience)
        except Exception:
            log.exception("%s %r was cut", exchange.method, exchange.path)


def problem_answer(problem: Problem, request_id: str) -> Answer:
    """The answer that says a problem. It is not kept, unless the contract says how long."""
    headers: Headers = (*problem.constant_headers, *problem.headers)
    if problem.media_type:
        headers = (*headers, ("Content-Type", problem.media_type))
    if not problem.constant_headers:
        headers = (*headers, ("Cache-Control", "no-store"))
    return Answer(problem.status, headers, problem.content(request_id))


async def send_pieces(
    pieces: AsyncGenerator[bytes, None],
    exchange: Exchange,
    send: Send,
    *,
    patience: float,
    longest: float = float("inf"),
) -> bool:
    """Whether the client stayed to the end. When it leaves, what makes the pieces is ended at once.

    What is raised on the way leaves the answer without its end, by which clients can tell. Raises TimeoutError for a
    reader who takes longer than `patience` seconds for one piece, or `longest` for all of them.
    """
    sending = asyncio.create_task(send_each(pieces, send, patience, longest))
    leaving = asyncio.create_task(exchange.left())
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
            return True
        return False
    finally:
        for task in (sending, leaving):
            task.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def send_each(pieces: AsyncGenerator[bytes, None], send: Send, patience: float, longest: float) -> None:
    now = asyncio.get_running_loop().time
    async with aclosing(pieces):
        async for piece in pieces:
            began = now()
            async with asyncio.timeout(min(patience, longest)):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            longest -= now() - began
            await asyncio.sleep(0)  # where neither the handler nor the server waits, others are let on, too
    await send({"type": "http.response.body", "body": b""})
