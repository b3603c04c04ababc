"""The application while its embedded PostgreSQL is killed, shared, joined and left. tests/proof has the long form."""

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from persistence.embedded.server import Embedded
from tests.faults.people import AMID, sign_in, working
from tests.outages import ROOT, postmaster_of, serve
from tests.waiting import until

pytestmark = pytest.mark.alone


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    yield folder / "data"
    shutil.rmtree(folder)


async def test_without_its_database_the_application_is_alive_and_not_ready(folder: Path) -> None:
    async with serve(folder) as server, httpx.AsyncClient(base_url=server.url, timeout=20) as client:

        async def status_of(path: str) -> int:
            return (await client.get(path)).status_code

        turn = os.open(folder / "locks/turn.lock", os.O_RDONLY)
        fcntl.flock(turn, fcntl.LOCK_EX)  # until we let go, no process brings it back
        postmaster_of(folder).kill()

        await until(lambda: status_of("/readyz"), 503)
        assert await status_of("/livez") == 200
        os.close(turn)
        await until(lambda: status_of("/readyz"), 200, seconds=5)


async def test_servers_share_a_database_that_outlives_the_one_that_started_it(folder: Path) -> None:
    async with serve(folder) as first:
        postmaster = postmaster_of(folder)
        async with serve(folder) as second:
            assert first.url != second.url
            assert postmaster_of(folder) == postmaster
            async with working(second.url, await sign_in(second.url)) as people:
                await people.have_written(AMID)
                first.process.kill()
                await asyncio.to_thread(first.process.wait)
                await people.have_written(AMID)
            assert people.failures == {}
            assert postmaster_of(folder) == postmaster

    assert not Embedded(folder).status().running


async def test_a_command_beside_a_server_uses_its_database_and_leaves_it_running(folder: Path) -> None:
    async with serve(folder, WORKERS="2") as server:
        postmaster = postmaster_of(folder)
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "server", "migrate", "apply"),
            cwd="/",
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        output, _ = await command.communicate()

        assert (command.returncode, output) == (0, b"The database is at head\n")
        assert postmaster_of(folder) == postmaster
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{server.url}/readyz")).status_code == httpx.codes.OK

    assert not Embedded(folder).status().running


HELD_UP = """
import os
import sys

if "server.database.migrations" in sys.orig_argv:
    open(os.environ["GATE"] + ".reached", "w").close()
    open(os.environ["GATE"]).close()
"""


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_server_that_waits_for_another_process_ends_when_it_is_told_to(
    tmp_path: Path, folder: Path, workers: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HELD_UP)
    gate, log = tmp_path / "gate", tmp_path / "log"
    os.mkfifo(gate)
    settings = {"DATA_DIR": str(folder), "PORT": "0", "WORKERS": str(workers), "GATE": str(gate)}
    settings |= {"PYTHONPATH": f"{tmp_path}:{ROOT}", "DRAIN_SECONDS": "0", "LOG_FORMAT": "json"}
    with log.open("wb") as output:
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server", "serve", cwd="/", env=os.environ | settings, stdout=output, stderr=output
        )

    async def has_said(text: str) -> bool:
        return text in log.read_text()

    async def has_reached() -> bool:
        return gate.with_name("gate.reached").exists()

    await until(has_reached, answer=True, seconds=60)
    turn = os.open(folder / "locks/turn.lock", os.O_RDONLY)
    fcntl.flock(turn, fcntl.LOCK_EX)  # a process that is frozen while it has it, for one
    await asyncio.to_thread(gate.write_text, "")
    await until(lambda: has_said("Waiting for at most 60 s"), answer=True, seconds=60)

    server.terminate()

    async with asyncio.timeout(20):  # a supervisor that has not waited yet waits for its turn to leave, 5 s at most
        await server.wait()
    os.close(turn)
    assert "Traceback" not in log.read_text()
    Embedded(folder).shut_down()
