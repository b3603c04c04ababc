"""The contract before Redocly's strictest rules."""

import os
import subprocess
from pathlib import Path

from tests.system.conftest import ROOT

SILENT = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


def lint(folder: Path, contract: str) -> tuple[int, str]:
    """The exit code, and what Redocly says."""
    (folder / "openapi.yaml").write_text(contract, encoding="utf-8")
    command = ["node_modules/.bin/redocly", "lint", "--extends=recommended-strict", "openapi.yaml"]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | SILENT, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def test_redocly_finds_nothing_in_the_contract(redocly: Path) -> None:
    contract = (ROOT / "openapi.yaml").read_text(encoding="utf-8")

    code, said = lint(redocly, contract)

    assert code == 0, said
    assert "Your API description is valid" in said


def test_redocly_finds_an_example_that_breaks_its_schema(redocly: Path) -> None:
    contract = (ROOT / "openapi.yaml").read_text(encoding="utf-8").replace("priority: high", "priority: highest")

    code, said = lint(redocly, contract)

    assert code == 1
    assert "no-invalid-media-type-examples" in said
