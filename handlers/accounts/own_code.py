"""A code of the own second factor, told once more by somebody who has signed in."""

from pydantic import MISSING

from generated.models import AuditAction, AuditOutcome
from generated.operations import NotProved
from handlers.accounts import lockout, second_factor
from handlers.shared import audit_trail
from handlers.shared.audit_trail import record
from handlers.shared.call import Call
from persistence.queries.accounts import sessions, users


async def prove_code(call: Call, code: str, action: AuditAction) -> None:
    """Renew the sign-in of the session, if this is a code of its account, which is counted as at sign-in.

    A wrong one is written down as a failure of the action. Raises SessionOver, NotProved, TooManyAttempts.
    """
    me = await users.find_my_password(call.db, by=call.caller, origin=lockout.origin_of(call))
    myself = audit_trail.user(me.id)

    async def renew() -> bool | None:
        async with call.db.transaction() as db:
            await users.lock(db, me.id)
            if not await second_factor.accept(call, db, me.id, code):
                return None
            await sessions.reauthenticate(db, by=call.caller, verified=MISSING)
            await record(db, call, action, AuditOutcome.success, target=myself)
        return True

    if await lockout.verify_code(call, me.id, renew, is_known=me.is_known) is None:
        await record(call.db, call, action, AuditOutcome.failure, target=myself, reason="wrong_code")
        raise NotProved("wrong_code", "The code is wrong, or was accepted before.")
