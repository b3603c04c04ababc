"""The process that keeps the workers alive, replaces those that die or hang, and tells of it."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection, wait
from types import FrameType

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from server.complaints import CommandError, say
from server.observability.shared_metrics import SharedMetrics
from server.workers.serving import Server

ROUND = 0.5  # seconds between two looks at the workers
SILENT = 10  # rounds without a sign of life after which a worker hangs
STARTING = 240  # rounds that a worker has to start
MARGIN = 5  # seconds, above what it was given, after which a worker that is told to end is killed
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SPAWN = get_context("spawn")
log = structlog.get_logger("supervisor")


class Worker:
    """A process that serves. It says again and again that it answers: `silent` are the rounds since it did."""

    def __init__(self, config: uvicorn.Config, listeners: Sequence[socket.socket]) -> None:
        self.word, said = Pipe(duplex=False)
        self.process = SPAWN.Process(target=work, args=(config, list(listeners), said))
        self.process.start()
        said.close()
        self.silent = 0
        self.answers = False
        self.deadline = float("inf")  # when it is killed; it has none until it is told to end

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    def hear(self) -> None:
        """Take what it has said meanwhile."""
        if self.word in wait([self.word], 0) and os.read(self.word.fileno(), 4096):
            if not self.answers:
                log.info("worker_ready", pid=self.pid)
            self.silent, self.answers = 0, True

    def trouble(self) -> str | None:
        """What is wrong with it, in words."""
        status = self.process.exitcode
        if status is not None:
            return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return self.silence()

    def silence(self) -> str | None:
        """What is wrong with one that lives, in words."""
        if self.silent <= (SILENT if self.answers else STARTING):
            return None
        return f"{'did not answer' if self.answers else 'did not start'} for {self.silent * ROUND:.0f} s"

    def dismiss(self, seconds: float) -> None:
        """Tell it to end, in so many seconds."""
        self.deadline = min(self.deadline, time.monotonic() + seconds)
        self.process.terminate()

    def end(self) -> None:
        """Kill it if it lives still."""
        self.process.kill()
        self.process.join()
        self.word.close()


def work(config: uvicorn.Config, listeners: list[socket.socket], said: Connection) -> None:
    """What a worker does."""
    os.set_blocking(said.fileno(), False)

    def beat() -> None:
        with suppress(OSError):  # the supervisor is gone, or frozen
            os.write(said.fileno(), b".")

    try:
        Server(config, beat, beat).run(listeners)
    except CommandError as error:
        say(f"docket: {error}")
        raise SystemExit(STARTUP_FAILURE) from None
    except KeyboardInterrupt:  # the terminal's, which uvicorn has acted upon
        pass


class Supervisor:
    """Keeps the workers alive. `tell` is called once, as soon as all of them answer.

    SIGTERM and SIGINT end all of them, SIGHUP replaces one after the other; one that ends has `patience` (seconds).
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listeners: Sequence[socket.socket],
        metrics: SharedMetrics,
        *,
        patience: float,
        tell: Callable[[], None],
    ) -> None:
        self.config, self.listeners, self.metrics = config, listeners, metrics
        self.patience, self.tell = patience + MARGIN, tell
        self.workers: list[Worker] = []
        self.leaving: list[Worker] = []
        self.outdated: list[Worker] = []  # those that SIGHUP replaces
        self.successor: Worker | None = None  # of the first of these
        self.is_ready = self.is_ending = self.has_failed = False
        self.round = 0.0

    def run(self) -> int:
        """Serve until told to end. What comes back is the exit status: 1 when a worker could not start."""
        with signals_heard() as heard:
            self.workers = [self.start() for _ in range(self.config.workers)]
            self.round = time.monotonic() + ROUND
            while not self.is_ending:
                self.turn(heard)
                self.replace_the_dead()
                self.go_on_replacing()
                if not self.is_ready and all(worker.answers for worker in self.workers):
                    self.is_ready = True
                    self.tell()
            for listener in self.listeners:  # or connections would be accepted that no worker takes
                listener.close()
            for worker in [*self.workers, *([self.successor] if self.successor else [])]:
                self.dismiss(worker)
            self.workers, self.successor = [], None
            while self.leaving:
                self.turn(heard)
        return 0 if self.is_ready and not self.has_failed else 1

    def start(self) -> Worker:
        return Worker(self.config, self.listeners)

    def dismiss(self, worker: Worker) -> None:
        worker.dismiss(self.patience)
        self.leaving.append(worker)

    def turn(self, heard: socket.socket) -> None:
        """Wait for a word, a death or a signal, for a round at most, and take note of it."""
        everybody = [*self.workers, *self.leaving, *([self.successor] if self.successor else [])]
        sources = [source for worker in everybody for source in (worker.word, worker.process.sentinel)]
        wait([heard, *sources], max(0.0, self.round - time.monotonic()))
        with suppress(BlockingIOError):
            for number in heard.recv(4096):
                self.obey(number)
        for worker in everybody:
            worker.hear()
        if time.monotonic() >= self.round:  # rounds, and not the clock: a machine that slept has not hung
            self.round = time.monotonic() + ROUND
            for worker in everybody:
                worker.silent += 1
        for worker in list(self.leaving):
            self.bury_if_over(worker)

    def obey(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self.is_ending = True
        elif number == signal.SIGHUP and not self.is_ending:
            self.outdated = list(self.workers)
            if self.successor:  # it has begun before, with what is now outdated
                self.dismiss(self.successor)
                self.successor = None

    def bury_if_over(self, worker: Worker) -> None:
        """Be done with a worker that was told to end, if it has or will not."""
        if worker.process.exitcode is None:
            reason = "did not end in time" if time.monotonic() > worker.deadline else worker.silence()
            if reason is None:
                return
            log.warning("worker_killed", pid=worker.pid, reason=reason)
            self.metrics.deaths.inc()
        self.leaving.remove(worker)
        self.bury(worker)

    def bury(self, worker: Worker) -> None:
        """Be done with a worker. Of its metrics stays what it counted."""
        worker.end()
        self.metrics.forget(worker.pid)

    def replace_the_dead(self) -> None:
        for number, worker in enumerate(self.workers):
            trouble = worker.trouble()
            if trouble is None:
                continue
            cannot_start = worker.process.exitcode == STARTUP_FAILURE
            self.bury(worker)
            self.metrics.deaths.inc()
            if cannot_start:  # nor could the next one
                log.error("worker_failed", pid=worker.pid, reason="could not start: the server ends")
                self.has_failed = self.is_ending = True
                self.workers.remove(worker)
                return
            self.workers[number] = self.start()
            log.warning("worker_replaced", pid=worker.pid, reason=trouble, successor=self.workers[number].pid)

    def go_on_replacing(self) -> None:
        """Bring the next worker into service before the one that it replaces is told to end."""
        self.outdated = [worker for worker in self.outdated if worker in self.workers]
        if self.successor is None:
            if self.outdated and not self.leaving:
                self.successor = self.start()
            return
        trouble = self.successor.trouble()
        if trouble is not None:
            log.error("restart_given_up", pid=self.successor.pid, reason=trouble)
            self.bury(self.successor)
            self.successor, self.outdated = None, []
        elif self.successor.answers:
            if self.outdated:
                before = self.outdated.pop(0)
                self.workers[self.workers.index(before)] = self.successor
                self.dismiss(before)
            else:  # it died meanwhile, and has been replaced
                self.dismiss(self.successor)
            self.successor = None


@contextmanager
def signals_heard() -> Iterator[socket.socket]:
    """A socket that has a byte for each signal that arrives, which is its number; they do nothing else."""

    def hear(_number: int, _frame: FrameType | None) -> None:
        """What is to be done is done where the socket is read."""

    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    before = {number: signal.signal(number, hear) for number in SIGNALS}
    woken = signal.set_wakeup_fd(theirs.fileno())
    try:
        yield ours
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        ours.close()
        theirs.close()
