"""The operations tagged `users`."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from uuid import UUID

from pydantic import MISSING

from contract.types import EntityTags, Json
from generated import models
from generated.models import AuditAction, AuditOutcome, BulkUserAction, BulkUserOutcomeCode
from generated.operations import (
    BulkUpdateUsers200,
    CreatePasswordReset201,
    CreateUser201,
    DeleteUser204,
    DeletionConflict,
    FactorConflict,
    GetUser200,
    ListUsers200,
    ListUserSessions200,
    NoEmail,
    NotFound,
    PasswordRefused,
    ReplaceUser200,
    ReplaceUser202,
    ResetTotp204,
    RevokeUserSessions204,
    UnlockUser204,
    UpdateUser200,
    UpdateUser202,
    UserConflict,
)
from handlers.accounts import links, lockout, registration
from handlers.accounts.deletion import erase
from handlers.accounts.updates import change, demand_recent_login, demand_recent_sign_in, demand_version
from handlers.shared import audit_trail, pagination
from handlers.shared.audit_trail import record
from handlers.shared.call import Call
from handlers.shared.mail import post
from handlers.shared.preconditions import etag
from persistence.authorization import NotVisible
from persistence.queries.accounts import access_tokens, one_time_tokens, second_factors, sessions, user_lists, users
from persistence.queries.accounts.user_lists import Filters, beginnings
from persistence.queries.accounts.users import NewUser
from security import password_strength


async def list_users(
    call: Call,
    /,
    *,
    limit: int,
    cursor: str | MISSING,
    sort: models.UserSort,
    q: str | MISSING,
    is_active: bool | MISSING,
    is_superuser: bool | MISSING,
    created_before: datetime | MISSING,
    created_after: datetime | MISSING,
    include_total: bool,
) -> ListUsers200:
    given = {
        "sort": sort,
        "q": q,
        "is_active": is_active,
        "is_superuser": is_superuser,
        "created_before": created_before,
        "created_after": created_after,
    }
    words = MISSING if q is MISSING else beginnings(q)
    listing = pagination.Listing("/api/v1/users", given, call.caller.id, given | {"q": words})
    page = await user_lists.list_all(
        call.db,
        by=call.caller,
        filters=Filters(words=words, created_before=created_before, created_after=created_after),
        is_active=is_active,
        is_superuser=is_superuser,
        sort=sort,
        after=listing.after(cursor, call.process.cursors),
        limit=limit,
        total=include_total,
    )
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.UserPage] = Json(pagination.counted_body(page, following))
    return ListUsers200(body=body, link=listing.link(following, limit, include_total=include_total or MISSING))


async def create_user(call: Call, /, *, body: models.UserCreate) -> CreateUser201:
    await user_lists.demand_superuser(call.db, by=call.caller)
    await call.count_changes(body.model_fields_set)
    account = await call.aside(partial(new_account, call, body))
    async with call.db.transaction() as db:
        user = await users.insert(db, replace(account, is_active=body.is_active is not False))
        made = ["is_superuser"] if user.is_superuser else []
        target = audit_trail.user(user.id)
        await record(db, call, AuditAction.user_created, AuditOutcome.success, target=target, changes=made)
        if body.password is MISSING:
            await post(db, call, "password_reset", body.email)
    return CreateUser201(body=user, location=f"/api/v1/users/{user.id}", etag=etag(user))


async def new_account(call: Call, body: models.UserCreate) -> NewUser:
    try:
        is_superuser = body.is_superuser is True
        return await registration.new(body, call.passwords, call.now, is_superuser=is_superuser, is_verified=True)
    except password_strength.PasswordRefused as refused:
        raise PasswordRefused(refused.code, refused.detail) from None


async def bulk_update_users(call: Call, /, *, body: models.BulkUserUpdate) -> BulkUpdateUsers200:
    outcomes: dict[UUID, models.BulkUserOutcome] = {}
    async with call.db.transaction() as db:
        await user_lists.demand_superuser(db, by=call.caller)
        if body.action is not BulkUserAction.activate:
            await users.hold_superusers(db, body.user_ids, by=call.caller)  # before any of the accounts
        for user_id in sorted(set(body.user_ids)):  # as every other call does, so that none waits for another in a ring
            outcomes[user_id] = await outcome(replace(call, db=db), body.action, user_id)
    return BulkUpdateUsers200(body=models.BulkUserResult(results=[outcomes[user_id] for user_id in body.user_ids]))


async def get_user(call: Call, /, *, user_id: UUID) -> GetUser200:
    user = await users.find(call.db, user_id, by=call.caller)
    return GetUser200(body=user, etag=etag(user))


async def replace_user(
    call: Call, /, *, user_id: UUID, if_match: EntityTags | MISSING, body: models.UserReplace
) -> ReplaceUser200 | ReplaceUser202:
    whole = models.UserPatch(
        email=body.email,
        username=None if body.username is MISSING else body.username,
        full_name=None if body.full_name is MISSING else body.full_name,
        time_zone=None if body.time_zone is MISSING else body.time_zone,
    )
    user = await change(call, user_id, whole, if_match)
    if user is None:
        return ReplaceUser202()
    return ReplaceUser200(body=user, etag=etag(user))


async def update_user(
    call: Call, /, *, user_id: UUID, if_match: EntityTags | MISSING, body: models.UserPatch
) -> UpdateUser200 | UpdateUser202:
    user = await change(call, user_id, body, if_match)
    if user is None:
        return UpdateUser202()
    return UpdateUser200(body=user, etag=etag(user))


async def delete_user(call: Call, /, *, user_id: UUID, if_match: EntityTags | MISSING) -> DeleteUser204:
    await remove(call, user_id, if_match)
    return DeleteUser204()


async def unlock_user(call: Call, /, *, user_id: UUID) -> UnlockUser204:
    async with call.db.transaction() as db:
        await user_lists.hold(db, user_id, by=call.caller)
        await lockout.forget_passwords(call.process.keys, db, user_id)
        await lockout.forget_codes(call.process.keys, db, user_id)
        await record(db, call, AuditAction.user_unlocked, AuditOutcome.success, target=audit_trail.user(user_id))
    return UnlockUser204()


async def create_password_reset(call: Call, /, *, user_id: UUID) -> CreatePasswordReset201:
    await user_lists.demand_superuser(call.db, by=call.caller)
    async with call.db.transaction() as db:
        held = await users.hold(db, user_id, by=call.caller)
        demand_recent_login(held.authenticated_at, call.now)
        if held.user.email is None:
            raise NoEmail(detail="Without an e-mail address there is no signing in by password. Give it one first.")
        base = call.process.public_url
        made = await links.make_link(db, user_id, "password_reset", base=base, now=call.now, made_by=call.caller.id)
        reason = "of_superuser" if held.user.is_superuser else None
        created, target = AuditAction.user_password_reset_created, audit_trail.user(user_id)
        await record(db, call, created, AuditOutcome.success, target=target, reason=reason)
    return CreatePasswordReset201(body=models.PasswordResetLink(**made._asdict()))


async def reset_totp(call: Call, /, *, user_id: UUID) -> ResetTotp204:
    await user_lists.demand_superuser(call.db, by=call.caller)
    async with call.db.transaction() as db:
        held = await users.hold(db, user_id, by=call.caller)
        demand_recent_login(held.authenticated_at, call.now)
        factor = await second_factors.find(db, user_id)
        if factor is None or not factor.is_confirmed:
            raise FactorConflict("mfa_not_enabled", "There is no second factor.")
        await second_factors.delete_of(db, user_id)
        await one_time_tokens.end_ways_in(db, user_id)
        await lockout.forget_codes(call.process.keys, db, user_id)
        await record(db, call, AuditAction.user_mfa_reset, AuditOutcome.success, target=audit_trail.user(user_id))
    return ResetTotp204()


async def list_user_sessions(call: Call, /, *, user_id: UUID, limit: int, cursor: str | MISSING) -> ListUserSessions200:
    listing = pagination.Listing(f"/api/v1/users/{user_id}/sessions", {}, call.caller.id)
    after = listing.after(cursor, call.process.cursors)
    page = await sessions.list_of(call.db, user_id, by=call.caller, after=after, limit=limit)
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.SessionPage] = Json(pagination.body(page, following))
    return ListUserSessions200(body=body, link=listing.link(following, limit))


async def revoke_user_sessions(call: Call, /, *, user_id: UUID) -> RevokeUserSessions204:
    ended = AuditAction.user_sessions_revoked
    async with call.db.transaction() as db:
        await user_lists.hold(db, user_id, by=call.caller)
        await demand_recent_sign_in(call, db)
        await sessions.end_all(db, user_id, now=call.now, reason="revoked_by_superuser")
        await access_tokens.end_all(db, user_id, now=call.now, reason="revoked_by_superuser")
        await one_time_tokens.end_ways_in(db, user_id)
        await users.revoke_tokens(db, user_id, now=call.now)
        await record(db, call, ended, AuditOutcome.success, target=audit_trail.user(user_id))
    return RevokeUserSessions204()


async def remove(call: Call, user_id: UUID, if_match: EntityTags | MISSING) -> None:
    """Delete somebody else's account. Raises NotAllowed, NotVisible, Stale, DeletionConflict."""
    async with call.db.transaction() as db:
        superusers = await users.hold_superusers(db, [user_id], by=call.caller)
        user = await user_lists.hold(db, user_id, by=call.caller)
        if user_id == call.caller.id:
            raise DeletionConflict("self_action_forbidden", "You cannot delete your own account here.")
        demand_version(user, if_match)
        await erase(call, db, user, superusers)


async def outcome(call: Call, action: BulkUserAction, user_id: UUID) -> models.BulkUserOutcome:
    """What the operation on one user comes to, in a savepoint of its own."""
    try:
        if action is BulkUserAction.delete:
            await remove(call, user_id, MISSING)
            return models.BulkUserOutcome(user_id=user_id, status=DeleteUser204.status, code=None)
        await change(call, user_id, models.UserPatch(is_active=action is BulkUserAction.activate), MISSING)
        return models.BulkUserOutcome(user_id=user_id, status=UpdateUser200.status, code=None)
    except NotVisible:
        return models.BulkUserOutcome(user_id=user_id, status=NotFound.status, code=BulkUserOutcomeCode.not_found)
    except (DeletionConflict, UserConflict) as conflict:
        return models.BulkUserOutcome(user_id=user_id, status=conflict.status, code=BulkUserOutcomeCode(conflict.code))
