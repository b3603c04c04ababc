"""The command line of examples/, made as its README says: it lives on an access token, until that is revoked."""

import os
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.clients.packages import PATIENCE, ROOT, install_requirements, run

LONGEST = 160  # lines
KEYRING = '''
from pathlib import Path

from keyring.backend import KeyringBackend

KEPT = Path(__file__).with_name("kept")


class Keyring(KeyringBackend):
    """A keyring for machines that have none."""

    priority = 1

    def get_password(self, service, username):
        return KEPT.read_text() if KEPT.exists() else None

    def set_password(self, service, username, password):
        KEPT.write_text(password)

    def delete_password(self, service, username):
        KEPT.unlink()
'''


class CommandLine:
    """The program in a folder of its own, and the account whose tasks it works with."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url, self.programs = folder, url, install_requirements(folder)
        generate = ("generate", "--path", "openapi.yaml", "--config", "generator.yaml", "--meta", "none")
        run(folder, self.programs / "openapi-python-client", *generate, "--output-path", "docket_client")
        (folder / "file_keyring.py").write_text(KEYRING, encoding="utf-8")
        account = {"email": f"{uuid4()}@example.com", "password": "nine lives of a lighthouse"}
        self.http = httpx.Client(base_url=f"{url}/api/v1", timeout=60)
        self.http.post("/auth/register", json=account).raise_for_status()
        session = self.http.post("/auth/login", json=account).raise_for_status().json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {session}"

    def make_token(self, *scopes: str) -> dict[str, Any]:
        answer = self.http.post("/access-tokens", json={"name": "Command line", "scopes": scopes})
        made: dict[str, Any] = answer.raise_for_status().json()
        return made

    def says(self, *arguments: str, told: str = "", status: int = 0, **variables: str) -> str:
        """What the program says. Fails when it ends otherwise."""
        keyring = {"PYTHON_KEYRING_BACKEND": "file_keyring.Keyring", "DOCKET": self.url}
        done = subprocess.run(
            [self.programs / "python", "docket.py", *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **keyring, **variables},
            input=told,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, server_url: str) -> CommandLine:
    folder = tmp_path_factory.mktemp("cli")
    for path in [*(ROOT / "examples" / "cli").iterdir(), ROOT / "openapi.yaml"]:
        (folder / path.name).write_bytes(path.read_bytes())
    return CommandLine(folder, server_url)


def test_it_is_short_and_typed_as_strictly_as_can_be(program: CommandLine) -> None:
    assert len((program.folder / "docket.py").read_text(encoding="utf-8").splitlines()) <= LONGEST
    run(program.folder, program.programs / "mypy", "--strict", "--warn-unreachable", "docket.py")


def test_a_token_is_made_used_and_revoked(program: CommandLine) -> None:
    made = program.make_token("profile:read", "tasks:read", "tasks:write")
    assert "There is no access token" in program.says("list", status=1)

    assert "Signed in" in program.says("sign-in", told=f"{made['token']}\n")
    added = program.says("add", "Water", "the", "plants", "--priority", "high")
    short = added.split()[0]
    assert program.says("list") == added == f"{short} [ ] ! Water the plants\n"
    assert program.says("done", short) == f"{short} [x] ! Water the plants\n"
    assert program.says("list") == ""
    assert program.says("list", "--all") == f"{short} [x] ! Water the plants\n"
    assert "No tasks end in 00000000" in program.says("done", "00000000", status=1)

    program.http.delete(f"/access-tokens/{made['id']}").raise_for_status()

    assert "The access token is over" in program.says("list", status=1)
    program.says("sign-out")
    assert "There is no access token" in program.says("list", status=1)


def test_the_environment_may_have_the_token_and_its_scopes_bound_it(program: CommandLine) -> None:
    reader = program.make_token("tasks:read")["token"]
    for number in range(101):
        program.http.post("/tasks", json={"title": f"Task {number}"}).raise_for_status()

    assert len(program.says("list", DOCKET_TOKEN=reader).splitlines()) == 101
    assert "tasks:write" in program.says("add", "Nothing", status=1, DOCKET_TOKEN=reader)
    assert "is over, or is none" in program.says("list", status=1, DOCKET_TOKEN=reader[:-1] + "_")
    assert "does not answer" in program.says("list", status=1, DOCKET_TOKEN=reader, DOCKET="http://127.0.0.1:9")
