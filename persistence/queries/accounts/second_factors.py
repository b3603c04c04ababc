"""Queries about second factors. The account is locked before its factor is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, LargeBinary, Update, delete, func, or_, select, type_coerce, update
from sqlalchemy import insert as insert_into

from persistence.engine.statements import Sql, column_values, one, query
from persistence.tables import RecoveryCode, SecondFactor, User


@dataclass(frozen=True, slots=True)
class Factor:
    """A second factor. `seed` is encrypted, and bound to the id."""

    id: UUID
    seed: bytes
    is_confirmed: bool


@query(one(lambda record: Factor(*record)))
def find(user_id: UUID) -> Sql:
    confirmed = SecondFactor.confirmed_at.is_not(None)
    return select(SecondFactor.id, SecondFactor.seed, confirmed).where(SecondFactor.user_id == user_id)


@query(lambda _: None)
def insert(factor_id: UUID, *, user_id: UUID, seed: bytes, now: datetime) -> Sql:
    """A factor that is not confirmed yet."""
    values = {"id": factor_id, "user_id": user_id, "seed": seed, "created_at": now}
    return insert_into(SecondFactor).values(column_values(SecondFactor, values))


@query(lambda _: None)
def delete_unconfirmed(user_id: UUID) -> Sql:
    """Forget a factor that was never asked for."""
    return delete(SecondFactor).where(SecondFactor.user_id == user_id, SecondFactor.confirmed_at.is_(None))


@query(bool)
def accept_step(factor_id: UUID, *, step: int) -> Sql:
    """Whether a time step is accepted: once, and none before it afterwards. Of two at once one waits, and is not."""
    fresh = or_(SecondFactor.last_step.is_(None), SecondFactor.last_step < step)
    accepted = update(SecondFactor).where(SecondFactor.id == factor_id, fresh).values(last_step=step)
    return accepted.returning(SecondFactor.id)


@query(lambda _: None)
def encrypt_anew(factor_id: UUID, *, seed: bytes) -> Sql:
    """Keep the seed as it is encrypted by the key of today."""
    return update(SecondFactor).where(SecondFactor.id == factor_id).values(seed=seed)


@query(bool)
def accept_recovery_code(user_id: UUID, *, key: bytes) -> Sql:
    """Whether there is such a code, which is then gone."""
    used = delete(RecoveryCode).where(RecoveryCode.user_id == user_id, RecoveryCode.key == key)
    return used.returning(RecoveryCode.user_id)


@query(lambda _: None)
def confirm(user_id: UUID, *, now: datetime) -> Sql:
    """The factor is asked for from now on."""
    on = update(SecondFactor).where(SecondFactor.user_id == user_id).values(confirmed_at=now).cte("confirmed")
    return switch_factor(user_id, is_on=True).add_cte(on)


@query(lambda _: None)
def delete_of(user_id: UUID) -> Sql:
    """No factor is asked for any more, and no recovery code counts."""
    codes = delete(RecoveryCode).where(RecoveryCode.user_id == user_id).cte("codes")
    factor = delete(SecondFactor).where(SecondFactor.user_id == user_id).cte("factor")
    return switch_factor(user_id, is_on=False).add_cte(codes, factor)


def switch_factor(user_id: UUID, *, is_on: bool) -> Update:
    values = {"mfa_enabled": is_on, "version": User.version + 1, "updated_at": func.clock_timestamp()}
    return update(User).where(User.id == user_id).values(values)


@query(lambda _: None)
def delete_recovery_codes(user_id: UUID) -> Sql:
    return delete(RecoveryCode).where(RecoveryCode.user_id == user_id)


@query(lambda _: None)
def insert_recovery_codes(user_id: UUID, *, keys: Sequence[bytes], now: datetime) -> Sql:
    each = func.unnest(type_coerce(keys, ARRAY(LargeBinary))).column_valued("key")
    values = column_values(RecoveryCode, {"user_id": user_id, "created_at": now})
    return insert_into(RecoveryCode).from_select(["user_id", "created_at", "key"], select(*values.values(), each))
