"""Locks between processes: one that waits says for which, listens, and gives up; no other account can hold one."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence.embedded import locks
from persistence.embedded.locks import Unavailable, open_lock, take
from persistence.embedded.server import Embedded, EmbeddedError
from tests.conftest import ROOT
from tests.locks import holding

COMMANDS = [["serve"], ["database", "start"], ["database", "stop"], ["database", "backup"]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A new folder for DATA_DIR."""
    with tempfile.TemporaryDirectory(prefix="docket-") as name:
        Path(name).chmod(0o711)  # for the account that runs PostgreSQL for root
        yield Path(name)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.proves("ASVS 5.0 13.2.2", "No other account can open a lock of the data")
def test_a_lock_is_ours_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        os.close(open_lock(tmp_path, "turn.lock"))
    finally:
        os.umask(before)

    assert (mode(tmp_path / "locks"), mode(tmp_path / "locks/turn.lock")) == (0o700, 0o600)


def test_one_that_was_open_to_others_is_so_no_more(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir(mode=0o755)
    (tmp_path / "locks").chmod(0o755)
    (tmp_path / "locks/turn.lock").touch()
    (tmp_path / "locks/turn.lock").chmod(0o644)

    os.close(open_lock(tmp_path, "turn.lock"))

    assert (mode(tmp_path / "locks"), mode(tmp_path / "locks/turn.lock")) == (0o700, 0o600)


def test_the_lock_of_an_earlier_release_is_the_same_lock(tmp_path: Path) -> None:
    old = tmp_path / "turn.lock"
    old.touch(mode=0o644)
    with holding(old) as holder:
        lock = open_lock(tmp_path, "turn.lock")
        assert not locks.try_to_take(lock)
        assert locks.holders_of(lock) == [holder]
        assert (old.exists(), mode(tmp_path / "locks/turn.lock")) == (False, 0o600)
    assert locks.try_to_take(lock)
    os.close(lock)


def test_who_waits_says_for_whom_after_2_seconds_and_gives_up(tmp_path: Path) -> None:
    lock, said = open_lock(tmp_path, "turn.lock"), list[tuple[float, str]]()
    with holding(tmp_path / "locks/turn.lock") as holder:
        began = time.monotonic()
        with pytest.raises(Unavailable, match=rf"^Gave up after 3 s: process {holder} \(.*python.* holds .*turn.lock$"):
            take(lock, seconds=3, say=lambda line: said.append((time.monotonic() - began, line)))
    os.close(lock)

    [(after, line)] = said
    assert 2 <= after < 3
    assert f"process {holder} (" in line


def test_who_is_told_to_leave_waits_no_longer(tmp_path: Path) -> None:
    lock, leaving = open_lock(tmp_path, "turn.lock"), threading.Event()
    with holding(tmp_path / "locks/turn.lock"):
        threading.Timer(0.2, leaving.set).start()
        began = time.monotonic()
        with pytest.raises(Unavailable):
            take(lock, seconds=60, say=lambda _line: None, gives_up=leaving.is_set)
    os.close(lock)

    assert time.monotonic() - began < 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_for_whom_it_waits_and_ends_when_told(
    folder: Path, command: list[str], number: signal.Signals
) -> None:
    if command[-1] == "stop":
        embedded = Embedded(folder)  # what is damaged is refused before anything is waited for
        embedded.open()
        embedded.close()
    os.close(open_lock(folder, "turn.lock"))
    more = [str(folder / "file.zip")] if command[-1] == "backup" else []
    given = os.environ | {"PYTHONPATH": str(ROOT), "DATA_DIR": str(folder), "PORT": "0", "ENVIRONMENT": "development"}
    given.pop("DATABASE_URL", None)
    with holding(folder / "locks/turn.lock") as holder:
        line = [sys.executable, "-m", "server", *command, *more]
        with subprocess.Popen(line, cwd=folder, env=given, stderr=subprocess.PIPE, text=True) as waiting:
            assert waiting.stderr is not None
            said = next(line for line in waiting.stderr if "Waiting" in line)
            assert f"process {holder} (" in said
            waiting.send_signal(number)
            assert waiting.wait(8) == 128 + signal.SIGINT
            assert "Interrupted after" in waiting.stderr.read()


def test_an_embedded_server_gives_up_in_words(folder: Path) -> None:
    embedded = Embedded(folder, patience=1)
    os.close(open_lock(folder, "turn.lock"))

    with holding(folder / "locks/turn.lock") as holder, pytest.raises(EmbeddedError, match=f"process {holder} "):
        embedded.open()
