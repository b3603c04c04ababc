"""The environment that every script makes or mends first, in a folder whose name has a space and an umlaut."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from tests.locks import holding
from tests.scripts.test_seed import read
from tests.system.clones import ROOT, Clone, Ended, Environment, as_stranger, lock, python, python_without, wait_for_end

OTHER = "3.12" if sys.version_info[:2] == (3, 11) else "3.11"
OFFLINE: Environment = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_NO_CACHE_DIR": "1",
    "PIP_RETRIES": "1",
}
OLD_PYTHON = """#!/bin/sh
exec "{}" -c 'import sys; sys.version_info = (3, 9, 18, "final", 0); exec(sys.argv[2])' "$@"
"""


@pytest.fixture
def project() -> Iterator[Clone]:
    """The scripts, with a short list of requirements."""
    with scripts() as project:
        yield project


@pytest.fixture(scope="module")
def shared() -> Iterator[Clone]:
    with scripts() as project:
        yield project


@pytest.fixture
def whole(shared: Clone) -> Clone:
    """The same with its environment, which tests may break, but not move."""
    assert set_up(shared).status == 0
    return shared


@contextmanager
def scripts() -> Iterator[Clone]:
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)  # for another account
    shutil.copytree(ROOT / "scripts", folder / "my clüne/scripts")
    (folder / "my clüne/persistence/embedded").mkdir(parents=True)
    for name in ("__init__.py", "embedded/__init__.py", "embedded/locks.py"):
        shutil.copy(ROOT / "persistence" / name, folder / "my clüne/persistence" / name)
    (folder / "my clüne/requirements.txt").write_text(lock("annotated-types"), encoding="utf-8")
    yield Clone(folder / "my clüne")
    shutil.rmtree(folder)


def set_up(project: Clone, script: str | Path = "setup.sh", /, **changes: str | None) -> Ended:
    return project.run(script, "requirements.txt", **changes)


def require(project: Clone, *packages: str) -> None:
    (project.folder / "requirements.txt").write_text(f"# {uuid4()}\n" + lock(*packages), encoding="utf-8")


def has(ended: Ended, *modules: str) -> bool:
    """Whether the Python that was printed can import these."""
    assert ended.status == 0, ended
    return subprocess.run([ended.output[0], "-c", f"import {', '.join(modules)}"], check=False).returncode == 0


def installs(ended: Ended) -> bool:
    return sum(line.startswith("Installing requirements.txt into ") for line in ended.errors) == 1


def is_silent(ended: Ended) -> bool:
    return ended.status == 0 and not ended.errors


def test_without_an_environment_one_is_made_and_progress_is_shown(project: Clone) -> None:
    first = set_up(project)

    assert has(first, "annotated_types")
    assert first.output == [f"{project.folder}/.venv/bin/python"]
    assert first.errors == [
        f"Installing requirements.txt into {project.folder}/.venv (once; a minute or so)",
        "  1 of 1 packages",
        "  unpacking",
    ]


def test_on_a_terminal_progress_is_one_line_that_is_written_over(project: Clone) -> None:
    terminal, screen = pty.openpty()
    subprocess.run(
        [project.folder / "scripts/setup.sh", "requirements.txt"],
        env=os.environ | {"TERM": "xterm"},
        stdout=subprocess.DEVNULL,
        stderr=screen,
        check=True,
    )
    os.close(screen)

    seen = b"".join(read(terminal)).decode()

    assert seen.count("\n") == 1
    assert seen.endswith("\r\x1b[K  1 of 1 packages\r\x1b[K  unpacking\r\x1b[K")
    os.close(terminal)


def test_the_second_start_is_silent_and_needs_no_network(whole: Clone) -> None:
    assert is_silent(set_up(whole, **OFFLINE))


def test_an_environment_half_made_is_made_again(whole: Clone) -> None:
    (whole.folder / ".venv/installed").unlink()
    shutil.rmtree(next((whole.folder / ".venv/lib").glob("*/site-packages/pip")))

    assert installs(mended := set_up(whole))
    assert has(mended, "annotated_types", "pip")


def test_an_environment_whose_python_is_gone_is_made_again(whole: Clone) -> None:
    interpreter = next(path for path in (whole.folder / ".venv/bin").glob("python3*") if path.readlink().is_absolute())
    interpreter.unlink()
    interpreter.symlink_to("/nonexistent/python3")

    assert installs(mended := set_up(whole))
    assert has(mended, "annotated_types")


def test_an_environment_of_another_python_than_the_one_named_is_made_again(whole: Clone) -> None:
    assert installs(mended := set_up(whole, PYTHON=python(OTHER)))
    assert has(mended, "annotated_types")
    assert list((whole.folder / ".venv/lib").iterdir()) == [whole.folder / f".venv/lib/python{OTHER}"]
    assert is_silent(set_up(whole))


def test_a_moved_clone_gets_an_environment_whose_programs_run(project: Clone) -> None:
    assert set_up(project).status == 0
    moved = Clone(project.folder.rename(project.folder.with_name("elsewhere")))

    assert installs(set_up(moved))
    assert (
        subprocess.run([moved.folder / ".venv/bin/pip", "--version"], capture_output=True, check=False).returncode == 0
    )


def test_requirements_that_changed_are_installed(whole: Clone) -> None:
    require(whole, "annotated-types", "idna")

    assert installs(mended := set_up(whole))
    assert has(mended, "annotated_types", "idna")


def test_the_environment_for_tests_is_also_one_to_run_in(whole: Clone) -> None:
    (whole.folder / "requirements-dev.txt").write_text(lock("annotated-types", "idna"), encoding="utf-8")

    assert has(whole.run("setup.sh", "requirements-dev.txt"), "annotated_types", "idna")
    assert is_silent(set_up(whole))


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C"}, {"NO_COLOR": "1"}, {"HOME": None}, {"TERM": None}],
    ids=["locale C", "NO_COLOR", "no HOME", "no TERM"],
)
def test_an_odd_environment_makes_no_difference(whole: Clone, environment: Environment) -> None:
    require(whole, "annotated-types", "idna")

    assert installs(set_up(whole, **environment))
    assert is_silent(set_up(whole, **environment))


def test_from_another_directory_and_through_links_it_is_the_same_environment(whole: Clone) -> None:
    link, script = whole.folder.with_name("link"), whole.folder.with_name("start")
    link.symlink_to(whole.folder)
    script.symlink_to(whole.folder / "scripts/setup.sh")

    assert is_silent(set_up(replace(whole, cwd=whole.folder / "scripts")))
    assert is_silent(set_up(Clone(link)))
    assert is_silent(set_up(whole, script))


def test_two_starts_at_once_take_turns(project: Clone) -> None:
    both = [project.start("setup.sh", "requirements.txt") for _ in range(2)]
    one, other = map(wait_for_end, both)

    assert has(one, "annotated_types")
    assert has(other, "annotated_types")
    assert installs(one) is not installs(other)


def test_who_waits_for_another_start_says_for_which_and_ends_when_told(project: Clone) -> None:
    (project.folder / ".data/locks").mkdir(parents=True, mode=0o700)
    lock = project.folder / ".data/locks/environment.lock"
    with holding(lock) as holder:
        waiting = project.start("setup.sh", "requirements.txt")
        assert waiting.stderr is not None
        said = next(line for line in waiting.stderr if "holds" in line)
        assert f"process {holder} (" in said
        assert str(lock) in said
        waiting.send_signal(signal.SIGTERM)
        waiting.communicate(timeout=10)
        assert waiting.returncode == 128 + signal.SIGINT

    assert has(set_up(project), "annotated_types")


def test_interrupted_while_it_installs_it_says_so_and_the_next_start_mends_it(project: Clone) -> None:
    process = project.start("run.sh")
    assert process.stderr is not None
    process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)

    stopped = wait_for_end(process)

    assert (stopped.status, stopped.errors[-1]) == (
        -signal.SIGINT,
        "setup: interrupted; the next start goes on from here",
    )
    assert has(set_up(project), "annotated_types")


def test_without_a_network_the_first_start_says_so(project: Clone) -> None:
    failed = project.run("run.sh", **OFFLINE)

    assert failed.status == 1
    assert failed.errors[1:] == [
        (
            "setup: cannot install requirements.txt: is there a network? "
            "pip says: ERROR: No matching distribution found for annotated-types==0.8.0"
        )
    ]


def test_what_does_not_have_the_locked_hash_is_not_installed(project: Clone) -> None:
    file = project.folder / "requirements.txt"
    file.write_text("annotated-types==0.8.0 --hash=sha256:" + 64 * "0" + "\n", encoding="utf-8")

    failed = project.run("run.sh")

    assert failed.status == 1
    assert failed.errors[-1].startswith("setup: cannot install requirements.txt: pip says: ")
    assert not (project.folder / ".venv/installed").exists()


def test_a_clone_that_is_not_ours_to_write_keeps_its_environment_under_data_dir(project: Clone) -> None:
    data = project.folder.with_name("data")
    data.mkdir()

    with as_stranger(project, data) as theirs:
        first = set_up(theirs, DATA_DIR=str(data))
        second = set_up(theirs, DATA_DIR=str(data))

    assert has(first, "annotated_types")
    assert first.output == [f"{data}/venv/bin/python"]
    assert is_silent(second)


def test_a_clone_that_is_not_ours_to_write_needs_a_data_dir(project: Clone) -> None:
    with as_stranger(project) as theirs:
        failed = theirs.run("run.sh")

    assert failed.status == 1
    assert failed.errors == [f"setup: {project.folder} is not writable: set DATA_DIR to a folder that is"]


def test_a_python_too_old_is_named_with_what_to_do(project: Clone) -> None:
    old = project.folder / "python3"
    old.write_text(OLD_PYTHON.format(sys.executable), encoding="utf-8")
    old.chmod(0o755)

    failed = project.run("run.sh", PYTHON=str(old))

    assert failed.status == 1
    assert failed.errors == [
        (
            f"setup: Python 3.11 or newer is needed, but {old} is 3.9.18, "
            "so install one, or name it: PYTHON=/path/to/python"
        )
    ]


def test_a_python_that_is_none_is_named(project: Clone) -> None:
    failed = project.run("run.sh", PYTHON="/nonexistent")

    assert failed.status == 1
    assert failed.errors == [
        (
            "setup: Python 3.11 or newer is needed, but /nonexistent is none, "
            "so install one, or name it: PYTHON=/path/to/python"
        )
    ]


def test_a_python_without_ensurepip_is_told_with_the_package_to_install(project: Clone) -> None:
    failed = project.run("run.sh", PYTHON=str(python_without("ensurepip", project.folder.with_name("bare"))))

    version = "{}.{}".format(*sys.version_info)
    assert failed.status == 1
    assert failed.errors[1:] == [
        f"setup: this Python has no ensurepip: install it, on Debian by `apt-get install python{version}-venv`"
    ]
