"""The first superuser: made by a command or at start, once, and never with a password that anyone would guess."""

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from persistence.engine.pool import Pool
from server.__main__ import main
from server.commands.serve import make_first_superuser
from server.complaints import CommandError
from server.settings.loading import load
from server.settings.settings import Settings, SettingsError
from tests import issuer
from tests.api.conftest import SECRET, serving
from tests.conftest import ROOT, Server
from tests.factories import Factory

EMAIL, PASSWORD = "Root@Example.com", "nine lives of a lighthouse"
Told = Callable[[], str]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """What the operator reads."""
    return lambda: capsys.readouterr().err


def settings_for(url: str, **given: object) -> Settings:
    wanted = {"first_superuser_email": EMAIL, "first_superuser_password": PASSWORD} | given
    return load(environment="production", secret_key=SECRET, database_url=url, rate_limits_enabled=False, **wanted)


def command(url: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """`create-superuser`, and the environment to type it in."""
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    settings = {"PYTHONPATH": str(ROOT), "DATABASE_URL": url, "DATA_DIR": str(folder)}
    environment = {"PATH": os.environ["PATH"], **settings, **coverage}
    return [sys.executable, "-m", "server", "create-superuser"], environment


async def pipe_lines(url: str, folder: Path, lines: str, *arguments: str) -> tuple[int, str]:
    """The exit status and what is said when these lines are piped into the command."""
    program, environment = command(url, folder)
    return await run_program([*program, *arguments], environment, folder, lines)


async def run_program(program: list[str], environment: dict[str, str], folder: Path, lines: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *program,
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await process.communicate(lines.encode(errors="surrogateescape"))
    return process.returncode or 0, said.decode()


async def accounts(fresh: Pool) -> list[tuple[str, bool]]:
    records = await fresh.fetch("SELECT email, is_superuser FROM users", [])
    return [(record["email"], record["is_superuser"]) for record in records]


async def list_makers(fresh: Pool) -> list[tuple[str, str]]:
    """Who made superusers, by the audit log."""
    records = await fresh.fetch("SELECT actor_type, action FROM audit_logs ORDER BY id", [])
    return [(record["actor_type"], record["action"]) for record in records]


class TestExternal:
    """`create-superuser --external`."""

    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch, fresh_url: str, tmp_path: Path) -> None:
        for name, value in {
            "DATABASE_URL": fresh_url,
            "DATA_DIR": str(tmp_path),
            "AUTH_MODE": "external",
            "BETTER_AUTH_SECRET": issuer.SECRET,
        }.items():
            monkeypatch.setenv(name, value)

    async def order(self, *who: str) -> int:
        return await asyncio.to_thread(main, ["create-superuser", "--external", *who])

    async def test_it_makes_one_of_somebody_who_never_came(
        self, fresh: Pool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert [await self.order("better-auth", "grace") for _ in range(2)] == [0, 0]

        said = "grace of better-auth is now a superuser\ngrace of better-auth is a superuser already\n"
        assert capsys.readouterr().out == said
        assert await list_makers(fresh) == [("system", "user.created_superuser")]
        async with serving(load(response_check_rate=1, log_level="error"), fresh) as api:
            me = await api.with_headers(Authorization=f"Bearer {issuer.sign_shared('grace')}").get("/auth/me")
            await api.with_headers(Authorization=f"Bearer {issuer.sign_shared('grace')}").get("/audit-logs")
        assert (me["is_superuser"], me["email"]) == (True, None)

    async def test_it_promotes_one_who_came_before(self, fresh: Pool) -> None:
        async with serving(load(response_check_rate=1, log_level="error"), fresh) as api:
            grace = api.with_headers(Authorization=f"Bearer {issuer.sign_shared('grace')}")
            before = await grace.get("/auth/me")

            assert await self.order("better-auth", "grace") == 0

            after = await grace.get("/auth/me")
        assert (before["is_superuser"], after["is_superuser"], after["version"]) == (False, True, 2)
        assert before["id"] == after["id"]

    async def test_where_no_other_issuer_counts_there_is_nobody_to_make_one(
        self, fresh: Pool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("AUTH_MODE", "local")

        assert await self.order("better-auth", "grace") == 1

        assert capsys.readouterr().err.endswith("no issuer whose namespace is better-auth: set AUTH_MODE first\n")
        assert await accounts(fresh) == []

    @pytest.mark.parametrize(
        ("who", "said"),
        [
            (("another", "grace"), "The settings name no issuer whose namespace is another: there is better-auth"),
            (("better-auth", ""), "The subject must be a text of 1 to 255 characters"),
            (("better-auth", "x" * 256), "The subject must be a text of 1 to 255 characters"),
        ],
    )
    async def test_nobody_is_made_of_what_no_token_says(
        self, fresh: Pool, *, capsys: pytest.CaptureFixture[str], who: tuple[str, str], said: str
    ) -> None:
        assert await self.order(*who) == 1

        assert capsys.readouterr().err == f"docket: {said}\n"
        assert await accounts(fresh) == []


@pytest.mark.parametrize("who", [(), ("--external", "better-auth", "grace")])
async def test_a_database_that_was_never_migrated_is_told_of(
    server: Server, tmp_path: Path, who: tuple[str, ...]
) -> None:
    async with server.copy("template0") as url:
        program, environment = command(url, tmp_path)
        environment |= {"AUTH_MODE": "hybrid", "BETTER_AUTH_SECRET": issuer.SECRET}
        status, said = await run_program([*program, *who], environment, tmp_path, f"{EMAIL}\n{PASSWORD}\n")

    assert status == 1
    assert said == "docket: The database is not migrated: run `python -m server migrate apply`\n"


class TestCommand:
    async def test_it_makes_one_who_can_sign_in(
        self, fresh_url: str, fresh: Pool, tmp_path: Path, settings: Settings
    ) -> None:
        status, said = await pipe_lines(fresh_url, tmp_path, f"{EMAIL}\n{PASSWORD}\n")

        assert (status, said) == (0, f"{EMAIL} is now a superuser\n")
        async with serving(settings, fresh) as api:
            tokens = await api.post("/auth/login", {"email": EMAIL, "password": PASSWORD}, expect=200)
            me = await api.with_headers(Authorization=f"Bearer {tokens['access_token']}").get("/auth/me")
        assert me["is_superuser"]

    async def test_an_account_that_exists_is_promoted_only_by_order_and_keeps_its_password(
        self, fresh_url: str, fresh: Pool, tmp_path: Path
    ) -> None:
        await Factory(fresh).user(email=EMAIL)
        before = await fresh.fetch("SELECT hashed_password FROM users", [])

        refused = await pipe_lines(fresh_url, tmp_path, f"{EMAIL}\n{PASSWORD}\n")
        promoted = await pipe_lines(fresh_url, tmp_path, f"{EMAIL.lower()}\n{PASSWORD}\n", "--promote")
        again = await pipe_lines(fresh_url, tmp_path, f"{EMAIL}\n{PASSWORD}\n")

        assert refused == (1, f"docket: {EMAIL} has an account already: make a superuser of it with --promote\n")
        assert promoted == (0, f"{EMAIL.lower()} is now a superuser and keeps its password\n")
        assert again == (0, f"{EMAIL} is a superuser already\n")
        assert await fresh.fetch("SELECT hashed_password FROM users", []) == before
        assert await accounts(fresh) == [(EMAIL, True)]
        assert await list_makers(fresh) == [("system", "user.created_superuser")]

    @pytest.mark.parametrize(
        ("lines", "said"),
        [
            ("", "docket: There is no terminal, and nothing came: send the e-mail and the password, a line each"),
            ("unknown\n" + PASSWORD, "docket: The superuser's email: Must be a valid email"),
            (f"{EMAIL}\n", "docket: The superuser's password: Must have at least 8 characters"),
            (f"{EMAIL}\npassword123\n", "docket: The superuser's password: This password is among the first"),
            (f"{EMAIL}\nroot@example.com\n", "docket: The superuser's password: This password is made of your e-mail"),
            (f"\udce9{EMAIL}\n{PASSWORD}\n", "docket: The superuser's email: Must be a text in UTF-8 without NUL"),
            (f"\0{EMAIL}\n{PASSWORD}\n", "docket: The superuser's email: Must be a text in UTF-8 without NUL"),
            (f"{EMAIL}\n{PASSWORD}\udce9\n", "docket: The superuser's password: Must be a text in UTF-8 without NUL"),
        ],
    )
    async def test_what_the_api_would_refuse_is_refused(
        self, fresh_url: str, fresh: Pool, *, tmp_path: Path, lines: str, said: str
    ) -> None:
        status, line = await pipe_lines(fresh_url, tmp_path, lines)

        assert (status, line.startswith(said), line.count("\n")) == (1, True, 1)
        assert await accounts(fresh) == []

    @pytest.mark.parametrize("again", [PASSWORD, "another"])
    async def test_a_terminal_is_asked_and_shows_no_password(
        self, fresh_url: str, fresh: Pool, tmp_path: Path, again: str
    ) -> None:
        status, said = await asyncio.to_thread(answer_questions, fresh_url, tmp_path, [EMAIL, PASSWORD, again])

        assert PASSWORD not in said
        assert (status, await accounts(fresh)) == ((0, [(EMAIL, True)]) if again == PASSWORD else (1, []))
        assert ("is now a superuser" if again == PASSWORD else "docket: The two passwords differ") in said

    @pytest.mark.parametrize("answers", [["\x04"], [EMAIL, "\x04"]])
    async def test_who_ends_the_input_at_a_question_reads_no_traceback(
        self, fresh_url: str, tmp_path: Path, answers: list[str]
    ) -> None:
        status, said = await asyncio.to_thread(answer_questions, fresh_url, tmp_path, answers)

        assert status == 130
        assert "Traceback" not in said


def answer_questions(url: str, folder: Path, answers: list[str]) -> tuple[int, str]:
    """The exit status and what the terminal shows when its questions are answered."""
    program, environment = command(url, folder)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        program, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown = b""
    try:
        for answer in answers:
            while not shown.endswith(b": "):
                shown += os.read(ours, 1)
            os.write(ours, answer.encode() + b"\n")
            shown += os.read(ours, 1)
        while chunk := os.read(ours, 1024):
            shown += chunk
    except OSError:  # it has ended
        pass
    os.close(ours)
    return process.wait(timeout=60), shown.decode()


class TestStart:
    async def test_the_first_start_makes_one_and_the_next_changes_nothing(
        self, fresh_url: str, fresh: Pool, told: Told
    ) -> None:
        await asyncio.to_thread(make_first_superuser, fresh_url, settings_for(fresh_url))
        before = await fresh.fetch("SELECT * FROM users", [])

        other = settings_for(fresh_url, first_superuser_password="weak", first_superuser_email="root@example.com")
        await asyncio.to_thread(make_first_superuser, fresh_url, other)

        assert (await fresh.fetch("SELECT * FROM users", []), await accounts(fresh)) == (before, [(EMAIL, True)])
        assert told() == ""

    async def test_of_four_servers_that_start_at_once_one_makes_it(self, fresh_url: str, fresh: Pool) -> None:
        settings = settings_for(fresh_url)

        await asyncio.gather(*[asyncio.to_thread(make_first_superuser, fresh_url, settings) for _ in range(4)])

        assert await accounts(fresh) == [(EMAIL, True)]
        assert await list_makers(fresh) == [("system", "user.created_superuser")]
        [organizations] = await fresh.fetch("SELECT count(*) FROM organizations", [])
        assert organizations[0] == 1

    async def test_an_account_that_is_none_is_left_alone_and_told_of(
        self, fresh_url: str, fresh: Pool, told: Told
    ) -> None:
        await Factory(fresh).user(email=EMAIL)

        await asyncio.to_thread(make_first_superuser, fresh_url, settings_for(fresh_url))

        assert await accounts(fresh) == [(EMAIL, False)]
        assert told().startswith("FIRST_SUPERUSER_EMAIL has an account that is no superuser")

    @pytest.mark.proves("ASVS 5.0 6.3.2", "There is no account that was not asked for")
    async def test_none_is_made_where_none_is_named(self, fresh_url: str, fresh: Pool) -> None:
        plain = settings_for(fresh_url, first_superuser_email=None, first_superuser_password=None)

        await asyncio.to_thread(make_first_superuser, fresh_url, plain)

        assert await accounts(fresh) == []

    async def test_a_weak_password_keeps_the_server_from_starting(self, fresh_url: str) -> None:
        weak = settings_for(fresh_url, first_superuser_password="password123")

        named = "^FIRST_SUPERUSER_EMAIL, FIRST_SUPERUSER_PASSWORD: The superuser's password: "
        with pytest.raises(CommandError, match=rf"{named}[^\n]*$"):
            await asyncio.to_thread(make_first_superuser, fresh_url, weak)

    @pytest.mark.parametrize("name", ["first_superuser_email", "first_superuser_password"])
    def test_one_of_the_two_settings_is_not_enough(self, name: str) -> None:
        with pytest.raises(SettingsError, match="go together"):
            settings_for("postgresql://db", **{name: None})
