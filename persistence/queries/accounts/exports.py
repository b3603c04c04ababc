"""Queries for all that is stored about the caller, a batch each time."""

from pydantic import MISSING
from sqlalchemy import Boolean, case, column, func, select, values

from persistence.authorization import Caller, listed_mine, of_the_caller, read_page
from persistence.engine.keyset import After, Order
from persistence.engine.statements import Rows, Sql, query
from persistence.queries.audit import AUDIT_LOG
from persistence.queries.tasks import select_tasks
from persistence.tables import (
    AccessToken,
    AuditLog,
    ExternalIdentity,
    IdempotencyKey,
    Member,
    Organization,
    Session,
    Task,
)

SESSION = [Session.id, Session.device_name, Session.user_agent, func.host(Session.ip_address).label("ip_address")]
SESSION += [Session.created_at, Session.authenticated_at, Session.last_used_at, Session.expires_at]
SESSION += [Session.revoked_at, Session.revoke_reason]
ORGANIZATION = [Organization.kind, Organization.name, Organization.slug, Organization.description]
MEMBERSHIP = [Member.organization_id, *ORGANIZATION, Member.role, Member.version, Member.created_at, Member.updated_at]
HALVES = values(column("completed", Boolean), name="halves").data([(False,), (True,)])
"""Of the tasks, as the index of their authors has them."""


@query(read_page)
def list_identities(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    identity = ExternalIdentity
    rows = select(identity.issuer, identity.subject, identity.created_at).where(identity.user_id == by.id)
    order = Order(identity.issuer.expression)
    return listed_mine(rows, identity.subject, by=by, order=order, after=after, limit=limit)


@query(read_page)
def list_sessions(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """Those that are over, too."""
    rows, order = select(*SESSION).where(Session.user_id == by.id), Order(Session.created_at.expression)
    return listed_mine(rows, Session.id, by=by, order=order, after=after, limit=limit)


@query(read_page)
def list_access_tokens(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """Those that are over, too."""
    token = AccessToken
    shown = token.id, token.name, token.scopes, token.organization_id, token.created_at, token.last_used_at
    rows = select(*shown, token.expires_at, token.revoked_at, token.revoke_reason).where(token.user_id == by.id)
    return listed_mine(rows, token.id, by=by, order=Order(token.created_at.expression), after=after, limit=limit)


@query(read_page)
def list_memberships(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    rows = select(*MEMBERSHIP).join(Organization, Organization.id == Member.organization_id)
    mine, order = rows.where(Member.user_id == by.id), Order(Member.created_at.expression)
    return listed_mine(mine, Member.organization_id, by=by, order=order, after=after, limit=limit)


@query(read_page)
def list_requests(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """What they were answered is told by what they made."""
    kept = IdempotencyKey
    rows = select(kept.key, kept.status, kept.created_at).where(kept.user_id == by.id)
    order = Order(kept.created_at.expression)
    return listed_mine(rows, kept.key, by=by, order=order, after=after, limit=limit)


@query(read_page)
def list_tasks(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """Those that the caller wrote, where it is a member."""
    written = Task.user_id == by.id, Task.completed == HALVES.c.completed, of_the_caller(Task.organization_id, by)
    rows = select_tasks().where(*written).correlate(HALVES)
    order = Order(Task.id.expression)
    return listed_mine(rows, Task.id, by=by, order=order, after=after, limit=limit, each=HALVES)


@query(read_page)
def list_received(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """Those of others, and those without an author, in the caller's personal organization."""
    rows = select_tasks().where(Task.organization_id == by.id, Task.user_id.is_distinct_from(by.id))
    order = Order(Task.id.expression, within=(Task.organization_id.expression,))
    return listed_mine(rows, Task.id, by=by, order=order, after=after, limit=limit)


@query(read_page)
def list_deeds(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """What the caller did."""
    return entries(select(*AUDIT_LOG).where(AuditLog.actor_id == by.id), by, after, limit)


@query(read_page)
def list_suffered(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """What others did to the caller. Where users did it is theirs."""
    theirs = AuditLog.actor_type == "user"
    places = (AuditLog.session_id, AuditLog.ip_address, AuditLog.user_agent)
    hidden = {place.key: case((~theirs, place)).label(place.key) for place in places}
    shown = [hidden.get(part.key, part) for part in AUDIT_LOG]
    rows = select(*shown).where(AuditLog.target_id == by.id, AuditLog.actor_id.is_distinct_from(by.id))
    return entries(rows, by, after, limit)


def entries(rows: Rows, by: Caller, after: After | MISSING, limit: int) -> Sql:
    order = Order(AuditLog.occurred_at.expression)
    return listed_mine(rows, AuditLog.id, by=by, order=order, after=after, limit=limit)
