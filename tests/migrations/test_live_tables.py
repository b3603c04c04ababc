"""Migrations of a database that is read and written meanwhile, is held by others, or saw them fail before."""

import asyncio
import subprocess
import sys

import asyncpg
import pytest

from persistence.engine.pool import Pool
from tests.factories import Factory
from tests.migrations.conftest import Checkout
from tests.waiting import until

VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_new')"
BUILDS = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'"
TASKS = """
INSERT INTO tasks (organization_id, id, title, status, priority, created_at, updated_at)
SELECT $1, gen_random_uuid(), 'task ' || number, 'pending', 'low', now(), now() FROM generate_series(1, $2) number
"""
MANY = 20_000
PATIENT = {"idle_in_transaction_session_timeout": "0", "statement_timeout": "0"}


def start(checkout: Checkout, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "server", "migrate", "apply"],
        cwd=checkout.folder,
        env={"DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_an_index_waits_for_an_older_reader_and_lets_others_write_and_wait_for_their_turn(
    fresh_url: str, checkout: Checkout
) -> None:
    checkout.index("ix_new")
    pool = Pool(fresh_url, size=1)
    user = await Factory(pool).user()
    await pool.close()
    reader, writer = [await asyncpg.connect(fresh_url, server_settings=PATIENT) for _ in range(2)]
    await writer.execute(TASKS, user.id, MANY)
    reading = reader.transaction(isolation="repeatable_read")
    await reading.start()
    await reader.execute("SELECT FROM tasks")

    processes = [start(checkout, fresh_url) for _ in range(4)]
    await until(lambda: writer.fetchval(BUILDS), 1)
    async with asyncio.timeout(2):
        await writer.execute("SET lock_timeout = '1s'")
        await writer.execute(TASKS, user.id, 10)
    await until(lambda: writer.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'ROLLBACK%'"), 3)
    await reading.rollback()
    ended = [await asyncio.to_thread(process.communicate) for process in processes]

    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(ended) == [("The database is at head\n", "")] * 3 + [("applied next go on\n", "")]
    assert await writer.fetchval(VALID)
    await reader.close()
    await writer.close()


async def test_what_a_killed_or_failed_index_left_is_built_anew(fresh_url: str, checkout: Checkout) -> None:
    checkout.index("ix_new")
    reader, looker = await asyncpg.connect(fresh_url, server_settings=PATIENT), await asyncpg.connect(fresh_url)
    reading = reader.transaction(isolation="repeatable_read")
    await reading.start()
    await reader.execute("SELECT FROM tasks")
    killed = start(checkout, fresh_url)
    await until(lambda: looker.fetchval(BUILDS), 1)
    killed.kill()
    killed.communicate()
    await until(lambda: looker.fetchval(BUILDS), 0)  # the server hears of it within seconds
    left = await looker.fetchval(VALID)
    await reading.rollback()

    again = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "apply")

    assert left is False
    assert (again.returncode, again.stdout, again.stderr) == (0, "applied next go on\n", "")
    assert await looker.fetchval(VALID)
    await reader.close()
    await looker.close()


async def test_what_could_not_be_applied_again_is_refused_before_it_is_kept(fresh_url: str, checkout: Checkout) -> None:
    checkout.index("ix_new")
    block = "    with op.get_context()"
    checkout.edit("migrations/versions/next.py", block, f"    op.execute('ALTER TABLE tasks ADD x int')\n{block}")

    refused = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "apply")
    again = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "apply")

    assert refused.stderr == again.stderr
    assert refused.stderr == (
        "docket: It could not be applied again: put what is before `autocommit_block` into a migration before\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('revision = "next"\ndef upgrade(:\n', "is half-written: it has no line down_revision"),
        ('revision = "next"\ndown_revision = "{head}"\ndef upgrade(:\n', "line 3: SyntaxError: invalid syntax"),
        ('revision = "next"\ndown_revision = "absent"\n', "goes on from absent, which is not there"),
        ('revision = "next"\ndown_revision = "d3a91c5be604"\n', "both go on from d3a91c5be604"),
        ('revision = "d3a91c5be604"\ndown_revision = "{head}"\n', "both have the revision d3a91c5be604"),
        ('revision = "next"\ndown_revision = "{head}"\ndef upgrade():\n    oops()\n', "line 4: NameError: name 'oops'"),
        ('revision = "next"\ndown_revision = "{head}"\nimport absent\n', "line 3: ModuleNotFoundError: No module"),
    ],
)
@pytest.mark.parametrize("command", [["migrate", "apply"], ["serve"]], ids=["apply", "serve"])
async def test_a_half_written_migration_is_named_in_one_line(
    fresh_url: str, checkout: Checkout, text: str, said: str, command: list[str]
) -> None:
    checkout.migration("SELECT")
    head = checkout.read("migrations/versions/next.py").partition('down_revision = "')[2].partition('"')[0]
    (checkout.folder / "migrations/versions/next.py").write_text(text.format(head=head))

    refused = await asyncio.to_thread(checkout.run, fresh_url, "server", *command)

    [line] = refused.stderr.splitlines()
    assert line.startswith("docket: ")
    assert "next.py" in line
    assert said in line


async def test_without_the_development_tools_nothing_is_written(fresh_url: str, checkout: Checkout) -> None:
    before = sorted(checkout.folder.rglob("versions/*.py"))
    (checkout.folder / "sitecustomize.py").write_text("import sys\n\nsys.modules['ruff'] = None\n")

    refused = await asyncio.to_thread(
        lambda: checkout.run(fresh_url, "server", "migrate", "generate", "x", PYTHONPATH=str(checkout.folder))
    )

    assert refused.stderr == (
        "docket: A migration is written with the development tools: scripts/setup.sh requirements-dev.txt\n"
    )
    assert sorted(checkout.folder.rglob("versions/*.py")) == before
