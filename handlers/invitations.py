"""The operations tagged `invitations`."""

from datetime import timedelta
from uuid import UUID

from asyncpg import UniqueViolationError
from pydantic import MISSING
from uuid_utils.compat import uuid7

from contract.types import Fault, Json
from generated import models
from generated.models import AuditAction, AuditOutcome, InvitationRole, OrganizationRole
from generated.operations import (
    AcceptInvitation201,
    AlreadyMember,
    DeclineInvitation204,
    InvitationConflict,
    InviteMember201,
    LinkRefused,
    ListInvitations200,
    ListOrganizationInvitations200,
    QuotaExceeded,
    RedeemInvitation201,
    RevokeInvitation204,
    ValidationFailed,
)
from handlers.shared import audit_trail, joining, pagination
from handlers.shared.audit_trail import record
from handlers.shared.call import Call
from handlers.shared.mail import count_mail, post
from handlers.shared.permissions import Action, permit
from persistence.authorization import NotVisible
from persistence.engine.pool import Database
from persistence.queries import invitations, organizations
from persistence.queries.accounts import users
from persistence.queries.accounts.users import key
from persistence.queries.invitations import NewInvitation, Taken
from persistence.queries.organizations import Place
from security.one_time_tokens import hash_token, make_token

LIFE = timedelta(days=14)
PAGE = "invitation"
"""The page of the front end that a link leads to."""
SUCCESS = AuditOutcome.success


async def invite_member(call: Call, /, *, organization_id: UUID, body: models.InvitationCreate) -> InviteMember201:
    demand_one(body)
    token = None if call.process.mail.is_on or body.email is MISSING else make_token()
    made = new_invitation(call, organization_id, body, token)
    await count_mail(call, made.email or str(made.user_id))
    async with call.db.transaction() as db:
        place = await manage(db, call, organization_id)
        if place.organization.kind == models.OrganizationKind.personal:
            raise InvitationConflict("personal_organization")
        await demand_room(db, call, made, place)
        await insert(db, made)
        await note(db, call, AuditAction.invitation_created, made.id, organization_id, "role")
        await post(db, call, "invitation", made.email or "", subject_id=made.id)
        me = await users.find_me(db, by=call.caller)
    url = None if token is None else f"{call.process.public_url}/{PAGE}#token={token}"
    inviter = models.Inviter(id=me.id, username=me.username, full_name=me.full_name)
    told = {name: getattr(made, name) for name in ("id", "email", "user_id", "role", "created_at", "expires_at")}
    return InviteMember201(body=models.NewInvitation(**told, invited_by=inviter, url=url))


def demand_one(body: models.InvitationCreate) -> None:
    """Raises ValidationFailed unless the body names one person to invite, in one way."""
    if body.email is MISSING and body.user_id is MISSING:
        raise ValidationFailed(errors=[Fault("body", "/email", "required", "Either `email` or `user_id` is needed")])
    if body.email is not MISSING and body.user_id is not MISSING:
        said = "There is `email`, so that there must be no `user_id`"
        raise ValidationFailed(errors=[Fault("body", "/user_id", "unknown_field", said)])


def new_invitation(
    call: Call, organization_id: UUID, body: models.InvitationCreate, token: str | None
) -> NewInvitation:
    email = None if body.email is MISSING else body.email
    return NewInvitation(
        id=uuid7(),
        organization_id=organization_id,
        email=email,
        email_key=None if email is None else key(email),
        user_id=None if body.user_id is MISSING else body.user_id,
        role=InvitationRole.member if body.role is MISSING else body.role,
        invited_by=call.caller.id,
        key=None if token is None else hash_token(token),
        created_at=call.now,
        expires_at=call.now + LIFE,
    )


async def manage(db: Database, call: Call, organization_id: UUID) -> Place:
    """The organization, locked, to which the caller may invite."""
    await organizations.lock(db, organization_id)
    place = await organizations.find(db, organization_id, by=call.caller)
    permit(place.role, Action.manage_members, may_imply=place.may_imply)
    return place


async def demand_room(db: Database, call: Call, made: NewInvitation, place: Place) -> None:
    """Raises InvitationConflict, QuotaExceeded. What is told of an address is what the list of members tells."""
    await invitations.delete_expired(db, made.organization_id, now=call.now)
    there = await invitations.survey(db, made.organization_id, made.email_key, made.user_id, now=call.now)
    if there.is_member:
        raise InvitationConflict("already_member")
    most = call.process.quotas.members
    if place.organization.member_count + there.invitations >= most:
        detail = "The organization has as many members and open invitations as it may have."
        raise QuotaExceeded("quota_exceeded", detail, limit=most)


async def insert(db: Database, made: NewInvitation) -> None:
    """Raises InvitationConflict when there is an open invitation of the same address or user."""
    try:
        await invitations.insert(db, made)
    except UniqueViolationError:
        raise InvitationConflict("already_invited") from None


async def list_organization_invitations(
    call: Call, /, *, organization_id: UUID, limit: int, cursor: str | MISSING
) -> ListOrganizationInvitations200:
    listing = pagination.Listing(f"/api/v1/organizations/{organization_id}/invitations", {}, call.caller.id)
    after = listing.after(cursor, call.process.cursors)
    page = await invitations.list_in(call.db, organization_id, by=call.caller, after=after, limit=limit)
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.InvitationPage] = Json(pagination.body(page, following))
    return ListOrganizationInvitations200(body=body, link=listing.link(following, limit))


async def revoke_invitation(call: Call, /, *, organization_id: UUID, invitation_id: UUID) -> RevokeInvitation204:
    async with call.db.transaction() as db:
        await manage(db, call, organization_id)
        if not await invitations.revoke(db, organization_id, invitation_id):
            raise NotVisible
        await note(db, call, AuditAction.invitation_revoked, invitation_id, organization_id)
    return RevokeInvitation204()


async def list_invitations(call: Call, /, *, limit: int, cursor: str | MISSING) -> ListInvitations200:
    listing = pagination.Listing("/api/v1/invitations", {}, call.caller.id)
    after = listing.after(cursor, call.process.cursors)
    page = await invitations.list_mine(call.db, by=call.caller, after=after, limit=limit)
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.ReceivedInvitationPage] = Json(pagination.body(page, following))
    return ListInvitations200(body=body, link=listing.link(following, limit))


async def accept_invitation(call: Call, /, *, invitation_id: UUID) -> AcceptInvitation201:
    place = await invitations.find_place_of_mine(call.db, invitation_id, by=call.caller)
    async with call.db.transaction() as db:
        await organizations.lock(db, place)
        taken = await invitations.answer(db, invitation_id, by=call.caller)
        if taken is None:  # answered or revoked meanwhile
            raise NotVisible
        joined = await join(db, call, taken)
    return AcceptInvitation201(body=joined.body, location=joined.location, etag=joined.etag)


async def decline_invitation(call: Call, /, *, invitation_id: UUID) -> DeclineInvitation204:
    place = await invitations.find_place_of_mine(call.db, invitation_id, by=call.caller)
    async with call.db.transaction() as db:
        await organizations.lock(db, place)
        if await invitations.answer(db, invitation_id, by=call.caller) is None:
            raise NotVisible
        await note(db, call, AuditAction.invitation_declined, invitation_id, place)
    return DeclineInvitation204()


async def redeem_invitation(call: Call, /, *, body: models.LinkUse) -> RedeemInvitation201:
    hashed = hash_token(body.token)
    await users.find_me(call.db, by=call.caller)
    place = await invitations.find_place(call.db, hashed, by=call.caller)
    if place is None:
        raise LinkRefused("invalid_link")
    async with call.db.transaction() as db:
        await organizations.lock(db, place)
        taken = await invitations.redeem(db, hashed, by=call.caller)
        if taken is None:
            raise LinkRefused("invalid_link")
        joined = await join(db, call, taken)
        if taken.was_mailed and taken.email is not None:
            await users.verify_email(db, call.caller.id, taken.email)
    return RedeemInvitation201(body=joined.body, location=joined.location, etag=joined.etag)


async def join(db: Database, call: Call, taken: Taken) -> joining.Joined:
    """The caller as a member. The organization is locked. Raises AlreadyMember, QuotaExceeded."""
    place, role, conflict = taken.organization_id, OrganizationRole(taken.role), AlreadyMember("already_member")
    joined = await joining.join(db, call, place, call.caller.id, role, conflict=conflict)
    await note(db, call, AuditAction.invitation_accepted, taken.id, taken.organization_id)
    return joined


async def note(
    db: Database, call: Call, action: AuditAction, invitation_id: UUID, organization_id: UUID, *changes: str
) -> None:
    target = audit_trail.invitation(invitation_id)
    await record(db, call, action, SUCCESS, target=target, organization_id=organization_id, changes=changes)
