"""Queries about mails that wait to be sent. Time is that of the database, so that all who send agree."""

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from asyncpg import Record
from sqlalchemy import Float, Interval, cast, func, select, type_coerce
from sqlalchemy import delete as delete_from
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_of

from persistence.engine.statements import Shape, Sql, query
from persistence.tables import OutboxMail


@dataclass(frozen=True, slots=True)
class NewMail:
    """A mail to send."""

    id: UUID
    kind: str
    recipient: str
    subject_id: UUID | None


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A mail that is ours to send for a while, and how often that was tried, this time included."""

    id: UUID
    kind: str
    recipient: str
    subject_id: UUID | None
    attempts: int
    is_old: bool
    """Whether this is the last attempt."""


class Waiting(NamedTuple):
    """What waits: how many mails, for how many seconds the oldest, and what the last failure of one was."""

    mails: int
    seconds: float
    problem: str | None


def read_claimed(records: list[Record]) -> list[ClaimedMail]:
    return [ClaimedMail(*record) for record in records]


@query(lambda _: None)
def insert(mail: NewMail) -> Sql:
    values = {"id": mail.id, "kind": mail.kind, "recipient": mail.recipient, "subject_id": mail.subject_id}
    return insert_into(OutboxMail).values(values)


@query(read_claimed)
def claim(most: Shape[int], *, lease: timedelta, longest: timedelta) -> Sql:
    """Claim mails that are due, the oldest first: no one else tries them before the lease ends."""
    due = select(OutboxMail.id).where(OutboxMail.due_at <= func.now())
    due = due.order_by(OutboxMail.due_at).limit(most).with_for_update(skip_locked=True)
    ours = due.cte("ours").prefix_with("MATERIALIZED")
    tried = {"attempts": OutboxMail.attempts + 1, "due_at": func.now() + type_coerce(lease, Interval)}
    is_old = OutboxMail.created_at + type_coerce(longest, Interval) <= func.now()
    told = OutboxMail.id, OutboxMail.kind, OutboxMail.recipient, OutboxMail.subject_id, OutboxMail.attempts, is_old
    return update_of(OutboxMail).where(OutboxMail.id == ours.c.id).values(tried).returning(*told)


@query(bool)
def is_ours(mail_id: UUID, *, attempts: int) -> Sql:
    """Whether a mail that was claimed is to be sent still: who ended it has deleted it."""
    return select(OutboxMail.id).where(OutboxMail.id == mail_id, OutboxMail.attempts == attempts)


@query(bool)
def delete(mail_id: UUID, *, attempts: int) -> Sql:
    """Delete a mail that was sent or given up, unless it was tried again since."""
    which = OutboxMail.id == mail_id, OutboxMail.attempts == attempts
    return delete_from(OutboxMail).where(*which).returning(OutboxMail.id)


@query(bool)
def postpone(mail_id: UUID, *, attempts: int, pause: timedelta, problem: str) -> Sql:
    """Try a mail again after a pause, unless it was tried again since."""
    values = {"due_at": func.now() + type_coerce(pause, Interval), "problem": problem}
    which = OutboxMail.id == mail_id, OutboxMail.attempts == attempts
    return update_of(OutboxMail).where(*which).values(values).returning(OutboxMail.id)


def read_waiting(records: list[Record]) -> Waiting:
    return Waiting(*records[0])


@query(read_waiting)
def measure() -> Sql:
    age = func.extract("epoch", func.now() - func.min(OutboxMail.created_at))
    latest = select(OutboxMail.problem).where(OutboxMail.problem.is_not(None)).order_by(OutboxMail.id.desc()).limit(1)
    seconds = cast(func.coalesce(age, 0.0), Float)
    return select(func.count(), seconds, latest.scalar_subquery()).select_from(OutboxMail)
