"""Queries about requests that may be sent again, and their answers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from asyncpg import LockNotAvailableError, Record
from sqlalchemy import case, null, select
from sqlalchemy import update as update_of
from sqlalchemy.dialects.postgresql import insert

from persistence.authorization import Caller, SessionOver, me
from persistence.engine.statements import Sql, column_values, query
from persistence.tables import IdempotencyKey, User

LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a request. Its status is None until it is answered."""

    fingerprint: bytes
    status: int | None
    headers: bytes | None
    body: bytes | None


def read_kept(records: list[Record]) -> Kept:
    """What is kept. Raises SessionOver."""
    if not records:
        raise SessionOver
    return Kept(*records[0])


@query(read_kept)
def reserve(key: str, *, fingerprint: bytes, old: datetime, by: Caller) -> Sql:
    """The caller's request, new unless it was made later than `old`. Another transaction with the key is waited for.

    So is one that deletes the user, before anything is locked for which that may wait. Whose session is over waits for
    nothing.
    """
    values = column_values(
        IdempotencyKey, {"user_id": User.id, "key": key, "fingerprint": fingerprint, "created_at": by.now}
    )
    caller = me(by)
    account = select(*values.values()).select_from(caller.join(User, User.id == caller.c.id))
    account = account.with_for_update(of=User, read=True)
    asked = insert(IdempotencyKey).from_select([*values], account)
    over = IdempotencyKey.created_at <= old
    anew = {"fingerprint": asked.excluded.fingerprint, "created_at": asked.excluded.created_at}
    forgotten = dict.fromkeys(("status", "headers", "body", "named_user_id"), null())
    changes = (anew | forgotten).items()
    decided = {name: case((over, value), else_=getattr(IdempotencyKey, name)) for name, value in changes}
    return asked.on_conflict_do_update(constraint="pk_idempotency_keys", set_=decided).returning(
        IdempotencyKey.fingerprint, IdempotencyKey.status, IdempotencyKey.headers, IdempotencyKey.body
    )


def is_in_progress(error: LockNotAvailableError) -> bool:
    """Whether what `reserve` waited for too long is the key itself, which another transaction makes or changes.

    The name of its table is in what PostgreSQL says of the row that it waited for, in whatever language.
    """
    return IdempotencyKey.__tablename__ in (error.context or "")


@query(lambda _: None)
def answer(user_id: UUID, key: str, *, status: int, headers: bytes, body: bytes, made: UUID) -> Sql:
    """Keep the answer. If what was `made` is a user, the request goes when the user goes."""
    named = select(User.id).where(User.id == made).scalar_subquery()
    values = {"status": status, "headers": headers, "body": body, "named_user_id": named}
    here = IdempotencyKey.user_id == user_id, IdempotencyKey.key == key
    return update_of(IdempotencyKey).where(*here).values(values)
