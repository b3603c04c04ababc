"""docs/adding-an-endpoint.md, followed to the letter in a clone."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.clones import clone

DOCUMENT = Path(__file__).parents[2] / "docs" / "adding-an-endpoint.md"
STEP = re.compile(
    r"^(?:In `(?P<edited>[^`]+)`, (?P<side>before|after) the line `(?P<line>[^`]+)`"
    r"|At the end of `(?P<ended>[^`]+)`|A new file `(?P<made>[^`]+)`)\n\n```\w+\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
SAID = re.compile(r"^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A clone that the account of PostgreSQL may enter."""
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)
    yield clone(folder).folder
    shutil.rmtree(folder)


def test_a_reader_who_follows_it_has_an_endpoint(folder: Path) -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    steps = list(STEP.finditer(document))
    contract = [step for step in steps if step["edited"] == "openapi.yaml"]
    [said] = SAID.findall(document)

    for step in contract:
        follow(step, folder)
    run(folder, "-m", "scripts.rules", "openapi.yaml", "generated")
    for derived in ("security_page", "permissions", "operations", "readme", "support"):  # as scripts/regen.sh does
        run(folder, "-m", f"scripts.{derived}")
    refused = run(folder, "-m", "mypy", "-p", "server", expect=1)
    for step in steps:
        if step not in contract:
            follow(step, folder)
    run(folder, "-m", "ruff", "check", "--fix", "--quiet", "handlers", "persistence", "tests/api")

    assert len(steps) == len(re.findall(r"^```(?:yaml|python|markdown)$", document, re.MULTILINE))
    for line in said.splitlines():
        assert line in refused
    run(folder, "-m", "ruff", "format", "--check", "handlers", "persistence", "tests/api")
    run(folder, "-m", "mypy", "-p", "server")
    new = next(step["made"] for step in steps if step["made"])
    run(folder, "-m", "pytest", "-q", new, "tests/contract", "tests/documents")


def follow(step: re.Match[str], folder: Path) -> None:
    """Do to a file what a step says."""
    path = folder / (step["edited"] or step["ended"] or step["made"])
    if step["made"]:
        path.write_text(step["text"], encoding="utf-8")
        return
    before = path.read_text(encoding="utf-8")
    if step["ended"]:
        path.write_text(before + step["text"], encoding="utf-8")
        return
    line = f"\n{step['line']}\n"
    assert before.count(line) >= 1, f"{path.name} has no line {step['line']!r}"
    new = f"\n{step['text']}{line[1:]}" if step["side"] == "before" else f"{line}{step['text']}"
    path.write_text(before.replace(line, new, 1), encoding="utf-8")


def run(folder: Path, *arguments: str, expect: int = 0) -> str:
    ran = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == expect, ran.stdout + ran.stderr
    return ran.stdout
