"""The operations tagged `auth`."""

from contextlib import suppress
from typing import Literal
from uuid import UUID

from pydantic import MISSING

from contract.types import Json
from generated import models
from generated.models import AuditAction, AuditOutcome, TokenTransport
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
from handlers.accounts.sign_in import (
    CodeNeeded,
    RefreshReused,
    WrongPassword,
    advance,
    begin,
    begin_session,
    new_session,
    standing_of,
    tokens_of,
)
from handlers.accounts.updates import demand_recent_sign_in
from handlers.shared import audit_trail, pagination, refresh_cookie
from handlers.shared.audit_trail import record
from handlers.shared.call import Call, PublicCall
from handlers.shared.mail import post
from handlers.shared.preconditions import etag
from persistence.authorization import Caller, NotVisible
from persistence.queries.accounts import access_tokens, one_time_tokens, sessions, users
from persistence.queries.accounts.users import key
from security import password_strength
from security.one_time_tokens import hash_token
from security.tokens import InvalidToken

SUCCESS, FAILURE = AuditOutcome.success, AuditOutcome.failure


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
        raise refused("invalid_refresh_token", clear) from None
    except RefreshReused:
        raise refused("refresh_token_reused", clear) from None
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


def refused(code: Literal["invalid_refresh_token", "refresh_token_reused"], set_cookie: str | None) -> RefreshRefused:
    return RefreshRefused(code, www_authenticate='Bearer error="invalid_token"', set_cookie=set_cookie)
