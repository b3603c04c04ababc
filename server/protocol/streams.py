"""A body that is sent while it is made, as fast as its reader takes it and no further than it wants it."""

import asyncio
from contextlib import aclosing
from time import monotonic
from typing import Any

import structlog
from starlette.types import Send

from contract.exchange import Exchange
from contract.types import Streamed
from server.errors import problem_of
from server.observability.telemetry import Telemetry

PATIENCE = 30.0  # seconds that a reader may take for one piece
LONGEST = 600.0  # and for all of them together
log = structlog.get_logger("streams")


async def send_pieces(body: Streamed[Any], exchange: Exchange, send: Send, telemetry: Telemetry) -> bool:
    """Whether the client stayed. What goes wrong ends the answer before its end, and the server closes the connection.

    That is how the client can tell: the status is long sent.
    """
    leaving = asyncio.create_task(exchange.left())
    left = LONGEST
    try:
        async with aclosing(body.pieces) as pieces:
            async for piece in pieces:
                if leaving.done():
                    return False
                began = monotonic()
                async with asyncio.timeout(min(PATIENCE, left)):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                left -= monotonic() - began
        await send({"type": "http.response.body", "body": b""})
    except Exception as error:
        if problem_of(error) is None:
            log.exception("cut")
            telemetry.report(error, exchange)
        else:
            log.warning("cut", reason=type(error).__name__)
    finally:
        leaving.cancel()
    return True
