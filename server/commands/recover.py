"""Let somebody in who has lost the password or the second factor.

Without options it prints a link that sets a password, once, within 30 minutes; with `--factor` it takes the second
factor away. An account that may run this, a superuser's too, gets in again so. Both are written down in the audit log.
"""

import argparse
import asyncio
from datetime import UTC, datetime

from generated import models
from generated.models import AuditAction
from handlers.accounts import links, lockout
from persistence.engine.pool import Database, Transaction
from persistence.queries.accounts import one_time_tokens, second_factors, users
from server.commands.superuser import note_deed
from server.complaints import CommandError
from server.database.connect import connect, open_url
from server.settings.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("email", metavar="EMAIL", help="of the account")
    parser.add_argument("--factor", action="store_true", help="take the second factor away instead")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    act = take_factor if arguments.factor else make_link
    with open_url(settings) as url:
        print(asyncio.run(act(url, settings, arguments.email)))  # noqa: T201 - what the operator asked for
    return 0


async def make_link(url: str, settings: Settings, email: str) -> str:
    """A link that sets a password. Raises CommandError."""
    async with connect(url) as connection, Transaction(connection).transaction() as db:
        user = await find_account(db, email)
        base, now = settings.base_of_links, datetime.now(UTC)
        link = await links.make_link(db, user.id, "password_reset", base=base, now=now)
        await note_deed(db, user.id, AuditAction.user_password_reset_created, "recover")
    return link.url


async def take_factor(url: str, settings: Settings, email: str) -> str:
    """What to tell the operator, once the factor is taken away. Raises CommandError."""
    async with connect(url) as connection, Transaction(connection).transaction() as db:
        user = await find_account(db, email)
        await users.lock(db, user.id)
        factor = await second_factors.find(db, user.id)
        if factor is None or not factor.is_confirmed:
            raise CommandError(f"{email} has no second factor")
        await second_factors.delete_of(db, user.id)
        await one_time_tokens.end_ways_in(db, user.id)
        await lockout.forget_codes(settings.keys, db, user.id)
        await note_deed(db, user.id, AuditAction.user_mfa_reset, "recover")
    return f"{email} signs in by the password alone"


async def find_account(db: Database, email: str) -> models.User:
    """The account of an e-mail. Raises CommandError."""
    found = await users.find_by_email(db, users.key(email))
    if found is None:
        raise CommandError(f"No account has the e-mail {email}")
    return found
