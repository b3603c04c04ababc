"""The embedded PostgreSQL: shared, killed, found in disorder, in odd places."""

import asyncio
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from persistence.embedded.server import Embedded, EmbeddedError
from persistence.engine.pool import AWAY

QUICK = {"fsync": "off"}
ROOT = Path(__file__).parents[2]
# Opens the folder, says so, and leaves when it has nothing more to read.
COMPANION = """
import sys
from pathlib import Path
from persistence.embedded.server import Embedded
embedded = Embedded(Path(sys.argv[1]), {"fsync": "off"})
print("begun", flush=True)
embedded.open()
print(embedded.status().pid, flush=True)
sys.stdin.read()
embedded.close()
"""


class Companion:
    """Another process that uses the same folder."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", COMPANION, str(folder)]
        self.process = subprocess.Popen(
            command,
            bufsize=0,  # or a line that was read along with the one before would not be seen to be there
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.line() == "begun"

    def line(self) -> str:
        output = self.process.stdout
        assert output is not None
        assert select.select([output], [], [], 30)[0], "the other process says nothing"
        return output.readline().decode().strip()

    def leave(self) -> None:
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    return folder


def end_servers(folder: Path) -> None:
    """End what a test that failed may have left."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() == "postgres" and any(part.startswith(str(folder)) for part in process.cmdline()):
                process.kill()


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """A folder with a database that the tests have in common."""
    folder = new_folder()
    embedded = Embedded(folder, QUICK)
    embedded.open()
    embedded.close()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def folder(made: Path) -> Iterator[Path]:
    """A folder with a database whose server is stopped."""
    yield made
    end_servers(made)


@pytest.fixture
def empty() -> Iterator[Path]:
    """A new folder."""
    folder = new_folder()
    yield folder
    end_servers(folder)
    shutil.rmtree(folder)


@pytest.fixture
def copy(empty: Path, made: Path) -> Path:
    """A folder with a database that a test may damage."""
    subprocess.run(["cp", "-Rp", made / "data", empty / "data"], check=True)
    return empty


@pytest.fixture
def join() -> Iterator[Callable[[Path], Companion]]:
    """Start another process that uses a folder."""
    companions: list[Companion] = []

    def start(folder: Path) -> Companion:
        companions.append(Companion(folder))
        return companions[-1]

    yield start
    for companion in companions:
        if companion.process.returncode is None:
            companion.kill()


@asynccontextmanager
async def connect(
    embedded: Embedded, role: str = "docket", database: str = "docket"
) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(embedded.url(role, database), timeout=5)
    try:
        yield connection
    finally:
        await connection.close()


async def ask(embedded: Embedded, sql: str, role: str = "docket") -> Any:
    async with connect(embedded, role) as connection:
        return await connection.fetchval(sql)


async def ask_until_answered(embedded: Embedded, sql: str) -> Any:
    while True:
        try:
            return await ask(embedded, sql)
        except AWAY:
            await asyncio.sleep(0.02)


def pid_of(embedded: Embedded) -> int:
    pid = embedded.status().pid
    assert pid is not None
    return pid


def everything_in(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in (folder, *folder.rglob("*"))}


def until(condition: Callable[[], object], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


def wait_for_end(pid: int) -> None:
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


# What a new folder gets


async def test_the_role_owns_its_database_and_nothing_else(empty: Path) -> None:
    embedded = Embedded(empty, QUICK)
    embedded.open()
    try:
        async with connect(embedded) as connection:
            await connection.execute("CREATE TABLE public.tried (id int); DROP TABLE public.tried")
            role = await connection.fetchrow("SELECT * FROM pg_roles WHERE rolname = 'docket'")
            owned = await connection.fetch("SELECT datname FROM pg_database WHERE datdba = 'docket'::regrole")
            owns_public = await connection.fetchval(
                "SELECT pg_has_role('docket', nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'public'"
            )
            depending = await connection.fetchval(
                "SELECT count(*) FROM pg_shdepend WHERE refobjid = 'docket'::regrole AND deptype = 'o'"
            )
    finally:
        embedded.close()

    assert role is not None
    assert not any(role[right] for right in ("rolsuper", "rolcreatedb", "rolcreaterole", "rolreplication"))
    assert [record["datname"] for record in owned] == ["docket"]
    assert owns_public
    assert depending == 1


async def test_the_role_has_timeouts_and_the_server_its_settings(folder: Path) -> None:
    embedded = Embedded(folder, QUICK | {"work_mem": "5MB"})
    embedded.open()
    try:
        async with connect(embedded) as connection:
            found = {record["name"]: record["setting"] for record in await connection.fetch("SHOW ALL")}
    finally:
        embedded.close()

    assert found["statement_timeout"] == "2500ms"
    assert found["lock_timeout"] == "1500ms"
    assert found["idle_in_transaction_session_timeout"] == "5s"
    assert (found["TimeZone"], found["jit"], found["max_connections"]) == ("UTC", "off", "200")
    assert found["client_connection_check_interval"] == "1s"
    assert (found["fsync"], found["work_mem"]) == ("off", "5MB")


async def test_nothing_is_lost_in_a_power_failure_unless_asked_for(folder: Path) -> None:
    embedded = Embedded(folder)
    embedded.open()
    try:
        assert await ask(embedded, "SHOW fsync") == "on"
        assert await ask(embedded, "SHOW synchronous_commit") == "on"
        assert await ask(embedded, "SHOW full_page_writes") == "on"
    finally:
        embedded.close()


async def test_no_port_is_opened_and_everything_is_private(folder: Path) -> None:
    embedded = Embedded(folder, QUICK)
    embedded.open()
    try:
        sockets = psutil.Process(pid_of(embedded)).net_connections("all")
    finally:
        embedded.close()

    assert {str(connection.laddr) for connection in sockets} <= {"", str(folder / "data" / ".s.PGSQL.5432")}
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "postgres.log").stat().st_mode) == 0o600


async def test_the_socket_is_for_its_owner_alone(folder: Path) -> None:
    embedded = Embedded(folder, QUICK)
    embedded.open()
    try:
        assert stat.S_IMODE((folder / "data" / ".s.PGSQL.5432").stat().st_mode) == 0o700
    finally:
        embedded.close()


async def test_sorting_case_and_search_do_not_depend_on_the_system(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LANG", "LC_CTYPE", "LC_COLLATE"):
        monkeypatch.setenv(name, "tr_TR.ISO-8859-9")
    embedded = Embedded(empty, QUICK)
    embedded.open()
    try:
        async with connect(embedded) as connection:
            words = await connection.fetch("SELECT word FROM unnest(ARRAY['b', 'É', 'a', 'I', 'z']) word ORDER BY word")
            lower = await connection.fetchval("SELECT lower('ÀÉI Ж')")
            search = await connection.fetchval("SELECT to_tsvector('simple', 'naïve—test 日本語。テスト')::text")
            encoding = await connection.fetchval("SHOW server_encoding")
    finally:
        embedded.close()

    assert [record["word"] for record in words] == ["I", "a", "b", "z", "É"]
    assert lower == "àéi ж"
    assert search == "'naïve':1 'test':2 'テスト':4 '日本語':3"
    assert encoding == "UTF8"


async def test_variables_of_other_databases_do_not_lead_it_astray(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGHOST", "/nowhere")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere")
    embedded = Embedded(folder, QUICK)
    embedded.open()
    try:
        assert embedded.status().running
        assert await ask(embedded, "SELECT current_user::text || current_database()") == "docketdocket"
    finally:
        embedded.close()


@pytest.mark.alone
async def test_a_second_start_answers_well_under_a_second(folder: Path) -> None:
    embedded = Embedded(folder)
    embedded.open()
    embedded.close()

    began = time.monotonic()
    embedded.open()
    took = time.monotonic() - began

    assert await ask(embedded, "SELECT 1") == 1
    embedded.close()
    assert took < 0.8


async def test_what_is_missing_is_made_at_the_next_start(folder: Path) -> None:
    embedded = Embedded(folder, QUICK)
    embedded.open()
    async with connect(embedded, "postgres", "postgres") as connection:
        await connection.execute("DROP DATABASE docket")
        await connection.execute("ALTER ROLE docket RESET lock_timeout")
    embedded.close()

    embedded.open()

    assert await ask(embedded, "SHOW lock_timeout") == "1500ms"
    embedded.close()


def test_the_status_of_a_folder_without_a_database_makes_nothing(empty: Path) -> None:
    status = Embedded(empty / "none").status()

    assert (status.running, status.pid) == (False, None)
    assert status.version.startswith("18.")
    assert list(empty.iterdir()) == []


# Several processes


async def test_the_last_one_out_stops_the_server(folder: Path, join: Callable[[Path], Companion]) -> None:
    embedded = Embedded(folder, QUICK)
    embedded.open()
    companion = join(folder)
    pid = pid_of(embedded)
    assert int(companion.line()) == pid

    embedded.close()
    assert await ask(embedded, "SELECT 1") == 1
    companion.leave()

    assert not embedded.status().running
    assert not (folder / "data" / "postmaster.pid").exists()


def test_processes_that_start_at_once_share_one_server(empty: Path, join: Callable[[Path], Companion]) -> None:
    companions = [join(empty) for _ in range(4)]
    pids = {companion.line() for companion in companions}

    assert len(pids) == 1
    for companion in companions:
        companion.leave()
    wait_for_end(int(pids.pop()))


async def test_the_server_outlives_the_process_that_started_it(folder: Path, join: Callable[[Path], Companion]) -> None:
    starter = join(folder)
    pid = int(starter.line())
    embedded = Embedded(folder, QUICK)
    embedded.open()

    starter.kill()

    assert await ask(embedded, "SELECT 1") == 1
    assert pid_of(embedded) == pid
    embedded.close()
    assert not embedded.status().running


def test_a_server_whose_last_process_was_killed_is_found_again(folder: Path, join: Callable[[Path], Companion]) -> None:
    starter = join(folder)
    pid = int(starter.line())
    starter.kill()

    embedded = Embedded(folder, QUICK)
    embedded.open()

    assert pid_of(embedded) == pid
    embedded.close()
    assert not embedded.status().running


async def test_ctrl_c_does_not_reach_the_server(folder: Path, join: Callable[[Path], Companion]) -> None:
    starter = join(folder)
    starter.line()
    embedded = Embedded(folder, QUICK)
    embedded.open()
    pid = pid_of(embedded)

    os.killpg(starter.process.pid, signal.SIGINT)
    starter.process.communicate()

    assert await ask(embedded, "SELECT 1") == 1
    assert pid_of(embedded) == pid
    embedded.close()


def test_a_kept_server_runs_on_until_it_is_shut_down(folder: Path) -> None:
    embedded = Embedded(folder, QUICK)
    embedded.open()
    embedded.keep()
    embedded.close()
    assert embedded.status().running

    embedded.shut_down()

    assert not embedded.status().running


def test_a_server_in_use_is_not_shut_down(folder: Path, join: Callable[[Path], Companion]) -> None:
    companion = join(folder)
    companion.line()

    with pytest.raises(EmbeddedError, match="in use"):
        Embedded(folder).shut_down()

    assert Embedded(folder).status().running
    companion.leave()


# Killed


@pytest.fixture
async def supervised(folder: Path) -> AsyncIterator[Embedded]:
    """A supervised server with one row that was committed."""
    embedded = Embedded(folder)
    await embedded.start()
    async with connect(embedded) as connection:
        await connection.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
    yield embedded
    await embedded.stop()
    assert not embedded.status().running


@pytest.mark.alone
async def test_a_killed_server_serves_again_within_5_seconds(supervised: Embedded) -> None:
    killed = pid_of(supervised)
    os.kill(killed, signal.SIGKILL)

    async with asyncio.timeout(5):
        assert await ask_until_answered(supervised, "SELECT id FROM kept") == 7
    assert pid_of(supervised) != killed


@pytest.mark.alone
async def test_a_killed_session_takes_the_others_down_for_a_moment_only(supervised: Embedded) -> None:
    server = pid_of(supervised)
    async with connect(supervised) as connection:
        os.kill(connection.get_server_pid(), signal.SIGKILL)

        async with asyncio.timeout(5):
            assert await ask_until_answered(supervised, "SELECT id FROM kept") == 7
    assert pid_of(supervised) == server


@pytest.mark.alone
async def test_a_session_that_outlives_its_server_does_not_hold_up_the_next(supervised: Embedded) -> None:
    connection = await asyncpg.connect(supervised.url("postgres"))
    backend = psutil.Process(connection.get_server_pid())
    busy = asyncio.create_task(connection.execute("DO 'BEGIN LOOP END LOOP; END'"))
    await asyncio.to_thread(until, lambda: backend.cpu_times().user > 0.05)

    os.kill(pid_of(supervised), signal.SIGKILL)

    async with asyncio.timeout(5):
        assert await ask_until_answered(supervised, "SELECT id FROM kept") == 7
    assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await busy


@pytest.mark.alone
async def test_a_server_told_to_stop_while_it_is_used_comes_back(supervised: Embedded) -> None:
    stopped = pid_of(supervised)
    async with connect(supervised) as connection:  # for which a polite stop waits for ever
        os.kill(stopped, signal.SIGTERM)
        await asyncio.to_thread(wait_for_end, stopped)

        async with asyncio.timeout(5):
            assert await ask_until_answered(supervised, "SELECT id FROM kept") == 7
        assert connection.is_closed()


@pytest.mark.alone
async def test_the_others_bring_the_server_back_when_its_starter_is_killed_too(
    folder: Path, join: Callable[[Path], Companion]
) -> None:
    starter = join(folder)
    server = int(starter.line())
    embedded = Embedded(folder, QUICK)
    await embedded.start()

    starter.kill()
    os.kill(server, signal.SIGKILL)

    async with asyncio.timeout(5):
        assert await ask_until_answered(embedded, "SELECT 1") == 1
    await embedded.stop()


@pytest.mark.parametrize("moment", ["making.*", "making.*/base/1", "data/postmaster.pid"])
async def test_a_start_that_was_killed_is_no_obstacle(
    empty: Path, join: Callable[[Path], Companion], moment: str
) -> None:
    starter = join(empty)
    until(lambda: list(empty.glob(moment)))
    starter.kill()

    embedded = Embedded(empty, QUICK)
    embedded.open()

    assert await ask(embedded, "SELECT 1") == 1
    embedded.close()


async def test_a_long_recovery_is_waited_for_and_reported(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    embedded = Embedded(copy, QUICK)
    embedded.open()
    embedded.close()
    (copy / "data" / "recovery.signal").touch()  # asks an archive at every step, here one that takes its time

    recovering = Embedded(copy, QUICK | {"restore_command": "sleep 2; false"}, patience=2)
    recovering.open()

    assert await ask(recovering, "SELECT 1") == 1
    recovering.close()
    assert re.search(r"PostgreSQL recovers, for \d+ s so far", caplog.text)


# Disorder


def an_ended_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize("pid", [os.getpid, an_ended_pid, lambda: 1, lambda: "", lambda: "not a number"])
async def test_an_old_pid_file_is_no_obstacle(folder: Path, pid: Callable[[], int | str]) -> None:
    data = folder / "data"
    (data / "postmaster.pid").write_text(f"{pid()}\n{data}\n1700000000\n5432\n{data}\n\n 1 2\nready\n")
    (data / ".s.PGSQL.5432.lock").write_text(f"{pid()}\n{data}\n1700000000\n5432\n{data}\n")
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        os.chown(data / name, data.stat().st_uid, data.stat().st_gid)  # as PostgreSQL's own

    embedded = Embedded(folder, QUICK)
    embedded.open()

    assert await ask(embedded, "SELECT 1") == 1
    embedded.close()


async def test_a_left_socket_is_no_obstacle(folder: Path) -> None:
    embedded = Embedded(folder, QUICK)
    embedded.open()
    os.kill(pid_of(embedded), signal.SIGKILL)
    until(lambda: not embedded.status().running)
    assert (folder / "data" / ".s.PGSQL.5432").is_socket()
    embedded.close()

    embedded.open()

    assert await ask(embedded, "SELECT 1") == 1
    embedded.close()


def remove(data: Path, name: str) -> None:
    path = data / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("global/pg_control", r"is damaged \(global/pg_control is missing\) and stays as it is: "),
        ("global", r"is damaged \(global/pg_control is missing\) and stays as it is: "),
        ("PG_VERSION", r"is damaged \(PG_VERSION is missing\) and stays as it is: "),
        ("pg_wal", 'does not start: required WAL directory "pg_wal" does not exist: '),
        ("base", 'runs and takes no connections: database "postgres" does not exist: '),
        (".", "is empty or gone, and a database was there: "),
    ],
)
def test_data_of_which_something_is_gone_is_refused_and_stays(copy: Path, name: str, reason: str) -> None:
    embedded = Embedded(copy, QUICK)
    embedded.open()
    embedded.close()
    remove(copy / "data", name)
    before = {path.name for path in copy.iterdir()}

    with pytest.raises(EmbeddedError, match=reason) as refusal:
        Embedded(copy, QUICK).open()

    assert {path.name for path in copy.iterdir()} == before
    assert not Embedded(copy).data.joinpath(name).exists()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("global/pg_control", 100, 'could not read file "global/pg_control": read 100 of 296'),
        ("PG_VERSION", 0, "PG_VERSION names no version"),
        ("global/pg_filenode.map", 10, 'could not read file "global/pg_filenode.map": read 10 of 524'),
    ],
)
def test_data_that_is_cut_short_is_refused_in_words(copy: Path, name: str, size: int, reason: str) -> None:
    os.truncate(copy / "data" / name, size)

    with pytest.raises(EmbeddedError, match=reason):
        Embedded(copy, QUICK).open()


def test_a_file_in_the_place_of_data_is_refused(empty: Path) -> None:
    (empty / "data").write_text("nothing")

    with pytest.raises(EmbeddedError, match="is a file and no data directory"):
        Embedded(empty, QUICK).open()


def test_data_open_to_others_is_refused(copy: Path) -> None:
    (copy / "data").chmod(0o755)

    with pytest.raises(EmbeddedError, match=r"is open to others, which PostgreSQL refuses: chmod 0700 it$"):
        Embedded(copy, QUICK).open()


def test_a_link_to_a_folder_that_is_gone_is_refused(empty: Path) -> None:
    (empty / "data").symlink_to(empty / "gone" / "data")

    with pytest.raises(EmbeddedError, match="whose folder is gone"):
        Embedded(empty, QUICK).open()
    assert not (empty / "gone").exists()


async def test_what_a_start_that_was_killed_left_goes(empty: Path) -> None:
    (empty / "making.left").mkdir()

    embedded = Embedded(empty, QUICK)
    embedded.open()

    assert await ask(embedded, "SELECT 1") == 1
    embedded.close()
    assert not (empty / "making.left").exists()


def test_data_of_another_major_version_is_not_touched(copy: Path) -> None:
    (copy / "data" / "PG_VERSION").write_text("17\n")
    before = everything_in(copy)

    with pytest.raises(EmbeddedError, match=r"was written by PostgreSQL 17 and this is 18: .*DATA_DIR$") as refusal:
        Embedded(copy).open()

    assert everything_in(copy) == before
    assert "\n" not in str(refusal.value)


@pytest.mark.alone
def test_a_server_that_cannot_start_says_why_at_once(folder: Path) -> None:
    began = time.monotonic()

    with pytest.raises(EmbeddedError, match='invalid value for parameter "work_mem": "much"') as refusal:
        Embedded(folder, QUICK | {"work_mem": "much"}).open()

    assert time.monotonic() - began < 5
    assert "\n" not in str(refusal.value)


@pytest.mark.alone
def test_damaged_data_is_reported_and_not_tried_for_ever(copy: Path) -> None:
    shutil.rmtree(copy / "data" / "pg_wal")
    (copy / "data" / "pg_wal").mkdir(mode=0o700)
    owner = (copy / "data").stat()
    os.chown(copy / "data" / "pg_wal", owner.st_uid, owner.st_gid)
    began = time.monotonic()

    with pytest.raises(EmbeddedError, match="could not locate a valid checkpoint record"):
        Embedded(copy, QUICK).open()

    assert time.monotonic() - began < 5


# Odd places


@pytest.mark.parametrize("name", ["über 日本語 with spaces", 'a, "b" 100%41&host=x#?:5433', "x" * 120])
async def test_any_path_will_do(empty: Path, name: str, join: Callable[[Path], Companion]) -> None:
    place = empty / name
    companion = join(place)
    embedded = Embedded(place, QUICK)
    embedded.open()
    try:
        assert int(companion.line()) == pid_of(embedded)
        assert await ask(embedded, "SELECT 1") == 1
        engine = create_async_engine(make_url(embedded.url()).set(drivername="postgresql+asyncpg"))
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT current_database()")) == "docket"
        await engine.dispose()
    finally:
        embedded.close()
        companion.leave()
    assert not embedded.status().running


def test_a_socket_away_from_its_data_is_private(empty: Path) -> None:
    folder = empty / ("x" * 120)
    folder.mkdir()
    folder.chmod(0o755)
    embedded = Embedded(folder, QUICK)
    embedded.open()
    socket = embedded.postmaster.socket
    mode = stat.S_IMODE(socket.lstat().st_mode)
    embedded.close()
    assert socket.parent != embedded.data.parent
    assert mode == 0o700
    assert not socket.exists()

    socket.mkdir()
    socket.chmod(0o755)
    with pytest.raises(EmbeddedError, match=f"{socket}.* is open to others: remove it, or choose a shorter DATA_DIR"):
        embedded.open()
    socket.rmdir()


def test_a_folder_that_cannot_be_made_is_one_line(empty: Path) -> None:
    (empty / "file").touch()

    with pytest.raises(EmbeddedError, match=r"Not a directory .*: choose a DATA_DIR that you may write") as refusal:
        Embedded(empty / "file" / "inside").open()

    assert "\n" not in str(refusal.value)


async def test_a_folder_reached_through_a_symbolic_link_is_the_same(empty: Path) -> None:
    (empty / "real").mkdir()
    (empty / "link").symlink_to("real")
    one, other = Embedded(empty / "real", QUICK), Embedded(empty / "link", QUICK)
    one.open()
    other.open()

    assert pid_of(one) == pid_of(other)
    assert one.url() == other.url()
    one.close()
    assert await ask(other, "SELECT 1") == 1
    other.close()
