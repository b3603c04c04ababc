"""The zero-install PostgreSQL: one server for each folder, shared by every process that opens the folder.

Beside the data are two locks, which the kernel releases when a process dies, however it dies: `users.lock` is held
shared by all that use the server, so the last one out stops it; `turn.lock` by the one that starts or stops it, for a
moment. The server is there when it answers: nothing else is believed.
"""

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import asyncpg

from persistence.embedded import locks
from persistence.embedded.binaries import EmbeddedError, binary, complaint, programs_for, run
from persistence.embedded.data_directory import (
    REMEDY,
    advice,
    check,
    create,
    explain_errors,
    is_new,
    make_private,
    place,
)
from persistence.embedded.postmaster import Postmaster, State

__all__ = ["Embedded", "EmbeddedError", "Status", "binary"]

log = logging.getLogger(__name__)

SETTINGS = MappingProxyType(
    {
        "listen_addresses": "",
        "port": "5432",  # only part of the socket's name
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "client_connection_check_interval": "1s",
        "shared_buffers": "128MB",
        "TimeZone": "UTC",
        "jit": "off",
        "log_checkpoints": "off",
        "log_error_verbosity": "terse",  # details and statements quote what people wrote
        "log_min_error_statement": "panic",
        **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),  # or each file is opened
    }
)
PROVISION = r"""
SELECT 'CREATE ROLE docket LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE' WHERE to_regrole('docket') IS NULL \gexec
SELECT format('ALTER ROLE docket SET %I = %L', name, value)
    FROM (VALUES ('statement_timeout', '2500ms'), ('lock_timeout', '1500ms'),
                 ('idle_in_transaction_session_timeout', '5s')) AS wanted (name, value)
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'docket' AND rolconfig @> ARRAY[name || '=' || value]) \gexec
SELECT 'CREATE DATABASE docket OWNER docket' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'docket') \gexec
"""
LOST = 2  # psql's exit status when there is no server, or no longer
LEAVE_SECONDS = 5  # that who leaves waits for its turn, which others have for a moment
TRIES = 20  # to find a server that has just answered
KEPT_OUT: set[Path] = set()
"""The folders whose turn this process has waited for in vain: nothing of it waits there again when it leaves."""
PULSE = 2.0  # seconds after which the supervision makes sure that the server still takes connections


@dataclass(frozen=True, slots=True)
class Status:
    """What an operator wants to know about a server."""

    running: bool
    pid: int | None
    version: str


class Embedded:
    """A handle on the server of `folder`.

    `open()` makes the server answer and `close()` leaves it; `start()` and `stop()` do the same from an event loop, and
    bring the server back whenever it dies. `settings` are PostgreSQL's, put above ours; they count if this process is
    the one that starts the server. `patience` (seconds) bounds the wait for a server that says nothing; one that says
    that it recovers is waited for as long as it takes.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] = MappingProxyType({}), patience: float = 60) -> None:
        self.folder = folder.resolve()
        self.settings = SETTINGS | settings
        self.patience = patience
        self.postmaster = Postmaster((self.folder / "data").resolve(), self.settings)
        self._users: int | None = None  # the descriptor of users.lock while we use the server
        self._leaving = threading.Event()
        self._supervision: asyncio.Task[None] | None = None

    def url(self, role: str = "docket", database: str = "docket") -> str:
        host = quote(os.fsencode(self.postmaster.socket), safe="")
        return f"postgresql://{role}@/{database}?host={host}&port=5432"

    def status(self) -> Status:
        """The server as it is; nothing is started. Raises EmbeddedError when the data is not ours to look at."""
        version = run(binary("postgres"), "--version").stdout.split()[-1]
        with explain_errors(self.folder):
            check(self.data)
            process = self.postmaster.process()
            return Status(self.postmaster.state() is State.RUNNING, process.pid if process else None, version)

    async def start(self) -> None:
        """Start the server or join it, and bring it back whenever it dies. Raises EmbeddedError."""
        self._leaving.clear()
        try:
            await asyncio.to_thread(self._join)
        except asyncio.CancelledError:
            self._leaving.set()
            raise
        self._supervision = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """Leave; the last one out stops the server."""
        self._leaving.set()
        if self._supervision is not None:
            self._supervision.cancel()
            await asyncio.gather(self._supervision, return_exceptions=True)
        await asyncio.to_thread(self.close)

    def open(self) -> None:
        """Start the server or join it. Raises EmbeddedError, and then nothing is left behind."""
        self._leaving.clear()
        self._join()

    def close(self) -> None:
        """Leave; the last one out stops the server, unless it is kept."""
        self._leaving.set()
        users, self._users = self._users, None
        if users is None:
            return
        try:
            with self._turn(leaving=True):
                if locks.try_to_take(users) and not self.kept_mark.exists():
                    self._shut_down()
        except FileNotFoundError:
            log.warning("%s was removed while it was in use", self.data.parent)
        except EmbeddedError as error:
            log.warning("Left without stopping PostgreSQL. %s", error)
        finally:
            os.close(users)
        self.postmaster.forget()

    def keep(self) -> None:
        """Let the server run on when the last one leaves, until `shut_down()`."""
        with explain_errors(self.folder):
            self.kept_mark.touch()

    def shut_down(self) -> None:
        """Stop a server that is not in use, kept or not. Raises EmbeddedError when it is."""
        with explain_errors(self.folder):
            check(self.data)
            if is_new(self.data):
                raise EmbeddedError(f"There is no database in {self.folder}")
            users = locks.open_lock(self.data.parent, "users.lock")
            try:
                with self._turn(leaving=True):
                    self.kept_mark.unlink(missing_ok=True)
                    if not locks.try_to_take(users):
                        raise EmbeddedError("The server is in use: it will be stopped when the last process leaves it")
                    self._shut_down()
            finally:
                os.close(users)

    @property
    def data(self) -> Path:
        return self.postmaster.data

    @property
    def kept_mark(self) -> Path:
        return self.data.with_name("kept")

    def _join(self) -> None:
        binary("postgres")
        with explain_errors(self.folder):
            self.postmaster = Postmaster(place(self.folder), self.settings)
            self._users = locks.open_lock(self.data.parent, "users.lock")
            try:
                with self._turn():
                    self._take(self._users, shared=True)
                    self._prepare()
                self._make_ready()
            except BaseException:
                self.close()
                raise

    def _prepare(self) -> None:
        account = check(self.data)
        if self.postmaster.socket != self.data:
            make_private(self.postmaster.socket, account)
        if is_new(self.data):
            if self.postmaster.log.exists():  # written by a server that had data
                raise EmbeddedError(f"{self.data} is empty or gone, and a database was there: {REMEDY}")
            programs = programs_for(account, self.data.parent)
            create(self.data, account, programs, durable=self.settings.get("fsync") != "off")

    def _make_answer(self) -> None:
        """Start the server if there is none, and wait until it answers."""
        began = heard = reported = time.monotonic()
        launched = False
        self.postmaster.begin_listening()
        while (state := self.postmaster.state()) is not State.RUNNING:
            now = time.monotonic()
            if state is State.BUSY:
                heard = now
            if now - heard > self.patience:
                raise EmbeddedError(f"PostgreSQL has not answered for {self.patience:.0f} s: see {self.postmaster.log}")
            if now - reported > PULSE:
                self.postmaster.judge_recovery()
                log.warning("PostgreSQL recovers, for %.0f s so far: see %s", now - began, self.postmaster.log)
                reported = now
            with self._turn():
                if self._leaving.is_set():
                    raise EmbeddedError("Told to stop before PostgreSQL answered")
                if state is State.BUSY:
                    self.postmaster.hasten()
                elif self.postmaster.process() is None:
                    if launched:
                        self.postmaster.judge()
                    self._launch()
                    launched = True
            time.sleep(0.02)

    def _launch(self) -> None:
        account = check(self.data)
        self.postmaster.launch(programs_for(account, self.data.parent), account, self.patience)

    def _make_ready(self) -> None:
        """Make the server answer and have what we need in it, though it may die between."""
        for left in reversed(range(TRIES)):
            self._make_answer()
            lost = self._provision()
            if lost is None:
                return
            if not left:
                raise EmbeddedError(f"PostgreSQL runs and takes no connections: {lost}{advice(self.data, lost)}")
            time.sleep(0.1)

    def _provision(self) -> str | None:
        """Make the role and the database if they are missing. What comes back is why there was no server for it."""
        options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--port=5432", "--username=postgres", "postgres")
        with self._turn():
            done = run(binary("psql"), "--host", self.postmaster.socket, *options, script=PROVISION)
        if done.returncode not in (0, LOST):
            raise EmbeddedError(f"Cannot make the role and the database in {self.data}: {complaint(done.stderr)}")
        return complaint(done.stderr) if done.returncode else None

    def _shut_down(self) -> None:
        if not self.postmaster.stop(self.patience):
            log.warning("PostgreSQL still stops: see %s", self.postmaster.log)

    async def _supervise(self) -> None:
        while True:
            try:
                await self._watch()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("The embedded PostgreSQL takes no connections (%s): bringing it back", error)
                await self._revive()

    async def _watch(self) -> None:
        """Hold a connection until PostgreSQL closes it, as it does when it dies, however it dies."""
        gone = asyncio.Event()
        connection = await asyncpg.connect(self.url("postgres", "postgres"), timeout=5)
        connection.add_termination_listener(lambda _: gone.set())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE):
                    await gone.wait()
            await connection.close(timeout=1)
        finally:
            connection.terminate()

    async def _revive(self) -> None:
        began = time.monotonic()
        try:
            await asyncio.to_thread(self._return)
            log.warning("The embedded PostgreSQL answers again after %.2f s", time.monotonic() - began)
        except EmbeddedError as error:
            log.error("The embedded PostgreSQL does not come back: %s", error)  # noqa: TRY400 - the line says it all
            await asyncio.sleep(1)

    def _return(self) -> None:
        with explain_errors(self.folder):
            self._make_answer()

    @contextmanager
    def _turn(self, *, leaving: bool = False) -> Iterator[None]:
        """Have the turn. Raises EmbeddedError when somebody else has it for too long, or when we are told to leave."""
        turn = locks.open_lock(self.data.parent, "turn.lock")
        try:
            self._take(turn, leaving=leaving)
            yield
        finally:
            os.close(turn)

    def _take(self, lock: int, *, shared: bool = False, leaving: bool = False) -> None:
        gives_up = (lambda: False) if leaving else self._leaving.is_set
        seconds = self.patience
        if leaving:  # who was kept out so far waits no longer
            seconds = 0 if self.folder in KEPT_OUT else min(self.patience, LEAVE_SECONDS)
        KEPT_OUT.add(self.folder)
        try:
            locks.take(lock, seconds=seconds, say=log.warning, shared=shared, gives_up=gives_up)
        except locks.Unavailable as error:
            raise EmbeddedError(str(error)) from None
        KEPT_OUT.discard(self.folder)
