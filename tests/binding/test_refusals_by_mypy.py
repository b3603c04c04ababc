"""A handler that is not what the contract needs: the type checker and the start-up both say which and why."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("contract", "generated", "handlers", "migrations", "persistence", "security", "server")
FILES = ("alembic.ini", "openapi.yaml", "pyproject.toml")
CHECK = ("-m", "mypy", "--cache-dir", ".mypy_cache", "-p", "handlers", "-p", "server")
START = "from server.app import create_app; create_app()"


@dataclass(frozen=True, slots=True)
class Broken:
    """A change of a handler, what mypy says of it, and what the start-up says."""

    module: str
    before: str
    after: str
    checked: tuple[str, ...]
    started: str


BROKEN = (
    Broken(
        "meta",
        "async def get_liveness(call: PublicCall, /) -> GetLiveness200:\n"
        "    if isinstance(call.db, Pool) and call.db.has_lost_slots():\n"
        "        raise ServiceUnavailable(detail=LOST, retry_after=RETRY_AFTER)\n"
        "    return GetLiveness200(body=models.Probe(status=HealthStatus.passing))\n",
        "",
        ('"ModuleType" is missing following "MetaOperations" protocol member:', "note:     get_liveness"),
        "handlers.meta.get_liveness is missing: the contract has the operation getLiveness",
    ),
    Broken(
        "tasks",
        "async def create_task(",
        "async def creat_task(",
        ('"ModuleType" is missing following "TasksOperations" protocol member:', "note:     create_task"),
        "handlers.tasks.create_task is missing: the contract has the operation createTask;"
        " did you mean create_task where it says creat_task?",
    ),
    Broken(
        "auth",
        "-> IssueToken200:",
        "-> IssueToken200 | RegisterUser201:",
        (
            "def issue_token(PublicCall, /, *, body: TokenRequest) -> Coroutine[Any, Any, IssueToken200]",
            "-> Coroutine[Any, Any, IssueToken200 | RegisterUser201]",
        ),
        "handlers.auth.issue_token answers RegisterUser201, which the contract does not declare for issueToken",
    ),
    Broken(
        "users",
        "async def get_user(call: Call, /, *, user_id: UUID)",
        "async def get_user(call: Call, /, *, user: UUID)",
        ("def get_user(Call, /, *, user_id: UUID)", "def get_user(Call, /, *, user: UUID)"),
        "handlers.users.get_user takes ['call', 'user'], but the contract gives a call and, by keyword, ['user_id']",
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in a folder of its own."""
    folder = tmp_path_factory.mktemp("program")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


@contextmanager
def write_broken(folder: Path, broken: Broken) -> Iterator[None]:
    handlers = folder / "handlers" / f"{broken.module}.py"
    whole = handlers.read_text(encoding="utf-8")
    assert whole.count(broken.before) == 1
    handlers.write_text(whole.replace(broken.before, broken.after), encoding="utf-8")
    try:
        yield
    finally:
        handlers.write_text(whole, encoding="utf-8")


def test_mypy_refuses_broken_handlers(folder: Path) -> None:
    """One run for all of them: that it finds nothing where nothing is broken is what scripts/check.sh demands."""
    with ExitStack() as stack:
        for broken in BROKEN:
            stack.enter_context(write_broken(folder, broken))

        said = run(folder, *CHECK)

    assert said.count('" to "Handlers"') == len(BROKEN)
    for broken in BROKEN:
        assert f'error: Argument "{broken.module}" to "Handlers" has incompatible type Module' in said
        assert [line for line in broken.checked if line not in said] == []


@pytest.mark.parametrize("broken", BROKEN, ids=[broken.module for broken in BROKEN])
def test_the_start_up_refuses_a_broken_handler(folder: Path, broken: Broken) -> None:
    with write_broken(folder, broken):
        said = run(folder, "-c", START)

    assert said == f"contract.types.ContractError: {broken.started}"


def run(folder: Path, *arguments: str) -> str:
    """What a program of Python's says: all that it prints, or the last line of a traceback."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    return done.stdout + done.stderr.rstrip("\n").rpartition("\n")[2]
