"""Every table on one page. Columns carry the names of the contract."""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

ONE = text("1")

DUE = "CAST(EXTRACT(epoch FROM due_date - TIMESTAMPTZ '1970-01-01 00:00:00+00') * 1000000 AS bigint)"
DUE = f"COALESCE({DUE}, 900000000000000000)"  # microseconds; the year 9999 has fewer
PRIORITY_DUE_DATE = f"(4 - priority_rank) * 1000000000000000000 + {DUE}"
DUE_DATE_PRIORITY = f"{DUE} * 10 + (4 - priority_rank)"
"""Two sort keys in one number."""
END_OF_DAY = "timezone('UTC', due_on + TIME '23:59:59.999999')"
"""The last moment of a day in UTC: after every instant of that day, and before those of the next."""


class Row(DeclarativeBase):
    """A row is data: no relationships, no Python-side defaults, nothing that loads or fills itself."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: DateTime(timezone=True), int: BigInteger}


class User(Row):
    """An account. The keys are what e-mail and username are compared by: NFKC, case-folded by the application."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("(email IS NULL) = (email_key IS NULL)", name="email_key"),
        CheckConstraint("(username IS NULL) = (username_key IS NULL)", name="username_key"),
        CheckConstraint("email IS NOT NULL OR hashed_password IS NULL", name="hashed_password"),
        Index("ix_users_created_at", "created_at", "id"),
        Index("ix_users_updated_at", "updated_at", "id"),
        Index("ix_users_email", func.coalesce(text("email_key"), text("''")), "id"),
        Index("ix_users_inactive", "created_at", "id", postgresql_where=text("NOT is_active")),
        Index("ix_users_superusers", "created_at", "id", postgresql_where=text("is_superuser")),
        Index(
            "ix_users_words",
            func.array_to_tsvector(func.string_to_array(text("words"), text("' '"))),
            postgresql_using="gin",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str | None] = mapped_column(String(254))
    email_key: Mapped[str | None] = mapped_column(unique=True)
    verified_email_key: Mapped[str | None] = mapped_column()
    """The key of the address that is known to be theirs: another address is not, even if a superuser sets it."""
    email_verified: Mapped[bool] = column_property(
        func.coalesce(verified_email_key.column == email_key.column, false()).label("email_verified")  # type: ignore[attr-defined]
    )
    username: Mapped[str | None] = mapped_column(String(64))
    username_key: Mapped[str | None] = mapped_column(unique=True)
    full_name: Mapped[str | None] = mapped_column(String(255))
    hashed_password: Mapped[str | None] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    is_superuser: Mapped[bool] = mapped_column(server_default=text("false"))
    words: Mapped[str] = mapped_column(server_default=text("''"))
    """What an administrator finds the account by, with a space between two; written by the application."""
    mfa_enabled: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether there is a second factor: a row of it that is confirmed."""
    time_zone: Mapped[str | None] = mapped_column(String(64))
    """By its name in the IANA data; null: UTC."""
    tokens_valid_from: Mapped[datetime | None]
    """Tokens of other issuers count when they were issued later."""
    version: Mapped[int] = mapped_column(server_default=ONE)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Session(Row):
    """A login, and the only lock point of refresh, logout and revocation. Its refresh token is a function of it."""

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("(revoked_at IS NULL) = (revoke_reason IS NULL)", name="revoke_reason"),
        Index("ix_sessions_ip_address", "user_id", "ip_address", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    device_name: Mapped[str | None] = mapped_column(String(100))
    user_agent: Mapped[str | None] = mapped_column(String(500))
    ip_address: Mapped[str | None] = mapped_column(INET)
    generation: Mapped[int] = mapped_column(server_default=text("0"))
    rotated_at: Mapped[datetime]
    previous_rotated_at: Mapped[datetime | None]
    authenticated_at: Mapped[datetime]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]
    revoke_reason: Mapped[str | None] = mapped_column(String(32))


class AccessToken(Row):
    """What a program calls with, in place of its owner. Of the token the hash of its secret is kept."""

    __tablename__ = "access_tokens"
    __table_args__ = (CheckConstraint("(revoked_at IS NULL) = (revoke_reason IS NULL)", name="revoke_reason"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    organization_id: Mapped[UUID | None] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"), index=True)
    """The one that it sees; null: all of its owner."""
    name: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret_hash: Mapped[bytes]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoke_reason: Mapped[str | None] = mapped_column(String(32))


class ExternalIdentity(Row):
    """The account that another issuer's tokens stand for. The issuer is the namespace of its subjects."""

    __tablename__ = "external_identities"

    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]


class DeletedIdentity(Row):
    """The keyed hash of an identity whose account was deleted: tokens that are older do not bring it back."""

    __tablename__ = "deleted_identities"

    key: Mapped[bytes] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime] = mapped_column(index=True)


class OneTimeToken(Row):
    """What can be used once, by the hash of its token: a link, or a sign-in that waits."""

    __tablename__ = "one_time_tokens"
    __table_args__ = (
        CheckConstraint("purpose IN ('password_reset', 'email_verification', 'sign_in')", name="purpose"),
    )

    key: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    purpose: Mapped[str] = mapped_column(String(32))
    email: Mapped[str | None] = mapped_column(String(254))
    """The address that the token was mailed to; null: somebody handed it over."""
    bound_to: Mapped[bytes | None]
    """The hash of what must not have changed since; of a link that was handed over the id of who made it."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class SecondFactor(Row):
    """What the codes of an account's app are made of. Until it is confirmed, nothing is asked for."""

    __tablename__ = "second_factors"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), unique=True)
    seed: Mapped[bytes]
    """Encrypted, and bound to the id."""
    last_step: Mapped[int | None]
    """The time step of the code that was accepted last: none up to it is accepted any more."""
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]


class RecoveryCode(Row):
    """A code that stands for one of the app, once, by its hash."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)
    key: Mapped[bytes] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]


class Registration(Row):
    """An account that begins when a mailed link is followed."""

    __tablename__ = "registrations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """That of the account, too."""
    email: Mapped[str] = mapped_column(String(254))
    email_key: Mapped[str] = mapped_column(index=True)
    username: Mapped[str | None] = mapped_column(String(64))
    full_name: Mapped[str | None] = mapped_column(String(255))
    hashed_password: Mapped[str] = mapped_column(String(255))
    key: Mapped[bytes | None] = mapped_column(unique=True)
    """The hash of the token that was mailed."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """Until it is mailed, when it is forgotten; then when the link expires."""


class LoginThrottle(Row):
    """Wrong passwords, by a keyed hash of the account or of an identifier that no account has.

    What is tried from a network that the account knows has a row of its own; its key begins with that of the account.
    """

    __tablename__ = "login_throttle"
    __table_args__ = (CheckConstraint("attempts >= 0", name="attempts"),)

    key: Mapped[bytes] = mapped_column(primary_key=True)
    attempts: Mapped[int] = mapped_column(SmallInteger)
    """In a row."""
    locked_until: Mapped[datetime | None]
    tried: Mapped[int] = mapped_column(server_default=text("0"))
    """In the window that began at `tried_since`."""
    tried_since: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(index=True)


class Organization(Row):
    """The tenant. A personal one has the id of its user, and no slug."""

    __tablename__ = "organizations"
    __table_args__ = (
        CheckConstraint("kind IN ('personal', 'team')", name="kind"),
        CheckConstraint("(kind = 'personal') = (slug IS NULL)", name="slug"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(255))
    slug: Mapped[str | None] = mapped_column(String(63), unique=True)
    description: Mapped[str | None] = mapped_column(String(2000))
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"), index=True)
    """The user whose quota a team counts in."""
    version: Mapped[int] = mapped_column(server_default=ONE)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Member(Row):
    """A user's role in an organization."""

    __tablename__ = "organization_members"
    __table_args__ = (
        CheckConstraint("role IN ('owner', 'admin', 'member')", name="role"),
        Index("ix_organization_members_user_id", "user_id", "organization_id", postgresql_include=["role"]),
        Index("ix_organization_members_owner", "organization_id", postgresql_where=text("role = 'owner'")),
        Index("ix_organization_members_created_at", "organization_id", "created_at", "user_id"),
    )

    organization_id: Mapped[UUID] = mapped_column(ForeignKey(Organization.id, ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(8))
    version: Mapped[int] = mapped_column(server_default=ONE)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    joined_after: Mapped[str | None] = mapped_column(Text)
    """A pg_snapshot: which transactions were running or to come when the member joined, that one included."""
    joined_seq: Mapped[int | None]
    """Null: before there were events, or restored."""


class Invitation(Row):
    """Somebody who was asked to join a team and has not answered: by an address, or as a user, who need not exist."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint("role IN ('admin', 'member')", name="role"),
        CheckConstraint("(email IS NULL) = (email_key IS NULL)", name="email_key"),
        CheckConstraint("(email IS NULL) <> (user_id IS NULL)", name="invited"),
        UniqueConstraint("organization_id", "email_key"),
        UniqueConstraint("organization_id", "user_id"),
        Index("ix_invitations_created_at", "organization_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey(Organization.id, ondelete="CASCADE"))
    email: Mapped[str | None] = mapped_column(String(254))
    email_key: Mapped[str | None] = mapped_column(index=True)
    user_id: Mapped[UUID | None] = mapped_column(index=True)
    """It refers to nothing: who invites is not told whether it is anybody's."""
    role: Mapped[str] = mapped_column(String(8))
    invited_by: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"), index=True)
    key: Mapped[bytes | None] = mapped_column(unique=True)
    """The hash of the token that was told to who invites."""
    mailed_key: Mapped[bytes | None] = mapped_column(unique=True)
    """The hash of the token that was mailed to the address."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Task(Row):
    """A task. The tenant key leads, so that the table can be distributed by organization."""

    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint("title <> ''", name="title"),
        CheckConstraint("status IN ('pending', 'in_progress', 'completed', 'cancelled')", name="status"),
        CheckConstraint("priority IN ('low', 'medium', 'high', 'urgent')", name="priority"),
        CheckConstraint("(status = 'completed') = (completed_at IS NOT NULL)", name="completed_at"),
        CheckConstraint(f"due_on IS NULL OR due_date = {END_OF_DAY}", name="due_on"),
        Index("ix_tasks_id", "id"),
        Index("ix_tasks_user_id_completed", "user_id", "completed", "id"),
        Index("ix_tasks_created_at", "organization_id", "created_at", "id"),
        Index("ix_tasks_updated_at", "organization_id", "updated_at", "id"),
        Index("ix_tasks_due_date", "organization_id", func.coalesce(text("due_date"), text("'infinity'")), "id"),
        Index(
            "ix_tasks_due_date_descending",
            "organization_id",
            func.coalesce(text("due_date"), text("'-infinity'")),
            "id",
        ),
        Index("ix_tasks_priority", "organization_id", "priority_rank", "id"),
        Index(
            "ix_tasks_title_key", "organization_id", func.coalesce(text("title_key"), text("title")).collate("C"), "id"
        ),
        Index("ix_tasks_priority_due_date", "organization_id", text(f"({PRIORITY_DUE_DATE})"), "id"),
        Index("ix_tasks_due_date_priority", "organization_id", text(f"({DUE_DATE_PRIORITY})"), "id"),
        Index("ix_tasks_search_vector", "search_vector", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        Index("ix_tasks_unsearchable", "organization_id", postgresql_where=text("search_vector IS NULL")),
    )

    organization_id: Mapped[UUID] = mapped_column(ForeignKey(Organization.id, ondelete="CASCADE"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
    title: Mapped[str] = mapped_column(String(200))
    title_key: Mapped[str | None] = mapped_column(Text(collation="C"))
    """What the title is sorted by, as persistence/search/sorting.py writes it; null: the title as it is."""
    description: Mapped[str | None] = mapped_column(String(2000))
    status: Mapped[str] = mapped_column(String(11))
    priority: Mapped[str] = mapped_column(String(6))
    due_date: Mapped[datetime | None]
    """What it is sorted by: the instant at which it is due, or the end of the day, in UTC."""
    due_on: Mapped[date | None]
    """The day on which it is due, where it has no time; `due_date` is then what the release before tells."""
    completed: Mapped[bool] = mapped_column(Computed("status = 'completed'", persisted=True))
    completed_at: Mapped[datetime | None]
    priority_rank: Mapped[int] = mapped_column(
        SmallInteger,
        Computed("CASE priority WHEN 'low' THEN 1 WHEN 'medium' THEN 2 WHEN 'high' THEN 3 ELSE 4 END", persisted=True),
    )
    search: Mapped[str | None] = mapped_column(TSVECTOR)
    """What 0.1.0 found the task by. The release before reads it where there is no vector; the next one drops it."""
    search_vector: Mapped[str | None] = mapped_column(TSVECTOR)
    """What the task is found by, as persistence/search/vectors.py writes it; null: nothing."""
    version: Mapped[int] = mapped_column(server_default=ONE)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class IdempotencyKey(Row):
    """A request of a user that can be sent again, and what it was answered. The answer is there from the commit on."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    fingerprint: Mapped[bytes]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    headers: Mapped[Any | None] = mapped_column(JSON)
    body: Mapped[Any | None] = mapped_column(JSON)
    named_user_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(index=True)


class AuditLog(Row):
    """Something that happened. It refers to nothing, so that it outlives what it names; rows are only added."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        CheckConstraint("actor_type IN ('user', 'anonymous', 'system')", name="actor_type"),
        CheckConstraint("(actor_type = 'user') = (actor_id IS NOT NULL)", name="actor_id"),
        CheckConstraint("action ~ '^[a-z][a-z_]*[.][a-z][a-z_]*$'", name="action"),
        CheckConstraint("outcome IN ('success', 'failure', 'denied')", name="outcome"),
        CheckConstraint("(target_type IS NULL) = (target_id IS NULL)", name="target_id"),
        CheckConstraint("CAST(changes AS text) ~ '^[{][a-z_,]*[}]$'", name="changes"),  # names, so never values
        Index("ix_audit_logs_occurred_at", "occurred_at", "id"),
        Index("ix_audit_logs_organization_id", "organization_id", "occurred_at", "id"),
        Index("ix_audit_logs_actor_id", "actor_id", "occurred_at", "id"),
        Index("ix_audit_logs_target_id", "target_id", "occurred_at", "id"),
        Index("ix_audit_logs_action", "action", "occurred_at", "id"),
        Index("ix_audit_logs_area", func.split_part(text("action"), text("'.'"), text("1")), "occurred_at", "id"),
        Index("ix_audit_logs_outcome", "outcome", "occurred_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    occurred_at: Mapped[datetime]
    actor_type: Mapped[str] = mapped_column(String(9))
    actor_id: Mapped[UUID | None]
    action: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(7))
    reason: Mapped[str | None] = mapped_column(String(64))
    target_type: Mapped[str | None] = mapped_column(String(32))
    target_id: Mapped[UUID | None]
    organization_id: Mapped[UUID | None]
    session_id: Mapped[UUID | None]
    access_token_id: Mapped[UUID | None]
    ip_address: Mapped[str | None] = mapped_column(INET)
    user_agent: Mapped[str | None] = mapped_column(String(500))
    request_id: Mapped[str] = mapped_column(String(128))
    changes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    task_count: Mapped[int | None]


class Event(Row):
    """A change that was committed, for those who follow. Only triggers write here: persistence/event_triggers.py.

    Feeds are read in the order of `xid`, then `seq`, up to the oldest transaction that is still running.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_subject_id", "subject_id", "seq"),
        {"postgresql_partition_by": "RANGE (day)"},
    )

    feed_id: Mapped[UUID] = mapped_column(primary_key=True)
    """An organization; that of a person also tells what concerns the person alone."""
    xid: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True)
    transaction: Mapped[int]
    type: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[UUID]
    version: Mapped[int | None]
    occurred_at: Mapped[datetime]
    caused_by: Mapped[str | None] = mapped_column(Text)
    """The id of the user, a space, and the id of the request; null where it was none."""
    data: Mapped[Any | None] = mapped_column(JSON)
    """What else the row says, in its own form; null: it is no more."""


class EventLog(Row):
    """What the log is, in its only row. Another epoch, another log: a position in the one says nothing in the other."""

    __tablename__ = "event_log"
    __table_args__ = (CheckConstraint("sole", name="sole"),)

    sole: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    epoch: Mapped[UUID]
    identity: Mapped[str] = mapped_column(Text)
    """The database that it began in, as persistence/queries/event_log.py tells it."""
    first_seq: Mapped[int]
    """The first number of this epoch."""
    first_day: Mapped[date | None]
    """The first day of which all events are there still; null: nothing was pruned."""


class Job(Row):
    """What operators do regularly, a backup for one, and when it last succeeded."""

    __tablename__ = "jobs"

    name: Mapped[str] = mapped_column(String(16), primary_key=True)
    succeeded_at: Mapped[datetime]


class OutboxMail(Row):
    """A mail to send: what it is about, and its recipient. It has no secret: links are made when it is sent."""

    __tablename__ = "outbox"
    __table_args__ = (CheckConstraint("attempts >= 0", name="attempts"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    recipient: Mapped[str] = mapped_column(String(254))
    subject_id: Mapped[UUID | None] = mapped_column(index=True)
    """The row that it is about, in a table that its kind tells."""
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    due_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    """When it is tried next; who tries it moves this on first, so that no one else does."""
    problem: Mapped[str | None] = mapped_column(String(200))
    """Why the last attempt failed."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


TRIGGERS = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('docket.prune', true) IS DISTINCT FROM 'on' THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s is append-only: %s is refused', TG_TABLE_NAME, TG_OP);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""
"""What the tables do by themselves. `python -m server prune` sets `docket.prune` for a transaction."""
