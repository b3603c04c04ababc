"""How PostgreSQL's own programs reach a database: by a socket of ours, from which each connection is handed on.

They need neither TLS, which the wheel's lack, nor a choice among several hosts: what is handed on goes where a
connection of ours went, in the same way. Anybody may read the arguments of a process: no password is among them.
"""

import asyncio
import os
import shutil
import struct
import tempfile
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from asyncpg import Connection
from asyncpg.connect_utils import SSLMode, SSLNegotiation, _ConnectionParameters

from persistence.embedded.server import EmbeddedError, binary
from server.complaints import CommandError

TLS_REQUEST = struct.pack("!ii", 8, 80877103)  # PostgreSQL, "Message Formats": SSLRequest
BOUND = b"SCRAM-SHA-256-PLUS\0"
PIECE = 2**18


def find_program(name: str) -> Path:
    """The wheel's, or the system's where there is no wheel. Raises CommandError."""
    try:
        return binary(name)
    except EmbeddedError:
        found = shutil.which(name)
        if found is None:
            raise CommandError(f"There is no {name} here: install PostgreSQL's client programs") from None
        return Path(found)


@asynccontextmanager
async def lend_socket(connection: Connection) -> AsyncIterator[dict[str, str]]:
    """The environment in which a program reaches the server of a connection, as the same role, in the same database."""
    address = connection._addr  # type: ignore[attr-defined]  # noqa: SLF001 - where it went, and
    parameters = connection._params  # type: ignore[attr-defined]  # noqa: SLF001 - what it was made with

    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: StreamReader, writer: StreamWriter) -> None:
        tasks.add(asyncio.create_task(hand_on(reader, writer, address, parameters)))

    given = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    options = [f"-c {name}={escape(value)}" for name, value in (parameters.server_settings or {}).items()]
    with tempfile.TemporaryDirectory(prefix="docket-") as folder:  # no other account enters it
        listener = await asyncio.start_unix_server(accept, f"{folder}/.s.PGSQL.5432")
        try:
            yield given | {
                "PGHOST": folder,
                "PGPORT": "5432",
                "PGUSER": parameters.user,
                "PGPASSWORD": parameters.password or "",
                "PGDATABASE": parameters.database,
                "PGOPTIONS": " ".join(options),
            }
        finally:
            listener.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # what ended one, its program has told


async def hand_on(
    reader: StreamReader, writer: StreamWriter, address: tuple[str, int] | str, parameters: _ConnectionParameters
) -> None:
    """Let a program speak to the server, until one of the two hangs up."""
    try:
        their_reader, their_writer = await open_stream(address, parameters)
        async with asyncio.TaskGroup() as group:
            group.create_task(forward(reader, their_writer))
            await forward_offer(their_reader, writer)
            await forward(their_reader, writer)
    finally:
        writer.close()


async def open_stream(
    address: tuple[str, int] | str, parameters: _ConnectionParameters
) -> tuple[StreamReader, StreamWriter]:
    """A stream to a server, over TLS if the parameters want it and the server has it. Raises OSError."""
    if isinstance(address, str):
        return await asyncio.open_unix_connection(address)
    reader, writer = await asyncio.open_connection(*address)
    if not parameters.ssl:
        return reader, writer
    if parameters.ssl_negotiation is SSLNegotiation.postgres:
        writer.write(TLS_REQUEST)
        if await reader.readexactly(1) != b"S":
            if parameters.sslmode in (SSLMode.allow, SSLMode.prefer):
                return reader, writer
            raise ConnectionError("the server has no TLS")
    await writer.start_tls(parameters.ssl, server_hostname=address[0])
    return reader, writer


async def forward_offer(reader: StreamReader, writer: StreamWriter) -> None:
    """Hand on the first message but for the mechanism that binds to TLS: a program that has none would hang up."""
    kind, length = struct.unpack("!ci", await reader.readexactly(5))
    said = (await reader.readexactly(length - 4)).replace(BOUND, b"")
    writer.write(struct.pack("!ci", kind, len(said) + 4) + said)


async def forward(reader: StreamReader, writer: StreamWriter) -> None:
    """Hand on what comes, and that no more does."""
    try:
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


def escape(value: str) -> str:
    """A value as PGOPTIONS has it."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
