"""What handlers write down: who did what, from where, and how it ended."""

from collections.abc import Sequence
from typing import TypedDict, Unpack
from uuid import UUID

import structlog
from pydantic import MISSING
from uuid_utils.compat import uuid7

from generated.models import AuditAction, AuditActorType, AuditOutcome, AuditTarget, AuditTargetType
from handlers.shared.call import Call, PublicCall
from persistence.authorization import Caller
from persistence.engine.implied_ownership import Implied
from persistence.engine.pool import Database
from persistence.queries import audit
from persistence.queries.audit import Entry

IMPLIED_OWNERSHIP = "implied_ownership"
log = structlog.get_logger("security")


class Facts(TypedDict, total=False):
    """What else an entry tells."""

    by: Caller
    """Who acts, where the call does not know it yet."""
    target: AuditTarget | None
    organization_id: UUID | None
    reason: str | None
    changes: Sequence[str]
    """The names of members, never their values."""
    task_count: int


async def record(
    db: Database, call: PublicCall, action: AuditAction, outcome: AuditOutcome, **facts: Unpack[Facts]
) -> None:
    """Write an entry: in the transaction `db` of a change, or by itself when `db` is that of the call."""
    entry = entry_of(db, call, action, outcome, **facts)
    await audit.insert(db, entry)
    if outcome is not AuditOutcome.success:
        tell(entry)


def entry_of(
    db: Database, call: PublicCall, action: AuditAction, outcome: AuditOutcome, **facts: Unpack[Facts]
) -> Entry:
    """An entry for a statement of `db` that inserts it. It says so when a superuser's implied ownership was used."""
    actor = facts.get("by") or (call.caller if isinstance(call, Call) else None)
    target, reason = facts.get("target"), facts.get("reason")
    if isinstance(db, Implied):
        db.is_told = True
        reason = reason or IMPLIED_OWNERSHIP
    return Entry(
        id=uuid7(),
        occurred_at=call.now,
        actor_type=AuditActorType.anonymous if actor is None else AuditActorType.user,
        actor_id=None if actor is None else actor.id,
        action=action,
        outcome=outcome,
        reason=reason,
        target_type=None if target is None else target.type,
        target_id=None if target is None else target.id,
        organization_id=facts.get("organization_id"),
        session_id=None if actor is None or actor.session_id is MISSING else actor.session_id,
        access_token_id=None if actor is None or actor.token_id is MISSING else actor.token_id,
        ip_address=call.client.address,
        user_agent=call.client.user_agent,
        request_id=call.client.request_id,
        changes=facts.get("changes", ()),
        task_count=facts.get("task_count"),
    )


def tell(entry: Entry) -> None:
    """Log what a guard should hear of at once."""
    log.warning(
        entry.action.value,
        channel="security",
        outcome=entry.outcome.value,
        reason=entry.reason,
        actor_id=entry.actor_id and str(entry.actor_id),
        target_id=entry.target_id and str(entry.target_id),
        address=entry.ip_address,
        request_id=entry.request_id,
    )


def user(user_id: UUID) -> AuditTarget:
    return AuditTarget(type=AuditTargetType.user, id=user_id)


def session(session_id: UUID) -> AuditTarget:
    return AuditTarget(type=AuditTargetType.session, id=session_id)


def access_token(access_token_id: UUID) -> AuditTarget:
    return AuditTarget(type=AuditTargetType.access_token, id=access_token_id)


def task(task_id: UUID) -> AuditTarget:
    return AuditTarget(type=AuditTargetType.task, id=task_id)


def invitation(invitation_id: UUID) -> AuditTarget:
    return AuditTarget(type=AuditTargetType.invitation, id=invitation_id)


def organization(organization_id: UUID) -> AuditTarget:
    return AuditTarget(type=AuditTargetType.organization, id=organization_id)
