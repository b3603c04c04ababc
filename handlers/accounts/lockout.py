"""A password or a code, looked at: counted first, so that five wrong ones in a row, or ten in an hour, are the most."""

import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Literal, TypeVar
from uuid import UUID

from pydantic import MISSING

from generated.models import AuditAction, AuditOutcome
from generated.operations import TooManyAttempts
from handlers.shared.audit_trail import record, user
from handlers.shared.call import PublicCall
from persistence.engine.pool import Database
from persistence.queries.accounts import login_attempts
from persistence.queries.accounts.login_attempts import Standing
from persistence.queries.accounts.sessions import Origin
from security.keys import Keys
from security.networks import SITE, network_of
from security.passwords import ClientLeft, HashingBusy, Verdict

T = TypeVar("T")
LOCK = timedelta(minutes=15)
KNOWN = timedelta(days=30)  # after a sign-in
PASSWORDS, CODES = "account", "codes"  # of an account, by its id
IDENTIFIERS = "identifier"  # of no account: who names the id of one means something else
DIGEST = 32  # bytes of a key, and again of a network behind it


async def verify(
    call: PublicCall, password: str, hashed: str | None, *, of: UUID | str, is_known: bool = False
) -> Verdict:
    """Whether a password is that of an account, by its id, or of none, by the identifier that was given.

    `is_known`: the account has signed in from this network of late, which then has a count of its own. Raises
    TooManyAttempts, HashingBusy and ClientLeft, and then no attempt was made.
    """
    keys = counters(call, PASSWORDS if isinstance(of, UUID) else IDENTIFIERS, of, is_known=is_known)
    attempt = await reserve(call, keys)
    try:
        verdict = await call.passwords.verify(password, hashed)
    except (HashingBusy, ClientLeft):
        await give_back(call, keys)
        raise
    await conclude(call, keys, attempt, of, right=verdict.right)
    return verdict


async def verify_code(
    call: PublicCall, user_id: UUID, accept: Callable[[], Awaitable[T | None]], *, is_known: bool
) -> T | None:
    """What came of a code of a second factor, by `accept`: None of a wrong one. It is counted as passwords are.

    Raises TooManyAttempts, and what `accept` does: then no attempt was made.
    """
    keys = counters(call, CODES, user_id, is_known=is_known)
    attempt = await reserve(call, keys)
    try:
        accepted = await accept()
    except Exception:
        await give_back(call, keys)
        raise
    await conclude(call, keys, attempt, user_id, right=accepted is not None)
    return accepted


async def conclude(call: PublicCall, keys: Sequence[bytes], attempt: int, of: UUID | str, *, right: bool) -> None:
    """Take back what was counted of a right attempt. A wrong one stays counted, and may have locked."""
    if right:
        for key in keys:
            await login_attempts.settle(call.db, key)
    elif attempt >= login_attempts.MOST:
        account = user(of) if isinstance(of, UUID) else None
        await record(call.db, call, AuditAction.auth_lockout, AuditOutcome.denied, target=account)


async def forget_passwords(keys: Keys, db: Database, user_id: UUID) -> None:
    """Forget the wrong passwords of an account, wherever they came from."""
    await forget_all(keys, db, PASSWORDS, user_id)


async def forget_codes(keys: Keys, db: Database, user_id: UUID) -> None:
    """Forget the wrong codes of an account, wherever they came from."""
    await forget_all(keys, db, CODES, user_id)


async def forget_all(keys: Keys, db: Database, kind: str, user_id: UUID) -> None:
    for key in keys.digests("throttle", name_of(kind, user_id)):
        await login_attempts.forget(db, key, key + b"\xff" * DIGEST)


async def reserve(call: PublicCall, keys: Sequence[bytes]) -> int:
    """Which attempt in a row this is, which every counter must grant. Raises TooManyAttempts."""
    most, seconds = call.process.sign_ins
    since = call.now - timedelta(seconds=seconds)
    latest = 0
    for number, key in enumerate(keys):
        attempt = await login_attempts.reserve(
            call.db, key, now=call.now, until=call.now + LOCK, most=most, since=since
        )
        if attempt is None:
            await give_back(call, keys[:number])
            raise refuse_login(call, await login_attempts.find(call.db, key))
        latest = max(latest, attempt)
    return latest


def refuse_login(call: PublicCall, standing: Standing | None) -> TooManyAttempts:
    """The problem for an attempt too many, by what forbids it for longest."""
    most, seconds = call.process.sign_ins
    bars: list[tuple[datetime, Literal["account_locked", "rate_limit_exceeded"]]] = [(call.now, "account_locked")]
    if standing is not None and standing.locked_until is not None:
        bars.append((standing.locked_until, "account_locked"))
    if standing is not None and standing.tried_since is not None and standing.tried >= most:
        bars.append((standing.tried_since + timedelta(seconds=seconds), "rate_limit_exceeded"))
    until, code = max(bars)
    wait = max(1, math.ceil((until - call.now).total_seconds()))
    return TooManyAttempts(code, f"Too many wrong passwords or codes. Try again in {wait} seconds.", retry_after=wait)


async def give_back(call: PublicCall, keys: Sequence[bytes]) -> None:
    for key in keys:
        await login_attempts.give_back(call.db, key)


def counters(call: PublicCall, kind: str, of: UUID | str, *, is_known: bool) -> list[bytes]:
    """What wrong ones are counted by: one for each accepted key, so that a change of keys loses no count."""
    keys, name = call.process.keys, name_of(kind, of)
    counted = keys.digests("throttle", name)
    if not is_known:
        return counted
    here = keys.digests("throttle", f"{name} from {network_of(call.client.address, SITE)}")
    return [one + network for one, network in zip(counted, here, strict=True)]


def name_of(kind: str, of: UUID | str) -> str:
    return f"{kind} {of}"


def origin_of(call: PublicCall) -> Origin | MISSING:
    """The network that a call comes from, for looking whether the account knows it."""
    here = network_of(call.client.address, SITE)
    network = ip_network(here) if here else None
    return MISSING if network is None else Origin(str(network[0]), str(network[-1]), call.now - KNOWN)
