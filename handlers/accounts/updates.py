"""A change of an account, by its user or by a superuser, and what it takes."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import MISSING

from contract.types import EntityTags
from generated import models
from generated.models import AuditAction, AuditOutcome
from generated.operations import RecentLoginNeeded, UserConflict
from handlers.shared import audit_trail
from handlers.shared.audit_trail import record
from handlers.shared.call import Call
from handlers.shared.mail import count_mail, post
from handlers.shared.preconditions import versions
from handlers.shared.time_zones import demand_zone
from persistence.authorization import NotAllowed, NotVisible, SessionOver, Stale
from persistence.engine.pool import Database
from persistence.queries import invitations
from persistence.queries.accounts import access_tokens, one_time_tokens, sessions, users
from persistence.queries.accounts.users import Changes, Held, key, words

ADMINISTERED = {"is_active", "is_superuser", "email_verified"}
"""What only superusers change."""
RECENT = timedelta(minutes=10)
CHALLENGE = f'Bearer error="insufficient_user_authentication", max_age={RECENT.seconds}'  # RFC 9470, 3


async def change(
    call: Call, user_id: UUID, patch: models.UserPatch, if_match: EntityTags | MISSING
) -> models.User | None:
    """The account as it now is. What is as it was leaves version and sessions alone.

    None where another address of the own is asked for by mail: it is that of the account when its link is followed.

    Raises SessionOver, NotVisible, NotAllowed, Stale, RecentLoginNeeded, UserConflict, TooManyRequests,
    ValidationFailed.
    """
    demand_zone(patch.time_zone, "body")
    takes_away = patch.is_active is False or patch.is_superuser is False
    async with call.db.transaction() as db:
        superusers = await users.hold_superusers(db, [user_id], by=call.caller) if takes_away else frozenset()
        held = await hold(call, db, user_id)
        changed = [name for name, value in present_members(patch).items() if getattr(held.user, name) != value]
        demand_right(call, held, patch, changed)
        demand_version(held.user, if_match)
        if not changed:
            return held.user
        await call.count_changes(changed)
        if takes_away and await is_last_superuser(call, db, held.user, superusers):
            raise UserConflict("last_superuser", "This is the only active superuser.")
        if "email" in changed and is_mailed(call, user_id, patch):
            await count_mail(call, str(patch.email))
            await post(db, call, "email_change", str(patch.email), subject_id=user_id)
            await change_rest(call, db, held.user, patch)
            return None
        user = await users.update(db, user_id, changes(held.user, patch))
        if "email" in changed or patch.is_active is False:
            reason = "email_changed" if "email" in changed else "deactivated"
            await sessions.end_others(db, user_id, by=call.caller, reason=reason)
            await one_time_tokens.end_all(db, user_id)
        if patch.is_active is False:
            await access_tokens.end_all(db, user_id, now=call.now, reason="deactivated")
            await users.revoke_tokens(db, user_id, now=call.now)
            await invitations.revoke_all_of(db, user_id)
        updated, target = AuditAction.user_updated, audit_trail.user(user_id)
        await record(db, call, updated, AuditOutcome.success, target=target, changes=changed)
    return user


def is_mailed(call: Call, user_id: UUID, patch: models.UserPatch) -> bool:
    """Whether the address changes by a mailed link: the own, unless a superuser says that it is verified."""
    return call.process.mail.is_on and user_id == call.caller.id and patch.email_verified is MISSING


async def change_rest(call: Call, db: Database, user: models.User, patch: models.UserPatch) -> None:
    """Change what else the patch says of the own account, which is held."""
    rest = patch.model_copy(update={"email": MISSING})
    changed = [name for name, value in present_members(rest).items() if getattr(user, name) != value]
    if changed:
        await users.update(db, user.id, changes(user, rest))
        target = audit_trail.user(user.id)
        await record(db, call, AuditAction.user_updated, AuditOutcome.success, target=target, changes=changed)


async def hold(call: Call, db: Database, user_id: UUID) -> Held:
    """The account, which is held. Raises NotVisible, or SessionOver when it was the caller's own and went meanwhile."""
    try:
        return await users.hold(db, user_id, by=call.caller)
    except NotVisible:
        if user_id == call.caller.id:
            raise SessionOver from None
        raise


def demand_version(user: models.User, if_match: EntityTags | MISSING) -> None:
    """Raises Stale."""
    named = versions(if_match)
    if named is not MISSING and user.version not in named:
        raise Stale(user.version)


def demand_right(call: Call, held: Held, patch: models.UserPatch, changed: Collection[str]) -> None:
    """Raises NotAllowed, RecentLoginNeeded, UserConflict."""
    administers = any(name in ADMINISTERED for name in present_members(patch))
    if administers and not held.by_superuser:
        raise NotAllowed
    if held.user.id != call.caller.id:
        return
    if not {"email", "username"}.isdisjoint(changed):
        demand_recent_login(held.authenticated_at, call.now)
    if patch.is_active is False:
        raise UserConflict("self_action_forbidden", "You cannot deactivate your own account.")


def demand_recent_login(authenticated_at: datetime | None, now: datetime) -> None:
    """Raises RecentLoginNeeded."""
    if authenticated_at is None or now - authenticated_at > RECENT:
        detail = "You signed in too long ago for this. Sign in again, and repeat it within 10 minutes."
        raise RecentLoginNeeded("reauthentication_required", detail, www_authenticate=CHALLENGE)


async def demand_recent_sign_in(call: Call, db: Database) -> None:
    """Raises SessionOver, RecentLoginNeeded."""
    demand_recent_login(await sessions.find_authenticated_at(db, by=call.caller), call.now)


async def is_last_superuser(call: Call, db: Database, user: models.User, superusers: frozenset[UUID]) -> bool:
    """Whether the user, who is held, is the only active superuser. `superusers` were held before."""
    if not (user.is_superuser and user.is_active):
        return False
    if user.id not in superusers:  # who has become one since they were held
        superusers = await users.hold_superusers(db, [user.id], by=call.caller)
    return not superusers - {user.id}


def present_members(patch: models.UserPatch) -> dict[str, object]:
    return {name: value for name, value in patch.__dict__.items() if value is not MISSING}


def verified_key(user: models.User, patch: models.UserPatch) -> str | MISSING | None:
    """The key of the address that is known to be the account's: none of a new one, unless a superuser says so."""
    email = user.email if patch.email is MISSING else patch.email
    if patch.email_verified is True and email is not None:
        return key(email)
    is_same = email is None or user.email is None or key(email) == key(user.email)
    return MISSING if is_same and patch.email_verified is MISSING else None


def changes(user: models.User, patch: models.UserPatch) -> Changes:
    """The patch of a user, with what the account is found by."""
    email, username, full_name = (
        was if now is MISSING else now
        for was, now in ((user.email, patch.email), (user.username, patch.username), (user.full_name, patch.full_name))
    )
    return Changes(
        email=patch.email,
        email_key=MISSING if patch.email is MISSING else key(patch.email),
        verified_email_key=verified_key(user, patch),
        username=patch.username,
        username_key=key(patch.username) if isinstance(patch.username, str) else patch.username,
        full_name=patch.full_name,
        is_active=patch.is_active,
        is_superuser=patch.is_superuser,
        time_zone=patch.time_zone,
        words=words(email, username, full_name),
    )
