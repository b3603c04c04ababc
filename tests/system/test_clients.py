"""The snippets of docs/clients.md, run: with Better Auth itself, in a browser, in Python and in a shell."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser

from tests.ports import free_port
from tests.system.conftest import ROOT, serving
from tests.system.services import install_packages

HERE = Path(__file__).parent / "better_auth"
DOCUMENT = ROOT / "docs" / "clients.md"
SNIPPET = re.compile(r"^```(?:js|python|sh)\n(?://|#) ([\w.]+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SNIPPETS = dict(SNIPPET.findall(DOCUMENT.read_text(encoding="utf-8")))
SECRET = "a secret that Better Auth shares with Docket"
RECENT = 600  # seconds
PERSON = {"email": "grace@example.com", "password": "nine lives of a lighthouse", "name": "Grace Hopper"}


@pytest.fixture(scope="module")
def better_auth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the locked Better Auth, the snippets, and a program that serves them."""
    folder = tmp_path_factory.mktemp("better-auth")
    for path in HERE.iterdir():
        shutil.copyfile(path, folder / path.name)
    for name in ("auth.mjs", "route.mjs", "docket.mjs"):
        (folder / name).write_text(SNIPPETS[name], encoding="utf-8")
    install_packages(folder)
    return folder


@pytest.fixture(scope="module")
def front_end(better_auth: Path) -> Iterator[tuple[str, str]]:
    """The addresses of a front end with Better Auth, and of a Docket that takes both kinds of its tokens."""
    there, port = f"http://127.0.0.1:{free_port()}", free_port()
    settings = {
        "AUTH_MODE": "hybrid",
        "BETTER_AUTH_SECRET": SECRET,
        "EXTERNAL_JWT_JWKS_URL": f"{there}/api/auth/jwks",
        "EXTERNAL_JWT_ISSUER": there,
        "EXTERNAL_JWT_AUDIENCE": f"http://127.0.0.1:{port}",
        "PORT": str(port),
    }
    with serving(settings) as docket:
        environment = {"PATH": os.environ["PATH"], "BETTER_AUTH_URL": there, "BETTER_AUTH_SECRET": SECRET}
        command, environment = ["node", "issuer.mjs"], environment | {"DOCKET": docket, "BETTER_AUTH_TELEMETRY": "0"}
        with subprocess.Popen(command, cwd=better_auth, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline().startswith("listening")
                yield there, docket
            finally:
                process.terminate()


def part(token: str, which: int) -> dict[str, Any]:
    text = token.split(".")[which]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


@pytest.mark.parametrize(("kind", "algorithm"), [("plugin", "EdDSA"), ("cache", "HS256")])
def test_who_registers_at_better_auth_calls_docket(front_end: tuple[str, str], kind: str, algorithm: str) -> None:
    there, docket = front_end
    person = PERSON | {"email": f"{kind}@example.com"}
    with httpx.Client(base_url=there, headers={"Origin": there}, timeout=60) as browser:
        browser.post("/api/auth/sign-up/email", json=person).raise_for_status()
        browser.get("/verify").raise_for_status()
        browser.post("/api/auth/sign-in/email", json=person).raise_for_status()
        done = browser.get("/docket", params={"kind": kind}).raise_for_status().json()
        again = browser.get("/docket", params={"kind": kind}).raise_for_status().json()

    print(json.dumps({"header": part(done["token"], 0), "claims": part(done["token"], 1), **done}, indent=2))  # noqa: T201 - to be seen with -s
    assert part(done["token"], 0)["alg"] == algorithm
    assert (done["me"]["email"], done["me"]["is_superuser"]) == (person["email"], False)
    assert done["task"]["organization_id"] == done["me"]["id"] == again["me"]["id"]
    assert done["task"]["priority"] == "high"
    rename(docket, done["token"], kind)
    forged = done["token"][:-8] + "AAAAAAAA"
    with httpx.Client(base_url=f"{docket}/api/v1", headers={"Authorization": f"Bearer {forged}"}) as attacker:
        assert attacker.get("/auth/me").json()["code"] == "invalid_token"


def rename(docket: str, token: str, name: str) -> None:
    """Another username wants a recent sign-in, which `auth_time` proves: that of the plugin, as the page has it."""
    signed_in = part(token, 1).get("auth_time")
    with httpx.Client(base_url=f"{docket}/api/v1", headers={"Authorization": f"Bearer {token}"}) as bearer:
        patch = {"Content-Type": "application/merge-patch+json"}
        answer = bearer.patch("/users/me", json={"username": name}, headers=patch)
    if name == "plugin":
        assert 0 <= part(token, 1)["iat"] - signed_in <= RECENT
        assert (answer.status_code, answer.json()["username"]) == (200, name)
    else:
        assert signed_in is None
        assert (answer.status_code, answer.json()["code"]) == (401, "reauthentication_required")


def register_person(server_url: str, name: str) -> dict[str, str]:
    """The environment of a snippet: the server, and somebody who has an account there."""
    person = {"email": f"{name}@example.com", "password": PERSON["password"]}
    httpx.post(f"{server_url}/api/v1/auth/register", json=person, timeout=60).raise_for_status()
    return {"PATH": os.environ["PATH"], "DOCKET": server_url, "EMAIL": person["email"], "PASSWORD": person["password"]}


def run(program: list[str], script: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        program, input=script, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_snippet_in_python(server_url: str) -> None:
    steps = """
    call("POST", "/tasks", json={"title": "Write it down"})
    docket.auth.tokens["access_token"] = "no more"
    print(sorted(task["title"] for task in items("/tasks", limit=1)))
    call("POST", "/tasks", json={"title": "", "due_date": "tomorrow"})
    """
    program = SNIPPETS["python"] + textwrap.dedent(steps)
    environment = register_person(server_url, "python")

    done = subprocess.run(
        [sys.executable, "-"], input=program, env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout == "[('Find the moth', 'high')]\n['Find the moth', 'Write it down']\n"
    refused, *wrong = done.stderr.splitlines()
    assert refused.startswith("validation_error: The request breaks the contract in ")
    assert "/due_date: Must begin with a day and a time, like 2026-01-31T09:30:00" in wrong


def test_the_copy_that_follows(server_url: str) -> None:
    steps = """
    copy = Copy()
    copy.begin()
    gone = call("POST", "/tasks", json={"title": "Gone"}).json()["id"]
    team = call("POST", "/organizations", json={"name": "Team", "slug": "a-team-of-one"}).json()["id"]
    moved = call("POST", "/tasks", json={"title": "Moved"}).json()["id"]
    call("PATCH", f"/tasks/{moved}", json={"organization_id": team})
    call("DELETE", f"/tasks/{gone}")
    other = call("POST", "/organizations", json={"name": "Team", "slug": "another-team"}).json()["id"]
    lost = call("POST", "/tasks", json={"title": "Lost", "organization_id": other}).json()["id"]
    call("DELETE", f"/organizations/{other}")
    last = call("POST", "/tasks", json={"title": "The last one"}).json()["id"]
    while last not in copy.tasks:
        copy.follow()
    state = {task["id"]: task["version"] for task in items("/tasks", scope="all")}
    assert {task["id"]: task["version"] for task in copy.tasks.values()} == state, copy.tasks
    assert len(state) == 3 and moved in state
    print("the same")
    """
    program = SNIPPETS["python"] + SNIPPETS["follow"] + textwrap.dedent(steps)

    said = run([sys.executable, "-"], program, register_person(server_url, "follower"))

    assert len(SNIPPETS["follow"].splitlines()) <= 60
    assert said.endswith("the same\n")


def test_the_copy_that_a_stream_keeps(server_url: str) -> None:
    steps = """
    copy = Copy()
    copy.begin()
    for number in range(3):
        gone = call("POST", "/tasks", json={"title": "Gone"}).json()["id"]
        last = call("POST", "/tasks", json={"title": f"Task {number}"}).json()["id"]
        call("DELETE", f"/tasks/{gone}")
        call("PATCH", f"/tasks/{last}", json={"status": "completed"})
        for _ in stream(copy):
            if copy.tasks.get(last, {}).get("completed"):
                break
    state = {task["id"]: task["version"] for task in items("/tasks", scope="all")}
    assert {task["id"]: task["version"] for task in copy.tasks.values()} == state, copy.tasks
    print(len(state), "the same")
    """
    program = SNIPPETS["python"] + SNIPPETS["follow"] + SNIPPETS["stream"] + textwrap.dedent(steps)

    said = run([sys.executable, "-"], program, register_person(server_url, "streaming"))

    assert said.endswith("4 the same\n")


def test_the_snippet_for_a_shell(server_url: str) -> None:
    said = run(["/bin/sh", "-eu"], SNIPPETS["shell"], register_person(server_url, "shell"))

    assert json.loads(said)["title"] == "Find the moth"


async def test_the_snippet_of_a_page(server_url: str, chromium: Browser) -> None:
    person = register_person(server_url, "page")
    context = await chromium.new_context()
    page = await context.new_page()
    await page.goto(f"{server_url}/docs")
    steps = """
      if (!await signIn(email, password)) throw new Error("not signed in");
      token = null; // as after a reload
      const task = await docket("POST", "/tasks", {title: "Find the moth"});
      const problem = await docket("GET", "/tasks/none").catch((problem) => problem.code);
      const changed = await docket("PATCH", `/tasks/${task.id}`, {priority: "high"});
      return [task.title, problem, changed.priority, await docket("DELETE", `/tasks/${task.id}`)];
    """
    code = SNIPPETS["page.mjs"].replace("export ", "")

    said = await page.evaluate(f"async ([email, password]) => {{{code}{steps}}}", [person["EMAIL"], person["PASSWORD"]])

    assert said == ["Find the moth", "not_found", "high", None]
    await context.close()
