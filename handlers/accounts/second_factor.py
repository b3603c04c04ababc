"""The second factor of an account: begun, confirmed, asked for at a sign-in, taken away."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from generated import models
from generated.operations import LoginNotCompleted
from handlers.shared.call import PublicCall
from persistence.engine.pool import Database
from persistence.queries.accounts import one_time_tokens, second_factors
from persistence.queries.accounts.one_time_tokens import NewToken
from persistence.queries.accounts.second_factors import Factor
from persistence.queries.accounts.users import Credentials
from security import codes
from security.encryption import Unreadable
from security.one_time_tokens import hash_token, make_token

CHALLENGE_LIFE = timedelta(minutes=5)
log = structlog.get_logger("security")


@dataclass(frozen=True, slots=True)
class Challenged:
    """The account of a sign-in that waits for a code, and the hash of the password that was right for it."""

    user_id: UUID
    bound_to: bytes | None


def must_have_one(call: PublicCall, account: Credentials) -> bool:
    """Whether the server demands a second factor of an account."""
    required = call.process.mfa_required
    return required == "everybody" or (required == "superusers" and account.is_superuser)


async def begin(call: PublicCall, db: Database, user: models.User) -> models.TotpSecret:
    """A new seed, which is told here once. It takes the place of one that was never confirmed."""
    seed, factor_id = codes.make_seed(), uuid7()
    encrypted = call.process.seeds.encrypt(seed.encode(), bound_to=factor_id.bytes)
    await second_factors.delete_unconfirmed(db, user.id)
    await second_factors.insert(db, factor_id, user_id=user.id, seed=encrypted, now=call.now)
    return models.TotpSecret(secret=seed, url=codes.write_uri(seed, user.email or user.username or str(user.id)))


async def make_recovery_codes(db: Database, user_id: UUID, now: datetime) -> list[str]:
    """Ten new codes to recover by, which take the place of those of before."""
    made = codes.make_recovery_codes()
    await second_factors.delete_recovery_codes(db, user_id)
    keys = [hash_token(codes.read_code(code)) for code in made]
    await second_factors.insert_recovery_codes(db, user_id, keys=keys, now=now)
    return made


async def accept(call: PublicCall, db: Database, user_id: UUID, typed: str) -> bool:
    """Whether this is a code of the account, in the transaction `db`, in which it is used up. The account is locked."""
    code = codes.read_code(typed)
    if not codes.is_totp(code):
        return await second_factors.accept_recovery_code(db, user_id, key=hash_token(code))
    factor = await second_factors.find(db, user_id)
    return factor is not None and factor.is_confirmed and await accept_totp(call, db, factor, code)


async def accept_totp(call: PublicCall, db: Database, factor: Factor, code: str) -> bool:
    """Whether this is a code of the factor. What the key before encrypted is encrypted anew."""
    try:
        seed, outdated = call.process.seeds.decrypt(factor.seed, bound_to=factor.id.bytes)
    except Unreadable:
        log.exception("second_factor_unreadable", factor_id=str(factor.id))
        return False
    step = codes.find_step(seed.decode(), code, call.now)
    if step is None or not await second_factors.accept_step(db, factor.id, step=step):
        return False
    if outdated:
        anew = call.process.seeds.encrypt(seed, bound_to=factor.id.bytes)
        await second_factors.encrypt_anew(db, factor.id, seed=anew)
    return True


async def challenge(call: PublicCall, user_id: UUID, verified: str) -> str:
    """What a sign-in goes on with, whose password was right: bound to the account and to that password."""
    token = make_token()
    await one_time_tokens.insert(
        call.db,
        NewToken(
            key=hash_token(token),
            user_id=user_id,
            purpose="sign_in",
            email=None,
            bound_to=hash_token(verified),
            created_at=call.now,
            expires_at=call.now + CHALLENGE_LIFE,
        ),
    )
    return token


async def find_challenge(call: PublicCall, token: str) -> Challenged:
    """The sign-in that waits, which stays. Raises LoginNotCompleted."""
    found = await one_time_tokens.find(call.db, hash_token(token), "sign_in", now=call.now)
    if found is None:
        raise refused_challenge()
    return Challenged(found.user_id, found.bound_to)


async def take_challenge(call: PublicCall, db: Database, token: str) -> None:
    """The sign-in waits no longer. The account is locked. Raises LoginNotCompleted."""
    if await one_time_tokens.take(db, hash_token(token), "sign_in", now=call.now) is None:
        raise refused_challenge()


def refused_challenge() -> LoginNotCompleted:
    return LoginNotCompleted("invalid_challenge", www_authenticate="Bearer")
