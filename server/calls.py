"""From a request to a result: who calls, whether once too often, and the handler, run again where that is safe."""

import asyncio
import random
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncpg import InterfaceError, PostgresError
from asyncpg.exceptions import InternalClientError
from pydantic import MISSING
from typing_extensions import override

from contract import binding
from contract.binding import Handler
from contract.exchange import Exchange, Principal
from contract.vocabulary import Operation, Problem, Result
from generated.models import AuditAction, AuditOutcome, AuditTarget, AuditTargetType
from generated.operations import CrossSite, Forbidden, NotFound
from handlers.audit_trail import record
from handlers.call import Call, Client, Process, PublicCall
from persistence.access import Caller, NotAllowed
from persistence.engine import Database
from persistence.users import key
from security.tokens import ExpiredToken, InvalidToken
from server import origin
from server.errors import MethodNotAllowed, problem_of, unauthorized
from server.limits import Limits, network

TRIES = 5
PATIENCE = timedelta(seconds=2.5)  # after which nothing is tried again
UNDONE = ("40001", "40P01")  # serialization failure, deadlock: the server did nothing
LOST = ("08", "57P")  # the connection is gone: the server may have done it
SAFE = ("GET", "HEAD")
LONGEST_USER_AGENT = 500  # characters that are kept


class Calls(binding.Server):
    """What the server does for the operations of the contract. `limits`: None counts nothing."""

    def __init__(self, process: Process, limits: Limits | None, origins: Collection[str]) -> None:
        self.process, self.limits, self.origins = process, limits, origins
        self.db: Database | None = None

    @override
    def identify(self, exchange: Exchange) -> None:
        name = exchange.operation.cookie if exchange.operation else None
        token = origin.cookie(exchange, name) if name else None
        if token is not None and not origin.is_ours(exchange, self.origins):
            exchange.refusal = CrossSite(detail="The request comes from a page that is not ours.")
            return
        exchange.cookie = token
        credentials = exchange.header("authorization")
        try:
            if credentials is not None:
                exchange.principal = self.bearer(credentials)
            elif token is not None:
                exchange.principal = self.principal_of(token)
        except ExpiredToken:
            exchange.refusal = unauthorized("token_expired")
        except InvalidToken:
            exchange.refusal = unauthorized("invalid_token")

    def bearer(self, credentials: str) -> Principal | None:
        """Whom an `Authorization` stands for; nobody when it has another scheme. Raises InvalidToken, ExpiredToken."""
        scheme, _, token = credentials.partition(" ")
        if scheme.lower() != "bearer":
            return None
        claims = self.process.tokens.verify_access(token.strip(" "), datetime.now(UTC))
        return Principal(claims.user_id, claims.session_id)

    def principal_of(self, refresh_token: str) -> Principal:
        """Whom a refresh token stands for. Raises InvalidToken."""
        claims = self.process.tokens.verify_refresh(refresh_token)
        return Principal(claims.user_id, claims.session_id)

    @override
    async def admit(self, exchange: Exchange) -> None:
        if self.limits is not None:
            await self.limits.count(exchange)

    @override
    async def admit_body(self, exchange: Exchange, body: Any) -> None:
        if self.limits is None or exchange.operation is None:
            return
        for partition in self.limits.classes[exchange.operation.rate_class]:
            if partition == "identifier":
                await self.limits.count_by(exchange, partition, key(getattr(body, "email", None) or body.username))
            elif partition == "session":
                await self.limits.count_by(exchange, partition, self.session_of(exchange, body))

    def session_of(self, exchange: Exchange, body: Any) -> str:
        """What a refresh counts by: the session of its token, or the address when it has none."""
        given = getattr(body, "refresh_token", MISSING)
        token = exchange.cookie if given is MISSING else given
        try:
            return str(self.principal_of(token or "").session_id)
        except InvalidToken:
            return network(exchange.address)

    @override
    async def call(self, exchange: Exchange, handler: Handler, arguments: Mapping[str, Any]) -> Result:
        call = self.made(exchange)
        safe = exchange.method in SAFE
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self.answered(call, exchange, handler, arguments)
            except Problem:
                raise
            except Exception as error:
                late = datetime.now(UTC) - call.now > PATIENCE
                if attempt == TRIES or late or not can_be_repeated(error, safe=safe):
                    problem = problem_of(error)
                    if problem is None:
                        raise
                    raise problem from error
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter, no secret

    async def answered(
        self, call: PublicCall, exchange: Exchange, handler: Handler, arguments: Mapping[str, Any]
    ) -> Result:
        """The handler's result. What a signed-in user is forbidden is written down."""
        try:
            return await handler(call, **arguments)
        except (Forbidden, NotAllowed):
            operation = exchange.operation
            if isinstance(call, Call) and operation is not None and Forbidden in operation.problems:
                denied, target = AuditOutcome.denied, target_of(operation, arguments)
                await record(call.db, call, AuditAction.access_denied, denied, target=target, reason=operation.id)
            raise

    def made(self, exchange: Exchange) -> PublicCall:
        if self.db is None:
            raise RuntimeError("the application was not started: run its lifespan")
        now = datetime.now(UTC)
        agent = exchange.header("user-agent")
        client = Client(exchange.address, agent and agent[:LONGEST_USER_AGENT], exchange.request_id, exchange.cookie)
        principal = exchange.principal
        if principal is None or exchange.operation is None or exchange.operation.roles is None:
            return PublicCall(self.db, now, self.process, client)
        caller = Caller(principal.user_id, principal.session_id, now)
        return Call(self.db, now, self.process, client, caller)

    @override
    def not_found(self) -> Problem:
        return NotFound(detail="There is nothing at this path.")

    @override
    def method_not_allowed(self, allow: str) -> Problem:
        return MethodNotAllowed(allow)

    @override
    def refused(self, exchange: Exchange) -> Problem | None:
        needs_caller = exchange.operation is not None and exchange.operation.roles is not None
        if isinstance(exchange.refusal, CrossSite):
            return exchange.refusal
        if needs_caller and exchange.principal is None:
            return exchange.refusal or unauthorized("authentication_required")
        return None


def target_of(operation: Operation, arguments: Mapping[str, Any]) -> AuditTarget | None:
    """The thing that the path names: the innermost, where it names several."""
    names = [parameter.argument for parameter in operation.parameters if parameter.where == "path"]
    if not names:
        return None
    return AuditTarget(type=AuditTargetType(names[-1].removesuffix("_id")), id=arguments[names[-1]])


def can_be_repeated(error: Exception, *, safe: bool) -> bool:
    """Whether the call may run again. `safe`: doing it twice is doing it once."""
    match error:
        case PostgresError():
            return (error.sqlstate or "").startswith(UNDONE + LOST if safe else UNDONE)
        case InterfaceError() | InternalClientError():  # the connection was dead already: nothing was sent
            return True
        case TimeoutError():
            return safe
        case OSError():  # nobody listened: nothing was sent
            return True
        case _:
            return False
