"""The operations tagged `audit`."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import MISSING

from contract.types import Json
from generated import models
from generated.models import AuditOutcome
from generated.operations import GetAuditLog200, ListAuditLogs200, ListOrganizationAuditLogs200
from handlers.shared import pagination
from handlers.shared.call import Call
from handlers.shared.permissions import ROLES, Action
from persistence.queries import audit
from persistence.queries.audit import Filters


async def list_audit_logs(
    call: Call,
    /,
    *,
    limit: int,
    cursor: str | MISSING,
    action: str | MISSING,
    actor_id: UUID | MISSING,
    target_id: UUID | MISSING,
    outcome: AuditOutcome | MISSING,
    occurred_after: datetime | MISSING,
    occurred_before: datetime | MISSING,
) -> ListAuditLogs200:
    given = {
        "action": action,
        "actor_id": actor_id,
        "target_id": target_id,
        "outcome": outcome,
        "occurred_after": occurred_after,
        "occurred_before": occurred_before,
    }
    listing = pagination.Listing("/api/v1/audit-logs", given, call.caller.id)
    after = listing.after(cursor, call.process.cursors)
    page = await audit.list_entries(call.db, by=call.caller, filters=parse_filters(given), after=after, limit=limit)
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.AuditLogPage] = Json(pagination.body(page, following))
    return ListAuditLogs200(body=body, link=listing.link(following, limit))


async def list_organization_audit_logs(
    call: Call,
    /,
    *,
    organization_id: UUID,
    limit: int,
    cursor: str | MISSING,
    action: str | MISSING,
    actor_id: UUID | MISSING,
    target_id: UUID | MISSING,
    outcome: AuditOutcome | MISSING,
    occurred_after: datetime | MISSING,
    occurred_before: datetime | MISSING,
) -> ListOrganizationAuditLogs200:
    given = {
        "action": action,
        "actor_id": actor_id,
        "target_id": target_id,
        "outcome": outcome,
        "occurred_after": occurred_after,
        "occurred_before": occurred_before,
    }
    listing = pagination.Listing(f"/api/v1/organizations/{organization_id}/audit-logs", given, call.caller.id)
    page = await audit.list_in(
        call.db,
        organization_id,
        by=call.caller,
        roles=ROLES[Action.read_organization_audit_logs],
        filters=replace(parse_filters(given), organization_id=organization_id),
        after=listing.after(cursor, call.process.cursors),
        limit=limit,
    )
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.AuditLogPage] = Json(pagination.body(page, following))
    return ListOrganizationAuditLogs200(body=body, link=listing.link(following, limit))


async def get_audit_log(call: Call, /, *, audit_log_id: UUID) -> GetAuditLog200:
    body: Json[models.AuditLog] = Json(await audit.find(call.db, audit_log_id, by=call.caller))
    return GetAuditLog200(body=body)


def parse_filters(given: Mapping[str, Any]) -> Filters:
    """The filters as the contract has them: an `action` that ends in `.` is an area."""
    action = given["action"]
    if action is MISSING or not action.endswith("."):
        return Filters(**given)
    return Filters(**{**given, "action": MISSING}, area=action[:-1])
