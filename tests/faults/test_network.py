"""The network between Docket and PostgreSQL stops or breaks; sessions freeze, connections run out, clients leave."""

import asyncio
from contextlib import suppress

import httpx
import psutil
from sqlalchemy import make_url

from tests.faults.conftest import Database
from tests.faults.servers import POOL_SIZE, docket
from tests.faults.trial import Trial
from tests.faults.wire import Wire, lay_wire
from tests.system.postgres import pgbouncer

STOPS = 8  # seconds, longer than a statement and its ROLLBACK are waited for


def through(url: str, port: int) -> str:
    return make_url(url).set(host="127.0.0.1", port=port).render_as_string(hide_password=False)


async def stop_for(wire: Wire, seconds: float) -> None:
    wire.stop()
    await asyncio.sleep(seconds)
    wire.go()


async def test_a_network_stops(trial: Trial, database: Database) -> None:
    server_port = database.postgres.port
    async with (
        lay_wire("127.0.0.1", server_port) as wire,
        docket(through(database.url, wire.port)) as server,
        trial(f"network that stops for {STOPS} s", server, database.url) as people,
    ):
        async for _ in people.rounds():
            await stop_for(wire, STOPS)
    told = " ".join(people.said)
    assert "The database does not answer" in told
    assert "The database answers again" in told


async def test_a_network_stops_behind_a_pooler(trial: Trial, database: Database) -> None:
    async with lay_wire("127.0.0.1", database.postgres.port) as wire:
        with pgbouncer(through(database.url, wire.port), POOL_SIZE) as pooled:
            async with (
                docket(pooled, DATABASE_POOLER="transaction") as server,
                trial(f"network behind pgbouncer that stops for {STOPS} s", server, database.url) as people,
            ):
                async for _ in people.rounds():
                    await stop_for(wire, STOPS)


async def test_a_network_stops_before_a_pooler(trial: Trial, database: Database) -> None:
    with pgbouncer(database.url, POOL_SIZE) as pooled:
        async with (
            lay_wire("127.0.0.1", make_url(pooled).port or 0) as wire,
            docket(through(pooled, wire.port), DATABASE_POOLER="transaction") as server,
            trial(f"network before pgbouncer that stops for {STOPS} s", server, database.url) as people,
        ):
            async for _ in people.rounds():
                await stop_for(wire, STOPS)


async def test_a_backend_is_frozen(trial: Trial, database: Database) -> None:
    async with (
        docket(database.url) as server,
        trial("SIGSTOP of every backend for 6 s", server, database.url) as people,
    ):
        async for _ in people.rounds():
            frozen = backends(database)
            for process in frozen:
                process.suspend()
            await asyncio.sleep(6)
            for process in frozen:
                with suppress(psutil.NoSuchProcess):
                    process.resume()


async def test_a_network_breaks(trial: Trial, database: Database) -> None:
    async with (
        lay_wire("127.0.0.1", database.postgres.port) as wire,
        docket(through(database.url, wire.port)) as server,
        trial("network that resets every connection", server, database.url) as people,
    ):
        async for _ in people.rounds():
            wire.cut()
    assert people.longest_gap < 5


async def test_the_server_has_no_connection_left(trial: Trial, database: Database) -> None:
    """One of ours works, and all share it."""
    postgres = database.postgres
    async with (
        docket(database.url) as server,
        trial("max_connections reached", server, database.url) as people,
    ):
        postgres.ask(f"ALTER ROLE {postgres.role} CONNECTION LIMIT 1")
        try:
            async for _ in people.rounds():
                for process in backends(database)[1:]:
                    process.terminate()
        finally:
            postgres.ask(f"ALTER ROLE {postgres.role} CONNECTION LIMIT -1")
    assert people.longest_gap < 5


async def test_clients_leave_early(trial: Trial, database: Database) -> None:
    async with docket(database.url) as server, trial("clients that leave early", server, database.url) as people:
        async for _ in people.rounds():
            async with httpx.AsyncClient(base_url=server.url, timeout=0.005) as client:
                for _ in range(50):
                    with suppress(httpx.TransportError):
                        await client.get("/health")
    assert people.failures == {}
    assert people.said == {}


def backends(database: Database) -> list[psutil.Process]:
    """The processes that serve the role."""
    told = f": {database.postgres.role} "
    return [process for process in database.postgres.postmaster.children() if told in " ".join(process.cmdline())]
