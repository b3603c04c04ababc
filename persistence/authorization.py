"""Who may see and change what: the only module that reads sessions and membership to decide it.

Every statement about an organization's data carries the caller. It answers no record when the session is over, a record
of nulls when the caller may not see the thing, and otherwise the rows: the check costs no trip, and revocation acts at
once. A superuser owns every team only where the request is written down: see `Caller.as_superuser`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from asyncpg import Record
from pydantic import MISSING
from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    Delete,
    FromClause,
    Insert,
    Select,
    Subquery,
    Text,
    Update,
    and_,
    any_,
    case,
    cast,
    func,
    insert,
    literal,
    literal_column,
    not_,
    null,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.orm import InstrumentedAttribute, aliased

from persistence.engine import keyset
from persistence.engine.causes import tell_cause
from persistence.engine.keyset import After, Item, Order, Page
from persistence.engine.statements import PgType, Rows, Sql, column_values, when
from persistence.tables import AccessToken, Event, Member, Organization, Row, Session, User

M = TypeVar("M")
Roles: TypeAlias = tuple[str, ...]
Id: TypeAlias = UUID | InstrumentedAttribute[UUID]
ADMIN = "admin"
"""The scope with which the access token of a superuser is that of one."""


class SessionOver(Exception):  # noqa: N818 - it says what is the case
    """The session has ended, or the account is not active any more."""


class InsufficientScope(Exception):  # noqa: N818 - it says what is the case
    """The access token of the caller lives, but is not for this; a text says why when it is not for want of scopes."""


class NotVisible(Exception):  # noqa: N818 - it says what is the case
    """There is no such thing for this caller."""


class NotAllowed(Exception):  # noqa: N818 - it says what is the case
    """The caller sees the thing, but the role does not allow this; in which organization, where that is known."""

    def __init__(self, organization_id: UUID | None = None) -> None:
        super().__init__(organization_id)
        self.organization_id = organization_id


class OwnershipImplied(Exception):  # noqa: N818 - it says what is the case
    """The caller's own role does not allow this, but the caller is a superuser, who may ask again as one."""


class Stale(Exception):  # noqa: N818 - it says what is the case
    """The thing is not at a version that the caller named, but at this one, and what it shows of another at that."""

    def __init__(self, version: int, shown_version: int | None = None) -> None:
        super().__init__(version, shown_version)
        self.version, self.shown_version = version, shown_version


class Full(Exception):  # noqa: N818 - it says what is the case
    """There is no room for one more."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much there may be: so many rows to look at, and no room for one more when `most` of them are there."""

    looks: int
    most: int


@dataclass(slots=True, unsafe_hash=True)  # frozen it would take three times as long to make, for each request
class Caller:
    """Who asks, in which session, and when. A program has an access token, a caller of another issuer neither."""

    id: UUID
    session_id: UUID | MISSING
    now: datetime
    authenticated_at: datetime | MISSING | None = MISSING
    """When a caller of another issuer proved who it is, if that is told; that of a session is in its row."""
    issued_at: datetime | MISSING = MISSING
    """When the token of a caller of another issuer was issued."""
    token_id: UUID | MISSING = MISSING
    """The access token of a program, which proves no sign-in,"""
    secret_hash: bytes | MISSING = MISSING
    """the hash of its secret,"""
    scopes: Sequence[str] | MISSING = MISSING
    """and those that it must have."""
    all_need_factor: bool | MISSING = MISSING
    """True: a caller without a second factor is none. False: a superuser without one is none. Not of other issuers."""
    as_superuser: bool | MISSING = MISSING
    """True: the caller owns every team, if it is a superuser. Give it only where an audit log is written of it."""
    request_id: str | MISSING = MISSING
    """Of the request that changes something, for the event log."""


def me(by: Caller, *, changes: bool = False) -> CTE:
    """The caller while the session or the access token lives, and that has the scopes; no row otherwise.

    `changes`: something, by this statement.
    """
    if by.token_id is not MISSING:
        return program(by, changes=changes)
    account = select(User.id, User.is_superuser).where(User.id == by.id, User.is_active)
    if changes and by.request_id is not MISSING:
        account = account.add_columns(tell_cause(User.id, by.request_id).label("told"))
    if by.session_id is MISSING:
        proved = type_coerce(by.authenticated_at, Session.authenticated_at.type).label("authenticated_at")
        unrevoked = when(
            by.issued_at, lambda moment: or_(User.tokens_valid_from.is_(None), User.tokens_valid_from < moment)
        )
        return account.add_columns(proved).where(unrevoked).cte("me")
    live = Session.id == by.session_id, Session.revoked_at.is_(None), Session.expires_at > by.now, is_enrolled(by)
    return account.add_columns(Session.authenticated_at).join(Session).where(*live).cte("me")


def is_enrolled(by: Caller) -> ColumnElement[bool]:
    """True for an account that has the second factor which the server demands of it."""

    def has_it_or_need_not(everybody: bool) -> ColumnElement[bool]:  # noqa: FBT001 - a placeholder
        return or_(User.mfa_enabled, not_(or_(type_coerce(everybody, Boolean), User.is_superuser)))

    return when(by.all_need_factor, has_it_or_need_not)


def program(by: Caller, *, changes: bool) -> CTE:
    """The owner of an access token: a superuser only with the scope for that, and never one who has just signed in."""
    token = AccessToken
    is_superuser = and_(User.is_superuser, literal(ADMIN) == any_(token.scopes)).label("is_superuser")
    never = type_coerce(null(), Session.authenticated_at.type).label("authenticated_at")
    account = select(User.id, is_superuser, never).join(token, token.user_id == User.id)
    if changes and by.request_id is not MISSING:
        account = account.add_columns(tell_cause(User.id, by.request_id).label("told"))
    live = token.revoked_at.is_(None), token.expires_at > by.now, token.secret_hash == by.secret_hash
    has_scopes = when(by.scopes, lambda wanted: token.scopes.contains(type_coerce(wanted, token.scopes.type)))
    theirs = token.id == by.token_id, User.id == by.id, User.is_active, is_enrolled(by)
    return account.where(*theirs, *live, has_scopes).cte("me")


def in_reach(organization_id: ColumnElement[UUID] | InstrumentedAttribute[UUID], by: Caller) -> ColumnElement[bool]:
    """True, but for an access token that is for another organization."""
    if by.token_id is MISSING:
        return true()
    only = select(AccessToken.organization_id).where(AccessToken.id == by.token_id).scalar_subquery()
    return or_(only.is_(None), organization_id == only)


def followed_feeds(by: Caller, caller: CTE, organization_id: UUID | MISSING) -> CTE:
    """The feeds that the caller may read, and since when: those where it is a member, or one of them."""
    mine = select(Member.organization_id.label("feed_id"), Member.joined_after, Member.joined_seq)
    mine = mine.select_from(caller.join(Member, Member.user_id == caller.c.id))
    named = when(organization_id, lambda place: Member.organization_id == place)
    return mine.where(named, in_reach(Member.organization_id, by)).cte("feeds")


LISTENING = """
asked AS (
    SELECT * FROM unnest($1::int[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bytea[], $6::timestamptz[], $7::boolean[],
        $8::uuid[]) AS asked (number, user_id, session_id, token_id, secret_hash, issued_at, need_factor, place)
), listening AS MATERIALIZED (
    SELECT asked.number, asked.user_id, asked.place, token.organization_id AS reach
    FROM asked JOIN users ON users.id = asked.user_id AND users.is_active
        AND (need_factor IS NULL OR mfa_enabled OR NOT (need_factor OR is_superuser))
    LEFT JOIN sessions AS session ON session.id = asked.session_id AND session.user_id = users.id
        AND session.revoked_at IS NULL AND session.expires_at > $9
    LEFT JOIN access_tokens AS token ON token.id = asked.token_id AND token.user_id = users.id
        AND token.revoked_at IS NULL AND token.expires_at > $9 AND token.secret_hash = asked.secret_hash
        AND token.scopes @> $10::text[]
    WHERE CASE WHEN asked.session_id IS NOT NULL THEN session.id IS NOT NULL
        WHEN asked.token_id IS NOT NULL THEN token.id IS NOT NULL
        ELSE asked.issued_at IS NULL OR tokens_valid_from IS NULL OR tokens_valid_from < asked.issued_at END
), feeds AS MATERIALIZED (
    SELECT number, organization_id AS feed_id, joined_after::pg_snapshot, joined_seq,
        listening.place IS NULL AND listening.reach IS NULL AS tells_alone
    FROM listening JOIN organization_members AS member ON member.user_id = listening.user_id
        AND (place IS NULL OR organization_id = place) AND (reach IS NULL OR organization_id = reach)
)"""
"""What `me`, `followed_feeds` and `concerns_alone` say of one caller, of many at once, by their numbers."""


def asked_by(callers: Sequence[tuple[Caller, UUID | MISSING]], now: datetime) -> list[object]:
    """The values of `LISTENING`: who listens, and to which organization alone; each number is a place in this list."""
    present = [
        [None if value is MISSING else value for value in row]
        for row in (
            (by.id, by.session_id, by.token_id, by.secret_hash, by.issued_at, by.all_need_factor, place)
            for by, place in callers
        )
    ]
    columns = [list(column) for column in zip(*present, strict=True)]
    scopes = next((list(by.scopes) for by, _ in callers if by.scopes is not MISSING), [])
    return [list(range(len(callers))), *columns, now, scopes]


HEARD = """log.first_seq < {event}.seq AND (
    {feed}.joined_seq IS NULL OR {feed}.joined_seq < log.first_seq
    OR NOT pg_visible_in_snapshot({event}.transaction::text::xid8, {feed}.joined_after)
)"""
"""`is_heard`, where the feeds are those of `LISTENING`."""


def concerns_alone(by: Caller) -> ColumnElement[bool]:
    """Whether the caller is told what concerns it alone: not by an access token that is for one organization."""
    return in_reach(type_coerce(null(), Member.organization_id.type), by)


def is_heard(event: type[Event], feeds: FromClause, first_seq: ColumnElement[int]) -> ColumnElement[bool]:
    """True for the events of this epoch that were not committed when the reader of the feed joined."""
    transaction = cast(cast(event.transaction, Text), PgType("xid8"))
    before = func.pg_visible_in_snapshot(transaction, cast(feeds.c.joined_after, PgType("pg_snapshot")))
    always = or_(feeds.c.joined_seq.is_(None), feeds.c.joined_seq < first_seq)
    return and_(event.seq > first_seq, or_(always, not_(before)))


def role_in(organization_id: Id, by: Caller, caller: CTE, *, held: bool = False) -> ColumnElement[str | None]:
    """The caller's role there, or null. Who asks as a superuser owns every team. `held`: until the transaction ends."""
    reach = in_reach(Member.organization_id, by)
    member = select(Member.role).where(Member.organization_id == organization_id, Member.user_id == caller.c.id, reach)
    member = member.with_for_update(read=True) if held else member
    own = member.correlate_except(Member).scalar_subquery()
    if by.as_superuser is MISSING:
        return own
    team = aliased(Organization, name="team")
    is_owner = team.id == organization_id, team.kind == "team", caller.c.is_superuser, in_reach(team.id, by)
    owner = select(literal("owner")).where(*is_owner)
    return func.coalesce(owner.correlate_except(team).scalar_subquery(), own)


def authority(by: Caller, caller: CTE, place: Any) -> list[ColumnElement[Any]]:
    """What else to tell of the caller: whether it is a superuser; of who asks as one, where (for `Implied`)."""
    if by.as_superuser is MISSING:
        return [caller.c.is_superuser.label("may_imply")]
    return [place.label("place")]


def refusal(record: Record, verdict: Exception) -> Exception:
    """The verdict, unless the caller is a superuser who has not asked as one."""
    return OwnershipImplied() if record.get("may_imply") else verdict


def seen_by(by: Caller, rows: Rows, *, within: InstrumentedAttribute[UUID]) -> Sql:
    """Those of the rows that the caller may read, each as an item. Read it with `read_visible`."""
    caller = me(by)
    visible = rows.where(role_in(within, by, caller).is_not(None)).lateral("visible")
    told = authority(by, caller, visible.c[within.key])
    return select(*keyset.item(visible), *told).select_from(caller.outerjoin(visible, true()))


def seen_with_role(by: Caller, rows: Rows, *, within: InstrumentedAttribute[UUID]) -> Sql:
    """As `seen_by`, with the caller's role at the end, `caller_role`. Read it with `read_visible` and `standing`."""
    caller = me(by)
    rows = rows.add_columns(role_in(within, by, caller).label("caller_role"), within.label("inside"))
    found = rows.lateral("found")
    told = authority(by, caller, found.c.inside)
    return select(*found.c, *told).select_from(caller.outerjoin(found, found.c.caller_role.is_not(None)))


def myself(by: Caller, *columns: Any) -> Sql:
    """The caller's own account. Read it with `read_visible`."""
    caller = me(by)
    return select(*columns).select_from(caller.join(User, User.id == caller.c.id))


def account_seen_by(by: Caller, rows: Rows) -> Sql:
    """Those of the accounts that the caller sees: all of them, or the own one. Read it with `read_visible`.

    `by_superuser` and `authenticated_at` say of the caller what decides about a change.
    """
    caller = me(by)
    visible = rows.where(or_(caller.c.is_superuser, User.id == caller.c.id)).lateral("visible")
    who = caller.c.is_superuser.label("by_superuser"), caller.c.authenticated_at
    return select(*visible.c, *who).select_from(caller.outerjoin(visible, true()))


def mine(by: Caller, change: Callable[[ColumnElement[UUID]], Update | Delete]) -> Sql:
    """What a change of the caller's own rows returned. Read it with `read_visible`.

    `change` is given the id of the caller, which is null when the session is over.
    """
    caller = me(by)
    changed = change(select(caller.c.id).scalar_subquery()).cte("changed")
    return select(*changed.c).select_from(caller.outerjoin(changed, true()))


def read_visible(make: Callable[[Record], M]) -> Callable[[list[Record]], M]:
    """What is made of the row of `seen_by`. Raises SessionOver, NotVisible."""

    def read(records: list[Record]) -> M:
        if not records:
            raise SessionOver
        if records[0][0] is None:
            raise refusal(records[0], NotVisible())
        return make(records[0])

    return read


def listed_in(
    organization_id: UUID,
    rows: Rows,
    tie: Any,
    *,
    by: Caller,
    order: Order,
    after: After | MISSING,
    limit: int,
    roles: Roles | None = None,
    counted: Rows | None = None,
) -> Sql:
    """A page of the rows, if the caller's role there is one of `roles`, or any. Read it with `read_page`.

    `counted` are all rows of the list, to tell how many they are.
    """
    caller = me(by)
    role = role_in(organization_id, by, caller)
    told = authority(by, caller, type_coerce(organization_id, Member.organization_id.type))
    count = None if counted is None else select(func.count()).select_from(counted.subquery())
    return answer_page(role, roles, caller, order.slice(rows, tie, after, limit), limit=limit, count=count, told=told)


def listed_everywhere(
    rows: Rows,
    tie: Any,
    *,
    within: InstrumentedAttribute[UUID],
    by: Caller,
    order: Order,
    after: After | MISSING,
    limit: int,
    counted: Rows | None = None,
) -> Sql:
    """A page of the rows of all organizations that the caller is a member of. Read it with `read_page`."""
    own = places_of(by).subquery("own")
    here = within == own.c.organization_id
    theirs, count = rows.where(here).correlate(own), None
    if counted is not None:
        each = counted.where(here).correlate(own).lateral("counted")
        count = select(func.count()).select_from(own.join(each, true()))
    return answer_page(
        literal("owner"), None, me(by), order.merge_pages(own, theirs, tie, after, limit), limit=limit, count=count
    )


def of_the_caller(organization_id: InstrumentedAttribute[UUID], by: Caller) -> ColumnElement[bool]:
    """True for the organizations that the caller is a member of."""
    return organization_id.in_(places_of(by))


def places_of(by: Caller) -> Select[UUID]:
    """The organizations that the caller is a member of."""
    return select(Member.organization_id).where(Member.user_id == by.id, in_reach(Member.organization_id, by))


def listed_mine(
    rows: Rows,
    tie: Any,
    *,
    by: Caller,
    order: Order,
    after: After | MISSING,
    limit: int,
    each: FromClause | None = None,
) -> Sql:
    """A page of the rows, which are the caller's own, or those that there are for `each`. Read it with `read_page`."""
    page = order.slice(rows, tie, after, limit) if each is None else order.merge_pages(each, rows, tie, after, limit)
    return answer_page(literal("owner"), None, me(by), page, limit=limit)


def answer_page(
    role: ColumnElement[Any],
    roles: Roles | None,
    caller: CTE,
    page: Subquery,
    *,
    limit: int,
    count: Select[int] | None = None,
    told: Sequence[ColumnElement[Any]] = (),
) -> Sql:
    scope = select(role.label("role"), *told).select_from(caller).cte("scope")
    scope = scope.prefix_with("MATERIALIZED")  # else once for each row
    allowed = scope.c.role.is_not(None) if roles is None else scope.c.role.in_(roles)
    answer = keyset.page_row(page, limit).where(allowed).lateral("answer")  # else rows are read that are not shown
    total = [] if count is None else [case((allowed, count.scalar_subquery())).label("total")]
    shown = select(*scope.c, allowed.label("allowed"), *answer.c, *total)
    return shown.select_from(scope.outerjoin(answer, allowed))


def read_page(records: list[Record]) -> Page:
    """The page of `listed_in`. Raises SessionOver, NotVisible, NotAllowed."""
    if not records:
        raise SessionOver
    if records[0]["role"] is None:
        raise refusal(records[0], NotVisible())
    if not records[0]["allowed"]:
        raise refusal(records[0], NotAllowed())
    return keyset.read(records[0])


class Target:
    """What a statement changes: the keys of a row the caller sees, and whether the role there is one of `roles`.

    The row is locked as it is found, so that the verdict tells of its newest version. So is the membership: who removes
    or demotes the caller waits for what is written already, and what comes later sees it.
    """

    def __init__(self, keys: Rows, *, within: InstrumentedAttribute[UUID], by: Caller, roles: Roles) -> None:
        self.by, self.caller = by, me(by, changes=True)
        role = role_in(within, by, self.caller, held=True).label("role")
        found = keys.add_columns(role, within.label("place")).select_from(self.caller)
        self.found = found.cte("target")
        self.allowed = self.found.c.role.in_(roles)
        self.counted: CTE | None = None
        self.has_room: ColumnElement[bool] = true()

    def limit(self, rows: Rows, room: Room | MISSING) -> None:
        """Add nothing where there is no room. `rows` are those that count, for callers who may add one."""
        if room is not MISSING:
            count = select(func.count()).select_from(rows.limit(room.looks).subquery()).scalar_subquery()
            counted = select(case((self.allowed, count)).label("counted")).select_from(self.found)
            self.counted = counted.cte("counted")
            self.has_room = self.counted.c.counted < type_coerce(room.most, Member.version.type)

    def is_(self, table: type[Row], *keys: str) -> ColumnElement[bool]:
        """True for the row of `table` with these keys, if the caller may change it."""
        return and_(self.allowed, *[getattr(table, key) == self.found.c[key] for key in keys])

    def insert(self, table: type[Row], **values: Any) -> Insert:
        """A row of `table`, if the caller may add it."""
        place = self.found if self.counted is None else self.found.join(self.counted, true())
        rows = select(*column_values(table, values).values()).select_from(place).where(self.allowed, self.has_room)
        return insert(table).from_select(list(values), rows)

    def after(self, change: Insert | Update | Delete, log: Callable[[CTE], Sequence[Insert]] = lambda _: ()) -> Sql:
        """What the change returned, as an item; `log` inserts what it is given that. Read it with `read_changed`."""
        changed = change.cte("changed")
        verdict = self.caller.outerjoin(self.found, self.found.c.role.is_not(None)).outerjoin(changed, true())
        current = [
            (self.found.c[name] if name in self.found.c else literal_column("NULL")).label(f"current_{name}")
            for name in ("version", "shown_version")
        ]
        found = self.allowed.label("allowed"), self.found.c.place, *current
        told = self.caller.c.is_superuser if self.by.as_superuser is MISSING else literal_column("false")
        answer = select(*keyset.item(changed), *found, told.label("may_imply")).select_from(verdict)
        if self.counted is not None:
            answer = answer.add_columns(self.counted.c.counted, (~self.has_room).label("is_full"))
            answer = answer.outerjoin(self.counted, true())
        return answer.add_cte(*[entry.cte(f"log_{number}") for number, entry in enumerate(log(changed))])


def read_changed(records: list[Record]) -> Item:
    """The row of `Target.after`. Raises SessionOver, NotVisible, NotAllowed, Full, Stale."""
    if not records:
        raise SessionOver
    if (allowed := records[0]["allowed"]) is None:
        raise refusal(records[0], NotVisible())
    if not allowed:
        raise refusal(records[0], NotAllowed(records[0]["place"]))
    if records[0][0] is None:
        raise (
            Full
            if records[0].get("is_full")
            else Stale(records[0]["current_version"], records[0]["current_shown_version"])
        )
    return keyset.read_item(records[0])


def read_placed(records: list[Record]) -> Item:
    """As `read_changed`, with how many there were where that was asked."""
    item, counted = read_changed(records), records[0].get("counted")
    return item if counted is None else item._replace(counted=counted)


def for_superusers(by: Caller, rows: Rows) -> Sql:
    """The rows, if the caller is a superuser. Read it with `read_permitted`."""
    caller = me(by)
    shown = rows.add_columns(true().label("shown")).where(caller.c.is_superuser).lateral("shown")
    return select(*shown.c, caller.c.is_superuser.label("allowed")).select_from(caller.outerjoin(shown, true()))


def read_permitted(make: Callable[[Record], M]) -> Callable[[list[Record]], M]:
    """What is made of the row of `for_superusers`. Raises SessionOver, NotAllowed, NotVisible."""

    def read(records: list[Record]) -> M:
        if not records:
            raise SessionOver
        if not records[0]["allowed"]:
            raise NotAllowed
        if not records[0]["shown"]:
            raise NotVisible
        return make(records[0])

    return read
