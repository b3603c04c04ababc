"""Ports for servers that have to be told theirs."""

import socket

HELD: list[socket.socket] = []


def free_port() -> int:
    """A port of the loopback that is free, and is given to no other process as long as we live.

    We hold it and never listen, so that a server may bind it all the same: both say SO_REUSEADDR.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    HELD.append(held)
    port: int = held.getsockname()[1]
    return port
