"""`python -m server deliver`, and servers that send by themselves, as operators run them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from persistence.engine.pool import Pool
from persistence.queries import outbox
from tests.api.test_real_server import running
from tests.conftest import ROOT
from tests.mail import Mailbox, new_mailbox
from tests.server.test_check import KEY, run_check
from tests.server.test_command_line import type_command
from tests.waiting import until

HERE = "https://app.example.com"


@pytest.fixture
def mailbox() -> Mailbox:
    return new_mailbox()


@asynccontextmanager
async def delivering(folder: Path, url: str, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m server deliver`, once it says that it sends."""
    given = {"DATABASE_URL": url, "ENVIRONMENT": "staging", "SECRET_KEY": KEY, "DATA_DIR": str(folder)} | more
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "deliver",
        cwd=ROOT, env=os.environ | given, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            assert await process.stderr.readline() == b"Docket sends what waits\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_it_sends_what_a_server_that_does_not_send_leaves(
    tmp_path: Path, fresh: Pool, fresh_url: str, mailbox: Mailbox
) -> None:
    given = {"SMTP_URL": mailbox.url, "PUBLIC_URL": HERE}
    put = type_command(tmp_path, "deliver", "--test", "ada@example.com", DATABASE_URL=fresh_url, **given)
    async with mailbox.open(), running(tmp_path, fresh_url, 1, **given, DELIVERY="off") as server:
        async with delivering(tmp_path, fresh_url, **given) as process:
            await mailbox.wait()
            process.terminate()
            async with asyncio.timeout(30):
                assert await process.wait() == 0
        assert await server.end() == (0, "")

    assert (put.returncode, put.stderr) == (0, "")
    assert mailbox.recipients == ["ada@example.com"]
    assert (await outbox.measure(fresh)).mails == 0


async def test_the_workers_of_a_server_send_and_tell(
    tmp_path: Path, fresh: Pool, fresh_url: str, mailbox: Mailbox
) -> None:
    given = {"SMTP_URL": mailbox.url, "PUBLIC_URL": HERE, "METRICS_TOKEN": KEY}
    async with mailbox.open(), running(tmp_path, fresh_url, 2, **given) as server, server.client() as http:
        type_command(tmp_path, "deliver", "--test", "ada@example.com", DATABASE_URL=fresh_url, **given)
        await mailbox.wait()

        async def count() -> bool:
            told = await http.get("/metrics", headers={"Authorization": f"Bearer {KEY}"})
            return 'docket_mails_total{outcome="sent"} 1.0' in told.text

        await until(count, answer=True)
        assert await server.end() == (0, "")

    assert mailbox.recipients == ["ada@example.com"]
    assert (await outbox.measure(fresh)).mails == 0


def test_without_a_mail_server_there_is_nothing_to_run(tmp_path: Path, fresh_url: str) -> None:
    ended = type_command(tmp_path, "deliver", DATABASE_URL=fresh_url, ENVIRONMENT="staging", SECRET_KEY=KEY)

    assert (ended.returncode, ended.stderr) == (1, "docket: SMTP_URL is not set: there is no mail\n")


@pytest.mark.parametrize("address", ["ada", "ada@", "ada @example.com", "ada@example.com\udcff"])
def test_an_address_that_is_none_is_not_understood(tmp_path: Path, address: str) -> None:
    ended = type_command(tmp_path, "deliver", "--test", address)

    assert (ended.returncode, "no address" in ended.stderr) == (2, True)


async def test_check_tells_of_the_mail_server_and_of_what_waits(
    tmp_path: Path, fresh: Pool, fresh_url: str, mailbox: Mailbox
) -> None:
    given = {"SMTP_URL": mailbox.url, "PUBLIC_URL": HERE}
    async with mailbox.open():
        _, well = await asyncio.to_thread(run_check, tmp_path, fresh_url, **given)
    type_command(tmp_path, "deliver", "--test", "ada@example.com", DATABASE_URL=fresh_url, **given)
    aged = "UPDATE outbox SET created_at = now() - interval '1 hour', problem = 'SMTPConnectError'"
    await fresh.fetch(aged, [])
    status, ill = await asyncio.to_thread(run_check, tmp_path, fresh_url, **given)

    assert (well["SMTP_URL"], well["outbox"]) == (["ok", "answers"], ["ok", "0 mails wait"])
    assert (status, ill["SMTP_URL"][0], ill["outbox"][0]) == (0, "warning", "warning")
    assert ill["outbox"][1] == "1 mails wait, the oldest for 60 minutes; the last attempt failed: SMTPConnectError"
