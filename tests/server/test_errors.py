"""What becomes of every error: its problem, whether the call runs again, and that the server gets well by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from asyncpg.exceptions import InternalClientError

from contract.types import Problem, Result
from generated.operations import DeleteTask204, NotFound, ServiceUnavailable
from handlers.shared.call import Life, PublicCall
from persistence.authorization import NotAllowed, NotVisible, SessionOver, Stale
from persistence.embedded.server import Embedded
from persistence.engine.pool import Database, Pool, PoolExhausted
from persistence.tables import Session, Task
from security.passwords import HashingBusy
from server.app import process_of
from server.database.migrations import upgrade
from server.dispatch import dispatcher
from server.dispatch.authentication import Callers
from server.dispatch.dispatcher import TRIES, Calls, can_be_repeated
from server.errors import CONSTRAINTS, problem_of
from server.observability.metrics import Metrics
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.binding.conftest import NOWHERE, request
from tests.conftest import FAST, Bench
from tests.factories import NOW, Factory
from tests.waiting import somebody_waits

Attempt = Callable[[Database], Awaitable[object]]
TERMINATE = "SELECT pg_terminate_backend(pg_backend_pid())"


async def error_of(database: Database, sql: str, values: list[object] | None = None) -> Exception:
    """What the driver raises for a statement."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - which one is what the tests ask
        await database.fetch(sql, values or [])
    return raised.value


async def refused_with(database: Database, state: str) -> Exception:
    """What the driver raises when PostgreSQL answers this SQLSTATE."""
    error = await error_of(database, f"DO $$ BEGIN RAISE EXCEPTION SQLSTATE '{state}'; END $$")
    assert isinstance(error, asyncpg.PostgresError)
    assert error.sqlstate == state
    return error


def describe_problem(problem: Problem | None) -> tuple[int, str, dict[str, str]] | None:
    return (problem.status, problem.code, dict(problem.headers)) if problem else None


def away(seconds: int) -> tuple[int, str, dict[str, str]]:
    return 503, "service_unavailable", {"Retry-After": str(seconds)}


class TestProblems:
    @pytest.mark.parametrize(
        ("state", "seconds"),
        [
            ("08000", 2),
            ("08006", 2),
            ("57P01", 2),
            ("57P02", 2),
            ("57P03", 2),
            ("57P05", 2),
            ("53300", 2),
            ("53100", 30),
            ("53200", 30),
            ("25006", 5),
            ("40001", 1),
            ("40P01", 1),
            ("55P03", 1),
            ("57014", 1),
            ("XX000", 2),
            ("XX001", 2),
        ],
    )
    async def test_a_database_that_cannot_is_unavailable_for_so_many_seconds(
        self, db: Bench, state: str, seconds: int
    ) -> None:
        assert describe_problem(problem_of(await refused_with(db, state))) == away(seconds)

    @pytest.mark.parametrize("state", ["22000", "22003", "22021", "22P02", "23514", "54000", "54001"])
    async def test_a_value_that_does_not_fit_breaks_the_contract(self, db: Bench, state: str) -> None:
        assert describe_problem(problem_of(await refused_with(db, state))) == (422, "validation_error", {})

    @pytest.mark.parametrize("state", ["23502", "23503", "23505", "42P01", "42601", "0A000", "P0001"])
    async def test_anything_else_is_a_mistake_of_ours(self, db: Bench, state: str) -> None:
        assert problem_of(await refused_with(db, state)) is None

    async def test_a_value_that_the_driver_cannot_send_breaks_the_contract(self, db: Bench) -> None:
        for value, cast in (("x", "int"), (2**63, "bigint"), ("\0", "uuid")):
            error = await error_of(db, f"SELECT $1::{cast}", [value])
            assert describe_problem(problem_of(error)) == (422, "validation_error", {})

    async def test_a_connection_that_is_closed_is_unavailable(self, fresh_url: str) -> None:
        connection = await asyncpg.connect(fresh_url)
        await connection.close()
        with pytest.raises(asyncpg.InterfaceError) as closed:
            await connection.execute("SELECT 1")

        assert describe_problem(problem_of(closed.value)) == away(2)

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (SessionOver(), (401, "token_revoked")),
            (NotVisible(), (404, "not_found")),
            (NotAllowed(), (403, "permission_denied")),
            (Stale(7), (412, "precondition_failed")),
            (HashingBusy(), (503, "service_unavailable")),
            (PoolExhausted(), (503, "service_unavailable")),
            (TimeoutError(), (503, "service_unavailable")),
            (ConnectionRefusedError(), (503, "service_unavailable")),
            (InternalClientError(), (503, "service_unavailable")),
            (NotFound(), (404, "not_found")),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_an_error_comes_to_its_problem(self, error: Exception, expected: tuple[int, str]) -> None:
        problem = problem_of(error)

        assert problem
        assert (problem.status, problem.code) == expected

    def test_what_is_said_besides(self) -> None:
        assert describe_problem(problem_of(Stale(7))) == (412, "precondition_failed", {"ETag": '"7"'})
        assert describe_problem(problem_of(HashingBusy())) == describe_problem(problem_of(PoolExhausted())) == away(1)
        assert describe_problem(problem_of(TimeoutError())) == describe_problem(problem_of(OSError())) == away(2)
        assert problem_of(KeyError()) is None


class TestConstraints:
    async def test_every_constraint_of_the_table_exists(self, db: Bench) -> None:
        records = await db.fetch(
            "SELECT conname AS name FROM pg_constraint UNION SELECT relname FROM pg_class WHERE relkind = 'i'", []
        )

        assert set(CONSTRAINTS) <= {record["name"] for record in records}

    async def test_a_taken_name_is_a_conflict(self, make: Factory) -> None:
        await make.user(email="ada@example.com", username="ada")

        for taken, code in (
            ({"email": "ADA@example.com"}, "email_already_registered"),
            ({"username": "Ada"}, "username_taken"),
        ):
            with pytest.raises(asyncpg.UniqueViolationError) as refused:
                await make.user(**taken)
            assert describe_problem(problem_of(refused.value)) == (409, code, {})

    async def test_an_organization_that_has_gone_is_not_found(self, make: Factory) -> None:
        ada = await make.user()

        with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
            await make.task(uuid4(), ada)

        assert describe_problem(problem_of(refused.value)) == (404, "not_found", {})

    async def test_an_account_that_has_gone_has_no_session(self, make: Factory) -> None:
        ada = await make.user()
        plain = {"organization_id": ada.id, "title": "A task", "status": "pending", "priority": "medium"}
        moments = dict.fromkeys(("rotated_at", "authenticated_at", "created_at", "last_used_at", "expires_at"), NOW)
        for table, values in ((Task, plain), (Session, moments)):
            with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
                await make.row(table, {"id": uuid4(), "user_id": uuid4()} | values)

            problem = problem_of(refused.value)
            assert problem
            assert (problem.status, problem.code) == (401, "token_revoked")
            assert dict(problem.headers)["WWW-Authenticate"].startswith('Bearer error="invalid_token"')


class TestRepeating:
    @pytest.mark.parametrize(
        ("state", "reading", "writing"),
        [
            ("40001", True, True),
            ("40P01", True, True),
            ("08006", True, False),
            ("57P01", True, False),
            ("57P02", True, False),
            ("55P03", False, False),
            ("57014", False, False),
            ("53300", True, True),
            ("57P03", True, True),
            ("26000", True, True),
            ("42P05", True, True),
            ("25006", True, True),
            ("53100", False, False),
            ("0A000", False, False),
            ("23505", False, False),
            ("22003", False, False),
            ("42P01", False, False),
        ],
    )
    async def test_what_postgresql_refused(
        self,
        db: Bench,
        state: str,
        reading: bool,  # noqa: FBT001 - a row of the table
        writing: bool,  # noqa: FBT001 - a row of the table
    ) -> None:
        error = await refused_with(db, state)

        assert (can_be_repeated(error, safe=True), can_be_repeated(error, safe=False)) == (reading, writing)

    @pytest.mark.parametrize(
        ("error", "reading", "writing"),
        [
            (TimeoutError(), True, False),
            (ConnectionRefusedError(), True, True),
            (FileNotFoundError(), True, True),
            (asyncpg.InterfaceError("connection is closed"), True, True),
            (InternalClientError(), True, True),
            (PoolExhausted(), False, False),
            (HashingBusy(), False, False),
            (SessionOver(), False, False),
            (KeyError(), False, False),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_what_else_went_wrong(self, error: Exception, reading: bool, writing: bool) -> None:  # noqa: FBT001 - a row
        assert (can_be_repeated(error, safe=True), can_be_repeated(error, safe=False)) == (reading, writing)

    async def test_a_value_that_the_driver_cannot_send(self, db: Bench) -> None:
        assert not can_be_repeated(await error_of(db, "SELECT $1::int", ["x"]), safe=True)


class Runner:
    """Runs attempts as handlers of a request, and counts them."""

    def __init__(self, settings: Settings, db: Database) -> None:
        metrics = Metrics()
        process = process_of(settings, metrics, Life())
        self.calls = Calls(process, metrics, None, Callers(process, None, (), accounts=True))
        self.calls.db = db
        self.tries = 0

    async def run(self, attempt: Attempt, method: str = "POST") -> Result:
        async def handler(call: PublicCall, /) -> Result:
            self.tries += 1
            await attempt(call.db)
            return DeleteTask204()

        return await self.calls.call(request(method), handler, {})

    async def refusal(self, attempt: Attempt, method: str = "POST") -> tuple[int, str, dict[str, str]] | None:
        with pytest.raises(ServiceUnavailable) as refused:
            await self.run(attempt, method)
        return describe_problem(refused.value)


@pytest.fixture
async def runner(settings: Settings, fresh: Pool) -> Runner:
    await fresh.fetch("CREATE TABLE counters AS SELECT id, 0 AS count FROM generate_series(1, 2) id", [])
    return Runner(settings, fresh)


async def count(db: Database, number: int) -> None:
    await db.fetch("UPDATE counters SET count = count + 1 WHERE id = $1", [number])


async def counts(db: Database) -> list[int]:
    return [record["count"] for record in await db.fetch("SELECT count FROM counters ORDER BY id", [])]


class TestCalls:
    @pytest.mark.alone
    async def test_a_deadlock_ends_and_both_succeed(self, runner: Runner, fresh: Pool) -> None:
        both = asyncio.Barrier(2)

        def in_order(*numbers: int) -> Attempt:
            async def attempt(db: Database) -> None:
                async with db.transaction() as transaction:
                    await count(transaction, numbers[0])
                    if runner.tries <= both.parties:
                        await both.wait()
                    await count(transaction, numbers[1])

            return attempt

        await asyncio.gather(runner.run(in_order(1, 2)), runner.run(in_order(2, 1)))

        assert runner.tries == 3
        assert await counts(fresh) == [2, 2]

    async def test_a_serialization_failure_is_tried_again(self, runner: Runner, fresh: Pool) -> None:
        async def attempt(db: Database) -> None:
            async with db.transaction() as transaction:
                await transaction.fetch("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", [])
                before = await counts(transaction)
                if runner.tries == 1:
                    await count(fresh, 1)
                await transaction.fetch("UPDATE counters SET count = $1 WHERE id = 1", [before[0] + 1])

        await runner.run(attempt)

        assert runner.tries == 2
        assert (await counts(fresh))[0] == 2

    async def test_there_is_an_end_of_trying(self, runner: Runner) -> None:
        async def attempt(db: Database) -> None:
            await db.fetch("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40001'; END $$", [])

        assert await runner.refusal(attempt) == away(1)
        assert runner.tries == TRIES

    async def test_nothing_is_tried_again_when_it_is_late(
        self, runner: Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dispatcher, "PATIENCE", dispatcher.PATIENCE * 0)

        async def attempt(db: Database) -> None:
            await db.fetch("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40001'; END $$", [])

        assert await runner.refusal(attempt) == away(1)
        assert runner.tries == 1

    async def test_a_lock_that_others_hold_is_waited_for_once(self, runner: Runner, fresh: Pool) -> None:
        async with fresh.transaction() as holder:
            await count(holder, 1)
            assert await runner.refusal(lambda db: count(db, 1)) == away(1)

        assert runner.tries == 1
        assert await counts(fresh) == [1, 0]

    async def test_a_statement_that_takes_too_long_is_not_tried_again(self, runner: Runner) -> None:
        async def attempt(db: Database) -> None:
            async with db.transaction() as transaction:
                await transaction.fetch("SET LOCAL statement_timeout = '20ms'", [])
                await transaction.fetch("SELECT pg_sleep(2)", [])

        assert await runner.refusal(attempt, "GET") == away(1)
        assert runner.tries == 1

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_a_reader_does_not_notice_that_its_connection_is_cut(self, runner: Runner, method: str) -> None:
        async def attempt(db: Database) -> None:
            await db.fetch(TERMINATE if runner.tries == 1 else "SELECT 1", [])

        await runner.run(attempt, method)

        assert runner.tries == 2

    async def test_a_writer_whose_connection_is_cut_is_told_to_try_again(self, runner: Runner, fresh: Pool) -> None:
        cut = "UPDATE counters SET count = count + 1 RETURNING pg_terminate_backend(pg_backend_pid())"

        assert await runner.refusal(lambda db: db.fetch(cut, [])) == away(2)
        assert runner.tries == 1
        assert await counts(fresh) == [0, 0]

    async def test_a_writer_that_is_cut_before_it_commits_is_tried_again(self, runner: Runner, fresh: Pool) -> None:
        async def attempt(db: Database) -> None:
            async with db.transaction() as transaction:
                await count(transaction, 1)
                await transaction.fetch(TERMINATE if runner.tries == 1 else "SELECT 1", [])

        await runner.run(attempt)

        assert runner.tries == 2
        assert await counts(fresh) == [1, 0]

    async def test_a_writer_that_is_cut_as_it_commits_is_not_tried_again(self, runner: Runner, fresh: Pool) -> None:
        await fresh.fetch(
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
            [],
        )
        await fresh.fetch(
            "CREATE CONSTRAINT TRIGGER cut AFTER UPDATE ON counters DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION cut()",
            [],
        )

        async def attempt(db: Database) -> None:
            async with db.transaction() as transaction:
                await count(transaction, 1)

        assert await runner.refusal(attempt) == away(2)
        assert runner.tries == 1

    async def test_a_call_that_waits_for_a_connection_in_vain_is_told_to_try_again(
        self, settings: Settings, fresh_url: str
    ) -> None:
        pool = Pool(fresh_url, size=1)
        runner = Runner(settings, pool)
        taken = await pool.take()
        pool.patience = 0.05

        assert await runner.refusal(lambda db: db.fetch("SELECT 1", []), "GET") == away(1)
        assert runner.tries == 1

        pool.put(taken)
        pool.patience = 60
        await runner.run(lambda db: db.fetch("SELECT 1", []))
        await pool.close()

    async def test_plans_that_went_stale_are_made_anew_within_a_transaction(self, runner: Runner, fresh: Pool) -> None:
        async def attempt(db: Database) -> None:
            async with db.transaction() as transaction:
                await transaction.fetch("SELECT * FROM counters", [])
                await count(transaction, 1)

        connections = [await fresh.take() for _ in range(fresh.size)]
        for connection in connections:
            await connection.fetch("SELECT * FROM counters")
            fresh.put(connection)
        await fresh.fetch("ALTER TABLE counters ALTER COLUMN id TYPE bigint, ADD COLUMN note text", [])

        await asyncio.gather(*(runner.run(attempt) for _ in range(fresh.size)))

        assert await counts(fresh) == [fresh.size, 0]

    async def test_a_problem_is_no_reason_to_try_again(self, runner: Runner) -> None:
        async def attempt(_db: Database) -> None:
            raise NotFound

        with pytest.raises(NotFound):
            await runner.run(attempt, "GET")

        assert runner.tries == 1

    async def test_a_mistake_of_ours_passes_as_it_is(self, runner: Runner) -> None:
        async def attempt(db: Database) -> None:
            await db.fetch("SELECT * FROM absent", [])

        with pytest.raises(asyncpg.UndefinedTableError):
            await runner.run(attempt, "GET")

        assert runner.tries == 1

    async def test_an_application_that_was_not_started_says_so(self, settings: Settings) -> None:
        runner = Runner(settings, Pool(NOWHERE))
        runner.calls.db = None

        with pytest.raises(RuntimeError, match=r"^the application was not started: run its lifespan$"):
            await runner.run(lambda db: db.fetch("SELECT 1", []))

    @pytest.mark.usefixtures("patient")
    async def test_two_writers_of_one_row_wait_for_each_other(self, runner: Runner, fresh: Pool) -> None:
        async with fresh.transaction() as holder:
            await count(holder, 1)
            waiter = asyncio.create_task(runner.run(lambda db: count(db, 1)))
            await somebody_waits(fresh)
        await waiter

        assert runner.tries == 1
        assert await counts(fresh) == [2, 0]


async def test_a_database_that_stops_and_starts_again_is_found_again(settings: Settings, folder: Path) -> None:
    embedded = Embedded(folder, settings=FAST)
    await asyncio.to_thread(embedded.open)
    await asyncio.to_thread(upgrade, embedded.url())
    pool = Pool(embedded.url(), patience=60)
    async with serving(settings, pool) as api:
        assert (await api.get("//health"))["status"] == "pass"

        await asyncio.to_thread(embedded.close)
        pool.patience = 0.2
        failing = await api.get("//health", expect=503)
        alive = await api.get("//livez")
        refused = await api.send(
            "POST", "/auth/login", expect=503, json={"email": "ada@example.com", "password": "a password"}
        )

        await asyncio.to_thread(embedded.open)
        pool.patience = 60
        passing = await api.get("//health")

    assert (failing["status"], failing.headers["retry-after"]) == ("fail", "2")
    assert alive["status"] == "pass"
    assert (refused["code"], refused.headers["retry-after"]) == ("service_unavailable", "2")
    assert passing["status"] == "pass"
    await pool.close()
    await asyncio.to_thread(embedded.close)
