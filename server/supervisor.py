"""The process that keeps the workers alive, and the folder where each writes its metrics for whichever is asked."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from typing_extensions import override
from uvicorn.supervisors import Multiprocess

with suppress(ImportError):  # Windows has none
    import fcntl

PREFIX = "docket-metrics-"
PATIENCE = 30  # seconds that a worker has to start before it replaces another


@contextmanager
def shared_metrics() -> Iterator[Path]:
    """A folder for this process and its workers, gone at the end; those that killed ones have left go now.

    Each holds the lock of a file in its own, which the kernel releases when a process dies, however it dies.
    """
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
        with suppress(OSError), locked(lock):  # it is in use, or somebody else's
            shutil.rmtree(lock.parent)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        folder = Path(name)
        new = folder / "new"
        new.touch()
        with locked(new):
            new.rename(folder / "lock")  # which so is never there without being held
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = name  # before the workers import prometheus-client, which reads it
            yield folder


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of a file. Raises OSError when somebody else holds it."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


class Supervisor(Multiprocess):
    """Keeps the workers alive. `told` is called once, as soon as all of them answer.

    `failed` says that it ends because a worker could not start.
    """

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], metrics: Path, told: Callable[[], None]
    ) -> None:
        super().__init__(config, sockets)
        self.metrics, self.told = metrics, told
        self.ready = self.failed = False

    @override
    def terminate_all(self) -> None:
        super().terminate_all()
        for listener in self.sockets:  # or connections would be accepted that no worker takes
            listener.close()

    @override
    def restart_all(self) -> None:
        usual, self.config.timeout_worker_healthcheck = self.config.timeout_worker_healthcheck, PATIENCE
        with self.forgetting():
            super().restart_all()
        self.config.timeout_worker_healthcheck = usual

    @override
    def keep_subprocess_alive(self) -> None:
        was_ending = self.should_exit.is_set()
        with self.forgetting():
            super().keep_subprocess_alive()
        self.failed = self.failed or (self.should_exit.is_set() and not was_ending)
        if not self.ready and all(process.is_ready() for process in self.processes):
            self.ready = True
            self.told()

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """Of workers that are gone meanwhile: what they counted stays, what was the case in them is no more."""
        before = {process.pid for process in self.processes}
        yield
        for gone in before - {process.pid for process in self.processes}:
            for gauges in self.metrics.glob(f"gauge_live*_{gone}.db"):
                gauges.unlink()
