"""What becomes of a test's own servers when the test is killed."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.system.conftest import ROOT
from tests.system.services import is_heard, process
from tests.waiting import until

KILLED = """
import os, signal, sys
from pathlib import Path
from tests.system.services import process

port, log = sys.argv[1:]
command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", port]
with process(command, Path(log), listens=("127.0.0.1", int(port))):
    os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_they_end_with_a_test_that_is_killed(tmp_path: Path) -> None:
    address = ("127.0.0.1", free_port())
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(address[1]), str(tmp_path / "log"), cwd=ROOT
    )

    assert await killed.wait() == -9

    async def listens() -> bool:
        return is_heard(address)

    await until(listens, answer=False)


def test_none_is_taken_for_one_that_somebody_left(tmp_path: Path) -> None:
    address = ("127.0.0.1", free_port())
    command = [sys.executable, "-m", "http.server", "--bind", address[0], str(address[1])]

    with (
        process(command, tmp_path / "log", listens=address),
        pytest.raises(pytest.fail.Exception, match="already"),
        process(command, tmp_path / "other", listens=address),
    ):
        pytest.fail("There were two")
