"""Serve the API: start the database, migrate it if that is ours to do, answer until told to stop."""

import argparse
import asyncio
import errno
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType

import psutil
import uvicorn
from typing_extensions import override
from uvicorn.supervisors import Multiprocess

from server import revision
from server.commands import CommandError
from server.settings import Settings
from server.storage import Unreachable, opened

BACKLOG = 2048
DRAIN = 20  # seconds that requests under way have to finish
UNKNOWN = "another program"


def add(_parser: argparse.ArgumentParser) -> None:
    """Everything is said by settings."""


def run(_arguments: argparse.Namespace, settings: Settings) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, until the server listens to it
    listener = bound(settings.host, settings.port)
    try:
        _ = settings.signing_key  # made now, that the workers find it
        with opened(settings) as url:
            if prepare(url, settings):
                make_first_superuser(url, settings)
            return serve(listener, settings)
    finally:
        listener.close()


def prepare(url: str, settings: Settings) -> bool:
    """Migrate the database, or make sure that it is not ahead of us; whether it is ready.

    A server may wait for a database that is away.
    """
    try:
        if asyncio.run(revision.current(url)) == revision.head():
            return True
    except Unreachable as unreachable:
        if settings.migrates:
            raise
        say(f"{unreachable}; /readyz fails until it does")
        return False
    from server import migrations  # noqa: PLC0415 - 11 MB and 0.1 s that most starts do without

    if settings.migrates:
        migrations.upgrade(url)
        return True
    pending = asyncio.run(migrations.schema(url)).pending
    if pending:
        say(f"The schema is {len(pending)} behind: run `python -m server migrate apply`; /readyz fails until then")
    return not pending


def make_first_superuser(url: str, settings: Settings) -> None:
    """Make the superuser that the settings name, if no account has that e-mail. Raises CommandError."""
    email, password = settings.first_superuser_email, settings.first_superuser_password
    if email is None or password is None:
        return
    from server import superuser  # noqa: PLC0415 - libraries that most starts do without

    if asyncio.run(superuser.make(url, settings, email, password.get_secret_value())) == "is none":
        say("FIRST_SUPERUSER_EMAIL has an account that is no superuser: see `python -m server create-superuser --help`")


def serve(listener: socket.socket, settings: Settings) -> int:
    address = f"http://{shown(listener)}"
    config = uvicorn.Config(
        "server.app:create_app",
        factory=True,
        workers=settings.workers,
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN,
        timeout_keep_alive=65,
        ws="none",
        http="httptools",
        lifespan="on",
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, heard)  # uvicorn raises them again when it is done; that must not end us
    if settings.workers == 1:
        server = Server(config, address)
        server.run([listener])
        return 0 if server.started else 1
    supervisor = Supervisor(config, [listener], address)
    supervisor.run()
    return 0 if supervisor.ready else 1


class Server(uvicorn.Server):
    """Says where it answers as soon as it does."""

    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self.address = address

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            say_ready(self.address)


class Supervisor(Multiprocess):
    """Keeps the workers alive, and says where they answer as soon as all of them do."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], address: str) -> None:
        super().__init__(config, sockets)
        self.address = address
        self.ready = False

    @override
    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        if not self.ready and all(process.is_ready() for process in self.processes):
            self.ready = True
            say_ready(self.address)


def heard(_number: int, _frame: FrameType | None) -> None:
    """A signal that uvicorn has acted upon."""


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises CommandError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except socket.gaierror:
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
