"""A password, looked at: counted first, so that nobody tries more than five wrong ones in a row."""

import math
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from generated.models import AuditAction, AuditOutcome
from generated.operations import TooManyAttempts
from handlers.audit_trail import record, user
from handlers.call import PublicCall
from persistence import throttle
from persistence.engine import Database
from security.passwords import HashingBusy, Verdict

LOCK = timedelta(minutes=15)


async def verify(call: PublicCall, password: str, hashed: str | None, *, of: UUID | str) -> Verdict:
    """Whether a password is that of an account, by its id, or of nobody, by the identifier that was given.

    Raises TooManyAttempts and HashingBusy, and then no attempt was made.
    """
    keys = counters(call, of)
    attempt = await reserve(call, keys)
    try:
        verdict = await call.process.passwords.verify(password, hashed)
    except HashingBusy:
        await give_back(call, keys)
        raise
    if verdict.right:
        await reset(call.db, keys)
    elif attempt >= throttle.MOST:
        account = user(of) if isinstance(of, UUID) else None
        await record(call.db, call, AuditAction.auth_lockout, AuditOutcome.denied, target=account)
    return verdict


async def forget(call: PublicCall, db: Database, user_id: UUID) -> None:
    """Forget the wrong passwords of an account."""
    await reset(db, counters(call, user_id))


async def reserve(call: PublicCall, keys: Sequence[bytes]) -> int:
    """Which attempt in a row this is, which every counter must grant. Raises TooManyAttempts."""
    most = 0
    for number, key in enumerate(keys):
        attempt = await throttle.reserve(call.db, key, now=call.now, until=call.now + LOCK)
        if attempt is None:
            await give_back(call, keys[:number])
            until = await throttle.find_lock(call.db, key) or call.now
            seconds = max(1, math.ceil((until - call.now).total_seconds()))
            detail = f"Too many wrong passwords. Try again in {seconds} seconds."
            raise TooManyAttempts("account_locked", detail, retry_after=seconds)
        most = max(most, attempt)
    return most


async def give_back(call: PublicCall, keys: Sequence[bytes]) -> None:
    for key in keys:
        await throttle.give_back(call.db, key)


async def reset(db: Database, keys: Sequence[bytes]) -> None:
    for key in keys:
        await throttle.reset(db, key)


def counters(call: PublicCall, of: UUID | str) -> list[bytes]:
    """What wrong passwords are counted by: one for each accepted key, so that a change of keys loses no count."""
    kind = "account" if isinstance(of, UUID) else "identifier"  # who names an account's id means something else
    return call.process.keys.digests("throttle", f"{kind} {of}")
