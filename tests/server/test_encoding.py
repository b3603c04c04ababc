"""Databases that cannot store every letter, or do not know which two are the same."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from persistence.engine.encoding import WrongEncoding, tell
from persistence.engine.health import look
from persistence.engine.pool import Pool
from server.commands.check import looked_at
from server.complaints import CommandError
from server.errors import problem_of
from server.settings.loading import load
from tests.conftest import Server
from tests.migrations.conftest import Command, command

__all__ = ["command"]


@asynccontextmanager
async def make_database(server: Server, how: str) -> AsyncIterator[str]:
    admin = await asyncpg.connect(server.admin)
    name = f"test_{os.getpid()}_{uuid4().hex[:12]}"
    await server.create(admin, name, f"template0 {how}")
    try:
        yield server.url(name)
    finally:
        await server.drop(admin, name)
        await admin.close()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_what_is_not_utf8_is_refused_with_the_line_that_makes_one(
    server: Server, command: Command, encoding: str
) -> None:
    async with make_database(server, f"ENCODING '{encoding}' LOCALE 'C' LOCALE_PROVIDER libc") as url:
        for action in ("apply", "check", "list"):
            with pytest.raises(CommandError, match=rf"the encoding {encoding}, .*: make one by `createdb .*=UTF8 .*`$"):
                await command(url, action)
        findings = await looked_at(load())

    assert [finding.level for finding in findings if finding.setting == "database"][-1] == "wrong"


async def test_a_server_that_started_before_its_database_says_it_in_words_and_answers_503(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    tell.cache_clear()
    async with make_database(server, "ENCODING 'SQL_ASCII' LOCALE 'C' LOCALE_PROVIDER libc") as url:
        pool = Pool(url, size=2)
        with pytest.raises(WrongEncoding) as met:
            await pool.fetch("SELECT 1", [])
        with pytest.raises(WrongEncoding):
            await pool.fetch("SELECT 1", [])
        assert await look(pool) is None
        await pool.close()

    problem = problem_of(met.value)
    assert problem is not None
    assert problem.status == 503
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "The database has the encoding SQL_ASCII, not UTF8: `python -m server check` tells what to do"
    ]


async def test_a_locale_that_folds_no_case_is_told(
    server: Server, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    async with make_database(server, "ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER libc") as url:
        await command(url, "apply")
        findings = await looked_at(load())

    assert "Mind: its locale C breaks case folding" in capsys.readouterr().err
    assert [(each.level, each.setting) for each in findings if each.setting == "letters"] == [("warning", "letters")]
