"""Requests that may be sent again: done once, with the answer kept in the transaction of the change."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeAlias
from uuid import UUID

from asyncpg import LockNotAvailableError
from pydantic import MISSING
from pydantic_core import from_json, to_json

from contract.exchange import Exchange
from contract.response_encoding import text_of
from contract.types import Json, Operation, Problem, Result
from generated.operations import QuotaExceeded
from handlers.shared.call import Aside, Call
from persistence.engine.pool import Database
from persistence.queries import idempotency
from persistence.queries.idempotency import LIFE, Kept
from security.keys import Keys
from server.errors import problem_of

Again: TypeAlias = Callable[[Call], Awaitable[Result]]
CONFLICT, UNPROCESSABLE = 409, 422
SOON = ("Retry-After", "1")


class Undone(Exception):  # noqa: N818 - it says what is the case
    """The handler has agreed to do it again, which is not to happen."""


class Once:
    """Runs the operations that the contract gives an `Idempotency-Key`."""

    def __init__(self, keys: Keys) -> None:
        self.subkeys = keys.subkeys("fingerprint")

    async def run(self, call: Call, exchange: Exchange, operation: Operation, key: str, handler: Again) -> Result:
        """The result of the handler, or of the same request before it. Raises what the handler does, and conflicts."""
        done: object = MISSING
        while True:
            try:
                async with call.db.transaction() as db:
                    again = replace(call, db=db, is_held=True, done=done)
                    return await self.answer_once(again, exchange, operation, key, handler)
            except Aside as waiting:
                done = await waiting.work()

    async def answer_once(
        self, call: Call, exchange: Exchange, operation: Operation, key: str, handler: Again
    ) -> Result:
        """The result, in the transaction of the call."""
        fingerprints = [hmac.digest(subkey, text(exchange), "sha256") for subkey in self.subkeys]
        caller, old = call.caller, call.now - LIFE
        try:
            found = await idempotency.reserve(call.db, key, fingerprint=fingerprints[0], old=old, by=caller)
        except LockNotAvailableError as error:
            if not idempotency.is_in_progress(error):
                raise
            raise declared_problem(operation, CONFLICT, "idempotency_in_progress", SOON) from None
        if found.fingerprint not in fingerprints:
            raise declared_problem(operation, UNPROCESSABLE, "idempotency_key_reused")
        if found.status is not None:
            await rehearse(call, handler)
            return replay(operation, found)
        result = await handler(call)
        await keep(call.db, caller.id, key, operation, result)
        return result


def text(exchange: Exchange) -> bytes:
    return b"\0".join([exchange.method.encode(), exchange.path.rstrip("/").encode(), exchange.content])


def declared_problem(operation: Operation, status: int, code: str, *headers: tuple[str, str]) -> Problem:
    """The problem that the operation declares for it."""
    kind: Any = next(problem for problem in operation.problems if problem.status == status)
    problem: Problem = kind(code)
    problem.headers = (*problem.headers, *headers)
    return problem


async def rehearse(call: Call, handler: Again) -> None:
    """Do it once more and undo it: a caller that would be refused is. That it conflicts with itself does not matter.

    Nor does that there is no room for it again, or what takes long: a caller that gets so far may do it.
    """
    try:
        async with call.db.transaction() as db:
            await handler(replace(call, db=db))
            raise Undone  # noqa: TRY301 - only an exception rolls back
    except (Undone, Aside, QuotaExceeded):
        return
    except Exception as error:
        problem = problem_of(error)
        if problem is None or problem.status != CONFLICT:
            raise


async def keep(db: Database, user_id: UUID, key: str, operation: Operation, result: Result) -> None:
    reply = next(reply for reply in operation.replies if reply.result is type(result))
    headers = {header.member: getattr(result, header.member) for header in reply.headers}
    answered: Any = result
    await idempotency.answer(
        db,
        user_id,
        key,
        status=result.status,
        headers=to_json(headers),
        body=bytes(text_of(answered.body)),
        made=UUID(headers["location"].rpartition("/")[2]),
    )


def replay(operation: Operation, found: Kept) -> Result:
    kind: Any = next(reply.result for reply in operation.replies if reply.result.status == found.status)
    headers: dict[str, Any] = from_json(found.headers or b"{}")
    result: Result = kind(body=Json(found.body or b""), **headers | {"idempotency_replayed": "true"})
    return result
