"""The operations tagged `members`."""

from uuid import UUID

from pydantic import MISSING

from contract.types import EntityTags, Json
from generated import models
from generated.models import AuditAction, AuditOutcome, OrganizationKind, OrganizationRole
from generated.operations import (
    GetMember200,
    InvitationConflict,
    ListMembers200,
    MemberConflict,
    PlaceMember201,
    RemoveMember204,
    UpdateMember200,
)
from handlers.shared import audit_trail, joining, pagination
from handlers.shared.audit_trail import record
from handlers.shared.call import Call
from handlers.shared.permissions import Action, permit
from handlers.shared.preconditions import guard, write_etag
from persistence.authorization import NotVisible
from persistence.engine.pool import Database
from persistence.queries import invitations, members, organizations
from persistence.queries.accounts import user_lists
from persistence.queries.members import Found, Standing

OWNER = OrganizationRole.owner


async def list_members(call: Call, /, *, organization_id: UUID, limit: int, cursor: str | MISSING) -> ListMembers200:
    listing = pagination.Listing(f"/api/v1/organizations/{organization_id}/members", {}, call.caller.id)
    after = listing.after(cursor, call.process.cursors)
    page = await members.list_in(call.db, organization_id, by=call.caller, after=after, limit=limit)
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.MemberPage] = Json(pagination.body(page, following))
    return ListMembers200(body=body, link=listing.link(following, limit))


async def place_member(
    call: Call, /, *, organization_id: UUID, user_id: UUID, body: models.MemberPlacement
) -> PlaceMember201:
    role = OrganizationRole.member if body.role is MISSING else body.role
    async with call.db.transaction() as db:
        await user_lists.demand_superuser(db, by=call.caller)
        await organizations.lock(db, organization_id)
        refuse_invitation(await organizations.find_kind(db, organization_id))
        conflict = InvitationConflict("already_member")
        joined = await joining.join(db, call, organization_id, user_id, role, conflict=conflict)
    return PlaceMember201(body=joined.body, location=joined.location, etag=joined.etag)


async def get_member(call: Call, /, *, organization_id: UUID, user_id: UUID) -> GetMember200:
    found = await members.find(call.db, organization_id, user_id, by=call.caller)
    return GetMember200(body=found.member, etag=etag(found))


async def update_member(
    call: Call, /, *, organization_id: UUID, user_id: UUID, if_match: EntityTags | MISSING, body: models.MemberPatch
) -> UpdateMember200:
    async with call.db.transaction() as db:
        await organizations.lock(db, organization_id)
        before = await members.find(db, organization_id, user_id, by=call.caller)
        concerns_owner = OWNER in (before.member.role, body.role)
        action = Action.manage_owners if concerns_owner else Action.manage_members
        permit(before.caller_role, action, may_imply=before.may_imply)
        refuse_personal(before.kind)
        guard(if_match, before.member.version, etag(before))
        if body.role is MISSING or body.role == before.member.role:
            return UpdateMember200(body=before.member, etag=etag(before))
        keep_an_owner(before)
        after = await members.set_role(db, organization_id, user_id, body.role)
        if body.role == OrganizationRole.member:
            await invitations.revoke_of(db, organization_id, user_id)
        await audit_change(db, call, AuditAction.organization_member_updated, organization_id, after)
    return UpdateMember200(body=after.member, etag=etag(after))


async def remove_member(
    call: Call, /, *, organization_id: UUID, user_id: UUID, if_match: EntityTags | MISSING
) -> RemoveMember204:
    async with call.db.transaction() as db:
        await organizations.lock(db, organization_id)
        before = await members.find(db, organization_id, user_id, by=call.caller)
        other = Action.manage_owners if before.member.role == OWNER else Action.manage_members
        action = Action.leave if user_id == call.caller.id else other
        permit(before.caller_role, action, may_imply=before.may_imply)
        refuse_personal(before.kind)
        guard(if_match, before.member.version, etag(before))
        keep_an_owner(before)
        removed = await members.delete(db, organization_id, user_id)
        await invitations.revoke_of(db, organization_id, user_id)
        await audit_change(db, call, AuditAction.organization_member_removed, organization_id, removed)
    return RemoveMember204()


def etag(found: Found) -> str:
    """It changes with the member and with the account."""
    return write_etag(found.member.version, found.user_version)


def refuse_personal(kind: str) -> None:
    if kind == OrganizationKind.personal:
        raise MemberConflict("personal_organization")


def refuse_invitation(kind: str | None) -> None:
    """Raises NotVisible when there is no such organization, InvitationConflict when it is a personal one."""
    if kind is None:
        raise NotVisible
    if kind == OrganizationKind.personal:
        raise InvitationConflict("personal_organization")


def keep_an_owner(standing: Standing) -> None:
    """Raises MemberConflict when the member, who shall be no owner any more, is the only one."""
    if standing.member.role == OWNER and standing.owners == 1:
        raise MemberConflict("last_owner")


async def audit_change(db: Database, call: Call, action: AuditAction, organization_id: UUID, found: Found) -> None:
    target = audit_trail.user(found.member.user.id)
    changes = [] if action == AuditAction.organization_member_removed else ["role"]
    await record(
        db, call, action, AuditOutcome.success, target=target, organization_id=organization_id, changes=changes
    )
