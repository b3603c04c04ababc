"""Queries about invitations. Those that change something want the organization locked, and a caller who may."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asyncpg import Record
from pydantic import MISSING
from sqlalchemy import ColumnElement, and_, case, exists, func, not_, or_, select, type_coerce
from sqlalchemy import delete as delete_from
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_of

from generated import models
from generated.models import InvitationRole
from persistence.authorization import Caller, NotVisible, SessionOver, in_reach, listed_in, listed_mine, me, read_page
from persistence.engine.keyset import After, Order
from persistence.engine.statements import Rows, Sql, column_values, one, query
from persistence.tables import Invitation, Member, Organization, User

NEWEST_FIRST = Order(Invitation.created_at.expression, descending=True)
INVITER = [part for name in models.Inviter.model_fields for part in (name, getattr(User, name))]
INVITED_BY = case((User.id.is_not(None), func.json_build_object(*INVITER))).label("invited_by")


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation to insert: of an address or of a user. `key`: the hash of a token that is told."""

    id: UUID
    organization_id: UUID
    email: str | None
    email_key: str | None
    user_id: UUID | None
    role: InvitationRole
    invited_by: UUID
    key: bytes | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """An invitation that was answered, and is gone with the transaction."""

    id: UUID
    organization_id: UUID
    role: str
    email: str | None
    was_mailed: bool
    """Whether the token is the one that was mailed to the address."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many open invitations an organization has, and whether the invited is a member of it already."""

    invitations: int
    is_member: bool


@query(lambda _: None)
def insert(invitation: NewInvitation) -> Sql:
    names = NewInvitation.__dataclass_fields__
    return insert_into(Invitation).values(
        column_values(Invitation, {name: getattr(invitation, name) for name in names})
    )


@query(lambda records: Standing(*records[0]))
def survey(organization_id: UUID, email_key: str | None, user_id: UUID | None, *, now: datetime) -> Sql:
    """What is there before somebody is invited. Members are seen, with their addresses, by who may invite."""
    here = Invitation.organization_id == organization_id
    open_ones = select(func.count()).select_from(Invitation).where(here, Invitation.expires_at > now)
    invited = or_(
        User.id == type_coerce(user_id, User.id.type), User.email_key == type_coerce(email_key, User.email_key.type)
    )
    members = select(Member.user_id).join(User, User.id == Member.user_id)
    return select(
        open_ones.scalar_subquery(), members.where(Member.organization_id == organization_id, invited).exists()
    )


@query(lambda _: None)
def delete_expired(organization_id: UUID, *, now: datetime) -> Sql:
    """Make room for others: what has expired is not listed any more."""
    return delete_from(Invitation).where(Invitation.organization_id == organization_id, Invitation.expires_at <= now)


@query(read_page)
def list_in(organization_id: UUID, *, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """A page of the open invitations of an organization, newest first."""
    names = [name for name in models.Invitation.model_fields if name != "invited_by"]
    rows = select(*[getattr(Invitation, name) for name in names], INVITED_BY)
    rows = rows.outerjoin(User, User.id == Invitation.invited_by)
    rows = rows.where(Invitation.organization_id == organization_id, Invitation.expires_at > by.now)
    roles = ("owner", "admin")
    return listed_in(
        organization_id, rows, Invitation.id, by=by, order=NEWEST_FIRST, after=after, limit=limit, roles=roles
    )


@query(read_page)
def list_mine(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """A page of the open invitations that the caller may answer, newest first."""
    place = func.json_build_object("id", Organization.id, "name", Organization.name).label("organization")
    told = Invitation.id, place, Invitation.role, INVITED_BY, Invitation.created_at, Invitation.expires_at
    rows = select(*told).join(Organization, Organization.id == Invitation.organization_id)
    rows = rows.outerjoin(User, User.id == Invitation.invited_by)
    rows = rows.where(to(by), in_reach(Invitation.organization_id, by))
    return listed_mine(rows, Invitation.id, by=by, order=NEWEST_FIRST, after=after, limit=limit)


def to(by: Caller) -> ColumnElement[bool]:
    """True for the open invitations of the caller: by id, and by the address, if that is known to be the caller's.

    Addresses are compared as written but for case: what the keys hold for equal may be another's mailbox.
    """
    account, sent = User.__table__.alias("invited"), Invitation.__table__.alias("sent")
    same = account.c.email_key == sent.c.email_key, func.lower(account.c.email) == func.lower(sent.c.email)
    theirs = account.c.id == by.id, account.c.verified_email_key == account.c.email_key
    of_address = select(sent.c.id).join(account, and_(*same)).where(*theirs)
    of_user = select(sent.c.id).where(sent.c.user_id == by.id)  # apart, so that each has its index
    return and_(Invitation.expires_at > by.now, stands(), Invitation.id.in_(of_address.union_all(of_user)))


def stands() -> ColumnElement[bool]:
    """False where who invites was deactivated, perhaps at that moment: then what ends all others has not seen it."""
    inviter = User.__table__.alias("inviter")
    return not_(exists().where(inviter.c.id == Invitation.invited_by, not_(inviter.c.is_active)))


@query(one(lambda record: UUID(str(record[0]))))
def find_place(key: bytes, *, by: Caller) -> Sql:
    """The organization of an open invitation that the caller may redeem with a token of this hash."""
    return select(Invitation.organization_id).where(redeemable(key, by))


def redeemable(key: bytes, by: Caller) -> ColumnElement[bool]:
    """True for the open invitation whose token has this hash; that of a user is for that user alone."""
    held = or_(Invitation.key == key, Invitation.mailed_key == key)
    theirs = or_(Invitation.user_id.is_(None), Invitation.user_id == by.id)
    return and_(held, theirs, stands(), Invitation.expires_at > by.now)


def read_place(records: list[Record]) -> UUID:
    """The organization. Raises SessionOver, NotVisible."""
    if not records:
        raise SessionOver
    if records[0][0] is None:
        raise NotVisible
    place: UUID = records[0][0]
    return place


@query(read_place)
def find_place_of_mine(invitation_id: UUID, *, by: Caller) -> Sql:
    """The organization of an open invitation that the caller may answer."""
    caller = me(by)
    found = select(Invitation.organization_id).where(Invitation.id == invitation_id, to(by)).scalar_subquery()
    return select(found).select_from(caller)


def read_taken(record: Record) -> Taken:
    return Taken(*record)


@query(one(read_taken))
def redeem(key: bytes, *, by: Caller) -> Sql:
    """Take the invitation of a token, which is gone with the transaction: of two who take it at once one finds it."""
    return take(redeemable(key, by), func.coalesce(Invitation.mailed_key == key, type_coerce(False, IS.type)))


@query(one(read_taken))
def answer(invitation_id: UUID, *, by: Caller) -> Sql:
    """Take an invitation of the caller, which is gone with the transaction."""
    return take(and_(Invitation.id == invitation_id, to(by)), type_coerce(False, IS.type))


IS = User.is_active.expression


def take(which: ColumnElement[bool], was_mailed: ColumnElement[bool]) -> Sql:
    told = Invitation.id, Invitation.organization_id, Invitation.role, Invitation.email, was_mailed
    return delete_from(Invitation).where(which).returning(*told)


@query(bool)
def revoke(organization_id: UUID, invitation_id: UUID) -> Sql:
    """Whether there was the invitation."""
    which = Invitation.organization_id == organization_id, Invitation.id == invitation_id
    return delete_from(Invitation).where(*which).returning(Invitation.id)


@query(lambda _: None)
def revoke_of(organization_id: UUID, user_id: UUID) -> Sql:
    """End what somebody has invited there, who is no admin any more, and what invites that user."""
    here = Invitation.organization_id == organization_id
    return delete_from(Invitation).where(here, or_(Invitation.invited_by == user_id, Invitation.user_id == user_id))


@query(lambda _: None)
def end_for_member(organization_id: UUID, user_id: UUID) -> Sql:
    """End what invites a user there who is a member by now: by id, and by the address that is known to be theirs."""
    known = User.id == user_id, User.verified_email_key == User.email_key
    same = User.email_key == Invitation.email_key, func.lower(User.email) == func.lower(Invitation.email)
    theirs = or_(Invitation.user_id == user_id, exists().where(*known, *same))
    return delete_from(Invitation).where(Invitation.organization_id == organization_id, theirs)


@query(lambda _: None)
def forget(user_id: UUID) -> Sql:
    """End what invites a user whose account is deleted."""
    return delete_from(Invitation).where(Invitation.user_id == user_id)


@query(lambda _: None)
def revoke_all_of(user_id: UUID) -> Sql:
    """End what a user has invited anywhere, whose account is deactivated or deleted."""
    return delete_from(Invitation).where(Invitation.invited_by == user_id)


@dataclass(frozen=True, slots=True)
class Mailable:
    """What a mail tells of an invitation."""

    email: str
    organization: str
    inviter: str | None
    role: str
    expires_at: datetime


@query(one(lambda record: Mailable(*record)))
def set_mailed_key(invitation_id: UUID, mailed_key: bytes) -> Sql:
    """The open invitation, with the hash of the token that is mailed to its address, or to that of its user."""
    key = type_coerce(mailed_key, Invitation.mailed_key.type)
    invited = User.__table__.alias("invited")
    verified = invited.c.verified_email_key == invited.c.email_key
    address = select(invited.c.email).where(invited.c.id == Invitation.user_id, verified, invited.c.is_active)
    to_whom = func.coalesce(Invitation.email, address.correlate(Invitation).scalar_subquery())
    which = Invitation.id == invitation_id, Invitation.expires_at > func.now(), to_whom.is_not(None), stands()
    changed = update_of(Invitation).where(*which).values(mailed_key=key)
    told = (
        to_whom.label("to"),
        Invitation.organization_id,
        Invitation.invited_by,
        Invitation.role,
        Invitation.expires_at,
    )
    mailed = changed.returning(*told).cte("mailed")
    inviter = func.coalesce(User.full_name, User.username)
    rows: Rows = select(mailed.c.to, Organization.name, inviter, mailed.c.role, mailed.c.expires_at)
    return rows.join(Organization, Organization.id == mailed.c.organization_id).outerjoin(
        User, User.id == mailed.c.invited_by
    )
