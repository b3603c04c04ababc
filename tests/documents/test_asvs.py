"""What ASVS wants written down, and of the code as a whole: the documents say it, and what they say is so."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from persistence.tables import Task
from tests.conftest import ROOT

PROGRAM = ("contract", "generated", "handlers", "migrations", "persistence", "security", "server")
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
READS_CODE = {"pickle", "marshal", "shelve", "dill"}


def section(file: str, heading: str) -> str:
    """What stands below a heading of a document."""
    text = (ROOT / file).read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{file} has no {heading}"
    return found[1]


def dangers_in(file: Path) -> list[str]:
    """Where a file would run what it is given as text or as bytes."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RUNS_TEXT:
            found.append(f"{file}:{node.lineno} {node.func.id}")
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [f"{file}:{node.lineno} {name}" for name in names if name.partition(".")[0] in READS_CODE]
        if isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) != "False":
            found.append(f"{file}:{node.value.lineno} shell")
    return found


@pytest.mark.proves("ASVS 5.0 1.3.2", "No code is made of a text, and none is read as data")
def test_no_text_is_run_as_code() -> None:
    files = [file for folder in PROGRAM for file in (ROOT / folder).rglob("*.py")]

    assert len(files) > 100
    assert [danger for file in files for danger in dangers_in(file)] == []


def test_what_would_run_a_text_is_found(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(
        "import pickle\nfrom marshal import loads\neval('1')\nrun('x', shell=True)\nrun('x', shell=False)\n"
    )

    assert [danger.rpartition(" ")[2] for danger in dangers_in(file)] == ["pickle", "marshal", "eval", "shell"]


@pytest.mark.proves(
    "ASVS 5.0 7.1.1, ASVS 5.0 11.1.1", "How long sessions and keys live, and how keys change, is written"
)
def test_the_life_of_sessions_and_keys_is_written_down() -> None:
    sessions = section("docs/security.md", "Sessions and keys")

    for said in ("7 days", "15 minutes", "SESSIONS_PER_USER", "NIST SP 800-63B-4", "| Lives |", "`SECRET_KEY`"):
        assert said in sessions
    assert "SECRET_KEY_PREVIOUS" in section("docs/security.md", "Rotating SECRET_KEY without logging anyone out")


@pytest.mark.proves("ASVS 5.0 14.1.1, ASVS 5.0 14.1.2", "Each table is in the list of what is kept, with its level")
def test_every_table_is_in_the_list_of_what_is_kept() -> None:
    kept = section("docs/security.md", "What is kept, and how it is protected")

    assert [name for name in Task.metadata.tables if f"`{name}`" not in kept] == []
    assert {row.split("|")[2].strip().split(",")[0] for row in kept.splitlines() if row.startswith("| ")} == {
        "Level", "secret", "personal", "confidential", "internal"
    }  # fmt: skip


@pytest.mark.proves("ASVS 5.0 15.1.1", "In what time a component with a vulnerability is replaced is written")
def test_the_time_for_each_severity_is_written_down() -> None:
    times = section("SECURITY.md", "In what time")

    assert re.findall(r"^\| (\w+).*within (\d+) days", times, re.MULTILINE) == [
        ("critical", "3"), ("high", "14"), ("medium", "60")
    ]  # fmt: skip
    assert "sbom.cdx.json" in times


@pytest.mark.proves("ASVS 5.0 15.2.1", "Each day it is looked whether a component has a known vulnerability")
def test_components_are_looked_at_each_day() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/advisories.yaml").read_text(encoding="utf-8"))

    [schedule] = workflow[True]["schedule"]  # YAML 1.1 reads `on` so
    assert re.fullmatch(r"\d+ \d+ \* \* \*", schedule["cron"])
