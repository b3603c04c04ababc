"""The operations tagged `auth`."""

from datetime import timedelta
from uuid import UUID, uuid4

from pydantic import MISSING
from uuid_utils.compat import uuid7

from generated import models
from generated.models import TokenPair
from generated.operations import (
    AccountDisabled,
    GetCurrentUser200,
    InvalidCredentials,
    IssueToken200,
    Login200,
    PasswordRefused,
    RegisterUser201,
    TokenRefused,
)
from handlers.call import Call, PublicCall
from handlers.versions import etag
from persistence import sessions, users
from persistence.sessions import NewSession
from persistence.users import Credentials, NewUser, key
from security import strength

SESSION_LIFETIME = timedelta(days=7)
LONGEST_USER_AGENT = 500  # characters that are kept


class WrongPassword(Exception):  # noqa: N818 - it says what is the case
    """The identifier, the password or both are wrong, or the account changed while it was looked at."""


async def register_user(call: PublicCall, /, *, body: models.UserRegister) -> RegisterUser201:
    username = None if body.username is MISSING else body.username
    full_name = None if body.full_name is MISSING else body.full_name
    names = [name for name in (username, full_name) if name is not None]
    try:
        await call.process.passwords.check(body.password, email=body.email, names=names)
    except strength.PasswordRefused as refused:
        raise PasswordRefused(refused.code, refused.detail) from None
    account = NewUser(
        id=uuid7(),
        email=body.email,
        email_key=key(body.email),
        username=username,
        username_key=None if username is None else key(username),
        full_name=full_name,
        hashed_password=await call.process.passwords.hash(body.password),
        created_at=call.now,
        organization_name=full_name or username or body.email.partition("@")[0],
    )
    user = await users.insert(call.db, account)
    return RegisterUser201(body=user, location=f"/api/v1/users/{user.id}", etag=etag(user))


async def login(call: PublicCall, /, *, body: models.LoginRequest) -> Login200:
    found = await users.find_credentials(call.db, key(body.email))
    device_name = None if body.device_name is MISSING else body.device_name
    try:
        return Login200(body=await begin_session(call, found, body.password, device_name))
    except WrongPassword:
        raise InvalidCredentials(www_authenticate="Bearer") from None


async def issue_token(call: PublicCall, /, *, body: models.TokenRequest) -> IssueToken200:
    found = await users.find_credentials_by_either(call.db, key(body.username))
    try:
        return IssueToken200(body=await begin_session(call, found, body.password, None))
    except WrongPassword:
        raise TokenRefused("invalid_grant", "The username or the password is wrong.") from None
    except AccountDisabled as disabled:
        raise TokenRefused("invalid_grant", disabled.detail) from None


async def get_current_user(call: Call, /) -> GetCurrentUser200:
    user = await users.find_me(call.db, by=call.caller)
    return GetCurrentUser200(body=user, etag=etag(user))


async def begin_session(
    call: PublicCall, found: Credentials | None, password: str, device_name: str | None
) -> TokenPair:
    """The tokens of a new session, if the password is right. Raises WrongPassword, AccountDisabled."""
    hashed = found.hashed_password if found else None
    verdict = await call.process.passwords.verify(password, hashed)
    if found is None or hashed is None or not verdict.right:
        raise WrongPassword
    if not found.is_active:
        raise AccountDisabled(detail="This account has been deactivated.")
    session = NewSession(
        id=uuid4(),
        user_id=found.id,
        device_name=device_name,
        user_agent=call.client.user_agent and call.client.user_agent[:LONGEST_USER_AGENT],
        ip_address=call.client.address,
        created_at=call.now,
        expires_at=call.now + SESSION_LIFETIME,
    )
    if not await sessions.insert(call.db, session, verified=hashed):
        raise WrongPassword
    return tokens_of(call, session.user_id, session)


def tokens_of(call: PublicCall, user_id: UUID, session: NewSession) -> TokenPair:
    tokens = call.process.tokens
    return TokenPair(
        access_token=tokens.issue_access(user_id, session.id, call.now),
        token_type="bearer",  # noqa: S106 - a word of RFC 6749
        expires_in=int(tokens.access_lifetime.total_seconds()),
        refresh_token=tokens.issue_refresh(session.id, 0, session.created_at, session.expires_at),
        refresh_expires_in=int(SESSION_LIFETIME.total_seconds()),
        session_id=session.id,
    )
