"""What scripts/diff.sh says of contracts that have changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.conftest import ROOT
from tests.system.test_redocly import SILENT

CONTRACT = (ROOT / "openapi.yaml").read_text(encoding="utf-8")
COMPLETED_AT = (
    "        completed_at: {type: [string, 'null'], format: date-time, description: When it was completed.}\n"
)
COMPLETED = "        completed: {type: boolean, description: Whether `status` is `completed`.}\n"
LOGOUT_ALL = CONTRACT[CONTRACT.index("  /api/v1/auth/logout-all:\n") : CONTRACT.index("  /api/v1/auth/sessions:\n")]
BREAKING = {
    "a removed member": (COMPLETED_AT, "", "Property `completed_at` of `Task` was removed."),
    "a narrowed enum": ("[low, medium, high, urgent]", "[low, medium, high]", "lost values: 'urgent'."),
    "a new required parameter": (
        "    SearchText:\n",
        "    Reason: {name: reason, in: query, required: true, schema: {type: string}}\n    SearchText:\n",
        "Required `reason` query parameter was added.",
    ),
    "a changed type": ("rank: {type: number, minimum: 0,", "rank: {type: string,", "Type of `rank`"),
    "a removed operation": (LOGOUT_ALL, "", "Path `/api/v1/auth/logout-all` was removed."),
}
USED = ("        - $ref: '#/components/parameters/SearchText'\n", "        - $ref: '#/components/parameters/Reason'\n")


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A folder with today's contract as the released one."""
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "0.1.0.yaml").write_text(at("0.1.0"), encoding="utf-8")
    return tmp_path


def diff(redocly: Path, folder: Path, contract: str, *options: str) -> tuple[int, list[str]]:
    """Compare a contract with the newest of those that the folder has. The exit status, and the lines it prints."""
    (folder / "openapi.yaml").write_text(contract, encoding="utf-8")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "scripts.contracts",
        redocly / "node_modules/.bin/redocly",
        *options,
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | SILENT
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def at(version: str, old: str = "", new: str = "") -> str:
    """The contract with a version, and another text in the first place of one."""
    assert old in CONTRACT
    lines = CONTRACT.splitlines()
    current = next(line for line in lines if line.startswith("  version: "))
    return CONTRACT.replace(current, f"  version: {version}", 1).replace(old, new, 1)


@pytest.mark.parametrize(("old", "new", "said"), BREAKING.values(), ids=BREAKING)
def test_what_breaks_is_refused_with_its_line(redocly: Path, released: Path, old: str, new: str, said: str) -> None:
    contract = at("0.1.1", old, new).replace(USED[0], "".join(USED) if "reason" in new else USED[0])

    status, output = diff(redocly, released, contract)

    assert status == 1, output
    [line, *_] = [line for line in output if said in line]
    file, number, _ = line.split(":", 2)
    text = "".join((released / file).read_text(encoding="utf-8").splitlines()[int(number) - 2 : int(number)])
    assert any(word in text for word in ("completed_at", "low", "Reason", "rank", "logout-all")), text
    assert output[-1].endswith("it needs a new minor version")


def test_what_breaks_passes_with_a_new_minor_version_below_1(redocly: Path, released: Path) -> None:
    status, output = diff(redocly, released, at("0.2.0", COMPLETED_AT, ""))

    assert status == 0, output


def test_what_breaks_needs_a_new_major_version_from_1_on(redocly: Path, released: Path) -> None:
    (released / "contracts" / "1.10.0.yaml").write_text(at("1.10.0"), encoding="utf-8")
    (released / "contracts" / "1.9.0.yaml").write_text(at("1.9.0"), encoding="utf-8")

    refused, output = diff(redocly, released, at("1.11.0", COMPLETED_AT, ""))
    accepted, _ = diff(redocly, released, at("2.0.0", COMPLETED_AT, ""))

    assert (refused, accepted) == (1, 0)
    assert output[-1] == "diff: 1.11.0 breaks 1.10.0 in 1 places: it needs a new major version"


def test_what_is_added_passes(redocly: Path, released: Path) -> None:
    color = "        color: {type: string, description: How it looks.}\n"

    assert diff(redocly, released, at("0.1.1", COMPLETED, COMPLETED + color)) == (0, [])


def test_a_release_keeps_the_contract(redocly: Path, released: Path) -> None:
    contract = at("0.2.0", COMPLETED_AT, "")

    status, output = diff(redocly, released, contract, "--release")

    assert status == 0, output
    assert (released / "contracts" / "0.2.0.yaml").read_text(encoding="utf-8") == contract


def test_the_first_release_is_compared_with_nothing(redocly: Path, tmp_path: Path) -> None:
    assert diff(redocly, tmp_path, CONTRACT) == (0, [])
