"""What a reader of contract/README.md does in an empty folder with nothing of Docket near: a server from a document."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port
from tests.system.clones import python
from tests.system.services import INSTALLATION, process

ROOT = Path(__file__).parents[2]
PUBLIC = ROOT.parent / "shared" / "cases" / "documents" / "museum.yaml"
FIVE_MINUTES = 300  # seconds
SMALL = """
openapi: 3.1.0
info: {title: Ferries, version: 1.0.0}
servers: [{url: https://ferries.example/v1}]
tags: [{name: ferries, description: What crosses.}]
paths:
  /ferries/{name}:
    get:
      operationId: getFerry
      tags: [ferries]
      summary: Get a ferry
      parameters: [{name: name, in: path, required: true, schema: {type: string, maxLength: 20}}]
      responses:
        '200':
          description: The ferry.
          content: {application/json: {schema: {$ref: '#/components/schemas/Ferry'}}}
    put:
      operationId: replaceFerry
      tags: [ferries]
      summary: Replace a ferry
      security: [{crew: []}]
      parameters: [{name: name, in: path, required: true, schema: {type: string}}]
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Ferry'}}}}
      responses: {'204': {description: It is replaced.}}
components:
  schemas: {Ferry: {type: object, required: [seats], properties: {seats: {type: integer, minimum: 1}}}}
  securitySchemes: {crew: {type: http, scheme: bearer}}
"""


class Reader:
    """An empty folder, what is installed, and what is typed there."""

    def __init__(self, folder: Path, installed: Path) -> None:
        self.folder, self.programs = folder, installed / ".venv" / "bin"

    def run(self, *command: str, code: int = 0, cwd: str = ".") -> str:
        """What a command prints; the test fails where it ends otherwise."""
        environment = {"PATH": f"{self.programs}:{os.environ['PATH']}", "HOME": str(self.folder)}
        kept = {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HTTPS_", "https_"))
        }
        done = subprocess.run(
            command,
            cwd=self.folder / cwd,
            env=kept | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALLATION,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def install(self, interpreter: str) -> None:
        self.run(interpreter, "-m", "venv", str(self.programs.parent))
        self.run("pip", "install", "--quiet", "--disable-pip-version-check", str(ROOT / "contract"), "mypy", "uvicorn")

    @contextmanager
    def serving(self, cwd: str) -> Iterator[str]:
        """The URL of the server of a folder."""
        port = free_port()
        command = [str(self.programs / "uvicorn"), "server:app", "--port", str(port)]
        with process(command, self.folder / cwd / "log", listens=("127.0.0.1", port)):
            yield f"http://127.0.0.1:{port}"


@pytest.fixture
def empty() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="reader-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["3.11", "3.12", "3.13"])
def installed(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder with the package under each Python."""
    folder = Path(tempfile.mkdtemp(prefix="installed-"))
    Reader(folder, folder).install(python(request.param))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def reader(empty: Path, installed: Path) -> Reader:
    return Reader(empty, installed)


def list_named(told: str) -> list[str]:
    """The functions that mypy names."""
    return sorted(re.findall(r'In function "(\w+)"', told))


def test_a_document_of_ones_own_becomes_a_server(reader: Reader) -> None:
    (reader.folder / "ferries.yaml").write_text(SMALL, encoding="utf-8")

    told = reader.run("contract", "new", "ferries", "--from", "ferries.yaml")
    missing = list_named(reader.run("mypy", cwd="ferries", code=1))
    with reader.serving("ferries") as url:
        answers = [
            httpx.get(f"{url}/v1/ferries/ada"),
            httpx.get(f"{url}/v1/ferries/{'a' * 21}"),
            httpx.put(f"{url}/v1/ferries/ada", json={"seats": 1}),
            httpx.put(f"{url}/v1/ferries/ada", json={"seats": 1}, headers={"Authorization": "Bearer abc"}),
        ]

    assert "ferries has a server of ferries.yaml: 2 operations" in told
    assert missing == ["crew", "get_ferry", "replace_ferry"]
    assert [answer.status_code for answer in answers] == [501, 404, 401, 501]


def test_what_is_written_is_served_and_what_is_generated_again_leaves_it(reader: Reader) -> None:
    (reader.folder / "ferries.yaml").write_text(SMALL, encoding="utf-8")
    reader.run("contract", "new", "ferries", "--from", "ferries.yaml")
    handlers = reader.folder / "ferries" / "handlers" / "ferries.py"
    text = handlers.read_text(encoding="utf-8").replace(
        'return not_written("getFerry")', "return GetFerry200(body=models.Ferry(seats=len(name)))"
    )
    handlers.write_text(text, encoding="utf-8")

    reader.run("contract", "generate", "openapi.yaml", "--out", "generated/", cwd="ferries")
    missing = list_named(reader.run("mypy", cwd="ferries", code=1))
    with reader.serving("ferries") as url:
        answer = httpx.get(f"{url}/v1/ferries/ada")

    assert missing == ["crew", "replace_ferry"]
    assert (answer.status_code, answer.json()) == (200, {"seats": 3})


def test_a_document_that_is_refused_leaves_nothing_and_is_told_line_by_line(reader: Reader) -> None:
    broken = SMALL.replace("operationId: getFerry", "operationIdd: getFerry").replace("type: object,", "type: objekt,")
    (reader.folder / "ferries.yaml").write_text(broken, encoding="utf-8")

    told = reader.run("contract", "new", "ferries", "--from", "ferries.yaml", code=1)

    assert [line.split(": ")[0] for line in told.splitlines()] == ["ferries.yaml:9", "ferries.yaml:26"]
    assert not (reader.folder / "ferries").exists()


def test_a_public_document_becomes_a_server_in_five_minutes(empty: Path) -> None:
    began = time.monotonic()
    reader = Reader(empty, empty)
    source = PUBLIC if PUBLIC.exists() else ROOT / "examples" / "museum" / "openapi.yaml"
    shutil.copy(source, reader.folder / "museum.yaml")
    reader.install(sys.executable)

    told = reader.run("contract", "new", "museum", "--from", "museum.yaml")
    missing = list_named(reader.run("mypy", cwd="museum", code=1))
    found = re.search(r"curl http://127\.0\.0\.1:8000(/\S+)", told)
    assert found is not None
    with reader.serving("museum") as url:
        answers = [httpx.get(f"{url}{found[1]}", auth=auth) for auth in (None, ("ada", "secret"))]

    document = json.loads((reader.folder / "museum" / "generated" / "openapi.json").read_bytes())
    assert f": {len(missing) - len(document['components']['securitySchemes'])} operations, " in told
    assert answers[0].status_code in (400, 501)  # which the document declares for want of credentials
    assert answers[1].status_code == httpx.codes.NOT_IMPLEMENTED
    assert time.monotonic() - began < FIVE_MINUTES
