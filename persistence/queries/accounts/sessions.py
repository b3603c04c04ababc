"""Queries about sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from asyncpg import Record
from pydantic import MISSING
from sqlalchemy import (
    ColumnElement,
    Update,
    and_,
    any_,
    exists,
    false,
    func,
    literal,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy import insert as insert_into
from sqlalchemy.orm import InstrumentedAttribute

from generated import models
from persistence.authorization import (
    Caller,
    SessionOver,
    for_superusers,
    listed_mine,
    me,
    mine,
    read_page,
    read_permitted,
    read_visible,
)
from persistence.engine import keyset
from persistence.engine.keyset import After, Order
from persistence.engine.statements import Rows, Shape, Sql, column_values, construct_model, one, query, when
from persistence.queries.accounts.last_uses import note_latest
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


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a live session stands: which refresh token is its current one, and when it ends."""

    user_id: UUID
    generation: int
    rotated_at: datetime
    previous_rotated_at: datetime | None
    expires_at: datetime


@query(lambda records: int(records[0][0]))
def count_used_since(moment: datetime) -> Sql:
    """How many live sessions were signed in to or refreshed since."""
    return select(func.count()).where(Session.last_used_at >= moment, Session.revoked_at.is_(None))


@dataclass(frozen=True, slots=True)
class Origin:
    """The first and the last address of a network, and since when a sign-in from there makes it a known one."""

    first: str
    last: str
    since: datetime


def is_known(user_id: InstrumentedAttribute[UUID], origin: Origin | MISSING) -> ColumnElement[bool]:
    """Whether the account has signed in from there."""
    if origin is MISSING:
        return false()
    there = Session.ip_address.between(origin.first, origin.last)
    return exists().where(Session.user_id == user_id, there, Session.created_at >= origin.since)


REFRESH_LIFETIME = timedelta(days=7)
"""From the issue of a refresh token on."""
LINEAGE = (
    Session.user_id,
    Session.generation,
    Session.rotated_at,
    Session.previous_rotated_at,
    Session.expires_at,
)
USER = tuple(getattr(User, name) for name in models.User.model_fields)
OF_SESSION = slice(len(USER), None)
LISTED = [Session.id, Session.device_name, Session.user_agent, func.host(Session.ip_address).label("ip_address")]
LISTED += [Session.created_at, Session.last_used_at, Session.expires_at]
NEWEST_FIRST = Order(Session.created_at.expression, descending=True)


@query(one(construct_model(models.User)))
def insert(session: NewSession, *, verified: str, most: int, by_code: Shape[bool] = False) -> Sql:
    """The account, if the session began: not when it was deactivated or its password changed since it was verified.

    Nor when it has a second factor now and no code came (`by_code`), or a code and no factor.
    Of the account's sessions the `most` that were used last go on. The account is locked against changes: a password
    change either is seen here, or sees this session.
    """
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
    account = select(*column_values(Session, values).values()).with_for_update(read=True)
    asked = User.mfa_enabled if by_code else ~User.mfa_enabled
    account = account.where(User.id == session.user_id, User.is_active, User.hashed_password == verified, asked)
    begun = insert_into(Session).from_select(list(values), account).returning(Session.id, Session.user_id).cte("begun")
    order = Session.last_used_at.desc(), Session.id.desc()
    others = select(Session.id).where(Session.user_id == begun.c.user_id, *alive(now)).order_by(*order)
    excess = others.offset(most - 1).correlate(None).scalar_subquery()  # uncorrelated, or it is about one session
    evicted = revoke_where(Session.id == any_(func.array(excess)), now, "evicted").cte("evicted")
    return select(*USER).join(begun, begun.c.user_id == User.id).add_cte(evicted)


@query(one(lambda record: (construct_model(models.User)(record), Lineage(*record[OF_SESSION]))))
def lock(session_id: UUID, *, now: datetime, used_since: datetime) -> Sql:
    """The account and its session, if both are live. The session is locked until the transaction ends.

    One that was not used since that moment is over.
    """
    live = (
        select(*USER, *LINEAGE)
        .join(Session, User.id == Session.user_id)
        .where(Session.id == session_id, User.is_active)
    )
    return live.where(*alive(now), Session.last_used_at > used_since).with_for_update(of=Session)


@query(lambda records: Lineage(*records[0]))
def rotate(session_id: UUID, *, now: datetime) -> Sql:
    """The session, on to its next refresh token."""
    values = {
        "generation": Session.generation + 1,
        "rotated_at": now,
        "previous_rotated_at": Session.rotated_at,
        "last_used_at": now,
    }
    return update(Session).where(Session.id == session_id).values(values).returning(*LINEAGE)


@query(bool)
def end(session_id: UUID, *, now: datetime, reason: Shape[str]) -> Sql:
    """End a session of any account."""
    return revoke_where(Session.id == session_id, now, reason).returning(Session.id)


@query(read_visible(lambda record: record["authenticated_at"]))
def find_authenticated_at(*, by: Caller) -> Sql:
    """When the caller signed in, or proved to be there again; None where that is not known."""
    caller = me(by)
    return select(caller.c.id, caller.c.authenticated_at)


@query(read_visible(lambda _: None))
def reauthenticate(*, by: Caller, verified: str | MISSING) -> Sql:
    """The session of the caller was signed in to just now: not when the password changed since it was verified."""

    def is_unchanged(hashed: str) -> ColumnElement[bool]:
        return exists().where(User.id == Session.user_id, User.hashed_password == hashed)

    which = Session.id == by.session_id, when(verified, is_unchanged)

    def renew(me: ColumnElement[UUID]) -> Update:
        change = update(Session).where(Session.user_id == me, *which)
        return change.values(authenticated_at=by.now, last_used_at=by.now).returning(Session.id)

    return mine(by, renew)


@query(read_visible(lambda _: None))
def revoke(session_id: UUID, *, by: Caller, reason: Shape[str]) -> Sql:
    """End one of the caller's live sessions."""
    return mine(by, lambda me: own(me, by, reason, Session.id == session_id))


def ours_too(records: list[Record]) -> UUID:
    """The id of a session that ended. Raises SessionOver when somebody else ended it at the same time."""
    if not records or records[0][0] is None:
        raise SessionOver
    ended: UUID = records[0][0]
    return ended


@query(one(lambda record: bool(record[0])))
def end_named(session_id: UUID, user_id: UUID, *, now: datetime, reason: Shape[str]) -> Sql:
    """End the session that a token names. Whether it was live; None when there is none, or it is another user's."""
    named = and_(Session.id == session_id, Session.user_id == user_id)
    found = select(Session.id).where(named).cte("found")
    over = revoke_where(and_(named, Session.expires_at > now), now, reason).returning(Session.id).cte("over")
    return select(over.c.id.is_not(None)).select_from(found.outerjoin(over, true()))


@query(ours_too)
def revoke_all(*, by: Caller, reason: Shape[str]) -> Sql:
    """End every live session of the caller."""
    return mine(by, lambda me: own(me, by, reason))


@query(lambda _: None)
def revoke_others(*, by: Caller, reason: Shape[str]) -> Sql:
    """End every live session of the caller but this one."""
    return mine(by, lambda me: own(me, by, reason, Session.id != by.session_id))


@query(lambda _: None)
def end_others(user_id: UUID, *, by: Caller, reason: Shape[str]) -> Sql:
    """End every session of a user but the one that the caller is in."""
    another = when(by.session_id, lambda session_id: Session.id != session_id)
    return revoke_where(and_(Session.user_id == user_id, another), by.now, reason)


@query(bool)
def end_all(user_id: UUID, *, now: datetime, reason: Shape[str]) -> Sql:
    """End every session of a user."""
    return revoke_where(Session.user_id == user_id, now, reason).returning(Session.id)


@query(read_permitted(keyset.read))
def list_of(user_id: UUID, *, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """A page of a user's live sessions, newest first, for superusers."""
    page = keyset.page_row(NEWEST_FIRST.slice(live_of(user_id, by), Session.id, after, limit), limit)
    return for_superusers(by, page.having(exists().where(User.id == user_id)))


def live_of(user_id: UUID, by: Caller) -> Rows:
    same = literal_column("false") if by.session_id is MISSING else Session.id == by.session_id
    return select(*LISTED, same.label("is_current")).where(Session.user_id == user_id, *alive(by.now))


@query(read_page)
def list_mine(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """A page of the caller's live sessions, newest first."""
    rows = live_of(by.id, by)
    return listed_mine(rows, Session.id, by=by, order=NEWEST_FIRST, after=after, limit=limit)


@query(lambda _: None)
def note_uses(session_ids: Sequence[UUID], moments: Sequence[datetime]) -> Sql:
    """Write when sessions were last used, of each the moment at its place."""
    return note_latest(Session, session_ids, moments)


def own(me: ColumnElement[UUID], by: Caller, reason: str, *conditions: ColumnElement[bool]) -> Update:
    change = revoke_where(and_(Session.user_id == me, *alive(by.now), *conditions), by.now, reason)
    return change.returning(Session.id)


def revoke_where(which: ColumnElement[bool], now: datetime, reason: str) -> Update:
    return (
        update(Session).where(which, Session.revoked_at.is_(None)).values(revoked_at=now, revoke_reason=literal(reason))
    )


def alive(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Neither ended nor left alone for longer than its refresh token lives."""
    return Session.revoked_at.is_(None), Session.expires_at > now, Session.rotated_at > now - REFRESH_LIFETIME
