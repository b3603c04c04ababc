"""Clients generated from openapi.yaml, compiled as strictly as their languages can be, and driven through one journey.

Each is a package of its own beside this file, worked on in a copy of it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 600  # seconds that an installation may take on a busy machine


def copy(package: str, folder: Path) -> Path:
    """The package in a folder of its own, beside the contract."""
    shutil.copytree(Path(__file__).parent / package, folder, dirs_exist_ok=True)
    shutil.copy(ROOT / "openapi.yaml", folder)
    return folder


def run(folder: Path, *command: str | Path, **variables: str) -> str:
    """What the command says, which has to end well."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}"
    return done.stdout


@pytest.mark.parametrize("package", ["openapi-fetch", "hey-api"])
def test_a_client_in_typescript(package: str, tmp_path: Path, server_url: str) -> None:
    folder = copy(package, tmp_path)
    run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")

    run(folder, "npm", "run", "generate")
    run(folder, "npm", "run", "compile")
    said = run(folder, "npm", "run", "journey", DOCKET=server_url)

    assert "The journey ended well." in said


def test_a_client_in_python(tmp_path: Path, server_url: str) -> None:
    folder = copy("python", tmp_path)
    run(folder, sys.executable, "-m", "venv", "environment")
    programs = folder / "environment" / "bin"
    run(folder, programs / "pip", "install", "--quiet", "--require-hashes", "--requirement", "requirements.txt")
    generate = ("generate", "--path", "openapi.yaml", "--config", "generator.yaml", "--meta", "none")

    generated = run(folder, programs / "openapi-python-client", *generate, "--output-path", "docket_client")
    run(folder, programs / "mypy", "--strict", "--warn-unreachable", "journey.py", "docket_client")
    said = run(folder, programs / "python", "journey.py", DOCKET=server_url)

    assert "Warning" not in generated
    assert "The journey ended well." in said
