"""A session: how it begins by a password or a code, goes on by a refresh token, and the tokens that it has."""

from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID, uuid4

from pydantic import MISSING

from generated import models
from generated.models import AuditAction, AuditOutcome, TokenPair
from generated.operations import AccountDisabled
from handlers.accounts import lockout, second_factor
from handlers.shared import audit_trail, refresh_cookie
from handlers.shared.audit_trail import record
from handlers.shared.call import PublicCall
from persistence.authorization import Caller
from persistence.engine.pool import Database
from persistence.queries.accounts import sessions, users
from persistence.queries.accounts.sessions import REFRESH_LIFETIME, Lineage, NewSession, Origin
from persistence.queries.accounts.users import Credentials
from security.tokens import InvalidToken, RefreshClaims

SUCCESS, FAILURE = AuditOutcome.success, AuditOutcome.failure
GRACE = timedelta(seconds=10)  # in which a refresh token that was exchanged may be sent again


class Standing(NamedTuple):
    """A session and where it stands."""

    id: UUID
    lineage: Lineage
    user: models.User


class Find(Protocol):
    """How the account of an identifier is found."""

    def __call__(self, db: Database, key: str, /, *, origin: Origin | MISSING) -> Awaitable[Credentials | None]: ...


class RefreshReused(Exception):  # noqa: N818 - it says what is the case
    """The refresh token was exchanged before, and not just now."""


class CodeNeeded(Exception):  # noqa: N818 - it says what is the case
    """The password is right, and the account has a second factor."""

    def __init__(self, user_id: UUID, verified: str) -> None:
        super().__init__(user_id)
        self.user_id, self.verified = user_id, verified


class WrongPassword(Exception):  # noqa: N818 - it says what is the case
    """The identifier, the password or both are wrong, or the account changed while it was looked at."""


async def begin_session(
    call: PublicCall,
    find: Find,
    identifier: str,
    password: str,
    device_name: str | MISSING | None,
    *,
    enrols: bool = True,
) -> Standing:
    """A new session, if the password is right and enough. Raises WrongPassword, AccountDisabled, CodeNeeded.

    `enrols`: who must have a second factor and has none gets a session to make one.
    """
    for _ in range(2):  # another login may have upgraded the hash meanwhile
        found = await find(call.db, identifier, origin=lockout.origin_of(call))
        account = None if found is None else audit_trail.user(found.id)
        hashed = await verified(call, found, identifier, password)
        if found is None or hashed is None:
            await record(call.db, call, AuditAction.auth_login, FAILURE, target=account, reason="wrong_password")
            raise WrongPassword
        if not found.is_active:
            await record(call.db, call, AuditAction.auth_login, FAILURE, target=account, reason="account_disabled")
            raise AccountDisabled(detail="This account has been deactivated.")
        if found.mfa_enabled or (not enrols and second_factor.must_have_one(call, found)):
            raise CodeNeeded(found.id, hashed)
        session = new_session(call, found.id, device_name)
        async with call.db.transaction() as db:
            user = await begin(call, db, session, hashed, by_code=False)
        if user is not None:
            return standing_of(session, user)
    raise WrongPassword


def new_session(call: PublicCall, user_id: UUID, device_name: str | MISSING | None) -> NewSession:
    return NewSession(
        id=uuid4(),
        user_id=user_id,
        device_name=None if device_name is MISSING else device_name,
        user_agent=call.client.user_agent,
        ip_address=call.client.address,
        created_at=call.now,
        expires_at=call.now + call.process.sessions.lifetime,
    )


def standing_of(session: NewSession, user: models.User) -> Standing:
    """Where a session stands that has just begun."""
    return Standing(session.id, Lineage(session.user_id, 0, session.created_at, None, session.expires_at), user)


async def begin(
    call: PublicCall, db: Database, session: NewSession, hashed: str, *, by_code: bool
) -> models.User | None:
    """The account, if the session began: not when the password or the factor was changed meanwhile."""
    by = Caller(session.user_id, session.id, call.now)
    user = await sessions.insert(db, session, verified=hashed, by_code=by_code, most=call.process.sessions_per_user)
    if user is not None:
        await record(db, call, AuditAction.auth_login, SUCCESS, by=by, target=audit_trail.session(session.id))
    return user


async def verified(call: PublicCall, found: Credentials | None, identifier: str, password: str) -> str | None:
    """The hash of the account, upgraded where that is due, if the password is right."""
    hashed = found.hashed_password if found else None
    of, is_known = (identifier, False) if found is None else (found.id, found.is_known)
    verdict = await lockout.verify(call, password, hashed, of=of, is_known=is_known)
    if found is None or hashed is None or not verdict.right:
        return None
    if verdict.outdated:
        stronger = await call.passwords.hash(password)
        if await users.strengthen(call.db, found.id, verified=hashed, hashed=stronger):
            return stronger
    return hashed


async def advance(call: PublicCall, claims: RefreshClaims) -> Standing:
    """The session of a refresh token, on to its next one. Raises InvalidToken, RefreshReused; reuse ends it as well."""
    async with call.db.transaction() as db:
        since = call.now - call.process.sessions.idle
        user, found = await sessions.lock(db, claims.session_id, now=call.now, used_since=since) or (None, None)
        if user is None or found is None or found.user_id != claims.user_id:
            raise InvalidToken
        if found.generation == claims.generation:
            return Standing(claims.session_id, await sessions.rotate(db, claims.session_id, now=call.now), user)
        if is_answered_again(found, claims.generation, call.now):
            return Standing(claims.session_id, found, user)
        await sessions.end(db, claims.session_id, now=call.now, reason="refresh_reuse")
        by = Caller(claims.user_id, claims.session_id, call.now)
        ended = audit_trail.session(claims.session_id)
        await record(db, call, AuditAction.auth_refresh_reuse, AuditOutcome.denied, by=by, target=ended)
    raise RefreshReused


def is_answered_again(session: Lineage, generation: int, now: datetime) -> bool:
    """Whether a refresh token was exchanged so lately that the answer may have been lost, or another tab was faster."""
    exchanged = {1: session.rotated_at, 2: session.previous_rotated_at}.get(session.generation - generation)
    return exchanged is not None and now - exchanged <= GRACE


def tokens_of(call: PublicCall, session: Standing, *, by_cookie: bool) -> tuple[TokenPair, str | None]:
    """The tokens of a session for the body, and the cookie when the refresh token travels by that."""
    tokens, at = call.process.tokens, session.lineage
    until = min(at.expires_at, at.rotated_at + REFRESH_LIFETIME)
    refresh = tokens.issue_refresh(at.user_id, session.id, at.generation, at.rotated_at, until)
    left = until - call.now
    pair = TokenPair(
        access_token=tokens.issue_access(at.user_id, session.id, call.now),
        token_type="bearer",  # noqa: S106 - a word of RFC 6749
        expires_in=max(1, int(min(tokens.access_lifetime, at.expires_at - call.now).total_seconds())),
        refresh_token=None if by_cookie else refresh,
        refresh_expires_in=int(left.total_seconds()),
        session_id=session.id,
        user=session.user,
    )
    return pair, refresh_cookie.set_refresh(refresh, left) if by_cookie else None
