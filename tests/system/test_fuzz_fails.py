"""That the fuzzing finds what it is for, in copies of the server that each break a promise."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_fuzzing_finds_an_undeclared_status(tmp_path: Path) -> None:
    right = "status, own, body = answer\n"
    copy = break_copy(
        tmp_path, "server/middleware/edge.py", right, f"{right}        status = 202 if status == 200 else status\n"
    )

    run = run_fuzz(copy, "getCurrentUser")

    assert run.returncode == 1, run.stdout + run.stderr
    assert "Undocumented status code" in run.stdout


def test_schemathesis_alone_finds_it_too_and_is_content_with_the_server_as_it_is(tmp_path: Path) -> None:
    right = "status, own, body = answer\n"
    copy = break_copy(
        tmp_path, "server/middleware/edge.py", right, f"{right}        status = 202 if status == 200 else status\n"
    )

    run = run_fuzz(copy, "getCurrentUser", "--plain", "--max-time=5")
    good = run_fuzz(ROOT, "getCurrentUser", "--plain", "--max-time=5")

    assert run.returncode == 1, run.stdout + run.stderr
    assert "fuzz: status_code_conformance failed" in run.stdout
    assert good.returncode == 0, good.stdout + good.stderr


def test_the_fuzzing_finds_that_tasks_of_others_can_be_read(tmp_path: Path) -> None:
    right = "rows.where(role_in(within, by, caller).is_not(None)).lateral"
    copy = break_copy(tmp_path, "persistence/authorization.py", right, "rows.lateral")

    run = run_fuzz(copy, "getTask")

    assert run.returncode == 1, run.stdout + run.stderr
    assert "The answer names somebody else's user_id, actor_id, target_id, task_id" in run.stdout, run.stdout


def test_the_fuzzing_finds_that_everybody_is_a_superuser(tmp_path: Path) -> None:
    right = "select(User.id, User.is_superuser)"
    copy = break_copy(tmp_path, "persistence/authorization.py", right, 'select(User.id, true().label("is_superuser"))')

    run = run_fuzz(copy, "listAuditLogs")

    assert run.returncode == 1, run.stdout + run.stderr
    assert "Who is no superuser did what only superusers may" in run.stdout


def break_copy(folder: Path, module: str, right: str, wrong: str) -> Path:
    """A copy of the project, one of whose modules says something wrong."""
    copy = folder / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "node_modules"))
    source = (copy / module).read_text(encoding="utf-8")
    assert source.count(right) == 1
    (copy / module).write_text(source.replace(right, wrong), encoding="utf-8")
    return copy


def run_fuzz(project: Path, operation: str, *more: str) -> subprocess.CompletedProcess[str]:
    """What a short run on one operation says."""
    options = [f"--include-operation-id={operation}", "--phases=fuzzing", "--max-examples=20", "--no-color", *more]
    command = [sys.executable, "-m", "tests.fuzz", *options]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
