"""`python -m server`: what it says of itself, and one line for each thing that goes wrong."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server.__main__ import COMMANDS, main
from tests.conftest import ROOT

CANARY = "do-not-tell"


def type_command(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What happens to an operator who types it in a folder of his own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATA_DIR": str(folder / "data")}
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert said.startswith("usage: python -m server [-h] COMMAND ...")
    assert [name for name in COMMANDS if f"\n    {name}" not in said] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m server {command} ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["sevre"], "invalid choice: 'sevre'"),
        (["serve", "now"], "unrecognized arguments: now"),
        (["migrate"], "the following arguments are required: ACTION"),
        (["migrate", "downgrade"], "invalid choice: 'downgrade'"),
    ],
)
def test_what_cannot_be_understood_ends_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variables", "lines"),
    [
        ({"PORT": "high"}, ["docket: PORT: Input should be a valid integer"]),
        (
            {"WORKERS": "0", "SECRET_KEY": CANARY},
            ["docket: WORKERS: Input should be greater than or equal to 1", "docket: SECRET_KEY: is shorter than"],
        ),
        ({"ENVIRONMENT": "production"}, ["docket: SECRET_KEY is not set: production needs one"]),
        (
            {"DATABASE_URL": f"postgresql://ada:{CANARY}@127.0.0.1:1/docket", "PORT": "0"},
            ["docket: No PostgreSQL answers at 127.0.0.1:1 (Connection refused): start it, or correct DATABASE_URL"],
        ),
        ({"HOST": "192.0.2.1"}, ["docket: Cannot listen on 192.0.2.1:8000: Cannot assign requested address"]),
    ],
)
def test_what_cannot_be_done_is_one_line_each(tmp_path: Path, variables: dict[str, str], lines: list[str]) -> None:
    done = type_command(tmp_path, "serve", **variables)

    assert (done.returncode, done.stdout) == (1, "")
    said = done.stderr.splitlines()
    assert [line.startswith(start) for line, start in zip(said, lines, strict=True)] == [True] * len(lines)
    assert CANARY not in done.stderr


def test_who_reads_no_further_leaves_no_traceback(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "server", "settings"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)

    assert (done.returncode, done.stderr) == (141, b"")


async def test_who_interrupts_a_command_reads_no_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # a database that takes connections and says nothing
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server", "migrate", "current",
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": f"postgresql://ada@127.0.0.1:{listener.getsockname()[1]}/docket"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        connection, _ = await asyncio.to_thread(listener.accept)
        with connection:
            process.send_signal(signal.SIGINT)
            output, said = await process.communicate()

    assert (process.returncode, output) == (130, b"")
    assert b"Traceback" not in said
