"""The servers under measurement: processes on one core that wrk and PostgreSQL leave to them."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

START_LIMIT = 60.0  # seconds


@dataclass
class Server:
    """A server and how to run it.

    `ready` is a path that answers 200 as soon as requests are served, `tables` the table of each kind of row,
    `sign` the token of a user by number.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str]
    port: int
    ready: str
    database: str
    tables: Mapping[str, str]
    sign: Callable[[int], str]
    folder: Path
    same_contract: bool = True
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, cores: set[int]) -> float:
        """Seconds from the start of the process to the first 200."""
        began = time.perf_counter()
        log = self.folder / f"{self.name}.log"
        with log.open("ab") as output, pin_to_cores(cores):
            environment = os.environ | self.environment
            self.process = subprocess.Popen(self.command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        while not self._answers():
            if self.process.poll() is not None or time.perf_counter() - began > START_LIMIT:
                self.stop()
                last = log.read_text(errors="replace").strip().rpartition("\n")[2]
                raise SystemExit(f"bench: {self.name} does not start: {last or 'it says nothing'}")
            time.sleep(0.005)
        return time.perf_counter() - began

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cpu(self) -> float:
        """Seconds of user and system time spent so far by the server and its children."""
        spent = [process.cpu_times() for process in self._processes()]
        return sum(times.user + times.system for times in spent)

    def memory(self) -> int:
        """Resident bytes of the largest process: the worker, where a supervisor has started one."""
        return max(process.memory_info().rss for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.ready)
            return connection.getresponse().status == 200  # noqa: PLR2004 - the number is its own name
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


@contextmanager
def pin_to_cores(cores: set[int]) -> Iterator[None]:
    """What is started inside runs on these cores alone: children inherit it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
