"""The operations tagged `organizations`."""

from uuid import UUID

from pydantic import MISSING
from uuid_utils.compat import uuid7

from contract.types import EntityTags, Json
from generated import models
from generated.models import AuditAction, AuditOutcome, OrganizationKind
from generated.operations import (
    CreateOrganization201,
    DeleteOrganization204,
    GetOrganization200,
    ListOrganizations200,
    OrganizationConflict,
    QuotaExceeded,
    UpdateOrganization200,
)
from handlers.shared import audit_trail, pagination
from handlers.shared.audit_trail import record
from handlers.shared.call import Call
from handlers.shared.permissions import Action, permit
from handlers.shared.preconditions import etag, guard
from handlers.shared.task_deletion import delete_tasks
from persistence.authorization import Full
from persistence.engine.pool import Database, allow_long
from persistence.queries import event_log, members, organizations

SUCCESS = AuditOutcome.success


async def list_organizations(call: Call, /, *, limit: int, cursor: str | MISSING) -> ListOrganizations200:
    listing = pagination.Listing("/api/v1/organizations", {}, call.caller.id)
    after = listing.after(cursor, call.process.cursors)
    page = await organizations.list_mine(call.db, by=call.caller, after=after, limit=limit)
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.OrganizationPage] = Json(pagination.body(page, following))
    return ListOrganizations200(body=body, link=listing.link(following, limit))


async def create_organization(call: Call, /, *, body: models.OrganizationCreate) -> CreateOrganization201:
    await call.count_changes(body.model_fields_set)
    async with call.db.transaction() as db:
        made = await insert_organization(db, call, body)
        target = audit_trail.organization(made.id)
        await record(db, call, AuditAction.organization_created, SUCCESS, target=target, organization_id=made.id)
    return CreateOrganization201(body=made, location=f"/api/v1/organizations/{made.id}", etag=etag(made))


async def insert_organization(db: Database, call: Call, body: models.OrganizationCreate) -> models.Organization:
    """The organization that the caller makes. Raises QuotaExceeded when that would be one too many."""
    most = call.process.quotas.organizations
    try:
        return await organizations.insert(db, uuid7(), body, by=call.caller, most=most)
    except Full:
        detail = "You have made as many organizations as one may make."
        raise QuotaExceeded("quota_exceeded", detail, limit=most) from None


async def get_organization(call: Call, /, *, organization_id: UUID) -> GetOrganization200:
    found = (await organizations.find(call.db, organization_id, by=call.caller)).organization
    return GetOrganization200(body=found, etag=etag(found))


async def update_organization(
    call: Call, /, *, organization_id: UUID, if_match: EntityTags | MISSING, body: models.OrganizationPatch
) -> UpdateOrganization200:
    only_name = (body.slug, body.description) == (MISSING, MISSING)
    async with call.db.transaction() as db:
        before = await lock_managed(db, call, organization_id, if_match, personal=only_name)
        changes = changed_members(before, body)
        if not changes:
            return UpdateOrganization200(body=before, etag=etag(before))
        await call.count_changes(changes)
        after = await organizations.update(db, organization_id, body, by=call.caller)
        target, updated = audit_trail.organization(after.id), AuditAction.organization_updated
        await record(db, call, updated, SUCCESS, target=target, organization_id=after.id, changes=changes)
    return UpdateOrganization200(body=after, etag=etag(after))


async def delete_organization(
    call: Call, /, *, organization_id: UUID, if_match: EntityTags | MISSING
) -> DeleteOrganization204:
    async with call.db.transaction() as db:
        await lock_managed(db, call, organization_id, if_match, personal=False)
        await event_log.end_feed(db, organization_id)
        await members.delete_all(db, organization_id)
        allow_long(db)
        task_count = await delete_tasks(db, organization_id)  # takes long when there are many
        await organizations.hold(db, organization_id)
        task_count += await delete_tasks(db, organization_id)  # that superusers wrote meanwhile
        await organizations.delete(db, organization_id)
        target, deleted = audit_trail.organization(organization_id), AuditAction.organization_deleted
        await record(db, call, deleted, SUCCESS, target=target, organization_id=organization_id, task_count=task_count)
    return DeleteOrganization204()


async def lock_managed(
    db: Database, call: Call, organization_id: UUID, if_match: EntityTags | MISSING, *, personal: bool
) -> models.Organization:
    """The organization, locked, that the caller may change. `personal`: even if it is a personal one."""
    await organizations.lock(db, organization_id)
    place = await organizations.find(db, organization_id, by=call.caller)
    permit(place.role, Action.manage_organization, may_imply=place.may_imply)
    if place.organization.kind == OrganizationKind.personal and not personal:
        raise OrganizationConflict("personal_organization")
    guard(if_match, place.organization.version, etag(place.organization))
    return place.organization


def changed_members(before: models.Organization, patch: models.OrganizationPatch) -> list[str]:
    """The members of which the patch says something new."""
    names = [name for name in models.OrganizationPatch.model_fields if getattr(patch, name) is not MISSING]
    return [name for name in names if getattr(patch, name) != getattr(before, name)]
