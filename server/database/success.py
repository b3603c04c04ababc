"""Tells monitoring, by way of the database, that a regular job was done."""

from datetime import UTC, datetime

from persistence.engine.pool import Transaction
from persistence.queries import jobs
from server.complaints import CommandError, say
from server.database.connect import connect


async def note_success(url: str, name: str) -> None:
    """Note that a job was done. It stays done where that fails, as when the server is read only."""
    try:
        async with connect(url) as connection:
            await jobs.note_success(Transaction(connection), name, now=datetime.now(UTC))
    except CommandError as error:
        say(f"docket: The {name} is done, but /metrics will not tell: {error}")
