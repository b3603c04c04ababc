"""Serve the API: start the database, migrate it if that is ours to do, answer until told to stop.

The environment has the settings, as in `PORT=8001 scripts/run.sh`; .env.example names them.
"""

import argparse
import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

import psutil
import uvicorn
from typing_extensions import override
from uvicorn.supervisors import ChangeReload

from server import issuers, revision
from server.complaints import CommandError
from server.connections import Connection
from server.settings import Settings
from server.storage import Unreachable, opened
from server.supervisor import Supervisor, shared_metrics

ROOT = Path(__file__).parents[2]
CODE = ("contract", "generated", "handlers", "persistence", "security", "server")
BACKLOG = 2048
DRAIN = 20  # seconds that requests under way have to finish
KEEP_ALIVE = 65  # seconds that a connection may rest; the proxies of deploy/ hang up before, so that we never do
UNKNOWN = "another program"


def add(parser: argparse.ArgumentParser) -> None:
    """The rest is said by settings."""
    parser.add_argument("--reload", action="store_true", help="begin anew when a file changes; for development")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.reload and not settings.is_development:
        raise CommandError("--reload is for development: set ENVIRONMENT=development, or leave it out")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, until the server listens to it
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored
        signal.signal(signal.SIGHUP, hung_up)
    listener = bound(settings.host, settings.port)
    try:
        _ = settings.signing_key  # made now, that the workers find it
        for doubt in issuers.doubtful(settings):
            say(f"Mind: {doubt}")
        with opened(settings) as url:
            if prepare(url, settings):
                make_first_superuser(url, settings)
            elif settings.first_superuser_email is not None:
                say("FIRST_SUPERUSER_EMAIL: that superuser is made by the next start that finds the database ready")
            return serve(listener, settings, reload=arguments.reload)
    finally:
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
    """Migrate in a process of its own: what that loads would stay here, 9 MB. Raises CommandError.

    A terminal's Ctrl-C is for us; whatever interrupts us ends that process.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "server.migrations"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        try:
            _, said = process.communicate(url)
        except KeyboardInterrupt:
            process.terminate()
            raise
    if process.returncode:
        raise CommandError(said.strip() or f"The migration was ended by signal {-process.returncode}")


def make_first_superuser(url: str, settings: Settings) -> None:
    """Make the superuser that the settings name, if no account has that e-mail. Raises CommandError."""
    email, password = settings.first_superuser_email, settings.first_superuser_password
    if email is None or password is None:
        return
    from server import superuser  # noqa: PLC0415 - libraries that most starts do without

    try:
        outcome = asyncio.run(superuser.make(url, settings, email, password.get_secret_value()))
    except CommandError as error:
        raise CommandError(f"FIRST_SUPERUSER_EMAIL, FIRST_SUPERUSER_PASSWORD: {error}") from None
    if outcome == "is none":
        say("FIRST_SUPERUSER_EMAIL has an account that is no superuser: see `python -m server create-superuser --help`")


def serve(listener: socket.socket, settings: Settings, *, reload: bool) -> int:
    address = f"http://{shown(listener)}"
    config = uvicorn.Config(
        "server.worker:application",
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
        limit_concurrency=settings.max_connections,
        lifespan="on",
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, heard)  # uvicorn raises them again when it is done; that must not end us
    if reload:
        ChangeReload(config, Server(config, address).run, [listener]).run()
        return 0
    if settings.workers == 1:
        server = Server(config, address)
        server.run([listener])
        return 0 if server.started else 1
    with shared_metrics() as folder:
        supervisor = Supervisor(config, [listener], folder, lambda: say_ready(address))
        supervisor.run()
    return 0 if supervisor.ready and not supervisor.failed else 1


class Server(uvicorn.Server):
    """Says where it answers as soon as it does, and ends without a loss."""

    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self.address = address

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            say_ready(self.address)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As before, but those who are connected are answered: a listener that closes resets whom nobody accepted."""
        accepted = [connected for listener in sockets or [] for connected in accept_all(listener)]
        for server in self.servers:
            server.close()
        for connected in accepted:
            await asyncio.get_running_loop().connect_accepted_socket(self.last_connection, connected)
        await super().shutdown(sockets)

    def last_connection(self) -> Connection:
        connection = Connection(self.config, self.server_state, self.lifespan.state)
        connection.is_ending = True
        return connection


def accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    """Those who wait to be accepted; the listener does not block."""
    with suppress(BlockingIOError):
        while True:
            yield listener.accept()[0]


def hung_up(_number: int, _frame: FrameType | None) -> None:
    """A terminal is gone: end as by SIGTERM. A supervisor has another use for this signal."""
    signal.raise_signal(signal.SIGTERM)


def heard(_number: int, _frame: FrameType | None) -> None:
    """A signal that uvicorn has acted upon."""


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises CommandError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (socket.gaierror, UnicodeError):
        raise CommandError(f"HOST: {host} is no address of this machine") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"Port {port} is taken by {holder(port)}: stop that, or choose another with PORT=..."
            ) from None
        raise CommandError(f"Cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from None


def holder(port: int) -> str:
    """Who listens on a port, as far as we may know."""
    with suppress(psutil.Error):  # some systems tell it only to an administrator
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return UNKNOWN


def shown(listener: socket.socket) -> str:
    """The address of a socket as a URL has it."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def say_ready(address: str) -> None:
    say(f"Docket answers at {address}; read it and try it at {address}/docs")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the operator's line
