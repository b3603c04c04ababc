"""Queries about the access tokens of programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from pydantic import MISSING
from sqlalchemy import ColumnElement, Update, and_, exists, func, literal, select, true, type_coerce, update
from sqlalchemy import insert as insert_into

from generated import models
from persistence.authorization import (
    Caller,
    Full,
    NotVisible,
    SessionOver,
    listed_mine,
    me,
    mine,
    myself,
    read_page,
    read_visible,
)
from persistence.engine.keyset import After, Order
from persistence.engine.statements import Shape, Sql, column_values, construct_model, query, when
from persistence.queries.accounts.last_uses import note_latest
from persistence.tables import AccessToken, Member, User

SHOWN = tuple(getattr(AccessToken, name) for name in models.AccessToken.model_fields)
NEWEST_FIRST = Order(AccessToken.created_at.expression, descending=True)
whole = construct_model(models.AccessToken)


@dataclass(frozen=True, slots=True)
class NewToken:
    """An access token to insert."""

    id: UUID
    name: str
    scopes: Sequence[str]
    secret_hash: bytes
    expires_at: datetime
    organization_id: UUID | MISSING


def read_inserted(records: list[Record]) -> models.AccessToken:
    """The row of `insert`. Raises SessionOver, NotVisible, Full."""
    if not records:
        raise SessionOver
    if not records[0]["is_member"]:
        raise NotVisible
    if records[0][0] is None:
        raise Full
    return whole(records[0])


@query(read_inserted)
def insert(token: NewToken, *, by: Caller, most: int) -> Sql:
    """The access token, for an organization of the caller; none where `most` of the caller's live."""
    caller = me(by)
    is_member = when(
        token.organization_id,
        lambda place: exists().where(Member.organization_id == place, Member.user_id == caller.c.id),
    )
    live = select(AccessToken.id).where(AccessToken.user_id == caller.c.id, *alive(by.now))
    count = select(func.count()).select_from(live.subquery()).scalar_subquery()
    has_room = count < type_coerce(most, User.version.type)
    values: dict[str, Any] = {
        "id": token.id,
        "user_id": caller.c.id,
        "name": token.name,
        "scopes": token.scopes,
        "secret_hash": token.secret_hash,
        "created_at": by.now,
        "expires_at": token.expires_at,
    }
    values |= {} if token.organization_id is MISSING else {"organization_id": token.organization_id}
    rows = select(*column_values(AccessToken, values).values()).select_from(caller).where(is_member, has_room)
    new = insert_into(AccessToken).from_select([*values], rows).returning(*SHOWN).cte("made")
    return select(*new.c, is_member.label("is_member")).select_from(caller.outerjoin(new, true()))


@query(read_page)
def list_mine(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """A page of the caller's access tokens that are not over, newest first."""
    rows = select(*SHOWN).where(AccessToken.user_id == by.id, *alive(by.now))
    return listed_mine(rows, AccessToken.id, by=by, order=NEWEST_FIRST, after=after, limit=limit)


@query(read_visible(whole))
def find(access_token_id: UUID, *, by: Caller) -> Sql:
    """One of the caller's access tokens that are not over."""
    caller = me(by)
    own = AccessToken.id == access_token_id, AccessToken.user_id == caller.c.id, *alive(by.now)
    return select(*SHOWN).select_from(caller.outerjoin(AccessToken, and_(*own)))


@query(read_visible(lambda _: None))
def revoke(access_token_id: UUID, *, by: Caller, reason: Shape[str]) -> Sql:
    """End one of the caller's access tokens."""
    which = AccessToken.id == access_token_id, *alive(by.now)
    return mine(
        by, lambda me: revoke_where(and_(AccessToken.user_id == me, *which), by.now, reason).returning(AccessToken.id)
    )


@query(lambda _: None)
def end_all(user_id: UUID, *, now: datetime, reason: Shape[str]) -> Sql:
    """End every access token of a user."""
    return revoke_where(AccessToken.user_id == user_id, now, reason)


@query(bool)
def is_live(*, by: Caller) -> Sql:
    """Whether the access token of a program lives, whatever it may do."""
    return myself(by, User.id)


@query(lambda _: None)
def note_uses(token_ids: Sequence[UUID], moments: Sequence[datetime]) -> Sql:
    """Write when access tokens were last used, of each the moment at its place."""
    return note_latest(AccessToken, token_ids, moments)


def revoke_where(which: ColumnElement[bool], now: datetime, reason: str) -> Update:
    change = update(AccessToken).where(which, AccessToken.revoked_at.is_(None))
    return change.values(revoked_at=now, revoke_reason=literal(reason))


def alive(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return AccessToken.revoked_at.is_(None), AccessToken.expires_at > now
