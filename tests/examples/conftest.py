"""The museum of examples/, made as its README says, on a port of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.system.services import process

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with the code of its document."""
    made = tmp_path_factory.mktemp("examples") / "museum"
    shutil.copytree(ROOT / "examples" / "museum", made, ignore=shutil.ignore_patterns("generated", "__pycache__"))
    command = [sys.executable, "-m", "contract.generator.command", "generate", "openapi.yaml", "--out", "generated/"]
    subprocess.run(command, cwd=made, env=environment(), check=True, capture_output=True)
    return made


def environment() -> dict[str, str]:
    """That of a process which finds the package in this checkout, as if it were installed."""
    return os.environ | {"PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT)}


@pytest.fixture(scope="session")
def museum(folder: Path) -> Iterator[str]:
    """The URL of its server."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "museum:app", "--port", str(port), "--timeout-graceful-shutdown", "5"]
    with process(command, folder / "log", listens=("127.0.0.1", port), environment=environment()):
        yield f"http://127.0.0.1:{port}"
