"""Servers of Debian's packages as processes of a test's own: started where it says, gone when it ends."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PATIENCE = 60  # seconds for a start, and for an end
INSTALLATION = 600  # seconds, of a slow registry upon a busy machine
PLACES = os.pathsep.join((os.environ["PATH"], "/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))))


def program(name: str) -> str:
    """The path of a program. The test fails when it is missing."""
    return shutil.which(name, path=PLACES) or pytest.fail(f"{name} is missing: scripts/system.sh installs it")


def install_packages(folder: Path) -> None:
    """What the folder's package-lock.json names. The test fails with what npm says."""
    command = [program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=INSTALLATION)
    if done.returncode:
        pytest.fail(f"npm ci failed:\n{done.stdout}{done.stderr}")


@contextmanager
def process(
    command: Sequence[str],
    log: Path,
    *,
    listens: tuple[str, int] | None = None,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, as soon as it listens where no process did; told to stop at the end. As `user` when we are root."""
    if listens is not None and is_heard(listens):
        pytest.fail(f"Somebody listens at {listens} already: {command[0]} cannot")
    with log.open("wb") as output:
        started = subprocess.Popen(
            mortal(command, stop),
            cwd=log.parent,
            env={"PATH": os.environ["PATH"], **(environment or {})},
            user=user if os.geteuid() == 0 else None,
            group=user if os.geteuid() == 0 else None,
            extra_groups=[] if user and os.geteuid() == 0 else None,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        if listens is not None:
            wait_until_it_listens(started, listens, log)
        yield started
    finally:
        started.send_signal(stop)
        try:
            started.wait(PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)


def mortal(command: Sequence[str], stop: signal.Signals = signal.SIGTERM) -> list[str]:
    """The command as one that is told to stop when we die, too, however we die: nothing of a killed test is left."""
    return ["setpriv", "--pdeathsig", stop.name, *command]


def wait_until_it_listens(started: subprocess.Popen[bytes], address: tuple[str, int], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while started.poll() is None and time.monotonic() < deadline:
        if is_heard(address):
            return
        time.sleep(0.05)
    pytest.fail(f"{started.args!r} does not listen at {address}:\n{log.read_text(errors='replace')}")


def is_heard(address: tuple[str, int]) -> bool:
    """Whether somebody listens there."""
    with suppress(OSError), socket.create_connection(address, timeout=1):
        return True
    return False


@contextmanager
def folder_for(user: str) -> Iterator[Path]:
    """A folder that the account may write, and all may read."""
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)
    if os.geteuid() == 0:
        shutil.chown(folder, user, user)
    yield folder
    shutil.rmtree(folder)
