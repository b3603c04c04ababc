"""The rows every server is given: 200 users with 500 tasks each, the same in each database."""

import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from typing import Any
from uuid import UUID

import asyncpg

from persistence.search.vectors import write_tagged_vector

USERS, TASKS = 200, 500
BORN = datetime(2025, 1, 1, tzinfo=UTC)
TITLES = ("Plan the release of version", "Answer the questions of team", "Review the offer with number")
TEXT = "What has to be done, by which person and until when. " * 3 + "That is all."
STATUSES = ("pending", "in_progress", "completed", "cancelled")
PRIORITIES = ("low", "medium", "high", "urgent")

Row = dict[str, Any]


def user_id(user: int) -> UUID:
    return _uuid7(BORN, user)


def session_id(user: int) -> UUID:
    return UUID(int=4 << 76 | 2 << 62 | user)


def task_id(user: int, task: int) -> UUID:
    return _uuid7(_created_at(user, task), user)


async def fill(connection: asyncpg.Connection, tables: Mapping[str, str]) -> None:
    """Copy each kind of row (`users`, `tasks` ...) into its table; columns that a table lacks are left out."""
    for kind, table in tables.items():
        rows = list(KINDS[kind]())
        columns = [name for name in await _columns(connection, table) if name in rows[0]]
        text = StringIO()
        csv.writer(text).writerows([row[name] for name in columns] for row in rows)  # binary COPY knows no tsvector
        source = BytesIO(text.getvalue().encode())
        await connection.copy_to_table(table, source=source, columns=columns, format="csv")
    await connection.execute("VACUUM ANALYZE")


async def _columns(connection: asyncpg.Connection, table: str) -> list[str]:
    found = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND attgenerated = ''",
        table,
    )
    return [record["attname"] for record in found]


def _uuid7(moment: datetime, tail: int) -> UUID:
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | tail)


def _created_at(user: int, task: int) -> datetime:
    number = task * USERS + user
    return BORN + timedelta(minutes=number, microseconds=number * 7 % 1_000_000)


def _users() -> Iterator[Row]:
    for user in range(USERS):
        email = f"user{user}@example.com"
        state: Row = {"is_active": True, "is_superuser": False, "version": 1}
        state |= {"words": f"{email} user{user}"}
        yield {"id": user_id(user), "email": email, "email_key": email, **state, "created_at": BORN, "updated_at": BORN}


def _organizations() -> Iterator[Row]:
    for user in range(USERS):
        name = {"kind": "personal", "name": f"User {user}", "version": 1}
        yield {"id": user_id(user), **name, "created_at": BORN, "updated_at": BORN}


def _members() -> Iterator[Row]:
    for user in range(USERS):
        key = {"organization_id": user_id(user), "user_id": user_id(user)}
        yield {**key, "role": "owner", "version": 1, "created_at": BORN, "updated_at": BORN}


def _sessions() -> Iterator[Row]:
    now = datetime.now(UTC).replace(microsecond=0)
    moments = dict.fromkeys(("created_at", "rotated_at", "authenticated_at", "last_used_at"), now)
    for user in range(USERS):
        key = {"id": session_id(user), "user_id": user_id(user), "generation": 0}
        yield {**key, **moments, "expires_at": now + timedelta(days=7)}


def _tasks() -> Iterator[Row]:
    for task in range(TASKS):
        for user in range(USERS):
            turn, created, owner = task + user, _created_at(user, task), user_id(user)
            status, changed = STATUSES[turn % 4], created + timedelta(hours=1)
            done = status == "completed"
            title, description = f"{TITLES[turn % 3]} {task:07}", TEXT if turn % 5 else None
            yield {
                "id": task_id(user, task), "organization_id": owner, "user_id": owner, "owner_id": owner,
                "title": title, "description": description,
                "search_vector": write_tagged_vector(owner, title, description),
                "status": status, "priority": PRIORITIES[turn // 4 % 4],
                "due_date": created + timedelta(days=30) if turn % 7 else None,
                "completed": done, "completed_at": changed if done else None,
                "version": 1 + turn % 3, "created_at": created, "updated_at": changed,
            }  # fmt: skip


KINDS = {
    "users": _users,
    "organizations": _organizations,
    "members": _members,
    "sessions": _sessions,
    "tasks": _tasks,
}
