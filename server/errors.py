"""What becomes of an error: the one table from what handlers and the database raise to the problems of the contract."""

from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
from asyncpg.exceptions import InternalClientError

from contract.types import Problem
from generated.operations import (
    PROBLEM_TYPES,
    AccountConflict,
    Forbidden,
    InsufficientScope,
    NotFound,
    OrganizationConflict,
    PreconditionFailed,
    ServiceUnavailable,
    Unauthorized,
    ValidationFailed,
)
from handlers.shared.preconditions import write_etag
from persistence.authorization import NotAllowed, NotVisible, SessionOver, Stale
from persistence.engine.pool import PoolExhausted
from security.passwords import HashingBusy


class MethodNotAllowed(Problem):
    """405: like the three below it belongs to no operation, so the contract tells it in words."""

    status = 405
    types = PROBLEM_TYPES

    def __init__(self, allow: str) -> None:
        super().__init__("method_not_allowed", headers=(("Allow", allow),))


class Unreadable(Problem):
    """400: what arrived is no request of HTTP/1.1, or one that can be read in two ways."""

    status = 400
    types = PROBLEM_TYPES

    def __init__(self) -> None:
        super().__init__("malformed_request", "This is no request of HTTP/1.1, or one that can be read in two ways.")


class BadHost(Problem):
    """400: the request is for a host that is none of ours."""

    status = 400
    types = PROBLEM_TYPES

    def __init__(self) -> None:
        super().__init__("malformed_request", "`Host` is none of the hosts that this server answers for.")


class HttpsRequired(Problem):
    """403: the request came without TLS."""

    status = 403
    types = PROBLEM_TYPES

    def __init__(self) -> None:
        super().__init__("https_required")


CONSTRAINTS: dict[str, Callable[[], Problem]] = {
    "uq_users_email_key": lambda: AccountConflict("email_already_registered"),
    "uq_users_username_key": lambda: AccountConflict("username_taken"),
    "uq_organizations_slug": lambda: OrganizationConflict("slug_taken"),
    "fk_invitations_invited_by": lambda: unauthorized_problem("token_revoked"),
    "fk_organization_members_user_id": lambda: unauthorized_problem("token_revoked"),
    "fk_tasks_organization_id": NotFound,  # deleted in the meantime
    "fk_tasks_user_id": lambda: unauthorized_problem("token_revoked"),
    "fk_access_tokens_user_id": lambda: unauthorized_problem("token_revoked"),
    "fk_access_tokens_organization_id": NotFound,
    "fk_sessions_user_id": lambda: unauthorized_problem("token_revoked"),
}
"""The problem of each constraint that a request can break (SQLSTATE 23503, 23505)."""

UNAVAILABLE = {  # SQLSTATE or its beginning, and the seconds after which to try again
    "08": 2,  # the connection is lost
    "57P": 2,  # the server is told to stop, has crashed, or is not up yet
    "53300": 2,  # no more connections
    "53": 30,  # the disk is full, or memory is short
    "25006": 5,  # a standby that may not write
    "40": 1,  # a deadlock or a race that five tries did not end
    "55P03": 1,  # a lock that others hold
    "57014": 1,  # a statement that took too long
    "XX": 2,  # a connection or a server that is broken
}
UNSTORABLE = "A value is out of the range that can be stored."
UNFIT = ("22", "23514", "54")  # values that the database does not take
NO_PLACE, EVENTS = "23514", "events"  # the event log has no room for today: server/database/event_keeping.py makes it


def unauthorized_problem(code: str) -> Unauthorized:
    """The problem for a request without a good access token (RFC 6750, 3)."""
    match code:
        case "authentication_required":
            return Unauthorized("authentication_required", www_authenticate="Bearer")
        case "token_expired":
            challenge = 'Bearer error="invalid_token", error_description="The access token has expired"'
            return Unauthorized("token_expired", www_authenticate=challenge)
        case "token_revoked":
            challenge = 'Bearer error="invalid_token", error_description="The session is over"'
            return Unauthorized("token_revoked", www_authenticate=challenge)
        case _:
            return Unauthorized("invalid_token", www_authenticate='Bearer error="invalid_token"')


def insufficient_scope(scopes: Sequence[str], reason: str) -> InsufficientScope:
    """The problem for an access token that is not for this (RFC 6750, 3.1), by its scopes if for no other reason."""
    if reason or not scopes:
        detail = reason or "This takes no access token of a program: sign in, and send the token of the session."
        return InsufficientScope("insufficient_scope", detail, www_authenticate='Bearer error="insufficient_scope"')
    needed = " ".join(scopes)
    challenge = f'Bearer error="insufficient_scope", scope="{needed}"'
    detail = f"The access token is not for this: it needs `{needed}`."
    return InsufficientScope("insufficient_scope", detail, www_authenticate=challenge)


def enrolment_required() -> InsufficientScope:
    """The problem for an account that must have a second factor and has none."""
    return InsufficientScope("mfa_enrolment_required", "This account must have a second factor. Make one first.")


def problem_of(error: Exception) -> Problem | None:
    """The problem that an error comes to; None when it is a mistake of ours."""
    return next((problem(error) for kind, problem in ANSWERS if isinstance(error, kind)), None)


def refusal_of(error: asyncpg.PostgresError) -> Problem | None:
    """The problem for what PostgreSQL refused."""
    state: str = error.sqlstate or ""
    constraint = CONSTRAINTS.get(getattr(error, "constraint_name", None) or "")
    if constraint is not None and state in ("23503", "23505"):
        return constraint()
    if state == NO_PLACE and getattr(error, "table_name", None) == EVENTS:
        return away(30)
    if state.startswith(UNFIT):
        return ValidationFailed(detail=UNSTORABLE)
    seconds = next((seconds for start, seconds in UNAVAILABLE.items() if state.startswith(start)), None)
    return None if seconds is None else away(seconds)


def away(retry_after: int) -> ServiceUnavailable:
    return ServiceUnavailable(detail="The database does not answer just now. Try again.", retry_after=retry_after)


BUSY = "Too many people sign in just now. Try again."
ANSWERS: tuple[tuple[type[Exception], Callable[[Any], Problem | None]], ...] = (
    (Problem, lambda problem: problem),
    (SessionOver, lambda _: unauthorized_problem("token_revoked")),
    (NotVisible, lambda _: NotFound()),
    (NotAllowed, lambda _: Forbidden("permission_denied", "Your role here does not allow this.")),
    (Stale, lambda stale: PreconditionFailed(etag=write_etag(stale.version, stale.shown_version))),
    (HashingBusy, lambda _: ServiceUnavailable(detail=BUSY, retry_after=1)),
    (PoolExhausted, lambda _: away(1)),
    (asyncpg.PostgresError, refusal_of),
    (asyncpg.InterfaceError, lambda _: away(2)),
    (InternalClientError, lambda _: away(2)),
    (OSError, lambda _: away(2)),
)
"""The first row that fits an error gives its problem."""
