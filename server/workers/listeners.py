"""Where a server listens: the addresses of HOST, taken at its start and listened at when somebody answers there."""

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress

import psutil

from server.complaints import CommandError

UNKNOWN = "another program"
EVERY_ADDRESS = {"::": ("::", "0.0.0.0")}  # noqa: S104 - that is what it means; each family has a socket of its own
ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind_listeners(host: str, port: int) -> list[socket.socket]:
    """Take the addresses of a host, which refuse connections until the first worker answers. Raises CommandError.

    A name may have addresses that this machine lacks, as `localhost` has that of IPv6, but not all of them.
    """
    bound: list[socket.socket] = []
    lacking: CommandError | None = None
    with ExitStack() as undo:
        for family, address in addresses(host, port):
            try:
                listener = undo.enter_context(bind(family, address, bound[0].getsockname()[1] if bound else port))
            except OSError as error:
                lacking = CommandError(complaint(address, port, error))
                if error.errno not in ABSENT or host in EVERY_ADDRESS:
                    raise lacking from None
            else:
                bound.append(listener)
        undo.pop_all()
    if not bound and lacking is not None:
        raise lacking
    return bound


def addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses that a name stands for, each with its family. Raises CommandError."""
    try:
        found = [
            (family, str(address[0]))
            for name in EVERY_ADDRESS.get(host, (host,))
            for family, _, _, _, address in socket.getaddrinfo(
                name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        ]
    except (socket.gaierror, UnicodeError):
        raise CommandError(f"HOST: {host} is no address of this machine") from None
    return list(dict.fromkeys(found))


def bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    """A socket that has the address and does not listen yet. Raises OSError."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the server before may rest
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
    except BaseException:
        listener.close()
        raise
    return listener


def complaint(address: str, port: int, error: OSError) -> str:
    """One line about an address that we cannot have."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by {holder(port)}: stop that, or choose another with PORT=..."
    return f"Cannot listen on {at(address, port)}: {os.strerror(error.errno or 0)}"


def holder(port: int) -> str:
    """Who listens on a port, as far as we may know."""
    with suppress(psutil.Error):  # some systems tell it only to an administrator
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return UNKNOWN


def urls(listeners: Sequence[socket.socket]) -> list[str]:
    """The addresses of sockets as URLs have them."""
    return [f"http://{at(*listener.getsockname()[:2])}" for listener in listeners]


def at(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def accept_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Those who wait to be accepted; the listener does not block."""
    with suppress(BlockingIOError):
        while True:
            yield listener.accept()[0]
