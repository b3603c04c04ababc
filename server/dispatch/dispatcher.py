"""From a request to a result: who calls, whether once too often, and the handler, run again where that is safe."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID

import structlog
from asyncpg import InterfaceError, InvalidCachedStatementError, PostgresError
from asyncpg.exceptions import InternalClientError
from pydantic import MISSING
from typing_extensions import override

from contract import binding
from contract.authorization import Authenticator
from contract.binding import Handler
from contract.exchange import Exchange, Principal
from contract.types import ContractError, Operation, Problem, Result
from generated.models import AuditAction, AuditOutcome, Environment
from generated.operations import (
    CrossSite,
    FeatureDisabled,
    Forbidden,
    LogoutRefused,
    NotFound,
    ServiceUnavailable,
    SessionNotFound,
)
from handlers.shared import refresh_cookie
from handlers.shared.audit_trail import record
from handlers.shared.call import Call, Client, Process, PublicCall, count_nothing
from persistence.authorization import Caller, InsufficientScope, NotAllowed, OwnershipImplied, SessionOver
from persistence.engine.causes import Caused
from persistence.engine.pool import Database
from persistence.queries.accounts import access_tokens, user_lists, users
from persistence.queries.accounts.users import key
from security.networks import SITE, network_of
from security.tokens import InvalidToken
from server.dispatch.authentication import Callers, Guest, ProgramPrincipal, is_ending
from server.dispatch.bulkheads import Bulkheads, Waits, is_behind_bulkhead, is_waiting
from server.dispatch.idempotency import Once
from server.dispatch.implied_ownership import run_as_superuser, target_of
from server.dispatch.uses import Uses
from server.errors import MethodNotAllowed, enrolment_required, insufficient_scope, problem_of, unauthorized_problem
from server.observability.metrics import Metrics
from server.observability.outages import Outages
from server.rate_limiting.limiter import Limits
from server.terms import TERMS

TRIES = 5
PATIENCE = timedelta(seconds=2.5)  # after which nothing is tried again
UNDONE = (  # SQLSTATEs or their beginnings with which a server says that it did nothing
    "40001",  # serialization failure
    "40P01",  # deadlock
    "25006",  # it may not write: another one may, to which the next connection leads
    "26000",  # a statement that it does not know any more, or knows already, as behind a pooler
    "42P05",
    "53300",  # it took no more connections
    "57P03",  # it is not up yet
)
LOST = ("08", "57P")  # the connection is gone: the server may have done it
SAFE = ("GET", "HEAD")
LONGEST_USER_AGENT = 500  # characters that are kept
READ_METRICS = "getMetrics"
SIGN_IN = "login"  # of which handlers/accounts/lockout.py counts the identifiers
NEED_FACTOR: dict[str, bool | MISSING] = {"nobody": MISSING, "superusers": False, "everybody": True}
FOR_SUPERUSERS = ("superuser",)
FORBIDDEN = Forbidden("permission_denied")
log = structlog.get_logger("calls")


class Calls(binding.Server):
    """What the server does for the operations of the contract. `limits`: None counts nothing.

    `features` are those of the contract's that are on. `bulkheads`, `waits`: None bounds nothing.
    """

    def __init__(
        self,
        process: Process,
        metrics: Metrics,
        limits: Limits | None,
        callers: Callers,
        features: Collection[str] = (),
        *,
        bulkheads: Bulkheads | None = None,
        waits: Waits | None = None,
    ) -> None:
        self.process, self.metrics, self.limits, self.callers = process, metrics, limits, callers
        self.bulkheads, self.waits, self.features = bulkheads, waits, features
        self.all_need_factor = NEED_FACTOR[process.mfa_required]
        self.once = Once(process.keys)
        self.outages = Outages()
        self.uses = Uses()
        self.db: Database | None = None

    @override
    async def identify(self, exchange: Exchange) -> None:
        await self.callers.identify(exchange)

    @override
    async def admit(self, exchange: Exchange) -> None:
        if self.limits is not None:
            await self.limits.count(exchange)

    @override
    async def permit(self, exchange: Exchange) -> None:
        if exchange.operation is not None and TERMS[exchange.operation.id].roles == FOR_SUPERUSERS:
            await self.call(exchange, be_superuser, {})

    @override
    async def admit_body(self, exchange: Exchange, body: Any) -> None:
        if self.limits is None or exchange.operation is None:
            return
        for partition in self.limits.classes[TERMS[exchange.operation.id].rate_class]:
            if partition == "identifier" and TERMS[exchange.operation.id].rate_class == SIGN_IN:
                self.limits.announce(
                    exchange, partition
                )  # handlers/accounts/lockout.py counts it, once whose it is is known
            elif partition == "identifier":
                await self.limits.count_by(
                    exchange, partition, f"{key(body.email)} {network_of(exchange.address, SITE)}"
                )
            elif partition == "session" and (session := self.session_of(exchange, body)) is not None:
                await self.limits.count_by(exchange, partition, session)

    def session_of(self, exchange: Exchange, body: Any) -> str | None:
        """What a refresh counts by: the session of its token, if it has one that can be read."""
        given = getattr(body, "refresh_token", MISSING)
        token = exchange.cookie if given is MISSING else given
        try:
            return str(self.callers.principal_of(token or "").session_id)
        except InvalidToken:
            return None

    @override
    async def call(self, exchange: Exchange, handler: Handler, arguments: Mapping[str, Any]) -> Result:
        call = self.build_call(exchange)
        if self.waits is not None and is_waiting(exchange, arguments):
            self.waits.enter(exchange)
        if self.bulkheads is None or not is_behind_bulkhead(exchange, arguments):
            return await self.run_repeatedly(call, exchange, handler, arguments)
        compartment = self.bulkheads.enter(exchange, call.db)
        result = await self.run_repeatedly(replace(call, db=compartment), exchange, handler, arguments)
        compartment.has_begun = True
        return result

    async def run_repeatedly(
        self, call: PublicCall, exchange: Exchange, handler: Handler, arguments: Mapping[str, Any]
    ) -> Result:
        """The handler's result, at the first try that comes to one."""
        safe = exchange.method in SAFE
        attempt = 1
        while True:
            try:
                if isinstance(guest := exchange.principal, Guest) and needs_caller(exchange):
                    call = await self.callers.provision(call, guest)
                return await self.run_noting_refusals(call, exchange, handler, arguments)
            except Problem:
                raise
            except Exception as error:
                late = datetime.now(UTC) - call.now > PATIENCE
                if attempt == TRIES or late or not can_be_repeated(error, safe=safe):
                    problem = problem_of(error)
                    if problem is None:
                        raise
                    if isinstance(problem, ServiceUnavailable):
                        self.outages.refuse(error, call.db)
                    raise problem from error
                attempt += not isinstance(error, InvalidCachedStatementError)  # each connection has its own plans
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter, no secret

    async def run_noting_refusals(
        self, call: PublicCall, exchange: Exchange, handler: Handler, arguments: Mapping[str, Any]
    ) -> Result:
        """The handler's result. What a caller is forbidden is written down."""
        try:
            result = await self.run_as_role_or_owner(call, exchange, handler, arguments)
        except (Forbidden, NotAllowed, InsufficientScope) as refusal:
            operation = exchange.operation
            is_told = isinstance(refusal, InsufficientScope) or (operation and operation.declares(FORBIDDEN))
            if isinstance(call, Call) and operation is not None and is_told:
                await record(
                    call.db,
                    call,
                    AuditAction.access_denied,
                    AuditOutcome.denied,
                    target=target_of(operation, arguments),
                    organization_id=place_of(refusal, arguments),
                    reason=operation.id,
                )
            if isinstance(refusal, InsufficientScope):
                raise insufficient_scope(scopes_of(exchange), str(refusal)) from refusal
            raise
        self.note_use(call)
        return result

    async def run_as_role_or_owner(
        self, call: PublicCall, exchange: Exchange, handler: Handler, arguments: Mapping[str, Any]
    ) -> Result:
        """The handler's result, with the caller's own role, or else, of a superuser, with implied ownership.

        Raises InsufficientScope for an access token that lives, but is not for this.
        """
        try:
            return await self.run(call, exchange, handler, arguments)
        except SessionOver:
            if isinstance(call, Call) and call.caller.all_need_factor is not MISSING:
                await refuse_unenrolled(call)
            if isinstance(call, Call) and call.caller.token_id is not MISSING:
                await self.refuse_program(call, call.caller.token_id)
            raise
        except OwnershipImplied:
            run = partial(self.run, exchange=exchange, handler=handler, arguments=arguments)
            asked = cast("Operation", exchange.operation)  # only a caller's statement raises it
            return await run_as_superuser(cast("Call", call), asked, arguments, run)

    async def refuse_program(self, call: Call, token_id: UUID) -> None:
        """Raises InsufficientScope for an access token that lives, and SessionOver for one that is over."""
        try:
            await take_no_program(call)
        except SessionOver:
            self.callers.note_over(token_id)
            raise

    def note_use(self, call: PublicCall) -> None:
        """Keep in mind when the session or the access token of the caller was used."""
        if isinstance(call, Call):
            if call.caller.session_id is not MISSING:
                self.uses.of_sessions[call.caller.session_id] = call.now
            elif call.caller.token_id is not MISSING:
                self.uses.of_access_tokens[call.caller.token_id] = call.now

    async def run(self, call: PublicCall, exchange: Exchange, handler: Handler, arguments: Mapping[str, Any]) -> Result:
        """The handler's result, or that of the same request before it."""
        key, operation = exchange.idempotency_key, exchange.operation
        if key is MISSING or operation is None or not isinstance(call, Call):
            return await handler(call, **arguments)
        return await self.once.run(call, exchange, operation, key, lambda again: handler(again, **arguments))

    def build_call(self, exchange: Exchange) -> PublicCall:
        if self.db is None:
            raise RuntimeError("the application was not started: run its lifespan")
        now = datetime.now(UTC)
        agent = exchange.header("user-agent")
        agent = agent and agent[:LONGEST_USER_AGENT]
        accept, left = exchange.header("accept"), exchange.left
        principal = exchange.principal
        until = None if principal is None else principal.expires_at
        client = Client(
            exchange.address, agent, exchange.request_id, exchange.cookie, accept, left, exchange.origin, until
        )
        caller = caller_of(principal, exchange, now) if needs_caller(exchange) else None
        if caller is None:
            return PublicCall(self.db, now, self.process, client, count_changes=self.counting(exchange))
        if self.all_need_factor is not MISSING and not is_before_enrolment(exchange):
            caller.all_need_factor = self.all_need_factor
        if exchange.method in SAFE:
            return Call(self.db, now, self.process, client, caller, count_changes=self.counting(exchange))
        caller.request_id = exchange.request_id
        db = Caused(self.db, f"{caller.id} {caller.request_id}")
        return Call(db, now, self.process, client, caller, count_changes=self.counting(exchange))

    def counting(self, exchange: Exchange) -> Callable[[Collection[str]], Awaitable[None]]:
        """How the handler counts a request by what it changes, once however often the handler runs."""
        limits, operation = self.limits, exchange.operation
        if limits is None or operation is None or not (counted := TERMS[operation.id].rate_class_when):
            return count_nothing

        async def count_changes(members: Collection[str]) -> None:
            for member, rate_class in counted.items():
                if member in members and rate_class not in exchange.counted_as:
                    exchange.counted_as += (rate_class,)
                    await limits.count(exchange, rate_class)

        return count_changes

    @override
    def not_found(self) -> Problem:
        return NotFound(detail="There is nothing at this path.")

    @override
    def method_not_allowed(self, allow: str) -> Problem:
        return MethodNotAllowed(allow)

    def is_off(self, operation: Operation) -> bool:
        """Whether the server does not have what the operation is about: accounts, or a feature."""
        terms = TERMS[operation.id]
        without_accounts = terms.local is not None and not self.callers.accounts
        return without_accounts or not (terms.feature is None or terms.feature in self.features)

    @override
    def judge_credentials(self, exchange: Exchange) -> Problem | None:
        operation, principal = exchange.operation, exchange.principal
        if operation is not None and self.is_off(operation):
            return disabled_problem(operation)
        if isinstance(exchange.refusal, CrossSite):
            return exchange.refusal
        if operation is not None and isinstance(principal, Guest) and TERMS[operation.id].local == "session":
            return disabled_problem(operation)
        if operation is not None and operation.id == READ_METRICS:
            return self.metrics.refusal(exchange.header("authorization"))
        return None

    @property
    def authenticators(self) -> Mapping[str, Authenticator]:
        """Who calls, by the schemes of the contract. Roles are asked for by the statement of the operation."""
        token = self.by_token
        more = {"accessToken": self.by_access_token, "refreshCookie": self.by_cookie, "metricsToken": self.by_header}
        return {"bearer": token, "password": token, **more}

    async def by_token(self, exchange: Exchange, _roles: Sequence[str]) -> Principal | None:
        """The account that the token of a session stands for. Raises the problem of one that is no good.

        An access token of a program is none; where it is not taken, the caller is told so, if it lives.
        """
        if exchange.principal is None:
            raise anonymous(exchange)
        if not isinstance(exchange.principal, ProgramPrincipal):
            return exchange.principal
        if not scopes_of(exchange):
            await self.call(exchange, take_no_program, {})
        return None

    async def by_access_token(self, exchange: Exchange, _scopes: Sequence[str]) -> Principal | None:
        """The account of a program's access token. The statement of the operation asks for its scopes."""
        return exchange.principal if isinstance(exchange.principal, ProgramPrincipal) else None

    async def by_cookie(self, exchange: Exchange, _scopes: Sequence[str]) -> Principal | None:
        """The account that a cookie stands for. The handler says of a bad one what is wrong with it."""
        return exchange.principal if exchange.cookie else None

    async def by_header(self, exchange: Exchange, _scopes: Sequence[str]) -> str | None:
        """The credentials that `judge_credentials` has looked at."""
        return exchange.header("authorization")

    @override
    def report_mismatch(self, operation: Operation, error: ContractError) -> None:
        """Production would rather send the body, and tell its operator."""
        if self.process.environment is not Environment.production:
            raise error
        self.metrics.mismatches.labels(operation.id).inc()
        log.error("contract_mismatch", operation=operation.id, reason=str(error))


async def take_no_program(call: Call, /) -> Result:
    """Raises SessionOver for an access token that is over, and InsufficientScope for any other."""
    raise InsufficientScope if await access_tokens.is_live(call.db, by=without_scopes(call.caller)) else SessionOver


def without_scopes(caller: Caller) -> Caller:
    return replace(caller, scopes=MISSING, all_need_factor=MISSING)


async def refuse_unenrolled(call: Call, /) -> None:
    """Raises the problem of a caller who is one but for the second factor that the server demands."""
    with suppress(SessionOver):
        await users.find_me(call.db, by=replace(call.caller, all_need_factor=MISSING))
        raise enrolment_required()


def is_before_enrolment(exchange: Exchange) -> bool:
    return exchange.operation is not None and TERMS[exchange.operation.id].before_enrolment


def scopes_of(exchange: Exchange) -> tuple[str, ...]:
    return () if exchange.operation is None else TERMS[exchange.operation.id].scopes


async def be_superuser(call: Call, /) -> Result:
    """Nothing is done for a superuser, whose statement will ask again. Raises SessionOver, NotAllowed."""
    await user_lists.demand_superuser(call.db, by=call.caller)
    return Result()


def caller_of(principal: Principal | None, exchange: Exchange, now: datetime) -> Caller | None:
    """Who calls; None where that is not known yet."""
    if isinstance(principal, ProgramPrincipal):
        token_id, user_id, secret_hash = principal.program
        scopes = scopes_of(exchange)
        return Caller(user_id, MISSING, now, None, token_id=token_id, secret_hash=secret_hash, scopes=scopes)
    if principal is None or principal.user_id is None or principal.session_id is None:
        return None
    return Caller(principal.user_id, principal.session_id, now)


def needs_caller(exchange: Exchange) -> bool:
    return exchange.operation is not None and TERMS[exchange.operation.id].roles is not None


def anonymous(exchange: Exchange) -> Problem:
    """The problem for a request without a good token. Where it would end a session, its cookie is cleared."""
    if not is_ending(exchange) or isinstance(exchange.refusal, ServiceUnavailable):
        return exchange.refusal or unauthorized_problem("authentication_required")
    clear = None if exchange.cookie is None else refresh_cookie.clear_refresh()
    if exchange.refusal is None:
        return LogoutRefused("authentication_required", www_authenticate="Bearer", set_cookie=clear)
    return LogoutRefused("invalid_token", www_authenticate='Bearer error="invalid_token"', set_cookie=clear)


def disabled_problem(operation: Operation) -> Problem:
    """The problem that an operation declares for being off."""
    return FeatureDisabled() if FeatureDisabled in operation.problems else SessionNotFound("feature_disabled")


def place_of(refusal: Forbidden | NotAllowed | InsufficientScope, arguments: Mapping[str, Any]) -> UUID | None:
    """The organization whose member may not do this: the one that the verdict was about, or that the path names."""
    told = refusal.organization_id if isinstance(refusal, NotAllowed) else None
    named = arguments.get("organization_id")
    return told or (None if named is MISSING else named)


def can_be_repeated(error: Exception, *, safe: bool) -> bool:
    """Whether the call may run again. `safe`: doing it twice is doing it once."""
    match error:
        case InvalidCachedStatementError():  # of another schema; it is made anew
            return True
        case PostgresError():
            return (error.sqlstate or "").startswith(UNDONE + LOST if safe else UNDONE)
        case InterfaceError() | InternalClientError():  # the connection was dead already: nothing was sent
            return True
        case TimeoutError():
            return safe
        case OSError():  # no server listened: nothing was sent
            return True
        case _:
            return False
