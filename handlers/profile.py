"""The operations tagged `profile`: the own account."""

from pydantic import MISSING

from contract.types import EntityTags, Streamed
from generated import models
from generated.models import AuditAction, AuditOutcome
from generated.operations import (
    ChangeMyPassword204,
    ConfirmTotp200,
    CreateRecoveryCodes201,
    CreateTotp201,
    DeleteMyAccount204,
    DeleteTotp204,
    ExportMyData200,
    FactorConflict,
    FeatureDisabled,
    GetMyProfile200,
    PasswordRefused,
    RequestEmailVerification202,
    UpdateMyProfile200,
    UpdateMyProfile202,
    WrongCode,
)
from handlers.accounts import data_export, lockout, second_factor
from handlers.accounts.deletion import erase
from handlers.accounts.own_password import prove_password, wrong_password
from handlers.accounts.updates import change, demand_recent_login, demand_recent_sign_in, demand_version, hold
from handlers.shared import audit_trail, refresh_cookie
from handlers.shared.audit_trail import record
from handlers.shared.call import Call
from handlers.shared.mail import count_mail, post
from handlers.shared.preconditions import etag
from persistence.authorization import NotVisible
from persistence.engine.pool import Database
from persistence.queries.accounts import one_time_tokens, second_factors, sessions, users
from security import codes, password_strength


async def get_my_profile(call: Call, /) -> GetMyProfile200:
    user = await users.find_me(call.db, by=call.caller)
    return GetMyProfile200(body=user, etag=etag(user))


async def update_my_profile(
    call: Call, /, *, if_match: EntityTags | MISSING, body: models.ProfilePatch
) -> UpdateMyProfile200 | UpdateMyProfile202:
    patch = models.UserPatch(
        email=body.email, username=body.username, full_name=body.full_name, time_zone=body.time_zone
    )
    user = await change(call, call.caller.id, patch, if_match)
    if user is None:
        return UpdateMyProfile202()
    return UpdateMyProfile200(body=user, etag=etag(user))


async def request_email_verification(call: Call, /) -> RequestEmailVerification202:
    me = await users.find_me(call.db, by=call.caller)
    if not call.process.mail.is_written:
        raise FeatureDisabled(detail="This server mails nothing. A superuser says that the address is yours.")
    await count_mail(call, me.email or "")
    async with call.db.transaction() as db:
        await post(db, call, "email_verification", me.email or "", subject_id=me.id)
    return RequestEmailVerification202()


async def delete_my_account(call: Call, /, *, if_match: EntityTags | MISSING) -> DeleteMyAccount204:
    async with call.db.transaction() as db:
        superusers = await users.hold_superusers(db, [call.caller.id], by=call.caller)
        me = await hold(call, db, call.caller.id)
        demand_recent_login(me.authenticated_at, call.now)
        demand_version(me.user, if_match)
        await erase(call, db, me.user, superusers)
    return DeleteMyAccount204(set_cookie=refresh_cookie.clear_refresh())


async def export_my_data(call: Call, /) -> ExportMyData200:
    profile = await users.find_me(call.db, by=call.caller)
    exported, myself = AuditAction.user_exported, audit_trail.user(call.caller.id)
    # That it is granted, to HEAD too: how much of the answer anybody reads is never known.
    await record(call.db, call, exported, AuditOutcome.success, target=myself)
    return ExportMyData200(body=Streamed(data_export.pieces(call, profile)))


async def change_my_password(call: Call, /, *, body: models.PasswordChange) -> ChangeMyPassword204:
    changed, myself = AuditAction.auth_password_changed, audit_trail.user(call.caller.id)
    await demand_recent_sign_in(call, call.db)
    me = await prove_password(call, body.current_password, changed)
    names = [name for name in (me.username, me.full_name) if name is not None]
    try:
        await call.passwords.check(body.new_password, email=me.email or "", names=names)
    except password_strength.PasswordRefused as refused:
        raise PasswordRefused(refused.code, refused.detail) from None
    hashed = await call.passwords.hash(body.new_password)
    try:
        async with call.db.transaction() as db:
            await users.set_my_password(db, by=call.caller, verified=me.verified, hashed=hashed)
            await sessions.revoke_others(db, by=call.caller, reason="password_changed")
            await one_time_tokens.end_ways_in(db, me.id)
            await record(db, call, changed, AuditOutcome.success, target=myself, changes=["password"])
    except NotVisible:  # it was changed by somebody else meanwhile
        raise wrong_password() from None
    return ChangeMyPassword204()


async def create_totp(call: Call, /) -> CreateTotp201:
    async with call.db.transaction() as db:
        me = await hold(call, db, call.caller.id)
        demand_recent_login(me.authenticated_at, call.now)
        factor = await second_factors.find(db, me.user.id)
        if factor is not None and factor.is_confirmed:
            raise FactorConflict("mfa_enabled", "There is a second factor already. Take it away first.")
        secret = await second_factor.begin(call, db, me.user)
        begun, myself = AuditAction.auth_mfa_begun, audit_trail.user(me.user.id)
        await record(db, call, begun, AuditOutcome.success, target=myself)
    return CreateTotp201(body=secret)


async def confirm_totp(call: Call, /, *, body: models.TotpCode) -> ConfirmTotp200:
    known = await users.find_my_password(call.db, by=call.caller, origin=lockout.origin_of(call))

    async def turn_on() -> list[str] | None:
        async with call.db.transaction() as db:
            me = await hold(call, db, call.caller.id)
            demand_recent_login(me.authenticated_at, call.now)
            factor = await second_factors.find(db, me.user.id)
            if factor is None or factor.is_confirmed:
                raise FactorConflict("mfa_not_begun", "There is no second factor to confirm. Begin one first.")
            if not await second_factor.accept_totp(call, db, factor, codes.read_code(body.code)):
                return None
            await second_factors.confirm(db, me.user.id, now=call.now)
            await sessions.revoke_others(db, by=call.caller, reason="mfa_enabled")
            await one_time_tokens.end_ways_in(db, me.user.id)
            enabled, myself = AuditAction.auth_mfa_enabled, audit_trail.user(me.user.id)
            await record(db, call, enabled, AuditOutcome.success, target=myself)
            return await second_factor.make_recovery_codes(db, me.user.id, call.now)

    made = await lockout.verify_code(call, known.id, turn_on, is_known=known.is_known)
    if made is None:
        enabled, myself = AuditAction.auth_mfa_enabled, audit_trail.user(known.id)
        await record(call.db, call, enabled, AuditOutcome.failure, target=myself, reason="wrong_code")
        raise WrongCode("wrong_code", "This is not the code that the app shows just now.")
    return ConfirmTotp200(body=models.RecoveryCodeList(recovery_codes=made))


async def delete_totp(call: Call, /) -> DeleteTotp204:
    async with call.db.transaction() as db:
        await hold_factor(call, db)
        await second_factors.delete_of(db, call.caller.id)
        await one_time_tokens.end_ways_in(db, call.caller.id)
        disabled, myself = AuditAction.auth_mfa_disabled, audit_trail.user(call.caller.id)
        await record(db, call, disabled, AuditOutcome.success, target=myself)
    return DeleteTotp204()


async def create_recovery_codes(call: Call, /) -> CreateRecoveryCodes201:
    async with call.db.transaction() as db:
        await hold_factor(call, db)
        made = await second_factor.make_recovery_codes(db, call.caller.id, call.now)
        renewed, myself = AuditAction.auth_recovery_codes_created, audit_trail.user(call.caller.id)
        await record(db, call, renewed, AuditOutcome.success, target=myself)
    return CreateRecoveryCodes201(body=models.RecoveryCodeList(recovery_codes=made))


async def hold_factor(call: Call, db: Database) -> None:
    """Lock the caller's account, which has a second factor. Raises RecentLoginNeeded, FactorConflict."""
    me = await hold(call, db, call.caller.id)
    demand_recent_login(me.authenticated_at, call.now)
    factor = await second_factors.find(db, me.user.id)
    if factor is None or not factor.is_confirmed:
        raise FactorConflict("mfa_not_enabled", "There is no second factor.")
