"""`scripts/seed.sh`: demo data that people believe, that comes out the same again, and that leaves the rest alone."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from generated.models import OrganizationCreate
from persistence.embedded.server import Embedded
from persistence.engine.pool import Pool
from persistence.tables import Row
from scripts.seed.__main__ import main
from scripts.seed.people import DEMO, PASSWORD, people, teams
from security import password_strength
from server.settings.loading import load
from tests.api.conftest import SECRET, serving
from tests.conftest import ROOT, Server
from tests.factories import NOW, Factory
from tests.waiting import until

USERS, TASKS = 60, 4_000
SOME = ("--users", "12", "--tasks", "200")
DAY = "2026-03-01"
SCRIPTS = {
    "Arabic": "\N{ARABIC LETTER ALEF}-\N{ARABIC LETTER YEH}",
    "Devanagari": "\N{DEVANAGARI LETTER A}-\N{DEVANAGARI LETTER HA}",
    "kana": "\N{HIRAGANA LETTER A}-\N{HIRAGANA LETTER N}",
    "Han": "\u4e00-\u9fff",
    "Polish": "\N{LATIN SMALL LETTER L WITH STROKE}\N{LATIN SMALL LETTER A WITH OGONEK}",
    "Turkish": "\N{LATIN SMALL LETTER DOTLESS I}\N{LATIN SMALL LETTER S WITH CEDILLA}",
    "Portuguese": "\N{LATIN SMALL LETTER A WITH TILDE}",
    "German": "\N{LATIN SMALL LETTER SHARP S}\N{LATIN SMALL LETTER U WITH DIAERESIS}",
    "French": "\N{LATIN SMALL LETTER E WITH GRAVE}",
    "Spanish": "\N{LATIN SMALL LETTER N WITH TILDE}",
}
MADE = "('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint"  # what a UUIDv7 says about when it was made
IS_WRITTEN = """
    SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database
                   WHERE datname = current_database() AND relation = 'tasks'::regclass AND mode = 'RowExclusiveLock')
"""
Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Ended:
    """What a run printed and how it ended."""

    status: int
    output: str
    errors: str

    @property
    def output_of_success(self) -> str:
        """What a run printed that succeeded."""
        assert self.status == 0, self.errors
        return self.output

    @property
    def refusal(self) -> str:
        """The one line of a run that failed."""
        assert self.output == ""
        [line] = self.errors.splitlines()
        assert line.startswith("seed: ")
        return line.removeprefix("seed: ")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "scripts.seed", *arguments]


def environment(url: str, **settings: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATABASE_URL": url, **settings}


async def run(url: str, *arguments: str, **settings: str) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        cwd="/",  # so that no .env counts
        env=environment(url, **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, server_settings={"statement_timeout": "0"})
    try:
        yield connection
    finally:
        await connection.close()


LOG = {"events", "event_log"}  # which begins anew with each seed


async def rows_of(url: str) -> Rows:
    """Every row of every table, but for the salted hashes."""
    async with connect(url) as connection:
        return {
            name: [
                {column: value for column, value in record.items() if column != "hashed_password"}
                for record in await connection.fetch(f"SELECT * FROM {name} ORDER BY {name}::text")  # noqa: S608
            ]
            for name in (table.name for table in Row.metadata.sorted_tables if table.name not in LOG)
        }


@pytest.fixture(scope="module")
async def seeded(server: Server, template: str) -> AsyncIterator[str]:
    """The URL of a database full of demo data, to look at."""
    async with server.copy(template) as url:
        done = (await run(url, "--users", str(USERS), "--tasks", str(TASKS))).output_of_success
        made = "12 of 12 teams, 71 of 71 memberships, 86 of 86 audit logs, 4,000 of 4,000 tasks"
        assert f"{USERS} of {USERS} accounts, {made}" in done
        yield url


async def one(url: str, sql: str) -> Any:
    async with connect(url) as connection:
        return await connection.fetchval(sql)


# What is made


async def test_all_that_was_asked_for_is_there(seeded: str) -> None:
    rows = await rows_of(seeded)
    everybody = {user["id"] for user in rows["users"]}
    personal = {each["id"] for each in rows["organizations"] if each["kind"] == "personal"}

    assert (len(everybody), len(rows["tasks"])) == (USERS, TASKS)
    assert personal == everybody
    assert not any(user["is_superuser"] for user in rows["users"])
    owners = [each["organization_id"] for each in rows["organization_members"] if each["role"] == "owner"]
    assert set(owners) == {each["id"] for each in rows["organizations"]}


async def test_the_first_account_has_every_role_in_a_team(seeded: str) -> None:
    async with connect(seeded) as connection:
        roles = await connection.fetch(
            "SELECT m.role FROM organization_members m JOIN users u ON u.id = m.user_id"
            " JOIN organizations o ON o.id = m.organization_id WHERE u.email = $1 AND o.kind = 'team'",
            DEMO,
        )

    assert sorted(record["role"] for record in roles) == ["admin", "member", "owner"]


async def test_only_who_may_write_in_an_organization_has_written_there(seeded: str) -> None:
    strangers = """
        SELECT count(*) FROM tasks t WHERE NOT EXISTS (
            SELECT FROM organization_members m JOIN users u ON u.id = m.user_id
            WHERE (m.organization_id, m.user_id) = (t.organization_id, t.user_id) AND m.role <> 'member'
        )
    """

    assert await one(seeded, strangers) == 0
    assert await one(seeded, "SELECT count(DISTINCT organization_id) FROM tasks") > USERS // 2
    assert 0.2 < await one(seeded, "SELECT avg((organization_id <> user_id)::int)::float FROM tasks") < 0.5


@pytest.mark.parametrize(
    ("condition", "low", "high"),
    [
        ("status = 'pending'", 0.2, 0.5),
        ("status = 'in_progress'", 0.08, 0.25),
        ("status = 'completed'", 0.3, 0.6),
        ("status = 'cancelled'", 0.03, 0.15),
        ("priority = 'low'", 0.1, 0.3),
        ("priority = 'medium'", 0.4, 0.6),
        ("priority = 'high'", 0.1, 0.3),
        ("priority = 'urgent'", 0.03, 0.12),
        ("due_date IS NULL", 0.2, 0.5),
        ("due_date < now() AND status IN ('pending', 'in_progress')", 0.03, 0.2),
        ("due_date > now() AND status IN ('pending', 'in_progress')", 0.1, 0.4),
        ("description IS NULL", 0.3, 0.5),
        ("length(description) > 300", 0.01, 0.2),
        ("version > 1", 0.5, 0.9),
    ],
)
async def test_so_many_tasks_are_like_this(seeded: str, condition: str, low: float, high: float) -> None:
    assert low < await one(seeded, f"SELECT avg(coalesce({condition}, false)::int)::float FROM tasks") < high  # noqa: S608


@pytest.mark.parametrize(
    "condition",
    [
        "created_at > updated_at",
        "updated_at > now()",
        "completed_at < created_at OR completed_at > updated_at",
        "due_date < created_at",
        "(version = 1) <> (updated_at = created_at)",
        "created_at < (SELECT u.created_at FROM users u WHERE u.id = user_id)",
        "created_at < (SELECT o.updated_at FROM organizations o WHERE o.id = organization_id)",
        f"{MADE} <> floor(extract(epoch FROM created_at) * 1000)",
    ],
)
async def test_no_task_is_like_this(seeded: str, condition: str) -> None:
    assert await one(seeded, f"SELECT count(*) FROM tasks WHERE {condition}") == 0  # noqa: S608


async def test_nobody_joined_a_team_before_it_or_he_was_there(seeded: str) -> None:
    early = """
        SELECT count(*) FROM organization_members m
        JOIN organizations o ON o.id = m.organization_id JOIN users u ON u.id = m.user_id
        WHERE m.created_at < greatest(o.created_at, u.created_at) OR m.updated_at > o.updated_at
    """

    assert await one(seeded, early) == 0


async def test_teams_are_large_and_small_and_most_of_their_members_only_read(seeded: str) -> None:
    async with connect(seeded) as connection:
        teams = await connection.fetch(
            "SELECT count(*) AS size, avg((role = 'member')::int)::float AS readers FROM organization_members m"
            " JOIN organizations o ON o.id = m.organization_id WHERE o.kind = 'team' GROUP BY o.id ORDER BY size"
        )

    assert teams[0]["size"] < 4
    assert teams[-1]["size"] > 12
    assert 0.4 < teams[-1]["readers"] < 0.9
    assert await one(seeded, "SELECT count(DISTINCT role) FROM organization_members") == 3


def test_of_many_accounts_some_found_small_teams_of_their_own() -> None:
    everybody = people(1, NOW, 600)
    founded = teams(1, NOW, everybody)
    sizes = sorted(len(team.members) for team in founded)
    active = {person.user.id for person in everybody if person.user.is_active}

    assert len(founded) == len({team.slug for team in founded}) > 40
    assert sizes[len(sizes) // 2] <= 4
    assert sizes[-1] > 40
    for team in founded:
        OrganizationCreate.model_validate({"name": team.name, "slug": team.slug})
        assert active & {member.user_id for member in team.members if member.role == "owner"}


@pytest.mark.parametrize(
    ("column", "place", "busiest"),
    [("organization_id", "<>", 1), ("user_id", "<>", 6), ("user_id", "=", 6)],
    ids=["teams", "people in teams", "people at home"],
)
async def test_a_few_have_most_of_the_tasks(seeded: str, column: str, place: str, busiest: int) -> None:
    share = f"""
        WITH counted AS (
            SELECT count(*) AS tasks, row_number() OVER (ORDER BY count(*) DESC) AS rank FROM tasks
            WHERE organization_id {place} user_id AND organization_id <> (SELECT id FROM users WHERE email = '{DEMO}')
            GROUP BY {column}
        )
        SELECT sum(tasks) FILTER (WHERE rank <= {busiest}) / sum(tasks)::float FROM counted
    """  # noqa: S608 - names of ours

    assert 0.35 < await one(seeded, share) < 0.7


@pytest.mark.parametrize(
    ("condition", "more"),
    [
        ("status = 'in_progress'", 1.5),
        ("priority IN ('high', 'urgent')", 1.3),
        ("due_date IS NOT NULL", 1.1),
    ],
)
async def test_tasks_in_teams_are_more_often_like_this(seeded: str, condition: str, more: float) -> None:
    def share(place: str) -> str:
        return f"SELECT avg(({condition})::int)::float FROM tasks WHERE organization_id {place} user_id"  # noqa: S608

    assert await one(seeded, share("<>")) > more * await one(seeded, share("="))


async def test_what_was_done_in_the_teams_is_logged(seeded: str) -> None:
    unlogged = """
        SELECT count(*) FROM organization_members m JOIN organizations o ON o.id = m.organization_id
        WHERE o.kind = 'team' AND NOT EXISTS (
            SELECT FROM audit_logs a WHERE a.organization_id = o.id AND a.occurred_at = m.created_at
                AND (a.target_id = m.user_id OR (a.actor_id = m.user_id AND a.action = 'organization.created'))
        )
    """

    assert await one(seeded, unlogged) == 0
    assert await one(seeded, "SELECT count(*) FROM audit_logs WHERE action = 'organization.created'") == 12


async def test_one_description_is_as_long_as_the_contract_allows(seeded: str) -> None:
    assert await one(seeded, "SELECT max(length(description)) FROM tasks") == 2000


@pytest.mark.parametrize("letters", SCRIPTS.values(), ids=SCRIPTS)
async def test_titles_and_names_are_written_in_many_languages(seeded: str, letters: str) -> None:
    assert await one(seeded, f"SELECT count(*) FROM tasks WHERE title ~ '[{letters}]'") > TASKS / 200  # noqa: S608


async def test_few_titles_come_twice(seeded: str) -> None:
    assert await one(seeded, "SELECT count(DISTINCT title) FROM tasks") > 0.8 * TASKS


async def test_the_demo_account_signs_in_and_reads_its_tasks(seeded: str) -> None:
    settings = load(environment="staging", secret_key=SECRET, rate_limits_enabled=False, response_check_rate=1)
    pool = Pool(seeded, size=2)
    async with serving(settings, pool) as api:
        tokens = await api.post("/auth/login", {"email": DEMO, "password": PASSWORD}, expect=200)
        demo = api.with_headers(Authorization=f"Bearer {tokens['access_token']}")
        me = await demo.get("/auth/me")
        pages = [await demo.get("/tasks", limit=200)]
        while pages[-1]["has_more"]:
            pages.append(await demo.get("/tasks", limit=200, cursor=pages[-1]["next_cursor"]))
        first = pages[0]["items"][0]
        renamed = await demo.patch(f"/tasks/{first['id']}", {"title": first["title"]})
    await pool.close()

    found = [task for page in pages for task in page["items"]]
    assert (me["username"], me["full_name"]) == ("demo", "Demo Account")
    assert TASKS / 10 < len(found) < TASKS / 4
    assert {task["user_id"] for task in found} == {me["id"]}
    assert renamed.body == first


async def test_registration_would_take_the_password_of_every_account(seeded: str) -> None:
    for user in (await rows_of(seeded))["users"]:
        names = [name for name in (user["username"], user["full_name"]) if name]
        password_strength.judge(PASSWORD, email=user["email"], names=names, composition=False)


# Again


async def test_the_same_seed_makes_the_same_rows_in_another_database(server: Server, template: str) -> None:
    async with server.copy(template) as here, server.copy(template) as there:
        for url in (here, there):
            assert (await run(url, *SOME, "--seed", "7", "--now", DAY)).output_of_success.startswith(
                "Added 12 of 12 accounts"
            )

        assert await rows_of(here) == await rows_of(there)


async def test_another_seed_makes_other_rows(server: Server, template: str) -> None:
    ids = []
    async with server.copy(template) as here, server.copy(template) as there:
        for url, seed in ((here, "1"), (there, "2")):
            _ = (await run(url, *SOME, "--seed", seed, "--now", DAY)).output_of_success
            ids.append({task["id"] for task in (await rows_of(url))["tasks"]})

    assert not ids[0] & ids[1]


async def test_a_second_run_changes_nothing_on_any_day_and_says_so(fresh_url: str) -> None:
    _ = (await run(fresh_url, *SOME, "--now", DAY)).output_of_success
    before = await rows_of(fresh_url)

    again = (await run(fresh_url, *SOME)).output_of_success

    assert "Nothing is changed" in again
    assert PASSWORD in again
    assert await rows_of(fresh_url) == before


async def test_a_larger_run_adds_the_rest(fresh_url: str) -> None:
    _ = (await run(fresh_url, *SOME, "--now", DAY)).output_of_success
    before = await rows_of(fresh_url)

    more = (await run(fresh_url, "--users", "15", "--tasks", "250")).output_of_success

    after = await rows_of(fresh_url)
    assert "Added 3 of 15 accounts" in more
    assert "50 of 250 tasks" in more
    for name, rows in before.items():
        assert [row for row in rows if row not in after[name]] == []
    assert len({task["id"] for task in after["tasks"]}) == len(after["tasks"]) == 250


async def test_two_runs_at_once_write_everything_once(fresh_url: str) -> None:
    ended = await asyncio.gather(*(run(fresh_url, *SOME) for _ in range(2)))

    assert sorted(one.output_of_success.split()[0] for one in ended) == ["Added", "Nothing"]
    assert len((await rows_of(fresh_url))["tasks"]) == 200


async def test_what_callers_made_and_changed_stays(fresh: Pool, fresh_url: str) -> None:
    make = Factory(fresh)
    ada = await make.user(email="ada@example.com")
    await make.task(ada.id, ada, title="Mine")
    _ = (await run(fresh_url, *SOME)).output_of_success
    async with connect(fresh_url) as connection:
        await connection.execute("UPDATE tasks SET title = 'Changed', version = version + 1 WHERE status = 'pending'")
        await connection.execute("UPDATE tasks SET organization_id = $1 WHERE status = 'cancelled'", ada.id)
        await connection.execute(
            "UPDATE users SET email = 'a@example.com', email_key = 'a@example.com' WHERE email = $1", DEMO
        )
    before = await rows_of(fresh_url)

    assert "Nothing is changed" in (await run(fresh_url, *SOME)).output_of_success

    assert await rows_of(fresh_url) == before


async def test_what_was_deleted_comes_back(fresh_url: str) -> None:
    _ = (await run(fresh_url, *SOME)).output_of_success
    before = await rows_of(fresh_url)
    deleted = await one(
        fresh_url, "WITH gone AS (DELETE FROM tasks WHERE priority = 'urgent' RETURNING 1) SELECT count(*) FROM gone"
    )

    again = (await run(fresh_url, *SOME)).output_of_success

    assert f" {deleted} of 200 tasks" in again
    assert await rows_of(fresh_url) == before


# Refusals


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--users", "-1"], "Argument --users: -1 is not a whole number from 1 to 10000; see --help"),
        (["--users", "0"], "Argument --users: 0 is not a whole number from 1 to 10000; see --help"),
        (["--users", "10001"], "Argument --users: 10001 is not a whole number from 1 to 10000; see --help"),
        (["--tasks", "-5"], "Argument --tasks: -5 is not a whole number from 0 to 1000000; see --help"),
        (["--tasks", "9" * 9999], f"Argument --tasks: {'9' * 20} is not a whole number from 0 to 1000000; see --help"),
        (["--tasks", "1.5"], "Argument --tasks: 1.5 is not a whole number from 0 to 1000000; see --help"),
        (["--seed", "x"], "Argument --seed: x is not a whole number from 0 to 4294967295; see --help"),
        (["--now", "soon"], "Argument --now: soon is no moment: write 2026-03-01 or 2026-03-01T12:00:00Z; see --help"),
        (["--now", "0001-01-01"], "Argument --now: 0001-01-01 is too far away: from 1980 to 9000; see --help"),
        (["--colour"], "Unrecognized arguments: --colour; see --help"),
    ],
    ids=lambda value: " ".join(value)[:20] if isinstance(value, list) else "",
)
def test_a_command_line_that_cannot_be_understood_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    status = main(arguments)

    assert (status, Ended(status, *capsys.readouterr()).refusal) == (2, said)


async def test_a_database_that_is_down_is_told_in_one_line() -> None:
    ended = await run("postgresql://docket@127.0.0.1:1/docket")

    assert (ended.status, ended.refusal) == (
        1,
        "No PostgreSQL answers at 127.0.0.1:1 (Connection refused): start it, or correct DATABASE_URL",
    )


async def test_production_gets_no_account_whose_password_everybody_knows(fresh_url: str) -> None:
    ended = await run(fresh_url, ENVIRONMENT="production", SECRET_KEY=SECRET)

    assert ended.status == 1
    assert ended.refusal.startswith("ENVIRONMENT is production")
    assert (await rows_of(fresh_url))["users"] == []


async def test_a_database_that_is_not_to_be_migrated_is_not(server: Server) -> None:
    async with server.copy("template0") as url:
        ended = await run(url, AUTO_MIGRATE="false")

        assert (ended.status, "run `python -m server migrate apply`" in ended.refusal) == (1, True)
        assert "Added" in (await run(url, *SOME)).output_of_success


async def test_the_name_of_somebody_else_is_not_taken(fresh: Pool, fresh_url: str) -> None:
    await Factory(fresh).user(email="someone@example.com", username="Demo")
    before = await rows_of(fresh_url)

    ended = await run(fresh_url, *SOME)

    assert ended.status == 1
    assert ended.refusal.startswith(f"Other users have the names of {DEMO}, perhaps those of another --seed")
    assert await rows_of(fresh_url) == before


async def test_a_database_takes_one_seed_and_one_moment(fresh_url: str) -> None:
    _ = (await run(fresh_url, *SOME, "--now", DAY)).output_of_success
    before = await rows_of(fresh_url)

    other_seed = await run(fresh_url, *SOME, "--now", DAY, "--seed", "2")
    other_moment = await run(fresh_url, *SOME, "--now", "2026-03-02")

    assert other_seed.refusal.startswith(f"Other users have the names of {DEMO}")
    assert other_moment.refusal == "The data of --seed 1 is there, of 2026-03-01T00:00:00Z: leave --now out"
    assert await rows_of(fresh_url) == before


# How it goes


async def test_without_a_terminal_it_says_now_and_then_how_far_it_is(fresh_url: str) -> None:
    ended = await run(fresh_url, "--tasks", "10000")

    lines = ended.errors.splitlines()
    assert [re.sub(r"[\d,]+/s, \d+ s left", "RATE", line) for line in lines[:2]] == [
        "seed: 2,000 of 10,000 tasks, RATE",
        "seed: 4,000 of 10,000 tasks, RATE",
    ]
    assert re.fullmatch(r"seed: 10,000 of 10,000 tasks, [\d,]+/s, done", lines[-1])
    assert len(lines) == 5


@pytest.mark.parametrize(("settings", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=["colour", "NO_COLOR"])
async def test_a_terminal_shows_a_bar(fresh_url: str, settings: dict[str, str], coloured: bool) -> None:  # noqa: FBT001
    status, shown = await asyncio.to_thread(on_a_terminal, fresh_url, **settings)

    assert status == 0
    assert re.search("200/200.*/s.*0:00:00", shown)
    assert (re.search(r"\x1b\[[0-9;]*3[0-9]", shown) is not None) is coloured


def on_a_terminal(url: str, **settings: str) -> tuple[int, str]:
    """The exit status of a run and what its terminal was sent."""
    ours, theirs = pty.openpty()
    named = environment(url, TERM="xterm-256color", COLUMNS="100", **settings)
    with subprocess.Popen(command(*SOME), cwd="/", env=named, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        shown = b"".join(read(ours)).decode()
        os.close(ours)
    return process.returncode, shown


def read(terminal: int) -> Iterator[bytes]:
    """What is sent there until no process has it open."""
    while True:
        try:
            yield os.read(terminal, 65_536)
        except OSError:
            return


async def test_who_interrupts_it_gets_nothing_written(fresh_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command("--tasks", "1000000"), cwd="/", env=environment(fresh_url), stderr=subprocess.PIPE
    )
    await until(lambda: one(fresh_url, IS_WRITTEN), answer=True)
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()

    assert (process.returncode, errors.decode()) == (130, "seed: interrupted, so nothing is written\n")
    assert (await rows_of(fresh_url))["users"] == []


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="docket-") as name:
        Path(name).chmod(0o755)  # for the account that runs PostgreSQL for root
        yield Path(name)


async def test_it_shares_the_embedded_server_that_runs(folder: Path) -> None:
    embedded = Embedded(folder, settings={"fsync": "off"})
    await embedded.start()
    pid = embedded.status().pid

    done = (await run("", *SOME, DATA_DIR=str(folder))).output_of_success

    assert embedded.status().pid == pid
    tasks = await one(embedded.url(), "SELECT count(*) FROM tasks")
    await embedded.stop()

    assert "200 of 200 tasks" in done
    assert tasks == 200
