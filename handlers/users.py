"""The operations tagged `users`."""

from generated import models
from generated.models import AuditAction, AuditOutcome
from generated.operations import ChangeMyPassword204, PasswordRefused, WrongPassword
from handlers import audit_trail, guessing
from handlers.audit_trail import record
from handlers.call import Call
from persistence import sessions, users
from persistence.access import NotVisible
from security import strength


async def change_my_password(call: Call, /, *, body: models.PasswordChange) -> ChangeMyPassword204:
    me = await users.find_my_password(call.db, by=call.caller)
    verdict = await guessing.verify(call, body.current_password, me.hashed_password, of=me.id)
    changed, myself = AuditAction.auth_password_changed, audit_trail.user(me.id)
    if me.hashed_password is None or not verdict.right:
        await record(call.db, call, changed, AuditOutcome.failure, target=myself, reason="wrong_password")
        raise WrongPassword(detail="The current password is wrong.")
    names = [name for name in (me.username, me.full_name) if name is not None]
    try:
        await call.process.passwords.check(body.new_password, email=me.email or "", names=names)
    except strength.PasswordRefused as refused:
        raise PasswordRefused(refused.code, refused.detail) from None
    hashed = await call.process.passwords.hash(body.new_password)
    try:
        async with call.db.transaction() as db:
            await users.set_my_password(db, by=call.caller, verified=me.hashed_password, hashed=hashed)
            await sessions.revoke_others(db, by=call.caller, reason="password_changed")
            await record(db, call, changed, AuditOutcome.success, target=myself, changes=["password"])
    except NotVisible:  # it was changed by somebody else meanwhile
        raise WrongPassword(detail="The current password is wrong.") from None
    return ChangeMyPassword204()
