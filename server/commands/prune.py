"""Delete sessions and access tokens 30 days after they expired, what is kept for a day, old audit logs and events.

Run it once a day. Requests are answered meanwhile: it deletes in small batches, each of which stays deleted.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import InstrumentedAttribute

from persistence.engine.pool import Transaction
from persistence.queries import event_log, retention
from persistence.queries.idempotency import LIFE
from persistence.tables import (
    AccessToken,
    AuditLog,
    DeletedIdentity,
    IdempotencyKey,
    Invitation,
    LoginThrottle,
    OneTimeToken,
    Registration,
    Session,
)
from server.database import success
from server.database.connect import connect, open_url
from server.settings.settings import Settings


class Kept(NamedTuple):
    """Rows that are kept until so long after a moment, a column of their table."""

    after: InstrumentedAttribute[datetime]
    time: timedelta


def retention_rules(settings: Settings) -> list[Kept]:
    return [
        Kept(Session.expires_at, timedelta(days=30)),
        Kept(AccessToken.expires_at, timedelta(days=30)),
        Kept(LoginThrottle.updated_at, timedelta(days=1)),
        Kept(IdempotencyKey.created_at, LIFE),
        Kept(Registration.expires_at, timedelta(days=1)),
        Kept(Invitation.expires_at, timedelta(days=1)),
        Kept(OneTimeToken.expires_at, timedelta(days=1)),
        Kept(AuditLog.occurred_at, timedelta(days=settings.audit_retention_days)),
        Kept(DeletedIdentity.deleted_at, timedelta(days=settings.audit_retention_days)),
    ]


def add(_parser: argparse.ArgumentParser) -> None:
    """Everything is said by settings."""


def run(_arguments: argparse.Namespace, settings: Settings) -> int:
    with open_url(settings) as url:
        asyncio.run(report(url, retention_rules(settings)))
        asyncio.run(prune_events(url, settings.event_retention_days))
        asyncio.run(success.note_success(url, "prune"))
    return 0


async def report(url: str, tables: list[Kept]) -> None:
    async for table, rows in prune(url, tables):
        print(f"{table:24} {rows:>10} rows deleted", flush=True)  # noqa: T201 - what the operator asked for


async def prune(url: str, tables: list[Kept]) -> AsyncIterator[tuple[str, int]]:
    """Delete what is not kept any longer. What comes, table by table, is its name and how many rows it lost."""
    now = datetime.now(UTC)
    async with connect(url) as connection:
        for after, time in tables:
            rows, deleted = 0, retention.BATCH
            while deleted == retention.BATCH:
                async with connection.transaction():
                    await connection.execute("SET LOCAL docket.prune = 'on'")
                    deleted = await retention.delete_batch(Transaction(connection), after, before=now - time)
                rows += deleted
            yield after.class_.__tablename__, rows


async def prune_events(url: str, days: int) -> None:
    """Drop the days of the event log that are older, and make those to come."""
    async with connect(url) as connection:
        await event_log.make_days(Transaction(connection))
        dropped = await event_log.drop_days(connection, datetime.now(UTC).date() - timedelta(days=days))
    print(f"{'events':24} {dropped:>10} days dropped", flush=True)  # noqa: T201 - what the operator asked for
