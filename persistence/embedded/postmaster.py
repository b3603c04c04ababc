"""The server process of a data directory: its life signs, its start, its end, and what a dead one left."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from enum import IntEnum
from pathlib import Path

import psutil

from persistence.embedded.binaries import Account, EmbeddedError, binary, complaint, environment, run
from persistence.embedded.data_directory import SOCKET, advice, check, is_private, socket_folder

GAVE_UP = (1, 2, -signal.SIGABRT)  # FATAL, FATAL while it recovers, PANIC
HOPELESS = 5  # times that a recovery fails at the same
PID_FILE = "postmaster.pid"


class State(IntEnum):
    """What pg_isready answers."""

    RUNNING = 0
    BUSY = 1  # starting, recovering or stopping
    SILENT = 2


class Postmaster:
    """The server process of `data`, started by us or by another process. `settings` are for one that we start.

    Its processes are known by a mark in their titles, which tells this data directory even after it was moved.
    Everybody may read a title; the working directory of another account's process is hidden from root in containers.
    """

    def __init__(self, data: Path, settings: Mapping[str, str]) -> None:
        self.data, self.settings = data, settings
        self.socket = socket_folder(data)
        self.log = data.with_name("postgres.log")
        self.child: subprocess.Popen[bytes] | None = None  # if this process started it
        self.said = 0  # how long the log was then

    def state(self) -> State:
        options = "--quiet", "--timeout=1", "--port=5432", "--username=postgres", "--dbname=postgres"
        done = run(binary("pg_isready"), "--host", self.socket, *options)
        return State(done.returncode) if done.returncode in {0, 1} else State.SILENT

    def process(self) -> psutil.Process | None:
        """The living server. Its pid file may be a dead one's, whose pid may be another's by now."""
        if self.child is not None:
            self.child.poll()  # so that a dead one of ours is gone, not a zombie
        try:
            process = psutil.Process(int(self.pid_file()[0]))
        except (ValueError, IndexError, psutil.NoSuchProcess):
            return None
        return process if self.owns(process) else None

    def pid_file(self) -> list[str]:
        try:
            return (self.data / PID_FILE).read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    @property
    def mark(self) -> str:
        found = self.data.stat()
        return f"docket-{found.st_dev}-{found.st_ino}"

    def owns(self, process: psutil.Process) -> bool:
        try:
            return (
                process.name() == "postgres"
                and process.status() != psutil.STATUS_ZOMBIE
                and self.mark in " ".join(process.cmdline())
            )
        except (psutil.Error, FileNotFoundError):
            return False

    def launch(self, programs: Path, account: Account, patience: float) -> None:
        """Start a server where none lives, and wait until it shows or has given up."""
        self.forget()
        self.clear()
        folders = f'"{self.socket}"'  # it is a list: the quotes keep commas and spaces
        options = {**self.settings, "unix_socket_directories": folders, "cluster_name": self.mark}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self.said = os.lseek(output, 0, os.SEEK_END)
            account.give(self.log)
            self.child = subprocess.Popen(  # noqa: S603
                [programs / "postgres", "-D", self.data, *arguments], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, cwd="/", env=environment(), start_new_session=True, umask=0o077, **account.identity,
            )  # fmt: skip
        finally:
            os.close(output)
        deadline = time.monotonic() + patience
        while self.child.poll() is None and self.process() is None and time.monotonic() < deadline:
            time.sleep(0.005)

    def clear(self) -> None:
        """Remove what a dead server left: processes that have not noticed, its socket, a pid file that misleads.

        A pid file whose process is gone stays, for by it PostgreSQL makes sure that no process has the shared memory.
        """
        orphans = [process for process in psutil.process_iter() if self.owns(process)]
        for orphan in orphans:
            orphan.kill()
        psutil.wait_procs(orphans, timeout=5)
        for name in (SOCKET, f"{SOCKET}.lock"):
            (self.socket / name).unlink(missing_ok=True)
        pid = next(iter(self.pid_file()), "")
        if not pid.isdigit() or psutil.pid_exists(int(pid)):
            (self.data / PID_FILE).unlink(missing_ok=True)

    def judge(self) -> None:
        """Raise EmbeddedError if the server we launched gave up, but for something that passes."""
        if self.child is None or self.child.poll() not in GAVE_UP:
            return  # it was stopped or killed
        last_words = complaint("\n".join(self.lines()))
        if "shared memory block" not in last_words:  # processes of the dead server still have it for a moment
            raise self.refusal(last_words)

    def judge_recovery(self) -> None:
        """Raise EmbeddedError if a server that is about to answer fails at the same again and again."""
        failures = Counter(line.rpartition("FATAL:")[2].strip() for line in self.lines() if "FATAL:" in line)
        for reason, times in failures.most_common(1):
            if times >= HOPELESS and not reason.startswith("terminating"):
                raise self.refusal(reason)

    def begin_listening(self) -> None:
        """What a server that others started has said so far is not about us."""
        if self.child is None:
            self.said = self.log.stat().st_size if self.log.exists() else 0

    def lines(self) -> list[str]:
        """What it has said. Others who asked were told that the database system is starting up, or in recovery mode."""
        said = self.log.read_bytes()[self.said :].decode(errors="replace").splitlines() if self.log.exists() else []
        return [line for line in said if "the database system is" not in line]

    def refusal(self, reason: str) -> EmbeddedError:
        return EmbeddedError(f"PostgreSQL does not start: {reason}{advice(self.data, reason)} (its log: {self.log})")

    def hasten(self) -> None:
        """Make an end of a stop that waits for everybody to leave."""
        if "stopping" in "".join(self.pid_file()[7:8]):
            self.interrupt()

    def interrupt(self) -> None:
        process = self.process()
        if process is not None:
            process.send_signal(signal.SIGINT)  # a fast shutdown: sessions are cut, everything is written

    def stop(self, patience: float) -> bool:
        """Whether the server, which we tell to stop, is gone."""
        self.interrupt()
        deadline = time.monotonic() + patience
        while self.process() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        if self.socket != self.data:
            with suppress(OSError, EmbeddedError):
                if is_private(self.socket, check(self.data)):  # else it is another's, which we refused
                    self.socket.rmdir()
        return True

    def forget(self) -> None:
        """Let a server that we started run on without us."""
        if self.child is not None and self.child.poll() is None:
            self.child.returncode = 0  # or Popen warns that its process runs on
        self.child = None
