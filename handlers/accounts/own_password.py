"""The own password, told once more by somebody who has signed in."""

from typing import NamedTuple
from uuid import UUID

from generated.models import AuditAction, AuditOutcome
from generated.operations import WrongPassword
from handlers.accounts import lockout
from handlers.shared import audit_trail
from handlers.shared.audit_trail import record
from handlers.shared.call import Call
from persistence.queries.accounts import users


class Proved(NamedTuple):
    """The account of who has proved its password, and the hash that it was proved by."""

    id: UUID
    email: str | None
    username: str | None
    full_name: str | None
    verified: str


async def prove_password(call: Call, password: str, action: AuditAction) -> Proved:
    """The caller's account, if this is its password, which is counted as at sign-in.

    A wrong one is written down as a failure of the action. Raises SessionOver, WrongPassword, TooManyAttempts.
    """
    me = await users.find_my_password(call.db, by=call.caller, origin=lockout.origin_of(call))
    verdict = await lockout.verify(call, password, me.hashed_password, of=me.id, is_known=me.is_known)
    if me.hashed_password is None or not verdict.right:
        target = audit_trail.user(me.id)
        await record(call.db, call, action, AuditOutcome.failure, target=target, reason="wrong_password")
        raise wrong_password()
    return Proved(me.id, me.email, me.username, me.full_name, me.hashed_password)


def wrong_password() -> WrongPassword:
    return WrongPassword("wrong_password", "The current password is wrong.")
