"""The operations tagged `auth`."""

from collections.abc import Awaitable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Protocol
from uuid import UUID, uuid4

from pydantic import MISSING

from contract.types import Json
from generated import models
from generated.models import AuditAction, AuditOutcome, TokenPair, TokenTransport
from generated.operations import (
    AccountDisabled,
    CompleteLogin200,
    GetCurrentUser200,
    InvalidCredentials,
    IssueToken200,
    ListSessions200,
    Login200,
    LoginNotCompleted,
    Logout204,
    LogoutAll204,
    LogoutRefused,
    PasswordRefused,
    Reauthenticate204,
    RefreshRefused,
    RefreshTokens200,
    RefreshTokens204,
    RegisterUser201,
    RegisterUser202,
    RequestPasswordReset202,
    ResetPassword204,
    RevokeSession204,
    SessionNotFound,
    TokenRefused,
    VerifyEmail204,
)
from handlers.accounts import addresses, links, lockout, own_code, registration, second_factor
from handlers.accounts.own_password import prove_password, wrong_password
from handlers.accounts.updates import demand_recent_sign_in
from handlers.shared import audit_trail, pagination, refresh_cookie
from handlers.shared.audit_trail import record
from handlers.shared.call import Call, PublicCall
from handlers.shared.mail import post
from handlers.shared.preconditions import etag
from persistence.authorization import Caller, NotVisible
from persistence.engine.pool import Database
from persistence.queries.accounts import access_tokens, one_time_tokens, sessions, users
from persistence.queries.accounts.sessions import REFRESH_LIFETIME, Lineage, NewSession, Origin
from persistence.queries.accounts.users import Credentials, key
from security import password_strength
from security.one_time_tokens import hash_token
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


async def register_user(call: PublicCall, /, *, body: models.UserRegister) -> RegisterUser201 | RegisterUser202:
    await call.count_changes(body.model_fields_set)
    try:
        account = await registration.new(body, call.passwords, call.now)
    except password_strength.PasswordRefused as refused:
        raise PasswordRefused(refused.code, refused.detail) from None
    if call.process.mail.is_on:
        await registration.await_link(call, account)
        return RegisterUser202()
    async with call.db.transaction() as db:
        user = await users.insert(db, account)
        await record(db, call, AuditAction.auth_registered, SUCCESS, target=audit_trail.user(user.id))
    return RegisterUser201(body=user, location=f"/api/v1/users/{user.id}", etag=etag(user))


async def verify_email(call: PublicCall, /, *, body: models.LinkUse) -> VerifyEmail204:
    hashed = hash_token(body.token)
    found = await one_time_tokens.find(call.db, hashed, "email_verification", now=call.now)
    if found is None:
        await registration.confirm(call, hashed)
    else:
        await addresses.confirm(call, body.token, found)
    return VerifyEmail204()


async def login(call: PublicCall, /, *, body: models.LoginRequest) -> Login200:
    try:
        session = await begin_session(call, users.find_credentials, key(body.email), body.password, body.device_name)
    except WrongPassword:
        raise InvalidCredentials("invalid_credentials", www_authenticate="Bearer") from None
    except CodeNeeded as needed:
        seconds = int(second_factor.CHALLENGE_LIFE.total_seconds())
        challenge = await second_factor.challenge(call, needed.user_id, needed.verified)
        raise InvalidCredentials(
            "mfa_required",
            "The password is right. Send the code of the second factor with this challenge.",
            www_authenticate="Bearer",
            challenge=challenge,
            expires_in=seconds,
        ) from None
    by_cookie = body.token_transport is TokenTransport.cookie
    pair, cookie = tokens_of(call, session, by_cookie=by_cookie)
    return Login200(body=pair, set_cookie=cookie)


async def complete_login(call: PublicCall, /, *, body: models.LoginCompletion) -> CompleteLogin200:
    waiting = await second_factor.find_challenge(call, body.challenge)
    found = await users.find_credentials_of(call.db, waiting.user_id, origin=lockout.origin_of(call))
    if found is None or found.hashed_password is None or hash_token(found.hashed_password) != waiting.bound_to:
        raise second_factor.refused_challenge()
    session, hashed = new_session(call, found.id, body.device_name), found.hashed_password

    async def enter() -> models.User | None:
        async with call.db.transaction() as db:
            await users.lock(db, found.id)
            if not await second_factor.accept(call, db, found.id, body.code):
                return None
            await second_factor.take_challenge(call, db, body.challenge)
            user = await begin(call, db, session, hashed, by_code=True)
            if user is None:
                raise second_factor.refused_challenge()
            return user

    user = await lockout.verify_code(call, found.id, enter, is_known=found.is_known)
    if user is None:
        account = audit_trail.user(found.id)
        await record(call.db, call, AuditAction.auth_login, FAILURE, target=account, reason="wrong_code")
        raise LoginNotCompleted("invalid_code", www_authenticate="Bearer")
    by_cookie = body.token_transport is TokenTransport.cookie
    pair, cookie = tokens_of(call, standing_of(session, user), by_cookie=by_cookie)
    return CompleteLogin200(body=pair, set_cookie=cookie)


async def issue_token(call: PublicCall, /, *, body: models.TokenRequest) -> IssueToken200:
    try:
        find, identifier = users.find_credentials_by_either, key(body.username)
        session = await begin_session(call, find, identifier, body.password, MISSING, enrols=False)
    except WrongPassword:
        raise TokenRefused("invalid_grant", "The username or the password is wrong.") from None
    except AccountDisabled as disabled:
        raise TokenRefused("invalid_grant", disabled.detail) from None
    except CodeNeeded:
        raise TokenRefused("invalid_grant", "This account signs in with a second factor, by login.") from None
    pair, _ = tokens_of(call, session, by_cookie=False)
    return IssueToken200(body=pair)


async def refresh_tokens(
    call: PublicCall, /, *, body: models.RefreshRequest | MISSING
) -> RefreshTokens200 | RefreshTokens204:
    given = MISSING if body is MISSING else body.refresh_token
    cookie = call.client.refresh_cookie
    token = cookie if given is MISSING else given
    clear = refresh_cookie.clear_refresh() if given is MISSING and cookie is not None else None
    try:
        claims = call.process.tokens.verify_refresh(token or "")
        session = await advance(call, claims)
    except InvalidToken:
        if body is not MISSING and body.optional is True:
            return RefreshTokens204(set_cookie=clear)
        raise refresh_error("invalid_refresh_token", clear) from None
    except RefreshReused:
        raise refresh_error("refresh_token_reused", clear) from None
    pair, set_cookie = tokens_of(call, session, by_cookie=given is MISSING)
    return RefreshTokens200(body=pair, set_cookie=set_cookie)


async def logout(call: Call, /) -> Logout204:
    clear = None if call.client.refresh_cookie is None else refresh_cookie.clear_refresh()
    found = False
    async with call.db.transaction() as db:
        for user_id, session_id in sorted(named_sessions(call)):  # in order, so that two calls do not block each other
            was_live = await sessions.end_named(db, session_id, user_id, now=call.now, reason="logout")
            if was_live:
                by, ended = Caller(user_id, session_id, call.now), audit_trail.session(session_id)
                await record(db, call, AuditAction.auth_logout, SUCCESS, by=by, target=ended)
            found = found or was_live is not None
    if not found:
        raise LogoutRefused("token_revoked", www_authenticate='Bearer error="invalid_token"', set_cookie=clear)
    return Logout204(set_cookie=clear)


def named_sessions(call: Call) -> set[tuple[UUID, UUID]]:
    """The sessions that access token and cookie name, with their users."""
    named = {(call.caller.id, session_id) for session_id in (call.caller.session_id,) if session_id is not MISSING}
    with suppress(InvalidToken):
        claims = call.process.tokens.verify_refresh(call.client.refresh_cookie or "")
        named.add((claims.user_id, claims.session_id))
    return named


async def logout_all(call: Call, /) -> LogoutAll204:
    async with call.db.transaction() as db:
        await demand_recent_sign_in(call, db)
        await users.lock(db, call.caller.id)
        await sessions.revoke_all(db, by=call.caller, reason="logout_all")
        await one_time_tokens.end_ways_in(db, call.caller.id)
        await record(db, call, AuditAction.auth_logout_all, SUCCESS, target=audit_trail.user(call.caller.id))
    return LogoutAll204(set_cookie=refresh_cookie.clear_refresh())


async def list_sessions(call: Call, /, *, limit: int, cursor: str | MISSING) -> ListSessions200:
    listing = pagination.Listing("/api/v1/auth/sessions", {}, call.caller.id)
    after = listing.after(cursor, call.process.cursors)
    page = await sessions.list_mine(call.db, by=call.caller, after=after, limit=limit)
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.SessionPage] = Json(pagination.body(page, following))
    return ListSessions200(body=body, link=listing.link(following, limit))


async def revoke_session(call: Call, /, *, session_id: UUID) -> RevokeSession204:
    try:
        async with call.db.transaction() as db:
            if session_id != call.caller.session_id:
                await demand_recent_sign_in(call, db)
            await sessions.revoke(db, session_id, by=call.caller, reason="revoked")
            await record(db, call, AuditAction.auth_session_revoked, SUCCESS, target=audit_trail.session(session_id))
    except NotVisible:
        raise SessionNotFound("not_found") from None
    own = session_id == call.caller.session_id
    return RevokeSession204(set_cookie=refresh_cookie.clear_refresh() if own else None)


async def reauthenticate(call: Call, /, *, body: models.Reauthentication) -> Reauthenticate204:
    again = AuditAction.auth_reauthenticated
    if body.code is not MISSING:
        await own_code.prove_code(call, body.code, again)
        return Reauthenticate204()
    password = "" if body.password is MISSING else body.password  # without a code the contract wants one
    me = await prove_password(call, password, again)
    try:
        async with call.db.transaction() as db:
            await sessions.reauthenticate(db, by=call.caller, verified=me.verified)
            await record(db, call, again, SUCCESS, target=audit_trail.user(call.caller.id))
    except NotVisible:  # the password was changed meanwhile
        raise wrong_password() from None
    return Reauthenticate204()


async def get_current_user(call: Call, /) -> GetCurrentUser200:
    user = await users.find_me(call.db, by=call.caller)
    return GetCurrentUser200(body=user, etag=etag(user))


async def request_password_reset(call: PublicCall, /, *, body: models.PasswordResetRequest) -> RequestPasswordReset202:
    await post(call.db, call, "password_reset", body.email)  # whose it is, is looked at when the mail is written
    return RequestPasswordReset202()


async def reset_password(call: PublicCall, /, *, body: models.PasswordReset) -> ResetPassword204:
    found = await links.find_link(call, body.token, "password_reset")
    owner = await users.find_owner(call.db, found.user_id)
    known = (None, None, None) if owner is None else (owner.email, owner.username, owner.full_name)  # its link is gone
    names = [name for name in known[1:] if name is not None]
    try:
        await call.passwords.check(body.password, email=known[0] or "", names=names)
    except password_strength.PasswordRefused as refusal:
        raise PasswordRefused(refusal.code, refusal.detail) from None
    hashed = await call.passwords.hash(body.password)
    async with call.db.transaction() as db:
        await users.lock(db, found.user_id)
        taken = await links.take_link(call, db, body.token, "password_reset")
        if taken.email is not None and await users.verify_email(db, found.user_id, taken.email):
            await addresses.take_over(call, db, found.user_id)
        await users.set_password(db, found.user_id, hashed=hashed, now=call.now)
        await sessions.end_all(db, found.user_id, now=call.now, reason="password_reset")
        await access_tokens.end_all(db, found.user_id, now=call.now, reason="password_reset")
        await one_time_tokens.end_all(db, found.user_id)
        await lockout.forget_passwords(call.process.keys, db, found.user_id)
        target = audit_trail.user(found.user_id)
        await record(db, call, AuditAction.auth_password_reset, SUCCESS, target=target, changes=["password"])
    return ResetPassword204()


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
        hashed = await check_credentials(call, found, identifier, password)
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


async def check_credentials(call: PublicCall, found: Credentials | None, identifier: str, password: str) -> str | None:
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


def refresh_error(
    code: Literal["invalid_refresh_token", "refresh_token_reused"], set_cookie: str | None
) -> RefreshRefused:
    return RefreshRefused(code, www_authenticate='Bearer error="invalid_token"', set_cookie=set_cookie)
