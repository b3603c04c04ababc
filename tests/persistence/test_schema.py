"""The schema: names that problems depend on, tenants that can be divided, rules that the database itself keeps."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import BigInteger, DateTime, LargeBinary, SmallInteger, String, Uuid

from persistence.tables import AuditLog, Member, Organization, Row, Session, Task, User
from tests.conftest import Bench
from tests.factories import NOW, Factory

TABLES = Row.metadata.sorted_tables
TENANTS = [table for table in TABLES if "organization_id" in table.primary_key.columns]
# Indexes of tenants' tables that begin with something else, and what needs them.
ACROSS_TENANTS = {
    "ix_tasks_id": "a task is asked for by its id alone",
    "ix_tasks_user_id_completed": "an account that is deleted or exported has its tasks wherever they are",
    "ix_tasks_search_vector": "its words begin with a tag of the organization",
    "ix_organization_members_user_id": "an account asks where it is a member",
}

PLACES = {"events", "event_log"}  # whose keys are no ids: a place in the log, and the only row


async def constraints(db: Bench) -> list[tuple[str, str, str]]:
    """The kind, table and name of every constraint."""
    records = await db.fetch(
        """
        SELECT contype::text, relname, conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
        WHERE connamespace = current_schema()::regnamespace AND contype <> 'n' AND relname <> 'alembic_version'
            AND NOT relispartition
        """,
        [],
    )
    return [(kind, table, name) for kind, table, name in records]


async def indexes(db: Bench) -> list[tuple[str, str, bool, str | None]]:
    """The table and name of every index, whether it is unique, and its first column if that is one."""
    records = await db.fetch(
        """
        SELECT tables.relname, indexes.relname, indisunique, attname
        FROM pg_index
        JOIN pg_class AS indexes ON indexes.oid = indexrelid
        JOIN pg_class AS tables ON tables.oid = indrelid
        LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] AND attnum > 0
        WHERE tables.relnamespace = current_schema()::regnamespace AND tables.relname <> 'alembic_version'
            AND NOT tables.relispartition
        """,
        [],
    )
    return [(table, name, unique, column) for table, name, unique, column in records]


async def test_every_constraint_has_the_name_of_its_kind_and_table(db: Bench) -> None:
    beginnings = {"p": "pk", "u": "uq", "f": "fk", "c": "ck"}
    found = await constraints(db)

    assert [name for kind, table, name in found if not name.startswith(f"{beginnings[kind]}_{table}")] == []
    assert {table for _, table, _ in found} == {table.name for table in TABLES}


async def test_every_index_has_the_name_of_its_table(db: Bench) -> None:
    names = [(table, name) for table, name, _, _ in await indexes(db)]

    assert [name for table, name in names if not name.startswith((f"pk_{table}", f"uq_{table}", f"ix_{table}"))] == []


async def test_the_tenant_leads_every_index_of_its_tables_that_is_not_excused(db: Bench) -> None:
    tenants = {table.name for table in TENANTS}
    others = {
        name: unique
        for table, name, unique, column in await indexes(db)
        if table in tenants and column != "organization_id"
    }

    assert others == dict.fromkeys(ACROSS_TENANTS, False)


async def test_every_reference_can_be_looked_up_from_the_other_side(db: Bench) -> None:
    begun = {(table, column) for table, _, _, column in await indexes(db)}
    references = {(table.name, key.column_keys[0]) for table in TABLES for key in table.foreign_key_constraints}

    assert references - begun == set()


def test_no_id_is_a_serial_number() -> None:
    for table in TABLES:
        for column in () if table.name in PLACES else table.primary_key.columns:
            assert isinstance(column.type, Uuid | LargeBinary | String)
            assert column.server_default is None
            assert column.identity is None


def test_every_moment_has_a_time_zone_and_few_numbers_are_small() -> None:
    for table in TABLES:
        for column in table.columns:
            assert not isinstance(column.type, DateTime) or column.type.timezone
            assert not isinstance(column.type, SmallInteger) or column.name in {"priority_rank", "attempts", "status"}
            assert column.name != "version" or isinstance(column.type, BigInteger)


MOMENTS = dict.fromkeys(("rotated_at", "authenticated_at", "last_used_at", "expires_at"), NOW)
TEAM = {"kind": "team", "name": "Team", "slug": "team"}
TASK = {"title": "A task", "status": "pending", "priority": "low"}
AUDIT_LOG: dict[str, Any] = {
    "occurred_at": NOW,
    "actor_type": "anonymous",
    "action": "auth.login",
    "outcome": "failure",
    "request_id": "the-request",
    "changes": [],
}


@pytest.mark.parametrize(
    ("table", "values", "constraint"),
    [
        (User, {"email": "ada@example.com"}, "ck_users_email_key"),
        (User, {"username": "ada"}, "ck_users_username_key"),
        (User, {"hashed_password": "hashed"}, "ck_users_hashed_password"),
        (Session, MOMENTS, "fk_sessions_user_id"),
        (Session, MOMENTS | {"revoked_at": NOW}, "ck_sessions_revoke_reason"),
        (Organization, TEAM | {"kind": "other"}, "ck_organizations_kind"),
        (Organization, TEAM | {"slug": None}, "ck_organizations_slug"),
        (Organization, TEAM | {"kind": "personal"}, "ck_organizations_slug"),
        (Member, {"role": "guest"}, "ck_organization_members_role"),
        (Member, {"role": "owner"}, "fk_organization_members_user_id"),
        (Task, TASK | {"title": ""}, "ck_tasks_title"),
        (Task, TASK | {"status": "lost"}, "ck_tasks_status"),
        (Task, TASK | {"priority": "none"}, "ck_tasks_priority"),
        (Task, TASK | {"status": "completed"}, "ck_tasks_completed_at"),
        (Task, TASK | {"completed_at": NOW}, "ck_tasks_completed_at"),
        (AuditLog, AUDIT_LOG | {"actor_type": "robot"}, "ck_audit_logs_actor_type"),
        (AuditLog, AUDIT_LOG | {"actor_type": "user"}, "ck_audit_logs_actor_id"),
        (AuditLog, AUDIT_LOG | {"actor_id": uuid4()}, "ck_audit_logs_actor_id"),
        (AuditLog, AUDIT_LOG | {"action": "login"}, "ck_audit_logs_action"),
        (AuditLog, AUDIT_LOG | {"outcome": "perhaps"}, "ck_audit_logs_outcome"),
        (AuditLog, AUDIT_LOG | {"target_type": "user"}, "ck_audit_logs_target_id"),
        (AuditLog, AUDIT_LOG | {"changes": ["email", "ada@example.com"]}, "ck_audit_logs_changes"),
        (AuditLog, AUDIT_LOG | {"changes": ["full_name = Ada"]}, "ck_audit_logs_changes"),
        (AuditLog, AUDIT_LOG | {"changes": [""]}, "ck_audit_logs_changes"),
    ],
    ids=lambda part: part if isinstance(part, str) and part[2] == "_" else "",
)
async def test_what_breaks_a_rule_is_refused_by_the_name_of_the_rule(
    db: Bench, make: Factory, table: type[Row], values: dict[str, Any], constraint: str
) -> None:
    ada = await make.user()
    ids: dict[str, Any] = {"id": uuid4(), "organization_id": ada.id, "user_id": uuid4()}

    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        await make.row(table, {name: ids[name] for name in ids if name in table.__table__.c} | values)

    assert refused.value.constraint_name == constraint


async def test_an_account_that_goes_takes_its_sessions_and_leaves_its_tasks(db: Bench, make: Factory) -> None:
    ada, bob = await make.user(), await make.user()
    team = await make.team(owner=ada, member=bob)
    await make.task(team, bob)

    await db.fetch("DELETE FROM users WHERE id = $1", [bob.id])

    assert [row["user_id"] for row in await db.fetch("SELECT user_id FROM tasks", [])] == [None]
    assert [row["user_id"] for row in await db.fetch("SELECT user_id FROM sessions", [])] == [ada.id]
    members = await db.fetch("SELECT user_id FROM organization_members WHERE organization_id = $1", [team])
    assert [row["user_id"] for row in members] == [ada.id]


async def test_an_organization_that_goes_takes_its_tasks_and_members(db: Bench, make: Factory) -> None:
    ada = await make.user()
    team = await make.team(owner=ada)
    await make.task(team, ada)

    await db.fetch("DELETE FROM organizations WHERE id = $1", [team])

    assert await db.fetch("SELECT FROM tasks", []) == []
    assert len(await db.fetch("SELECT FROM organization_members", [])) == 1


async def test_a_task_derives_what_it_is_sorted_by(db: Bench, make: Factory) -> None:
    ada = await make.user()
    for priority in ("urgent", "low", "high", "medium"):
        await make.task(ada.id, ada, priority=priority)

    records = await db.fetch("SELECT priority FROM tasks ORDER BY priority_rank", [])

    assert [record["priority"] for record in records] == ["low", "medium", "high", "urgent"]
