"""docs/integration-test.md, pasted into a shell against a server that is started as it says."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import serving
from tests.system.test_readme import SHELL

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "integration-test.md").read_text(encoding="utf-8")
LINES = "".join(SHELL.findall(TEXT))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server with the settings of the document."""
    [line] = re.findall(r"^    (.*) scripts/run.sh$", TEXT, re.MULTILINE)
    settings = {name: quoted or plain for name, quoted, plain in re.findall(r"(\w+)=(?:'([^']*)'|(\S+))", line)}
    with serving(settings) as url:
        yield url


def test_every_line_gets_the_status_that_it_expects(url: str) -> None:
    script = LINES.replace("http://127.0.0.1:8000", url)

    shell = subprocess.run(["/bin/bash", "-eu"], input=script, capture_output=True, text=True, check=False, timeout=120)

    assert shell.returncode == 0, shell.stdout[-2000:] + shell.stderr


def test_a_line_that_gets_another_status_ends_it(url: str) -> None:
    script = LINES.partition("\nexpect ")[0] + "\nexpect 201 GET /health\necho afterwards"

    shell = subprocess.run(
        ["/bin/bash", "-eu"],
        input=script.replace("http://127.0.0.1:8000", url),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert shell.returncode == 1
    assert shell.stderr == "GET /health: expected 201, got 200\n"
    assert "afterwards" not in shell.stdout


def test_it_has_every_operation() -> None:
    document = json.loads((ROOT / "generated" / "openapi.json").read_bytes())
    sent = {
        (method, path.partition("?")[0])
        for method, path in re.findall(r'expect \d+ ([A-Z]+) "?(\S+?)"?(?= |$)', LINES, re.MULTILINE)
    }
    sent = {(method, path.replace("$v1", "/api/v1")) for method, path in sent}

    for path, methods in document["paths"].items():
        pattern = re.compile(re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(path)))
        for method in methods.keys() & {"get", "post", "put", "patch", "delete"}:
            assert any(way == method.upper() and pattern.fullmatch(place) for way, place in sent), (method, path)
