"""Makes or mends the virtual environment from a locked file, and prints the path of its Python.

It runs on whatever Python there is, so it takes nothing but the standard library, and our locks, which do the same.
What is installed is written to a stamp, last of all: an environment without the stamp of what is wanted is not
finished, whatever the reason.
"""

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # it is started by its path, isolated from what the environment says
from persistence.embedded.locks import Unavailable, make_folder, open_lock, take  # noqa: E402

RUNNING = "requirements.txt"
DATA = ROOT / ".data"
STAMP = "installed"
PATIENCE = 900  # seconds that an installation may take elsewhere
VERSION = "{}.{}".format(*sys.version_info)


class SetupError(Exception):
    """Why there is no environment: one line that says what to do."""


def main(requirements: str) -> int:
    try:
        print(environment(requirements))
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; the next start goes on from here", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def environment(requirements: str) -> Path:
    """The Python of an environment in which everything that `requirements` lists is installed. Raises SetupError."""
    own = ROOT / ".venv"
    folder = own if is_ready(own, requirements) or os.access(own if own.exists() else ROOT, os.W_OK) else elsewhere()
    if not is_ready(folder, requirements):
        try:
            data = DATA if folder == own else folder.parent
            make_folder(data)
            with turn(data):
                if not is_ready(folder, requirements):
                    make(folder, requirements)
        except OSError as error:
            raise SetupError(f"cannot write {folder}: {error.strerror}") from None
    return folder / "bin/python"


def elsewhere() -> Path:
    """Where the environment of a clone that is not ours to write goes."""
    data = os.environ.get("DATA_DIR")
    if not data:
        raise SetupError(f"{ROOT} is not writable: set DATA_DIR to a folder that is")
    return ROOT / data / "venv"


def is_ready(folder: Path, requirements: str) -> bool:
    """Whether the environment is whole and has everything that is wanted."""
    return is_whole(folder) and digest(requirements) in read_stamp(folder)


def is_whole(folder: Path) -> bool:
    """Whether an installation was finished here (programs carry the path), for the Python that runs this."""
    return place(folder) in read_stamp(folder) and runs(folder)


def read_stamp(folder: Path) -> list[str]:
    """The lines of the stamp; none when the last installation was not finished."""
    try:
        return (folder / STAMP).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def place(folder: Path) -> str:
    return f"{folder} {VERSION}"


def digest(requirements: str) -> str:
    return hashlib.sha256((ROOT / requirements).read_bytes()).hexdigest()


def runs(folder: Path) -> bool:
    """Whether the folder's Python is there, of our version, and starts."""
    ask = [str(folder / "bin/python"), "-I", "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip() == VERSION
    except OSError:
        return False


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """The environment of the folder to ourselves: two starts at once take turns. Raises SetupError."""
    starter = os.getppid()
    lock = open_lock(folder, "environment.lock")
    try:
        take(lock, seconds=PATIENCE, say=say, gives_up=lambda: os.getppid() != starter)
        yield
    except Unavailable as error:
        raise SetupError(str(error)) from None
    finally:
        os.close(lock)


def make(folder: Path, requirements: str) -> None:
    """Install what is wanted: into the environment there is if it is whole, else into a new one."""
    say(f"Installing {requirements} into {folder} (once; a minute or so)")
    whole = is_whole(folder)
    (folder / STAMP).unlink(missing_ok=True)
    if not whole:
        create(folder)
    install(folder, requirements)
    lines = [place(folder), *map(digest, {RUNNING, requirements})]  # what is enough to test is enough to run
    (folder / STAMP).write_text("\n".join(lines), encoding="utf-8")


def create(folder: Path) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            f"this Python has no ensurepip: install it, on Debian by `apt-get install python{VERSION}-venv`"
        )
    made = subprocess.run(
        [sys.executable, "-I", "-m", "venv", "--clear", folder], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise SetupError(f"cannot make {folder}: {last_line(made.stderr + made.stdout)}")


def install(folder: Path, requirements: str) -> None:
    """Run pip, and show how far it is."""
    source = ROOT / requirements
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar=off", "--require-hashes"]
    command = [str(folder / "bin/python"), "-I", "-m", "pip", "install", *options, "-r", str(source)]
    total = sum(line[:1].isalnum() for line in source.read_text(encoding="utf-8").splitlines())
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True, errors="replace") as pip:
            try:
                show(pip.stdout or (), total)
            except BaseException:
                pip.kill()
                raise
        complaints.seek(0)
        said = complaints.read()
    if pip.returncode != 0:
        advice = "is there a network? " if "connection broken" in said else ""
        raise SetupError(f"cannot install {requirements}: {advice}pip says: {last_line(said)}")


def show(lines: Iterable[str], total: int) -> None:
    """What pip does, in one line that is written over on a terminal, else in a line for every tenth package."""
    terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    done = 0
    for line in lines:
        if line.startswith("Installing collected"):
            text = "unpacking"
        elif line.startswith(("Collecting ", "Processing ", "Requirement already", "Ignoring ")):
            done = min(done + 1, total)
            text = f"{done} of {total} packages"
        else:
            continue
        if terminal:
            print(f"\r\033[K  {text}", end="", file=sys.stderr, flush=True)
        elif text == "unpacking" or done % 10 == 1:
            say(f"  {text}")
    if terminal:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def last_line(text: str) -> str:
    return ([line for line in text.splitlines() if line.strip()] or ["nothing"])[-1]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
