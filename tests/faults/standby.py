"""Two PostgreSQL servers: one leads, the other follows it by the stream, and takes its place."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from sqlalchemy import make_url

from tests.faults.wire import Wire, lay_wire
from tests.ports import free_port
from tests.system.postgres import Postgres, server_of
from tests.system.services import folder_for

SYNCHRONOUS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
PATIENCE = 30  # seconds


class Pair:
    """What `leader` acknowledges, `follower` has. The stream between the two runs over a wire that can stop."""

    def __init__(self, leader: Postgres, follower: Postgres, stream: Wire) -> None:
        self.leader, self.follower, self.stream = leader, follower, stream

    def follow(self) -> None:
        """Let the follower begin anew as a copy of the leader, and the leader wait for it at each commit."""
        shutil.rmtree(self.follower.folder / "data", ignore_errors=True)
        source = f"host=127.0.0.1 port={self.stream.port} user=streamer password=a-secret application_name=follower"
        options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-d", source]
        self.follower.run("pg_basebackup", "-D", str(self.follower.folder / "data"), *options)
        self.follower.start()
        self.leader.ask("ALTER SYSTEM SET synchronous_standby_names = 'follower'", "SELECT pg_reload_conf()")

    async def is_synchronous(self) -> None:
        """Until the leader waits for the follower. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(self.leader.ask, SYNCHRONOUS) != "1":  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.05)

    async def make_pair(self) -> None:
        await asyncio.to_thread(self.follow)
        await self.is_synchronous()

    async def promote(self) -> None:
        """Let the follower lead, and wait for no other."""
        self.leader, self.follower = self.follower, self.leader
        self.stream.there = ("127.0.0.1", self.leader.port)
        alone = "ALTER SYSTEM RESET synchronous_standby_names"
        await asyncio.to_thread(self.leader.ask, alone, "SELECT pg_reload_conf()", "SELECT pg_promote()")

    def url(self, database: str, *ports: int) -> str:
        """The database at the first of these ports whose server may write."""
        one = make_url(self.leader.url(database)).render_as_string(hide_password=False)
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return one.replace(f"127.0.0.1:{self.leader.port}", hosts) + "?target_session_attrs=read-write"


@asynccontextmanager
async def two_servers() -> AsyncIterator[Pair]:
    """A leader that has no follower yet: `make_pair` gives it one."""
    with ExitStack() as stack:
        leader = stack.enter_context(server_of("127.0.0.1", free_port(), role="docket", password="a-secret"))
        folder = stack.enter_context(folder_for("postgres"))
        follower = Postgres(folder, "127.0.0.1", free_port(), role="docket", password="a-secret")
        leader.ask("CREATE ROLE streamer LOGIN REPLICATION PASSWORD 'a-secret'")
        async with lay_wire("127.0.0.1", leader.port) as stream:
            try:
                yield Pair(leader, follower, stream)
            finally:
                for server in (leader, follower):
                    if server.process is not None and server.process.poll() is None:
                        server.stop(signal.SIGKILL)
