"""The operations tagged `access-tokens`: what programs call with in place of their owners."""

from datetime import timedelta
from uuid import UUID

from pydantic import MISSING
from uuid_utils.compat import uuid7

from contract.types import Json
from generated import models
from generated.models import AccessTokenScope, AuditAction, AuditOutcome
from generated.operations import (
    AccessTokenNotFound,
    CreateAccessToken201,
    Forbidden,
    GetAccessToken200,
    ListAccessTokens200,
    QuotaExceeded,
    RevokeAccessToken204,
)
from handlers.accounts.updates import demand_recent_login, hold
from handlers.shared import audit_trail, pagination
from handlers.shared.audit_trail import record
from handlers.shared.call import Call
from persistence.authorization import Full, NotVisible
from persistence.queries.accounts import access_tokens
from persistence.queries.accounts.access_tokens import NewToken

PATH = "/api/v1/access-tokens"
MOST = 100  # that live, of an account
LIFE = 90  # days, where the caller names none
SUCCESS = AuditOutcome.success


async def create_access_token(call: Call, /, *, body: models.AccessTokenCreate) -> CreateAccessToken201:
    token, wanted = new_token(call, body)
    try:
        async with call.db.transaction() as db:
            me = await hold(call, db, call.caller.id)
            demand_recent_login(me.authenticated_at, call.now)
            demand_sense(body, is_superuser=me.user.is_superuser)
            made = await access_tokens.insert(db, wanted, by=call.caller, most=MOST)
            await record(db, call, AuditAction.auth_token_created, SUCCESS, target=audit_trail.access_token(made.id))
    except NotVisible:
        raise AccessTokenNotFound("not_found", "You are a member of no such organization.") from None
    except Full:
        raise QuotaExceeded("quota_exceeded", "You have as many access tokens as one may have.", limit=MOST) from None
    created = models.AccessTokenCreated(**made.__dict__, token=token)
    return CreateAccessToken201(body=created, location=f"{PATH}/{made.id}")


def new_token(call: Call, body: models.AccessTokenCreate) -> tuple[str, NewToken]:
    """A token, and what is kept of it."""
    token_id = uuid7()
    token, secret_hash = call.process.access_tokens.issue(token_id, call.caller.id)
    return token, NewToken(
        id=token_id,
        name=body.name,
        scopes=[scope.value for scope in dict.fromkeys(body.scopes)],
        secret_hash=secret_hash,
        expires_at=call.now + timedelta(days=LIFE if body.expires_in_days is MISSING else body.expires_in_days),
        organization_id=body.organization_id,
    )


def demand_sense(body: models.AccessTokenCreate, *, is_superuser: bool) -> None:
    """Raises Forbidden for the scope of superusers where it would not count."""
    if AccessTokenScope.admin not in body.scopes:
        return
    if not is_superuser:
        raise Forbidden("permission_denied", "Only superusers make access tokens with the scope `admin`.")
    if body.organization_id is not MISSING:
        raise Forbidden("permission_denied", "The scope `admin` is for no organization alone.")


async def list_access_tokens(call: Call, /, *, limit: int, cursor: str | MISSING) -> ListAccessTokens200:
    listing = pagination.Listing(PATH, {}, call.caller.id)
    after = listing.after(cursor, call.process.cursors)
    page = await access_tokens.list_mine(call.db, by=call.caller, after=after, limit=limit)
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.AccessTokenPage] = Json(pagination.body(page, following))
    return ListAccessTokens200(body=body, link=listing.link(following, limit))


async def get_access_token(call: Call, /, *, access_token_id: UUID) -> GetAccessToken200:
    try:
        return GetAccessToken200(body=await access_tokens.find(call.db, access_token_id, by=call.caller))
    except NotVisible:
        raise AccessTokenNotFound("not_found") from None


async def revoke_access_token(call: Call, /, *, access_token_id: UUID) -> RevokeAccessToken204:
    revoked, target = AuditAction.auth_token_revoked, audit_trail.access_token(access_token_id)
    try:
        async with call.db.transaction() as db:
            await access_tokens.revoke(db, access_token_id, by=call.caller, reason="revoked")
            await record(db, call, revoked, SUCCESS, target=target)
    except NotVisible:
        raise AccessTokenNotFound("not_found") from None
    return RevokeAccessToken204()
