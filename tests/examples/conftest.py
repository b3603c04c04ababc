"""The museum of examples/, made as its README says, on a port of its own."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 120  # seconds for a start upon a busy machine


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
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + PATIENCE
        while server.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):  # it does not listen yet
                httpx.get(url)
                break
            time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait(PATIENCE)
