"""Clients generated from openapi.yaml, compiled as strictly as their languages can be, and driven through one journey.

Each is a package of its own beside this file, worked on in a copy of it.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.packages import END, copy, drive_typescript, install_requirements, read_promises, run


@pytest.mark.parametrize("name", ["openapi-typescript", "@hey-api/openapi-ts", "swagger-typescript-api", "orval"])
def test_a_client_in_typescript(name: str, tmp_path: Path, server_url: str, tell: Callable[..., None]) -> None:
    folder = copy(name, tmp_path)

    tell(name, **drive_typescript(folder, server_url), seen=[])


def test_a_client_in_python(tmp_path: Path, server_url: str, tell: Callable[..., None]) -> None:
    folder = copy("openapi-python-client", tmp_path)
    programs = install_requirements(folder)
    generate = ("generate", "--path", "openapi.yaml", "--config", "generator.yaml", "--meta", "none")

    generated = run(folder, programs / "openapi-python-client", *generate, "--output-path", "docket_client")
    run(folder, programs / "mypy", "--strict", "--warn-unreachable", "journey.py", "docket_client")
    said = run(folder, programs / "python", "journey.py", DOCKET=server_url)

    assert "Warning" not in generated
    assert END in said
    seen = read_promises("openapi-python-client", folder)
    tell("openapi-python-client", compiled="yes", journey="journey.py", seen=seen)
