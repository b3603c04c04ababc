"""Audit logs: only added to, with the change that they tell of, and read from an index whatever is asked for."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from pydantic import MISSING
from sqlalchemy import make_url

from generated.models import AuditAction, AuditOutcome, AuditTarget, AuditTargetType
from handlers.shared.audit_trail import record
from handlers.shared.call import Call, Client, Life, PublicCall
from persistence.authorization import Caller, NotAllowed, NotVisible, SessionOver
from persistence.engine.keyset import After
from persistence.queries import audit
from persistence.queries.audit import Filters
from server.app import process_of
from server.database import backup
from server.observability.metrics import Metrics
from server.settings.loading import load
from tests.api.conftest import SECRET
from tests.conftest import Bench, Server
from tests.factories import NOW, Factory

CHANGES = {
    "UPDATE": "UPDATE audit_logs SET reason = 'none'",
    "UPDATE of nothing": "UPDATE audit_logs SET reason = 'none' WHERE false",
    "UPDATE by INSERT": "INSERT INTO audit_logs TABLE audit_logs ON CONFLICT (id) DO UPDATE SET reason = 'none'",
    "DELETE": "DELETE FROM audit_logs",
    "TRUNCATE": "TRUNCATE audit_logs",
    "TRUNCATE with others": "TRUNCATE jobs, audit_logs",
}
CLIENT = Client("2001:db8::7", "curl/8", "the-request", None)
FILTERS: dict[str, Any] = {
    "occurred_at": Filters(),
    "action": Filters(action="auth.login"),
    "area": Filters(area="auth"),
    "actor_id": Filters(actor_id=uuid4()),
    "target_id": Filters(target_id=uuid4()),
    "outcome": Filters(outcome=AuditOutcome.denied),
}


class TestAppendOnly:
    @pytest.mark.proves("ASVS 5.0 16.4.2", "The owner of the audit log cannot change or delete an entry")
    @pytest.mark.parametrize("change", CHANGES)
    async def test_its_owner_cannot_change_it(self, db: Bench, make: Factory, change: str) -> None:
        await make.audit_log()
        [owner] = await db.fetch("SELECT tableowner = current_user FROM pg_tables WHERE tablename = 'audit_logs'", [])
        assert owner[0]

        with pytest.raises(asyncpg.InsufficientPrivilegeError) as refused:
            await db.fetch(CHANGES[change], [])

        assert str(refused.value) == f"audit_logs is append-only: {change.partition(' ')[0]} is refused"
        assert [row["reason"] for row in await db.fetch("SELECT reason FROM audit_logs", [])] == [None]

    @pytest.mark.proves("ASVS 5.0 16.4.2", "Not even who administers the database can change or delete an entry")
    @pytest.mark.parametrize("change", CHANGES)
    async def test_who_administers_the_server_cannot_either(self, server: Server, fresh_url: str, change: str) -> None:
        database = make_url(fresh_url).database
        admin = await asyncpg.connect(
            make_url(server.admin).set(database=database).render_as_string(hide_password=False)
        )

        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await admin.execute(CHANGES[change])

        await admin.close()

    @pytest.mark.parametrize("change", CHANGES)
    async def test_for_a_transaction_it_can_be_pruned_and_not_after_it(self, fresh_url: str, change: str) -> None:
        connection = await asyncpg.connect(fresh_url)
        async with connection.transaction():
            await connection.execute("SET LOCAL docket.prune = 'on'")
            await connection.execute(CHANGES[change])

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(CHANGES[change])

        await connection.close()

    @pytest.mark.parametrize("value", ["off", "", "ON", "true", "1"])
    async def test_nothing_but_on_is_on(self, db: Bench, value: str) -> None:
        await db.fetch("SELECT set_config('docket.prune', $1, true)", [value])

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await db.fetch("DELETE FROM audit_logs", [])

    async def test_it_can_be_restored_in_the_place_of_what_there_is(self, fresh_url: str, tmp_path: Path) -> None:
        connection = await asyncpg.connect(fresh_url)
        insert = (
            "INSERT INTO audit_logs (id, occurred_at, actor_type, action, outcome, request_id, changes)"
            " VALUES (gen_random_uuid(), now(), 'system', 'auth.login', 'success', $1, '{}')"
        )
        await connection.execute(insert, "kept")
        await backup.write(fresh_url, tmp_path / "file")
        await connection.execute(insert, "lost")

        await backup.open_backup(tmp_path / "file").fill(fresh_url, replace=True)

        assert [row[0] for row in await connection.fetch("SELECT request_id FROM audit_logs")] == ["kept"]
        await connection.close()


class TestRecord:
    @pytest.fixture
    def public(self, db: Bench) -> PublicCall:
        return PublicCall(
            db, NOW, process_of(load(environment="staging", secret_key=SECRET), Metrics(), Life()), CLIENT
        )

    async def read_entry(self, db: Bench) -> dict[str, Any]:
        [row] = await db.fetch("SELECT * FROM audit_logs", [])
        return dict(row)

    async def test_what_nobody_known_does(self, db: Bench, public: PublicCall) -> None:
        target = AuditTarget(type=AuditTargetType.user, id=uuid4())

        await record(
            db, public, AuditAction.auth_login, AuditOutcome.failure, target=target, reason="invalid_credentials"
        )

        row = await self.read_entry(db)
        assert row.pop("id").version == 7
        assert row == {
            "occurred_at": NOW,
            "actor_type": "anonymous",
            "actor_id": None,
            "action": "auth.login",
            "outcome": "failure",
            "reason": "invalid_credentials",
            "target_type": "user",
            "target_id": target.id,
            "organization_id": None,
            "session_id": None,
            "access_token_id": None,
            "ip_address": "2001:db8::7",
            "user_agent": "curl/8",
            "request_id": "the-request",
            "changes": [],
            "task_count": None,
        }

    async def test_what_a_signed_in_user_does(self, db: Bench, public: PublicCall) -> None:
        ada = Caller(uuid4(), uuid4(), NOW)
        call = Call(public.db, NOW, public.process, CLIENT, ada)

        await record(db, call, AuditAction.auth_password_changed, AuditOutcome.success, changes=["password"])

        row = await self.read_entry(db)
        assert (row["actor_type"], row["actor_id"], row["session_id"]) == ("user", ada.id, ada.session_id)
        assert (row["target_type"], row["target_id"], row["changes"]) == (None, None, ["password"])

    async def test_what_somebody_does_who_signs_in_by_it(self, db: Bench, public: PublicCall) -> None:
        ada = Caller(uuid4(), uuid4(), NOW)

        await record(db, public, AuditAction.auth_login, AuditOutcome.success, by=ada)

        row = await self.read_entry(db)
        assert (row["actor_type"], row["actor_id"], row["session_id"]) == ("user", ada.id, ada.session_id)

    @pytest.mark.proves("", "An entry stands and falls with the transaction of its change")
    async def test_a_change_that_is_undone_leaves_no_entry(self, db: Bench, public: PublicCall) -> None:
        async def undone() -> None:
            async with db.transaction() as transaction:
                await record(transaction, public, AuditAction.auth_logout, AuditOutcome.success)
                await transaction.fetch("SELECT 1 / 0", [])

        with pytest.raises(asyncpg.DivisionByZeroError):
            await undone()

        assert await db.fetch("SELECT FROM audit_logs", []) == []

    @pytest.mark.proves("ASVS 5.0 16.2.5", "An entry names changed members and never holds their values")
    async def test_a_value_is_no_name_of_a_member(self, db: Bench, public: PublicCall) -> None:
        with pytest.raises(asyncpg.CheckViolationError, match="ck_audit_logs_changes"):
            await record(
                db, public, AuditAction.auth_registered, AuditOutcome.success, changes=["email", "ada@example.com"]
            )


class TestReaders:
    async def read(self, db: Bench, by: Caller) -> None:
        await audit.list_entries(db, by=by, filters=Filters(), after=MISSING, limit=1)
        await audit.find(db, uuid4(), by=by)

    async def test_a_superuser_sees_what_there_is(self, db: Bench, make: Factory) -> None:
        with pytest.raises(NotVisible):
            await self.read(db, await make.user(is_superuser=True))

    async def test_anybody_else_does_not_learn_what_there_is(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        for audit_log_id in (uuid4(), await make.audit_log(actor_id=ada.id)):
            with pytest.raises(NotAllowed):
                await audit.find(db, audit_log_id, by=ada)
        with pytest.raises(NotAllowed):
            await self.read(db, ada)

    @pytest.mark.parametrize("superuser", [True, False])
    async def test_a_session_that_is_over_reads_nothing(self, db: Bench, make: Factory, *, superuser: bool) -> None:
        ada = await make.user(is_superuser=superuser)
        await db.fetch("UPDATE sessions SET revoked_at = now(), revoke_reason = 'logout'", [])

        with pytest.raises(SessionOver):
            await self.read(db, ada)
        with pytest.raises(SessionOver):
            await audit.find(db, await make.audit_log(), by=ada)


@pytest.fixture
async def crowd(db: Bench, make: Factory) -> Caller:
    """A superuser among many entries."""
    await db.fetch(
        """
        INSERT INTO audit_logs
            (id, occurred_at, actor_type, actor_id, action, outcome, target_type, target_id, request_id, changes)
        SELECT gen_random_uuid(), now() - n * interval '1 s', 'user', md5((n % 100)::text)::uuid,
            (ARRAY['auth.login', 'auth.logout', 'auth.lockout', 'access.denied', 'user.deleted'])[n % 5 + 1],
            (ARRAY['success', 'failure', 'denied'])[n % 3 + 1], 'user', md5((n % 99)::text)::uuid, 'r', '{}'
        FROM generate_series(1, 5000) AS n
        """,
        [],
    )
    await db.fetch("ANALYZE audit_logs", [])
    return await make.user(is_superuser=True)


class TestPlans:
    @pytest.mark.parametrize("column", FILTERS)
    async def test_every_filter_is_read_from_its_index_in_order(self, db: Bench, crowd: Caller, column: str) -> None:
        for after in (MISSING, After("2026-01-31 00:00:00+00", str(uuid4()))):
            plan = await generic_plan(db, crowd, FILTERS[column], after)

            assert f"using ix_audit_logs_{column} on audit_logs" in plan, plan
            assert "Sort" not in plan, plan
            assert "Seq Scan on audit_logs" not in plan, plan

    async def test_a_period_is_read_from_the_index_of_moments(self, db: Bench, crowd: Caller) -> None:
        plan = await generic_plan(db, crowd, Filters(occurred_after=NOW, occurred_before=NOW), MISSING)

        assert "using ix_audit_logs_occurred_at on audit_logs" in plan, plan
        assert "Index Cond: ((occurred_at >=" in plan, plan


async def generic_plan(db: Bench, by: Caller, filters: Filters, after: After | MISSING) -> str:
    """How PostgreSQL reads a page when it does not look at the values, as the pool's connections have it do."""
    sql, values = audit.list_entries.bind(by=by, filters=filters, after=after, limit=50)
    await db.fetch("SET LOCAL plan_cache_mode = force_generic_plan", [])
    await db.fetch(f"PREPARE listing AS {sql}", [])
    records = await db.fetch(f"EXPLAIN EXECUTE listing ({', '.join('NULL' for _ in values)})", [])
    await db.fetch("DEALLOCATE listing", [])
    return "\n".join(record[0] for record in records)
