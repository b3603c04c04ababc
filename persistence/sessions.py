"""Queries about sessions."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asyncpg import Record
from sqlalchemy import insert as insert_into
from sqlalchemy import select, type_coerce

from persistence.query import Sql, query
from persistence.tables import Session, User


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to insert."""

    id: UUID
    user_id: UUID
    device_name: str | None
    user_agent: str | None
    ip_address: str | None
    created_at: datetime
    expires_at: datetime


def begun(records: list[Record]) -> bool:
    return bool(records)


@query(begun)
def insert(session: NewSession, *, verified: str) -> Sql:
    """Whether the session began: not when the account was deactivated or its password changed since it was verified."""
    now = session.created_at
    values = {
        "id": session.id,
        "user_id": session.user_id,
        "device_name": session.device_name,
        "user_agent": session.user_agent,
        "ip_address": session.ip_address,
        "rotated_at": now,
        "authenticated_at": now,
        "created_at": now,
        "last_used_at": now,
        "expires_at": session.expires_at,
    }
    typed = [type_coerce(value, getattr(Session, name).type).label(name) for name, value in values.items()]
    account = select(*typed).where(User.id == session.user_id, User.is_active, User.hashed_password == verified)
    return insert_into(Session).from_select(list(values), account).returning(Session.id)
