"""Debian's PostgreSQL as a process of a test's own, that can be harmed and started again, and its pooler."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from sqlalchemy import make_url

from tests.ports import free_port
from tests.system.services import PATIENCE, folder_for, mortal, process, program

ROOT = Path(__file__).parents[2]
ACCOUNT = "postgres" if os.geteuid() == 0 else None


class Postgres:
    """A server with a folder of its own. `role` owns its databases, and may do nothing else."""

    def __init__(self, folder: Path, host: str, port: int, *, role: str, password: str, **settings: str) -> None:
        self.folder, self.host, self.port, self.role, self.password = folder, host, port, role, password
        self.settings = {"listen_addresses": host, "port": str(port), "unix_socket_directories": str(folder)}
        self.settings |= {"fsync": "off"} | settings
        self.process: psutil.Popen | None = None

    @property
    def admin(self) -> str:
        """The URL of who may do everything."""
        return f"postgresql://postgres@/postgres?host={self.folder}&port={self.port}"

    def url(self, database: str) -> str:
        return f"postgresql://{self.role}:{self.password}@{self.host}:{self.port}/{database}"

    def make(self) -> None:
        """Make the data and the role."""
        secret = self.folder / "password"
        secret.write_text(self.password, encoding="utf-8")
        secret.chmod(0o644)
        options = [
            "--auth-host=scram-sha-256",
            "--auth-local=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]
        self.run("initdb", "-D", str(self.folder / "data"), "-U", "postgres", *options)
        self.start()
        self.ask(f"CREATE ROLE {self.role} LOGIN PASSWORD '{self.password}'")

    def run(self, name: str, *arguments: str) -> None:
        """Run one of its programs in its folder, as the account that it runs as."""
        command = [program(name), *arguments]
        subprocess.run(command, cwd=self.folder, user=ACCOUNT, group=ACCOUNT, check=True, capture_output=True)

    def ask(self, *statements: str, database: str = "postgres") -> str:
        """Run statements one by one as who may do everything; what comes back is what they print."""
        told = [part for statement in statements for part in ("-c", statement)]
        place = ["-h", str(self.folder), "-p", str(self.port), "-U", "postgres", "-d", database]
        done = subprocess.run([program("psql"), "-qXAt", *place, *told], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def start(self) -> None:
        """Start it, again too; it takes connections then."""
        given = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = psutil.Popen(
                mortal([program("postgres"), "-D", str(self.folder / "data"), *given], signal.SIGINT),
                cwd=self.folder,
                user=ACCOUNT,
                group=ACCOUNT,
                extra_groups=[] if ACCOUNT else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_until_it_takes_connections()

    def wait_until_it_takes_connections(self) -> None:
        """It listens before: a client that comes then is told that the database system is starting up."""
        asked = [program("pg_isready"), "-q", "-h", str(self.folder), "-p", str(self.port)]
        deadline = time.monotonic() + PATIENCE
        while self.postmaster.poll() is None and time.monotonic() < deadline:
            if subprocess.run(asked, check=False).returncode == 0:
                return
            time.sleep(0.05)
        pytest.fail(f"PostgreSQL takes no connections:\n{(self.folder / 'log').read_text(errors='replace')}")

    @property
    def postmaster(self) -> psutil.Popen:
        assert self.process is not None, "it was never started"
        return self.process

    @property
    def processes(self) -> list[psutil.Process]:
        return [self.postmaster, *self.postmaster.children()]

    def backend(self) -> psutil.Process:
        """A process that serves the role."""
        for child in self.postmaster.children():
            with suppress(psutil.NoSuchProcess):  # others come and go
                if f": {self.role} " in " ".join(child.cmdline()):
                    return child
        return pytest.fail("no process serves the application")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT is fast, SIGKILL a crash."""
        self.thaw()
        children = self.postmaster.children()
        self.postmaster.send_signal(how)
        self.postmaster.wait(PATIENCE)
        psutil.wait_procs(children, timeout=PATIENCE)  # they end by themselves when they see that it is gone

    def freeze(self) -> None:
        """Stop the time of it, and of all that it serves."""
        for each in self.processes:
            with suppress(psutil.NoSuchProcess):
                each.suspend()

    def thaw(self) -> None:
        if self.process is not None and self.process.is_running():
            for each in self.processes:
                with suppress(psutil.NoSuchProcess):
                    each.resume()


@contextmanager
def server_of(host: str, port: int, *, role: str, password: str, **settings: str) -> Iterator[Postgres]:
    """A server without a database but its own, gone when the context ends."""
    with folder_for("postgres") as folder:
        server = Postgres(folder, host, port, role=role, password=password, **settings)
        try:
            server.make()
            yield server
        finally:
            if server.process is not None and server.process.poll() is None:
                server.stop()


@contextmanager
def postgresql(host: str, port: int, *, role: str, password: str, database: str) -> Iterator[str]:
    """The URL of a database of its own; the role may do with that what it likes, and nothing else."""
    with server_of(host, port, role=role, password=password) as server:
        server.ask(f"CREATE DATABASE {database} OWNER {role}")
        yield server.url(database)


@contextmanager
def pgbouncer(direct: str, backends: int) -> Iterator[str]:
    """The URL of a database over a pooler with the file of deploy/, which has so many connections to lend."""
    url, host, listens = make_url(direct), "127.0.0.1", free_port()
    with folder_for("postgres") as folder:
        told = (ROOT / "deploy/pgbouncer.ini").read_text(encoding="utf-8")
        for theirs, ours in (
            ("port=5432", f"port={url.port}"),
            ("listen_port = 6432", f"listen_port = {listens}"),
            ("default_pool_size = 20", f"default_pool_size = {backends}"),
            ("/etc/pgbouncer/", f"{folder}/"),
            ("docket = host", f"{url.database} = host"),
        ):
            assert theirs in told, theirs
            told = told.replace(theirs, ours)
        (folder / "pgbouncer.ini").write_text(told, encoding="utf-8")
        (folder / "users.txt").write_text(f'"{url.username}" "{url.password}"\n', encoding="utf-8")
        command = [program("pgbouncer"), str(folder / "pgbouncer.ini")]
        with process(command, folder / "log", listens=(host, listens), user="postgres"):
            yield url.set(port=listens).render_as_string(hide_password=False)
