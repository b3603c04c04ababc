"""Serve the API: start the database, migrate it if that is ours to do, answer until told to stop.

The environment has the settings, as in `PORT=8001 scripts/run.sh`; .env.example names them.
"""

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TextIO, cast

import uvicorn
from uvicorn.supervisors import ChangeReload

from server.complaints import CommandError, say
from server.database import revision
from server.database.connect import Unreachable, open_url
from server.observability import logs
from server.observability.log_writer import Lines
from server.observability.shared_metrics import shared_metrics
from server.protocol.connections import Connection
from server.settings.checks import check_settings
from server.settings.settings import Settings
from server.workers.listeners import bind_listeners, urls
from server.workers.serving import Server
from server.workers.supervisor import Supervisor

ROOT = Path(__file__).parents[2]
CODE = ("contract", "generated", "handlers", "persistence", "security", "server")
BACKLOG = 2048
DRAIN = 20  # seconds that requests under way have to finish
KEEP_ALIVE = 65  # seconds that a connection may rest; the proxies of deploy/ hang up before, so that we never do


def add(parser: argparse.ArgumentParser) -> None:
    """The rest is said by settings."""
    parser.add_argument("--reload", action="store_true", help="begin anew when a file changes; for development")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.reload and not settings.is_development:
        raise CommandError("--reload is for development: set ENVIRONMENT=development, or leave it out")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, until the server listens to it
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored
        signal.signal(signal.SIGHUP, hung_up)
    listeners = bind_listeners(settings.host, settings.port)
    try:
        _ = settings.signing_key  # made now, that the workers find it
        for _, setting, message in check_settings(settings):
            say(f"Mind: {setting} {message}")
        with open_url(settings) as url:
            if prepare(url, settings):
                make_first_superuser(url, settings)
            elif settings.first_superuser_email is not None:
                say("FIRST_SUPERUSER_EMAIL: that superuser is made by the next start that finds the database ready")
            return serve(listeners, settings, reload=arguments.reload)
    finally:
        for listener in listeners:
            listener.close()


def prepare(url: str, settings: Settings) -> bool:
    """Migrate the database, if that is ours to do; whether it is ready.

    A server may wait for a database that is away, and serves one that the next release has migrated already.
    """
    try:
        pending = asyncio.run(revision.pending(url))
    except Unreachable as unreachable:
        if settings.migrates:
            raise
        say(f"{unreachable}; /readyz fails until it does")
        return False
    except revision.Ahead as ahead:
        if settings.is_development:  # where the code goes to and fro without being released
            raise
        say(f"Mind: the database's {ahead.served}")
        return True
    if pending and settings.migrates:
        migrate(url)
    elif pending:
        say(f"The schema is {pending} behind: run `python -m server migrate apply`; /readyz fails until then")
    return settings.migrates or not pending


def migrate(url: str) -> None:
    """Migrate in a process of its own: what that loads would stay here, 9 MB. Raises CommandError, or SystemExit.

    A terminal's Ctrl-C is for us; whatever interrupts us ends that process.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "server.database.migrations"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        process_group=0,
    ) as process:
        try:
            process.communicate(url)
        except KeyboardInterrupt:
            process.terminate()
            raise
    if process.returncode < 0:
        raise CommandError(f"The migration was ended by signal {-process.returncode}")
    if process.returncode:  # it has said why
        sys.exit(process.returncode)


def make_first_superuser(url: str, settings: Settings) -> None:
    """Make the superuser that the settings name, if no account has that e-mail. Raises CommandError."""
    email, password = settings.first_superuser_email, settings.first_superuser_password
    if email is None or password is None:
        return
    from server.commands import superuser  # noqa: PLC0415 - libraries that most starts do without

    try:
        outcome = asyncio.run(superuser.make(url, settings, email, password.get_secret_value()))
    except CommandError as error:
        raise CommandError(f"FIRST_SUPERUSER_EMAIL, FIRST_SUPERUSER_PASSWORD: {error}") from None
    if outcome == "is none":
        say("FIRST_SUPERUSER_EMAIL has an account that is no superuser: see `python -m server create-superuser --help`")


def serve(listeners: list[socket.socket], settings: Settings, *, reload: bool) -> int:
    config = uvicorn.Config(
        "server.workers.worker:application",
        factory=True,
        workers=1 if reload else settings.workers,
        reload=reload,
        reload_dirs=[str(ROOT / folder) for folder in CODE] if reload else None,  # by default also `.venv`
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN,
        timeout_keep_alive=KEEP_ALIVE,
        ws="none",
        http=Connection,
        lifespan="on",
    )
    tell = partial(say_ready, urls(listeners), docs=settings.docs)
    if reload:
        ChangeReload(config, Server(config, tell).run, listeners).run()
        return 0
    if settings.workers == 1:
        server = Server(config, tell)
        hear(server.handle_exit)  # uvicorn would begin to later, and raises them again when it is done
        server.run(listeners)
        return 0 if server.started and not server.lifespan.shutdown_failed else 1
    status = supervise(config, listeners, settings, tell)
    hear(ignore_signal)
    return status


def hear(handler: Callable[[int, FrameType | None], None]) -> None:
    """Call this when we are told to end, instead of being interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def supervise(
    config: uvicorn.Config, listeners: list[socket.socket], settings: Settings, tell: Callable[[], None]
) -> int:
    """Have workers serve; what their supervisor tells of them goes where their lines go."""
    lines = Lines(sys.stdout.fileno())
    logs.configure(level=settings.log_level, form=settings.logs, out=cast("TextIO", lines))
    with shared_metrics() as metrics:
        patience = settings.drain_seconds + DRAIN
        status = Supervisor(config, listeners, metrics, patience=patience, tell=tell).run()
    lines.end()
    return status


def hung_up(_number: int, _frame: FrameType | None) -> None:
    """A terminal is gone: end as by SIGTERM. A supervisor has another use for this signal."""
    signal.raise_signal(signal.SIGTERM)


def ignore_signal(_number: int, _frame: FrameType | None) -> None:
    """A signal that comes when we are about to end."""


def say_ready(addresses: list[str], *, docs: bool) -> None:
    more = f"; read it and try it at {addresses[0]}/docs" if docs else ""
    say(f"Docket answers at {' and '.join(addresses)}{more}")
