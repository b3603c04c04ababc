"""The folder where each worker writes its metrics for whichever is asked, and what their supervisor adds to them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

with suppress(ImportError):  # Windows has none
    import fcntl

PREFIX = "docket-metrics-"
WORKER_DEATHS = ("docket_worker_deaths", "Workers that died or hung, and were replaced.")


class SharedMetrics:
    """What the workers tell of themselves, in `folder`."""

    def __init__(self, folder: Path) -> None:
        from prometheus_client import Counter  # noqa: PLC0415 - it looks where to write when it is loaded

        self.folder = folder
        self.deaths = Counter(*WORKER_DEATHS, registry=None)

    def forget(self, pid: int) -> None:
        """Of a worker that is gone: what it counted stays, what was the case in it is no more."""
        for gauges in self.folder.glob(f"gauge_live*_{pid}.db"):
            gauges.unlink()


@contextmanager
def shared_metrics() -> Iterator[SharedMetrics]:
    """A folder for this process and its workers, gone at the end; those that killed ones have left go now.

    Each holds the lock of a file in its own, which the kernel releases when a process dies, however it dies.
    """
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
        with suppress(OSError), lock_file(lock):  # it is in use, or somebody else's
            shutil.rmtree(lock.parent)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        folder = Path(name)
        new = folder / "new"
        new.touch()
        with lock_file(new):
            new.rename(folder / "lock")  # which so is never there without being held
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = name  # before the workers import prometheus-client, which reads it
            yield SharedMetrics(folder)


@contextmanager
def lock_file(file: Path) -> Iterator[None]:
    """Hold the lock of a file. Raises OSError when somebody else holds it."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
