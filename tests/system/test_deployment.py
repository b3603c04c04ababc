"""The files of deploy/, the workflow and the package, judged by the programs that read them."""

import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from generated.operations import VERSION
from server.__main__ import COMMANDS
from server.commands.serve import KEEP_ALIVE
from server.settings.sources import SECRETS
from tests.system.clones import clone
from tests.system.conftest import ROOT
from tests.system.services import INSTALLATION, program

UNITS = ("docket.service", "docket-daily.service", "docket-daily.timer", "docket-failed@.service")


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    yield folder
    shutil.rmtree(folder)


def run_judge(*command: str | Path) -> None:
    """Fails with what the program says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALLATION)
    assert done.returncode == 0, done.stdout + done.stderr


def test_systemd_takes_the_units(folder: Path) -> None:
    for name in UNITS:
        text = (ROOT / "deploy" / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace("/opt/docket/.venv/bin/python", sys.executable), encoding="utf-8")

    run_judge(program("systemd-analyze"), "verify", *(folder / name for name in UNITS))


@pytest.mark.parametrize("name", ["docket.service", "docket-daily.service"])
def test_a_unit_hands_over_the_secrets_that_it_names_as_files(name: str) -> None:
    text = (ROOT / "deploy" / name).read_text(encoding="utf-8")
    named = dict(re.findall(r"(\w+)_FILE=%d/(\w+)", text))

    assert {secret.lower() for secret in named} == set(named.values()) <= set(SECRETS)
    assert set(re.findall(r"^LoadCredential=(\w+):/etc/docket/\1$", text, re.MULTILINE)) == set(named.values())


def test_neither_of_the_daily_jobs_stops_the_other_and_each_failure_is_told(folder: Path) -> None:
    text = (ROOT / "deploy/docket-daily.service").read_text(encoding="utf-8")
    assert "OnFailure=docket-failed@%n.service" in text
    [line] = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {folder}/said\ncase "$*" in *$FAILS*) exit 1; esac\n', encoding="utf-8")
    python.chmod(0o755)
    command = shlex.split(line.replace("/opt/docket/.venv/bin/python", str(python)))

    ended = [
        subprocess.run(command, env={"STATE_DIRECTORY": "/var/kept", "FAILS": fails}, check=False).returncode
        for fails in ("backup", "prune", "neither")
    ]

    said = (folder / "said").read_text(encoding="utf-8").splitlines()
    assert said == ["-m server database backup --keep 14 /var/kept", "-m server prune"] * 3
    assert ended == [1, 1, 0]


def test_caddy_takes_its_file() -> None:
    run_judge(program("caddy"), "validate", "--adapter", "caddyfile", "--config", ROOT / "deploy/Caddyfile")


@pytest.mark.parametrize(
    ("name", "pattern"), [("nginx.conf", r"upstream .*?keepalive_timeout (\d+)s"), ("Caddyfile", r"keepalive (\d+)s")]
)
def test_a_proxy_hangs_up_before_the_server_does(name: str, pattern: str) -> None:
    text = (ROOT / "deploy" / name).read_text(encoding="utf-8")
    [seconds] = re.findall(pattern, text, re.DOTALL)

    assert int(seconds) < KEEP_ALIVE


def test_the_workflow_is_one_and_runs_what_we_run() -> None:
    workflow = ROOT / ".github/workflows/ci.yaml"

    run_judge(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", workflow)
    named = re.findall(r"^ +- run: (\.ci/\w+)$", workflow.read_text(encoding="utf-8"), re.MULTILINE)
    assert named == [".ci/run"]


def test_an_editable_install_gives_the_command(folder: Path) -> None:
    checkout = clone(folder / "docket").folder
    run_judge(sys.executable, "-m", "venv", checkout / ".venv")
    python = checkout / ".venv/bin/python"
    run_judge(python, "-m", "pip", "install", "--quiet", "--no-deps", "--editable", checkout)
    [packages] = (checkout / ".venv/lib").glob("python*/site-packages")
    (packages / "ours.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")  # what requirements.txt has

    told = subprocess.run(
        [checkout / ".venv/bin/docket", "--help"], cwd="/", capture_output=True, text=True, check=True
    ).stdout

    assert all(command in told for command in COMMANDS)
    run_judge(python, "-I", "-c", f"import importlib.metadata as m; assert m.version('docket') == '{VERSION}'")
