"""Every migration: there, back and there again, by one process at a time, to the schema that tables.py declares."""

import asyncio
import re
import sys
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from alembic.script import Script, ScriptDirectory

from persistence.queries.accounts.users import key, words
from persistence.search.vectors import write_tagged_vector
from server.complaints import CommandError
from server.database.drift import differences, written_down
from server.database.migrations import ROOT, configuration, require_head, schema, upgrade
from server.database.revision import list_migrations
from tests.waiting import until

PROCESSES = 4
STARTER = "import sys; from server.database.migrations import upgrade; print(len(upgrade(sys.argv[1])))"
WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' AND query LIKE 'ROLLBACK%'
"""
FILLS = "5e0b7d92c1fa"  # changes rows and no schema
MAKERS = "3d5a0c96e7b1"  # so does this one
ONE_LINE = "8e2f6b1d94a3"  # so does this one
VISIBLE = "f13b6c8e20d7"  # so does this one
FOLDS = "a94c7e1f52b8"  # so does this one
DAYS = "d61f97b3c0e5"
MANY = 2_100  # accounts or teams, which are three batches
ODD: list[tuple[str | None, str | None, str | None]] = [
    ("Ada.King@example.com", "Countess_1", "Ada Lovelace-Byron"),
    ("ada+o'neil@example.com", None, "\uff21\uff44\uff41\u3000Stra\xdfe"),
    (None, None, None),
    (None, "a.b-c", "\u3316" * 150),
    ("\ufdfa\u0130@example.com", None, "\t \\ ' \" & | ! : * \x01 \xa0 \U0001f600"),
    ("x@example.com", "x", "A\u030a x X-x x_x"),
    ("plain@example.com", None, "Ada"),
]
PERSON = """
INSERT INTO users (id, email, email_key, username, username_key, full_name, created_at, updated_at)
VALUES ($1, $2, $3, $4::text, lower($4::text), $5, now(), now())
"""
BEFORE_VECTORS = "c2f7708ae35d"
MANY_TASKS = 1_100  # which are three batches
TEXTS: list[tuple[str, str | None]] = [
    ("Write /home/ada/report.txt", None),
    ("Stra\xdfe \u0141\xf3d\u017a", "\u5951\u7d04\u3092\u66f8\u304f ' \\ : * \x01"),
    ("\u3316" * 200, "\ufdfa" * 100),
    ("\u0645\u064f\u062d\u064e\u0645\u0640\u0651\u062f \u06f1\u06f2", "x" * 2000),
    ("!", ""),
    ("\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 mixed", "a_b-c 1.2.3 \U0001f680 \U0001d401\U00010414"),
]
TEAMS = """
INSERT INTO organizations (id, kind, name, slug, created_at, updated_at)
SELECT place, 'team', 'Team', place::text, now(), now() FROM unnest($1::uuid[]) AS place
"""
TASK = """
INSERT INTO tasks (organization_id, id, title, description, status, priority, created_at, updated_at)
VALUES ($1, $2, $3, $4, 'pending', 'low', now(), now())
"""
UNFILLED = "SELECT count(*) FROM tasks WHERE search_vector IS NULL"
FOUND_BY = "SELECT id, organization_id, title, description, search_vector::text AS vector, version FROM tasks"
SCRIPTS = list(ScriptDirectory.from_config(configuration()).walk_revisions())[::-1]


async def read_schema(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        return await written_down(connection, "public")
    finally:
        await connection.close()


async def go(url: str, move: str, revision: str) -> None:
    await asyncio.to_thread(getattr(command, move), configuration(url), revision)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.revision)
async def test_a_migration_goes_up_and_down_and_up_again(empty_url: str, script: Script) -> None:
    if script.down_revision:
        await go(empty_url, "upgrade", str(script.down_revision))
    before = await read_schema(empty_url)
    await go(empty_url, "upgrade", script.revision)
    after = await read_schema(empty_url)

    await go(empty_url, "downgrade", "-1")
    assert await read_schema(empty_url) == before
    await go(empty_url, "upgrade", script.revision)
    assert await read_schema(empty_url) == after
    assert (before == after) == (script.revision in {FILLS, MAKERS, ONE_LINE, VISIBLE, FOLDS})


async def test_accounts_of_before_are_found_by_the_words_of_today(empty_url: str) -> None:
    await go(empty_url, "upgrade", "d3a91c5be604")
    people = ODD * -(-MANY // len(ODD))
    connection = await asyncpg.connect(empty_url)
    for number, (email, username, full_name) in enumerate(people):
        own = email and f"{number}{email}"
        values = (uuid4(), own, own and key(own), username and f"{username}{number}", full_name)
        await connection.execute(PERSON, *values)
    await connection.execute("UPDATE users SET words = 'ada' WHERE full_name = 'Ada'")

    await go(empty_url, "upgrade", FILLS)

    found = await connection.fetch("SELECT email, username, full_name, words, version FROM users")
    await connection.close()
    assert len(found) == len(people)
    assert {row["version"] for row in found} == {1}
    assert [row["words"] for row in found] == [words_of_before(*list(row)[:3]) for row in found]


async def test_accounts_of_before_are_found_by_folded_words(empty_url: str) -> None:
    await go(empty_url, "upgrade", VISIBLE)
    names = ["M\xfcller \u0130", "\u5c71\u7530\u592a\u90ce", "\u0645\u064f\u062d\u0645\u062f", "Ada Byron-King"]
    people: list[tuple[str | None, str | None, str | None]] = [*ODD, *[(f"{n}@x.com", None, n) for n in names]]
    connection = await asyncpg.connect(empty_url)
    for number, (email, username, full_name) in enumerate(people * (MANY // len(people) + 1)):
        own = email and f"{number}{email}"
        name = username and f"{username}{number}"
        await connection.execute(PERSON, uuid4(), own, own and key(own), name, full_name)
    await connection.execute("UPDATE users SET words = 'ada' WHERE full_name = 'Ada'")

    await go(empty_url, "upgrade", FOLDS)

    found = await connection.fetch("SELECT email, username, full_name, words, version FROM users")
    await connection.close()
    plain = [row for row in found if f"{row['email']}{row['username']}{row['full_name']}".isascii()]
    assert {row["version"] for row in found} == {1}
    assert {row["words"] for row in plain} == {"", "ada"}  # what was there is what the application writes
    folded = [row for row in found if row not in plain]
    assert len(folded) > MANY // 2
    assert [row["words"] for row in folded] == [words(*list(row)[:3]) for row in folded]


async def test_a_day_ends_in_the_due_date_and_goes_when_that_is_written(empty_url: str) -> None:
    await go(empty_url, "upgrade", DAYS)
    connection = await asyncpg.connect(empty_url)
    place = uuid4()
    await connection.execute(TEAMS, [place])
    await connection.execute(TASK, place, place, "a", None)
    await connection.execute("UPDATE tasks SET due_on = '2026-02-06', due_date = '2026-02-06T23:59:59.999999Z'")
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("UPDATE tasks SET due_on = '2026-02-07'")
    await connection.execute("UPDATE tasks SET due_date = due_date, title = 'b'")
    kept = await connection.fetchval("SELECT due_on FROM tasks")
    await connection.execute("UPDATE tasks SET due_date = '2026-02-07T00:00:00Z'")
    gone = await connection.fetchval("SELECT due_on FROM tasks")
    await connection.close()

    assert (str(kept), gone) == ("2026-02-06", None)


def words_of_before(email: str | None, username: str | None, full_name: str | None) -> str:
    """As the application wrote them that came with that migration."""
    parts = [key(part) for part in ((email or "").partition("@")[0], username or "", full_name or "")]
    split = [word for part in parts for word in (*part.split(), *re.findall(r"[^\W_]+", part))]
    return " ".join(dict.fromkeys(word[:255] for word in [*key(email or "").split(), *split]))


async def test_tasks_of_before_are_found_by_the_words_of_today(empty_url: str) -> None:
    """Batch after batch; one that somebody writes just now is not waited for, and one that has a vector keeps it."""
    await go(empty_url, "upgrade", BEFORE_VECTORS)
    connection, other = await asyncpg.connect(empty_url), await asyncpg.connect(empty_url)
    places = sorted(uuid4() for _ in range(3))
    await connection.execute(TEAMS, places)
    tasks = [(places[number % 3], uuid4(), *TEXTS[number % len(TEXTS)]) for number in range(MANY_TASKS)]
    await connection.executemany(TASK, tasks)
    await go(empty_url, "upgrade", "b27f40c9e6d1")
    kept, held = tasks[0][1], tasks[1][1]
    await connection.execute("UPDATE tasks SET search_vector = 'kept' WHERE id = $1", kept)

    async with other.transaction():
        await other.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await other.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", held)
        filling = asyncio.create_task(go(empty_url, "upgrade", "4d81c6f3a75e"))
        await until(lambda: connection.fetchval(UNFILLED), 1)
    await filling

    found = await connection.fetch(FOUND_BY)
    wanted = await connection.fetch(
        "SELECT vector::tsvector::text FROM unnest($1::text[]) WITH ORDINALITY AS _ (vector, n) ORDER BY n",
        [write_tagged_vector(*list(row)[1:4]) for row in found],
    )
    await connection.close()
    await other.close()
    vectors = {row["id"]: row["vector"] for row in found}
    assert (vectors.pop(kept), vectors.pop(held)) == ("'kept'", None)
    expected = {row["id"]: text["vector"] for row, text in zip(found, wanted, strict=True)}
    assert vectors == {id_: expected[id_] for id_ in vectors}
    assert {row["version"] for row in found} == {1}


async def test_what_the_first_release_wrote_beside_the_second_is_found(empty_url: str) -> None:
    """0.2.0 goes on beside: what it says of the column `search` is said to this schema, too."""
    await go(empty_url, "upgrade", "e82c41d97b06")
    connection = await asyncpg.connect(empty_url)
    owner, task = uuid4(), uuid4()
    await connection.execute(TEAMS, [owner])
    await connection.execute(TASK, owner, task, "Crème brûlée", "Two")

    await go(empty_url, "upgrade", "c91e5d70b2f4")

    [found] = await connection.fetch(FOUND_BY)
    wanted = await connection.fetchval("SELECT $1::tsvector::text", write_tagged_vector(*list(found)[1:4]))
    await connection.execute(TASK, owner, uuid4(), "Later", None)
    before = await connection.fetch("SELECT title FROM tasks WHERE search @@ to_tsquery('simple', 'creme | later')")
    await connection.close()
    assert found["vector"] == wanted
    assert [row["title"] for row in before] == ["Crème brûlée"]


TEAM = """
INSERT INTO organizations (id, kind, name, slug, created_at, updated_at)
VALUES ($1, 'team', 'A team', 'team-' || $2::text, now(), now())
"""
FOUNDED = """
INSERT INTO audit_logs
    (id, occurred_at, actor_type, actor_id, action, outcome, target_type, target_id, request_id, changes)
VALUES (gen_random_uuid(), now(), 'user', $1, $2, 'success', 'organization', $3, 'x', '{}')
"""


async def test_organizations_of_before_count_in_the_quota_of_their_makers(empty_url: str) -> None:
    """Those that the audit logs tell of, whose makers are still there; in several batches."""
    await go(empty_url, "upgrade", "546bfa704b76")
    connection = await asyncpg.connect(empty_url)
    ada, gone, teams = uuid4(), uuid4(), [uuid4() for _ in range(MANY)]
    await connection.execute(PERSON, ada, "ada@example.com", "ada@example.com", None, "Ada")
    await connection.executemany(TEAM, [(team, str(number)) for number, team in enumerate(teams)])
    told = [(ada, "organization.created", team) for team in teams[3:]]
    told += [(ada, "organization.updated", teams[1]), (gone, "organization.created", teams[2])]
    await connection.executemany(FOUNDED, told)

    await go(empty_url, "upgrade", MAKERS)

    found = {row["id"]: row["created_by"] for row in await connection.fetch("SELECT id, created_by FROM organizations")}
    await connection.close()
    assert found == dict(zip(teams, [None] * 3 + [ada] * (MANY - 3), strict=True))


MENDED: list[tuple[str, str | None, str]] = [
    ("two\nlines", "two lines", "U+000A at 3 is a space"),
    ("\u00a0a\u202eb\u3000", "ab", "U+00A0 at 0 is left out, U+202E at 2 is left out, U+3000 at 4 is left out"),
    ("\u200b\x07", None, "U+0007 at 1 is left out, nothing was to be seen"),
    ("a\u2028b\x85", "a b", "U+2028 at 1 is a space, U+0085 at 3 is left out"),
    ("\u202e\ta", "a", "U+202E at 0 is left out, U+0009 at 1 is left out"),
    ("a \u202c", "a", "U+0020 at 1 is left out, U+202C at 2 is left out"),
]
KEPT = ["Ada", "\u00c4pfel \U0001f600", "a\u200bb", "a  b", "!"]
SESSION = """
INSERT INTO sessions (id, user_id, device_name, rotated_at, authenticated_at, created_at, last_used_at, expires_at)
VALUES (gen_random_uuid(), $1, $2, now(), now(), now(), now(), now())
"""


async def test_texts_of_before_are_made_one_line_and_each_character_is_told(
    empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await go(empty_url, "upgrade", "7b1e64f0a2c9")
    connection = await asyncpg.connect(empty_url)
    texts = [before for before, _, _ in MENDED] + KEPT
    people = {text: uuid4() for text in texts}
    for text, person in people.items():
        await connection.execute(PERSON, person, None, None, None, text)
        await connection.execute("UPDATE users SET words = 'x' || chr(8238) || 'y' WHERE id = $1", person)
        await connection.execute(TEAMS, [person])
        await connection.execute("UPDATE organizations SET name = $2 WHERE id = $1", person, text)
        await connection.execute(SESSION, person, text)
        await connection.execute(TASK, person, person, text, None)
    await connection.executemany(TASK, [(people["Ada"], uuid4(), "many\tof them", None) for _ in range(MANY)])

    await go(empty_url, "upgrade", ONE_LINE)

    told = capsys.readouterr().err
    after = dict.fromkeys(KEPT) | {before: after for before, after, _ in MENDED}
    for text, person in people.items():
        is_mended = text not in KEPT
        [names] = await connection.fetch(
            """
            SELECT full_name, organizations.name, device_name, title, users.version, organizations.version,
                tasks.version, words FROM users JOIN organizations USING (id) JOIN tasks USING (id)
                JOIN sessions ON sessions.user_id = users.id WHERE users.id = $1
            """,
            person,
        )
        wanted = after[text] if is_mended else text
        assert list(names)[:4] == [wanted, wanted or "\ufffd", wanted, wanted or "\ufffd"]
        assert list(names)[4:] == ([2, 2, 2, "xy"] if is_mended else [1, 1, 1, "x\u202ey"])
    assert await connection.fetchval("SELECT count(*) FROM tasks WHERE title = 'many of them'") == MANY
    await connection.close()
    for before, _, said in MENDED:
        assert f"users.full_name of {people[before]}: {said}\n" in told
        assert f"tasks.title of {people[before]}: {said}\n" in told
    assert f"tasks.title: {MANY + len(MENDED)} mended\n" in told
    assert f"sessions.device_name: {len(MENDED)} mended\n" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\U000e0041\U000e007f", "U+E0041 U+E007F"),
        ("\u200b \U000e01ef", "U+200B U+0020 U+E01EF"),
        ("\ue000\U0010fffd\u0378", "U+E000 U+10FFFD U+0378"),
        ("\U0001f600", None),
        ("\U00020000\U000e0100", None),
        ("a\U000e0041", None),
        ("\u0e01", None),
    ],
)
async def test_texts_of_before_with_nothing_to_be_seen_are_replaced_and_told(
    empty_url: str, capsys: pytest.CaptureFixture[str], text: str, told: str | None
) -> None:
    await go(empty_url, "upgrade", "e7a93b15d8c0")
    connection = await asyncpg.connect(empty_url)
    person = uuid4()
    await connection.execute(PERSON, person, None, None, None, text)
    await connection.execute(TEAMS, [person])
    await connection.execute("UPDATE organizations SET name = $2 WHERE id = $1", person, text)
    await connection.execute(SESSION, person, text)
    await connection.execute(TASK, person, person, text, None)

    await go(empty_url, "upgrade", VISIBLE)

    [row] = await connection.fetch(
        """
        SELECT full_name, device_name, organizations.name, title, users.version, organizations.version, tasks.version
        FROM users JOIN organizations USING (id) JOIN tasks USING (id) JOIN sessions ON sessions.user_id = users.id
        """
    )
    await connection.close()
    assert list(row) == ([None, None, "\ufffd", "\ufffd", 2, 2, 2] if told else [text, text, text, text, 1, 1, 1])
    said = capsys.readouterr().err
    assert (
        f"tasks.title of {person}: {told} is left out, nothing was to be seen\ntasks.title: 1 replaced\n" in said
    ) == (told is not None)


def test_migrations_are_one_line_of_descent() -> None:
    assert [script.down_revision for script in SCRIPTS] == [None, *[script.revision for script in SCRIPTS[:-1]]]


def test_those_that_are_read_without_alembic_are_the_same() -> None:
    assert list_migrations() == [script.revision for script in SCRIPTS]


async def test_the_newest_schema_is_the_declared_one(fresh_url: str) -> None:
    assert await differences(fresh_url) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("ALTER TABLE tasks ADD COLUMN other int DEFAULT 3", ["it has column tasks.other integer DEFAULT 3"]),
        ("ALTER TABLE tasks DROP CONSTRAINT ck_tasks_title", ["it lacks constraint tasks.ck_tasks_title CHECK"]),
        ("ALTER TABLE tasks ALTER COLUMN title DROP NOT NULL", ["it lacks column tasks.title", "it has column tasks"]),
        ("DROP INDEX ix_tasks_priority", ["it lacks index CREATE INDEX ix_tasks_priority ON tasks"]),
        (
            """
            DROP INDEX ix_organization_members_owner;
            CREATE INDEX ix_organization_members_owner ON organization_members (organization_id)
            """,
            ["it lacks index CREATE INDEX ix_organization_members_owner", "it has index CREATE INDEX ix_organization_"],
        ),
        (
            """
            ALTER TABLE tasks DROP COLUMN completed;
            ALTER TABLE tasks ADD COLUMN completed boolean NOT NULL GENERATED ALWAYS AS (status = 'pending') STORED;
            CREATE INDEX ix_tasks_user_id_completed ON tasks (user_id, completed, id)
            """,
            ["it lacks column tasks.completed boolean NOT NULL GENERATED", "it has column tasks.completed boolean"],
        ),
        ("DROP TRIGGER append_only ON audit_logs", ["it lacks trigger CREATE TRIGGER append_only BEFORE DELETE OR"]),
        (
            "ALTER TABLE audit_logs DISABLE TRIGGER append_only",
            ["it lacks trigger CREATE TRIGGER append_only", "it has trigger CREATE TRIGGER append_only"],
        ),
        (
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            ["it lacks trigger CREATE TRIGGER append_only", "it has trigger CREATE TRIGGER append_only"],
        ),
        ("CREATE TABLE more (id serial)", ["it has column more.id integer NOT NULL DEFAULT nextval"]),
    ],
)
async def test_what_is_not_as_declared_is_told(fresh_url: str, statement: str, found: list[str]) -> None:
    connection = await asyncpg.connect(fresh_url)
    await connection.execute(statement)
    await connection.close()

    told = await differences(fresh_url)

    assert len(told) == len(found)
    for line, beginning in zip(told, found, strict=True):
        assert line.startswith(beginning)


async def test_a_comparison_leaves_nothing_behind(fresh_url: str) -> None:
    before = await read_schema(fresh_url)

    await differences(fresh_url)

    assert await read_schema(fresh_url) == before


async def test_processes_that_start_at_once_migrate_once(empty_url: str) -> None:
    holder = await asyncpg.connect(empty_url)
    await holder.execute("SELECT pg_advisory_lock(hashtext('docket.migrations'))")
    starters = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", STARTER, empty_url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(PROCESSES)
    ]
    await until(lambda: holder.fetchval(WAITING), PROCESSES)
    await holder.close()

    printed = [(await starter.communicate())[0].decode().strip() for starter in starters]

    assert sorted(printed) == ["0"] * (PROCESSES - 1) + [str(len(SCRIPTS))]
    assert await differences(empty_url) == []


async def test_a_start_brings_an_empty_database_to_head_and_a_second_one_has_nothing_to_do(empty_url: str) -> None:
    with pytest.raises(CommandError, match=f"{len(SCRIPTS)} behind the code: run `python -m server migrate apply`"):
        await require_head(empty_url)

    assert [script.revision for script in await asyncio.to_thread(upgrade, empty_url)] == [s.revision for s in SCRIPTS]
    assert await asyncio.to_thread(upgrade, empty_url) == []

    await require_head(empty_url)
    assert (await schema(empty_url)).pending == []
