"""The server as an operator starts it, in a clone of its own: how it comes up, and each way it does not."""

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from tests.system.clones import Clone, Environment, as_stranger, clone, python_for_all, wait_for_end

WRONG_PASSWORD = 'DATABASE_URL="${DATABASE_URL/:a-secret@/:wrong@}" exec "$0"'


@pytest.fixture(scope="module")
def docket() -> Iterator[Clone]:
    """A fresh clone after its first start, which made everything."""
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)  # for another account
    made = clone(folder / "my clüne")
    with made.serving(PYTHON=python_for_all()) as url:
        assert is_ready(url)
    yield made
    shutil.rmtree(folder)


def is_ready(url: str) -> bool:
    return httpx.get(f"{url}/readyz").status_code == httpx.codes.OK


def complaint(docket: Clone, **settings: str | None) -> str:
    """The one line with which `run.sh` refuses to start."""
    refused = docket.run("run.sh", **settings)
    assert refused.status == 1, refused
    assert refused.output == []
    assert len(refused.errors) == 1, refused
    return refused.errors[0]


@pytest.mark.alone
def test_the_second_start_is_ready_in_two_seconds_and_needs_no_network(docket: Clone) -> None:
    took = []
    for _ in range(3):
        began = time.monotonic()
        with docket.serving(PIP_INDEX_URL="http://127.0.0.1:9/simple") as url:
            assert is_ready(url)
            took.append(time.monotonic() - began)

    assert min(took) < 2


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C"}, {"NO_COLOR": "1"}, {"HOME": None}, {"TERM": None}],
    ids=["locale C", "NO_COLOR", "no HOME", "no TERM"],
)
def test_it_serves_in_an_odd_environment(docket: Clone, environment: Environment) -> None:
    with docket.serving(**environment) as url:
        assert is_ready(url)


def test_it_serves_from_another_directory_and_through_links_with_the_same_data(docket: Clone) -> None:
    link, script = docket.folder.with_name("link"), docket.folder.with_name("start")
    link.symlink_to(docket.folder)
    script.symlink_to(docket.folder / "scripts/run.sh")
    key = (docket.folder / ".data/secret-key").read_bytes()

    with replace(docket, cwd=docket.folder / "scripts").serving() as url, Clone(link).serving() as other:
        assert is_ready(url)
        assert is_ready(other)
    with docket.serving(script) as url:
        assert is_ready(url)

    assert (docket.folder / ".data/secret-key").read_bytes() == key
    assert not docket.folder.with_name(".data").exists()


def test_two_first_starts_at_once_both_serve(docket: Clone) -> None:
    data = docket.folder.with_name("shared")

    with ThreadPoolExecutor() as operators, ExitStack() as stack:
        starts = [partial(stack.enter_context, docket.serving(DATA_DIR=str(data))) for _ in range(2)]
        for start in [operators.submit(start) for start in starts]:
            assert is_ready(start.result())


def test_a_read_only_clone_serves_with_its_data_elsewhere(docket: Clone) -> None:
    data = docket.folder.with_name("elsewhere")
    data.mkdir()

    with as_stranger(docket, data) as theirs, theirs.serving(DATA_DIR=str(data)) as url:
        assert is_ready(url)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_and_the_database_with_it(docket: Clone, number: signal.Signals) -> None:
    process = docket.start("run.sh", PORT="0")
    assert process.stderr is not None
    assert "answers at" in process.stderr.readline()
    children = psutil.Process(process.pid).children(recursive=True)
    assert (docket.folder / ".data/data/postmaster.pid").exists()

    process.send_signal(number)

    assert wait_for_end(process).status == 0
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert not (docket.folder / ".data/data/postmaster.pid").exists()


def test_a_port_that_is_taken_is_told_with_its_holder(docket: Clone) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert complaint(docket, PORT=str(port)) == (
            f"docket: Port {port} is taken by {psutil.Process().name()} (pid {os.getpid()}): "
            "stop that, or choose another with PORT=..."
        )


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("PORT", "abc", "PORT: Input should be a valid integer, unable to parse string as an integer"),
        ("WORKERS", "0", "WORKERS: Input should be greater than or equal to 1"),
        ("SECRET_KEY", "short", "SECRET_KEY: is shorter than 32 bytes: make one with `openssl rand -hex 32`"),
        (
            "DATABASE_URL",
            "mysql://ada@localhost/docket",
            "DATABASE_URL: is not a PostgreSQL URL: write postgresql://user:password@host:5432/database",
        ),
    ],
)
def test_a_bad_setting_is_told_by_its_name(docket: Clone, setting: str, value: str, told: str) -> None:
    assert complaint(docket, **{setting: value}) == f"docket: {told}"


def test_a_folder_that_cannot_be_written_is_told(docket: Clone) -> None:
    data = docket.folder.with_name("theirs")
    data.mkdir(mode=0o555)

    with as_stranger(docket) as theirs:
        told = complaint(theirs, DATA_DIR=str(data), PORT="0")

    assert told == f"docket: DATA_DIR: cannot write {data}: Permission denied"


def test_a_database_that_is_down_is_told(docket: Clone) -> None:
    assert complaint(docket, PORT="0", DATABASE_URL="postgresql://ada:s3cret@127.0.0.1:1/docket") == (
        "docket: No PostgreSQL answers at 127.0.0.1:1 (Connection refused): start it, or correct DATABASE_URL"
    )


def test_a_wrong_password_is_told_and_not_repeated(docket: Clone) -> None:
    refused = docket.run(
        "with_postgres.sh", "bash", "-c", WRONG_PASSWORD, str(docket.folder / "scripts/run.sh"), PORT="0"
    )

    assert refused.status == 1
    assert len(refused.errors) == 1, refused
    assert refused.errors[0].endswith(
        ' turns us away (password authentication failed for user "docket"): correct DATABASE_URL'
    )


async def test_a_schema_newer_than_the_code_is_told(docket: Clone, fresh_url: str) -> None:
    connection = await asyncpg.connect(fresh_url)
    await connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    await connection.close()

    assert complaint(docket, PORT="0", DATABASE_URL=fresh_url) == (
        "docket: The schema of the database is newer than the code, which does not know its revision ffffffffffff: "
        "start the release that made it, or a later one"
    )
