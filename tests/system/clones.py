"""Copies of the project as people clone it, and its scripts as processes in them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import pytest

from server.settings.settings import Settings
from tests.system.services import INSTALLATION, program

ROOT = Path(__file__).parents[2]
Environment: TypeAlias = dict[str, str | None]
UNPRIVILEGED = 65534
SETTINGS = {name.upper() for name in Settings.model_fields} | {"PYTHON"}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a script ended: its exit status, and the lines it printed."""

    status: int
    output: list[str]
    errors: list[str]


@dataclass(frozen=True, slots=True)
class Clone:
    """A copy of what git tracks, and who works in it, from where, with which variables beside his own."""

    folder: Path
    user: int | None = None
    cwd: Path = Path("/")
    environment: Environment = field(default_factory=dict)

    def start(self, script: str | Path, /, *arguments: str, **changes: str | None) -> subprocess.Popen[str]:
        """The script as a process of a group of its own, without a terminal; None takes a variable away."""
        own = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        return subprocess.Popen(
            [self.folder / "scripts" / script, *arguments],
            cwd=self.cwd,
            env={name: value for name, value in (own | self.environment | changes).items() if value is not None},
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str | Path, /, *arguments: str, **changes: str | None) -> Ended:
        return wait_for_end(self.start(script, *arguments, **changes))

    @contextmanager
    def serving(self, script: str | Path = "run.sh", /, **changes: str | None) -> Iterator[str]:
        """The URL at which the script says that it answers. Ctrl-C stops it, and then it has to end cleanly."""
        with self.start(script, **({"PORT": "0"} | changes)) as process, alarm(process):
            lines: list[str] = []
            while not (found := re.search(r"answers at (http://[^;\s]+)", "".join(lines))):
                line = process.stderr.readline() if process.stderr else ""
                lines.append(line or pytest.fail(f"No server (exit status {process.wait()}):\n{''.join(lines)}"))
            try:
                yield found[1]
            finally:
                os.killpg(process.pid, signal.SIGINT)
                left = process.communicate()
        assert process.returncode == 0, left


def wait_for_end(process: subprocess.Popen[str]) -> Ended:
    with alarm(process):
        output, errors = process.communicate()
    return Ended(process.returncode, output.splitlines(), errors.splitlines())


@contextmanager
def alarm(process: subprocess.Popen[str]) -> Iterator[None]:
    """Ends the process and all it started if it takes too long, so that a reader of what it prints reads the end."""
    timer = threading.Timer(INSTALLATION, lambda: os.killpg(process.pid, signal.SIGKILL))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def clone(folder: Path) -> Clone:
    """What git tracks, copied into a folder that every account may read."""
    tracked = subprocess.run([program("git"), "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return Clone(folder)


@contextmanager
def as_stranger(clone: Clone, *folders: Path) -> Iterator[Clone]:
    """The clone for somebody who may read it and write only these folders.

    That is another account when we are root, which permissions do not stop, with the Python that everybody has.
    """
    if os.geteuid() == 0:
        for folder in folders:
            os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
        yield replace(clone, user=UNPRIVILEGED, environment={"PATH": os.defpath, "HOME": None})
        return
    clone.folder.chmod(0o555)
    yield clone
    clone.folder.chmod(0o755)


def lock(*packages: str) -> str:
    """A locked file of these packages only, which takes seconds to install."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    return "".join(block[0] for name in packages for block in re.finditer(rf"(?m)^{name}==(?:.*\\\n)*.*\n", text))


def python(version: str) -> str:
    """The path of a Python, e.g. of 3.12: on the PATH, or where pyenv keeps them. The test fails when there is none."""
    kept = (Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python{version}")
    for candidate in filter(None, [shutil.which(f"python{version}"), *map(str, kept)]):
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    pytest.fail(f"Python {version} is missing. Install it, e.g. by pyenv: pyenv install {version}")


def python_for_all() -> str:
    """The path of a Python that other accounts can run too, when tests are run by root; else of ours."""
    return (shutil.which("python3", path=os.defpath) if os.geteuid() == 0 else None) or sys.executable


def python_without(module: str, prefix: Path) -> Path:
    """A copy of our Python whose library is linked from ours, without the module."""
    program, library = prefix / "bin/python3", prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    program.parent.mkdir(parents=True)
    library.mkdir(parents=True)
    shutil.copy(Path(sys.executable).resolve(), program)
    for entry in Path(sysconfig.get_path("stdlib")).iterdir():
        if entry.name not in {module, "site-packages"}:
            (library / entry.name).symlink_to(entry)
    return program
