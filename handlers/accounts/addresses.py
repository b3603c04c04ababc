"""The address of an account: known to be its own by a mailed link, and changed by one."""

from uuid import UUID

from asyncpg import UniqueViolationError

from generated.models import AuditAction, AuditOutcome
from generated.operations import LinkRefused
from handlers.accounts import links, lockout
from handlers.shared import audit_trail
from handlers.shared.audit_trail import record
from handlers.shared.call import PublicCall
from handlers.shared.mail import post
from persistence.engine.pool import Database
from persistence.queries.accounts import identities, one_time_tokens, second_factors, sessions, users
from persistence.queries.accounts.one_time_tokens import Found

SUCCESS = AuditOutcome.success


async def confirm(call: PublicCall, token: str, found: Found) -> None:
    """Do what the link was mailed for, which was found before. Raises LinkRefused."""
    async with call.db.transaction() as db:
        await users.lock(db, found.user_id)
        taken = await links.take_link(call, db, token, "email_verification")
        if taken.email is None:
            raise LinkRefused("invalid_link")
        owner = await users.find_owner(db, found.user_id)
        if owner is None:
            raise LinkRefused("invalid_link")
        if owner.email != taken.email:
            await change(db, call, found.user_id, owner, taken.email)
        elif await users.verify_email(db, found.user_id, taken.email):
            target = audit_trail.user(found.user_id)
            await record(db, call, AuditAction.user_email_verified, SUCCESS, target=target)


async def change(db: Database, call: PublicCall, user_id: UUID, owner: users.Owner, email: str) -> None:
    """Another address for the account, which is locked: its sessions and open links end. Raises LinkRefused."""
    found_by = users.words(email, owner.username, owner.full_name)
    try:
        async with db.transaction() as step:
            await users.set_email(step, user_id, email=email, email_key=users.key(email), words=found_by)
    except UniqueViolationError:  # another account has it by now
        raise LinkRefused("invalid_link") from None
    await sessions.end_all(db, user_id, now=call.now, reason="email_changed")
    await one_time_tokens.end_all(db, user_id)
    if owner.email is not None:
        await post(db, call, "email_changed", owner.email)
    await record(db, call, AuditAction.user_updated, SUCCESS, target=audit_trail.user(user_id), changes=["email"])


async def take_over(call: PublicCall, db: Database, user_id: UUID) -> None:
    """Leave nothing of who claimed the address, which another has just proved: no factor, no way in by another issuer.

    The account is locked.
    """
    await identities.delete_of(db, user_id)
    if await second_factors.find(db, user_id) is not None:
        await second_factors.delete_of(db, user_id)
        await lockout.forget_codes(call.process.keys, db, user_id)
    await record(db, call, AuditAction.user_email_verified, SUCCESS, target=audit_trail.user(user_id))
