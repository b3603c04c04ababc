"""A process that serves: how it begins, drains and ends."""

import asyncio
import atexit
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from threading import Thread
from types import FrameType

from handlers.shared.call import Life
from server.app import create_app
from server.middleware.edge import Edge
from server.observability.log_writer import Lines
from server.settings import loading

PR_SET_PDEATHSIG = 1  # prctl(2)
LAST = 30  # seconds that a worker without a supervisor has to end, above those in which it drains


def application() -> Edge:
    """What uvicorn serves. It is called in each process, when uvicorn listens to signals already."""
    chosen = loading.load()
    lines = Lines(sys.stdout.fileno())
    atexit.register(lines.end)
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        seconds = chosen.drain_seconds + LAST
        thaw_with(supervisor)
        Thread(target=outlive_nobody, args=[supervisor, seconds], name="supervisor", daemon=True).start()
    life = Life()
    drain_at(signal.SIGTERM, life, chosen.drain_seconds)
    app = create_app(chosen, life=life, lines=lines)
    gc.collect()
    gc.freeze()  # all this stays; to look for garbage in it would stop everybody for 50 ms, again and again
    gc.set_threshold(10_000, 20, 20)  # a request leaves hardly any: to look after every 700 new objects is for nothing
    return app


def thaw_with(supervisor: BaseProcess) -> None:
    """Have the kernel wake us when the supervisor is killed: frozen we would keep the port, and hear of nothing.

    That is Linux's; elsewhere a frozen worker stays until somebody wakes or kills it.
    """
    if sys.platform == "linux" and supervisor.is_alive():
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGCONT)


def outlive_nobody(supervisor: BaseProcess, seconds: float) -> None:
    """End when the supervisor is killed, at last after so many seconds: the next one would find the port taken."""
    supervisor.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def drain_at(number: signal.Signals, life: Life, seconds: float) -> None:
    """At this signal say that the end is near, and let uvicorn hear of it when proxies have understood."""
    loop, heard = asyncio.get_running_loop(), signal.getsignal(number)

    def end() -> None:
        if callable(heard):
            heard(number, None)

    def drain(_number: int, _frame: FrameType | None) -> None:
        if not life.ending:
            life.ending = True
            loop.call_soon_threadsafe(loop.call_later, seconds, end)

    signal.signal(number, drain)
