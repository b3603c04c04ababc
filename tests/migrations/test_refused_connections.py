"""What an operator reads when there is no way to the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import make_url

from server.complaints import CommandError
from tests.migrations.conftest import Command

WRONG_PASSWORD = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "ada"\0\0'


@asynccontextmanager
async def postgresql_that_says(fields: bytes) -> AsyncIterator[str]:
    """The address of a server that answers every connection with this error (the embedded one asks for no password)."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(await reader.read(4096)) == 8:  # the question whether TLS is spoken
            writer.write(b"N")
        writer.write(b"E" + (len(fields) + 4).to_bytes(4) + fields)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_wrong_password_is_told_and_not_repeated(command: Command) -> None:
    async with postgresql_that_says(WRONG_PASSWORD) as address:
        with pytest.raises(CommandError) as refused:
            await command(f"postgresql://ada:s3cret@{address}/docket", "apply")

    assert str(refused.value) == (
        f'PostgreSQL at {address} turns us away (password authentication failed for user "ada"): correct DATABASE_URL'
    )


async def test_a_server_that_is_overrun_is_told(command: Command) -> None:
    async with postgresql_that_says(b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0") as address:
        with pytest.raises(CommandError, match=f"^PostgreSQL at {address} refuses: sorry, too many clients already$"):
            await command(f"postgresql://ada@{address}/docket", "list")


async def test_a_database_that_is_down_is_told(command: Command) -> None:
    with pytest.raises(CommandError) as refused:
        await command("postgresql://ada:s3cret@127.0.0.1:1/docket", "apply")

    assert str(refused.value) == (
        "No PostgreSQL answers at 127.0.0.1:1 (Connection refused): start it, or correct DATABASE_URL"
    )


async def test_a_server_that_says_nothing_is_told(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other side has had enough
        writer.close()

    monkeypatch.setattr("server.database.connect.PATIENCE", 0.1)
    async with await asyncio.start_server(keep_silent, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

        with pytest.raises(CommandError, match=f"^PostgreSQL at {address} does not answer within 0.1 s: see whether"):
            await command(f"postgresql://ada@{address}/docket", "list")


async def test_a_host_that_nobody_knows_is_told(command: Command) -> None:
    nowhere = ".".join(["nowhere"] * 40)  # too long to ask a name server for, which may take its time

    with pytest.raises(CommandError, match=rf"^No PostgreSQL answers at {nowhere}:5432 \(.+\): start it"):
        await command(f"postgresql://ada@{nowhere}/docket", "current")


async def test_a_certificate_that_is_not_there_is_told(command: Command) -> None:
    with pytest.raises(CommandError, match=r"^DATABASE_URL names a file that is not there, as `sslrootcert`"):
        await command("postgresql://ada@127.0.0.1:1/docket?sslmode=verify-full&sslrootcert=/nowhere", "current")


async def test_a_host_that_is_no_name_is_told(command: Command) -> None:
    with pytest.raises(CommandError, match=r"^PostgreSQL at a\.\.b:5432 refuses: .+$"):
        await command("postgresql://ada@a..b/docket", "current")


async def test_a_missing_database_is_told(fresh_url: str, command: Command) -> None:
    url = make_url(fresh_url).set(database="absent").render_as_string(hide_password=False)

    with pytest.raises(CommandError, match=r"^PostgreSQL at .+ has no database absent: create it, or correct"):
        await command(url, "check")
