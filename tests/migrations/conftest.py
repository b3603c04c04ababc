"""Databases without tables, operators who type commands, and copies of the project to write migrations into."""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from server.commands import migrate
from server.database.migrations import ROOT
from server.settings.loading import load
from tests.conftest import Server

PACKAGES = ("contract", "generated", "handlers", "migrations", "persistence", "security", "server")
FILES = ("alembic.ini", "openapi.yaml", "pyproject.toml")
Command = Callable[..., Awaitable[list[str]]]


@pytest.fixture
async def empty_url(server: Server) -> AsyncIterator[str]:
    """The URL of a database without tables."""
    async with server.copy("template0") as url:
        yield url


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """What `python -m server migrate` prints: `await command(url, "list")`."""

    def run(*arguments: str) -> list[str]:
        parser = argparse.ArgumentParser()
        migrate.add(parser)
        with redirect_stdout(StringIO()) as output:
            assert migrate.run(parser.parse_args(arguments), load()) == 0
        return output.getvalue().splitlines()

    async def type_in(url: str | None, *arguments: str) -> list[str]:
        monkeypatch.setenv("DATABASE_URL", url or "")
        return await asyncio.to_thread(run, *arguments)

    return type_in


@dataclass(frozen=True, slots=True)
class Checkout:
    """A copy of the project, whose commands run as processes."""

    folder: Path

    def migration(self, *statements: str) -> None:
        """Write a migration that runs the statements, after those there are."""
        newest = ScriptDirectory(str(self.folder / "migrations")).get_current_head()
        body = "".join(f"    op.execute({statement!r})\n" for statement in statements)
        (self.folder / "migrations" / "versions" / "next.py").write_text(
            f'"""go on"""\n\nfrom alembic import op\n\nrevision = "next"\ndown_revision = "{newest}"\n\n\n'
            f"def upgrade() -> None:\n{body}"
        )

    def index(self, name: str) -> None:
        """Write a migration that builds an index as the README says."""
        self.migration("SELECT 1")
        block = f"""    with op.get_context().autocommit_block():
        op.create_index("{name}", "tasks", ["title"], postgresql_concurrently=True)
"""
        self.edit("migrations/versions/next.py", "    op.execute('SELECT 1')\n", block)

    def read(self, path: str) -> str:
        return (self.folder / path).read_text(encoding="utf-8")

    def edit(self, path: str, before: str, after: str) -> None:
        text = self.read(path)
        assert before in text
        (self.folder / path).write_text(text.replace(before, after), encoding="utf-8")

    def run(self, url: str, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`python -m` what is given, with that database, until it ends."""
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "DATABASE_URL": url, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return copy_project(tmp_path)


def copy_project(folder: Path) -> Checkout:
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "assets"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return Checkout(folder)
