"""Encrypt by SECRET_KEY what SECRET_KEY_PREVIOUS has encrypted, so that the key before can go.

Run it when all servers have the new SECRET_KEY. Requests are answered meanwhile, and it may run twice: what is
encrypted by SECRET_KEY already is left as it is, and so is what somebody changes just then.
"""

import argparse
import asyncio

from persistence.engine.pool import Transaction
from server.database import kept_secrets
from server.database.connect import connect, open_url
from server.settings.settings import Settings


def add(_parser: argparse.ArgumentParser) -> None:
    """Everything is said by settings."""


def run(_arguments: argparse.Namespace, settings: Settings) -> int:
    with open_url(settings) as url:
        asyncio.run(report(url, settings))
    return 0


async def report(url: str, settings: Settings) -> None:
    async with connect(url) as connection:
        async for tally in kept_secrets.examine(Transaction(connection), settings.keys, rewrites=True):
            said = f"{tally.renewed} encrypted anew, {tally.unreadable} that no key reads"
            print(f"{tally.table:24} {tally.secrets:>10} secrets, {said}", flush=True)  # noqa: T201 - asked for
