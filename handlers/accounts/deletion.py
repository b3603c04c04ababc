"""An account that is deleted, by its owner or by a superuser."""

from uuid import UUID

from generated import models
from generated.models import AuditAction, AuditOutcome
from generated.operations import DeletionConflict
from handlers.accounts import lockout
from handlers.accounts.provisioning import graves_of
from handlers.accounts.updates import is_last_superuser
from handlers.shared import audit_trail
from handlers.shared.audit_trail import record
from handlers.shared.call import Call
from handlers.shared.task_deletion import delete_tasks
from persistence.engine.pool import Database, allow_long
from persistence.queries import event_log, invitations, members, organizations
from persistence.queries.accounts import deletions, identities


async def erase(call: Call, db: Database, user: models.User, superusers: frozenset[UUID]) -> None:
    """Delete the account, which is held, as are the `superusers`, in the transaction `db`. Raises DeletionConflict.

    Locks are taken in the order of those who change members or write tasks: teams, memberships, the account.
    """
    allow_long(db)
    if await is_last_superuser(call, db, user, superusers):
        raise DeletionConflict("last_superuser", "This is the only active superuser.")
    await demand_other_owners(db, user.id)
    await event_log.end_feed(db, user.id)
    await members.delete_all(db, user.id)  # of the personal organization, where nothing more is written
    await leave_tasks(db, user.id)  # takes long when there are many; what keeps others waiting comes afterwards
    task_count = await delete_tasks(db, user.id)
    await leave_teams(call, db, user.id)
    await deletions.hold(db, user.id)
    await leave_teams(call, db, user.id)  # that were joined meanwhile
    await leave_tasks(db, user.id)  # that were written meanwhile
    for issuer, subject in await identities.list_of(db, user.id):
        await identities.bury(db, graves_of(call.process.keys, issuer, subject)[0], now=call.now)
    await lockout.forget_passwords(call.process.keys, db, user.id)
    await lockout.forget_codes(call.process.keys, db, user.id)
    await invitations.forget(db, user.id)
    await invitations.revoke_all_of(db, user.id)
    await event_log.forget_feed(db, user.id)
    await organizations.delete(db, user.id)
    await deletions.delete(db, user.id)
    target, deleted = audit_trail.user(user.id), AuditAction.user_deleted
    await record(db, call, deleted, AuditOutcome.success, target=target, task_count=task_count)


async def demand_other_owners(db: Database, user_id: UUID) -> None:
    if await deletions.is_sole_owner(db, user_id):
        raise DeletionConflict("last_owner", "This is the only owner of a team. Make somebody else an owner first.")


async def leave_teams(call: Call, db: Database, user_id: UUID) -> None:
    teams = await deletions.hold_teams(db, user_id)
    await demand_other_owners(db, user_id)
    removed, target = AuditAction.organization_member_removed, audit_trail.user(user_id)
    for team_id in await deletions.leave_teams(db, user_id, teams):
        await record(db, call, removed, AuditOutcome.success, target=target, organization_id=team_id)


async def leave_tasks(db: Database, user_id: UUID) -> None:
    while await deletions.leave_tasks(db, user_id):
        pass  # there may be more
