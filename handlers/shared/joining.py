"""Somebody becomes a member: by an invitation, or by a superuser."""

from typing import NamedTuple
from uuid import UUID

from asyncpg import UniqueViolationError

from contract.types import Problem
from generated import models
from generated.models import AuditAction, AuditOutcome, OrganizationRole
from generated.operations import QuotaExceeded
from handlers.shared import audit_trail
from handlers.shared.audit_trail import record
from handlers.shared.call import Call
from handlers.shared.preconditions import write_etag
from persistence.engine.pool import Database
from persistence.queries import invitations, members


class Joined(NamedTuple):
    """A new member, as answers tell it."""

    body: models.Member
    location: str
    etag: str


async def join(
    db: Database, call: Call, organization_id: UUID, user_id: UUID, role: OrganizationRole, *, conflict: Problem
) -> Joined:
    """The user as a member of the organization, which is locked.

    Raises NotVisible when there is no such active account, QuotaExceeded, and the conflict when it is a member already.
    """
    most = call.process.quotas.members
    if await members.count(db, organization_id) >= most:
        detail = "The organization has as many members as it may have."
        raise QuotaExceeded("quota_exceeded", detail, limit=most)
    try:
        async with db.transaction() as step:
            added = await members.insert(step, organization_id, user_id, role, by=call.caller)
    except UniqueViolationError:
        raise conflict from None
    await invitations.end_for_member(db, organization_id, user_id)
    action, target = AuditAction.organization_member_added, audit_trail.user(user_id)
    success, changes = AuditOutcome.success, ["role"]
    await record(db, call, action, success, target=target, organization_id=organization_id, changes=changes)
    where = f"/api/v1/organizations/{organization_id}/members/{user_id}"
    return Joined(added.member, where, write_etag(added.member.version, added.user_version))
