"""The operations tagged `audit`."""

from datetime import datetime
from uuid import UUID

from pydantic import MISSING

from contract.vocabulary import Json
from generated import models
from generated.models import AuditOutcome
from generated.operations import GetAuditLog200, ListAuditLogs200
from handlers import lists
from handlers.call import Call
from persistence import audit
from persistence.audit import Filters


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
    area = action[:-1] if action is not MISSING and action.endswith(".") else MISSING
    filters = Filters(
        action=action if area is MISSING else MISSING,
        area=area,
        actor_id=actor_id,
        target_id=target_id,
        outcome=outcome,
        occurred_after=occurred_after,
        occurred_before=occurred_before,
    )
    given = {
        "action": action,
        "actor_id": actor_id,
        "target_id": target_id,
        "outcome": outcome,
        "occurred_after": occurred_after,
        "occurred_before": occurred_before,
    }
    listing = lists.Listing("/api/v1/audit-logs", given, call.caller.id)
    after = listing.after(cursor, call.process.cursors)
    page = await audit.list_entries(call.db, by=call.caller, filters=filters, after=after, limit=limit)
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.AuditLogPage] = Json(lists.body(page, following))
    return ListAuditLogs200(body=body, link=listing.link(following, limit))


async def get_audit_log(call: Call, /, *, audit_log_id: UUID) -> GetAuditLog200:
    body: Json[models.AuditLog] = Json(await audit.find(call.db, audit_log_id, by=call.caller))
    return GetAuditLog200(body=body)
