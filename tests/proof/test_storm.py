"""A storm: a hostile client for each class of work, each at its rate limit, beside twenty people who read.

STORM_SECONDS is how long it lasts, 120 by default. A client is an account and an address of its own.
"""

import asyncio
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from persistence.engine.pool import Pool
from persistence.search.vectors import DIGITS, TAGS
from security.keys import Keys
from security.tokens import Tokens
from server.app import AUDIENCE, ISSUER
from server.terms import RATE_CLASSES
from tests.api.conftest import SECRET
from tests.api.test_real_server import Running, running
from tests.factories import PASSWORD, Factory, SignedIn
from tests.proof.test_tasks_at_scale import ADDED

SECONDS = float(os.environ.get("STORM_SECONDS", "120"))
READERS, PAUSE, QUIET = 20, 0.5, 20.0
SHARED, OWN = 50_000, 20_000  # tasks of a team of all who are hostile, and of the one who exports
RESTING, DRIPPING, AT_ONCE = 905, 50, 8
SPAWN = get_context("spawn")
WRONG = "not the password at all"
PASSWORDS = {"current_password": WRONG, "new_password": PASSWORD}
LIFE = timedelta(minutes=15)  # of an access token
KIB = 1024
UNKNOWN = b'{"title":"x",' + b",".join(b'"m%d":1' % n for n in range(6000)) + b"}"
NESTED = b'{"title":' + b"[" * 30 + b"]" * 30 + b"}"
VALUES = b'{"title":[' + b",".join([b"1"] * 9900) + b"]}"
Send: TypeAlias = Callable[[httpx.AsyncClient, int], Awaitable[httpx.Response]]
Answers: TypeAlias = dict[str, Counter[int]]
Headers: TypeAlias = dict[str, str]


def sender_of(method: str, path: str, **more: Any) -> Send:
    return lambda http, _: http.request(method, f"/api/v1{path}", **more)


def poster_of(path: str, content: bytes) -> Send:
    return sender_of("POST", path, content=content, headers={"Content-Type": "application/json"})


def change_username(http: httpx.AsyncClient, number: int) -> Awaitable[httpx.Response]:
    kind = {"Content-Type": "application/merge-patch+json"}
    return http.patch("/api/v1/users/me", json={"username": f"storm-{number}"}, headers=kind)


def register(http: httpx.AsyncClient, number: int) -> Awaitable[httpx.Response]:
    account = {"email": f"storm{number}@example.com", "password": PASSWORD}
    return http.post("/api/v1/auth/register", json=account)


ATTACKS: dict[str, tuple[str, list[Send]]] = {
    "bodies and queries": (
        "default",
        [
            poster_of("/tasks", UNKNOWN),
            poster_of("/tasks", NESTED),
            poster_of("/tasks", VALUES),
            sender_of("GET", "/tasks?" + "&".join(f"m{n}=1" for n in range(900))),
        ],
    ),
    "counts and lists": (
        "default",
        [
            sender_of("GET", "/tasks?include_total=true&scope=all&limit=100"),
            sender_of("GET", "/tasks?scope=all&limit=100&sort=-title"),
        ],
    ),
    "bodies of 1 MiB": ("bulk", [poster_of("/users/bulk", b"[" * KIB * KIB)]),
    "refreshes": ("refresh", [poster_of("/auth/refresh", UNKNOWN)]),
    "searches": ("search", [sender_of("GET", "/tasks/search?q=it is about -rare task&scope=all&limit=100")]),
    "exports": ("sensitive", [sender_of("GET", "/users/me/export")]),
    "sign-ins": ("login", [sender_of("POST", "/auth/login", json={"email": "ada@example.com", "password": WRONG})]),
    "registrations": ("register", [register]),
    "passwords": ("password", [sender_of("PUT", "/users/me/password", json=PASSWORDS)]),
    "names that others have": ("sensitive", [change_username]),
}
"""By what they do: the class that bounds how often, and what is sent in turn."""


def every(rate_class: str) -> float:
    """The seconds between two requests of a client."""
    counted = RATE_CLASSES[rate_class]
    amount, window = counted.get("user") or counted["ip"]
    return window / amount


@pytest.fixture
async def people(url: str) -> AsyncIterator[tuple[list[SignedIn], dict[str, SignedIn]]]:
    """Those who read, with a task each, and those who are hostile, by what they do."""
    pool = Pool(url, size=1)
    make = Factory(pool)
    readers = [await make.user() for _ in range(READERS)]
    for reader in readers:
        await make.task(reader.id, reader)
    hostile = {name: await make.user() for name in ATTACKS}
    team = await make.team()
    for one in hostile.values():
        await make.member(team, one.id, "owner")
    connection, exporter = await pool.take(), hostile["exports"].id
    await connection.execute("SET statement_timeout = 0")
    await connection.fetch(ADDED, [team, exporter], [SHARED, OWN], ["", ""], exporter, DIGITS, TAGS, timeout=300)
    await connection.execute("VACUUM ANALYZE", timeout=300)
    pool.put(connection)
    yield readers, hostile
    await pool.close()


def bearer(caller: SignedIn) -> Headers:
    token = Tokens(Keys(SECRET), ISSUER, AUDIENCE, LIFE).issue_access(caller.id, caller.session_id, datetime.now(UTC))
    return {"Authorization": f"Bearer {token}"}


async def read(server: Running, headers: Headers, took: list[float]) -> None:
    """Read again and again, as people do."""
    async with httpx.AsyncClient(base_url=f"http://{server.host}:{server.port}", headers=headers, timeout=60) as http:
        while True:
            began = time.perf_counter()
            answer = await http.get("/api/v1/tasks")
            took.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200
            await asyncio.sleep(random.uniform(0.5, 1.5) * PAUSE)  # noqa: S311 - jitter, no secret


async def strike(server: str, name: str, headers: Headers, address: str, answers: Counter[int]) -> None:
    """Send as much as the limit allows, a few at once, whatever the answers are."""
    transport, places = httpx.AsyncHTTPTransport(local_address=address), asyncio.Semaphore(AT_ONCE)
    rate_class, sends = ATTACKS[name]
    async with httpx.AsyncClient(transport=transport, base_url=server, headers=headers, timeout=60) as http:

        async def one(number: int) -> None:
            async with places:
                with suppress(httpx.TransportError):  # the server hangs up on who does not stop sending
                    answers[(await sends[number % len(sends)](http, number)).status_code] += 1

        async with asyncio.TaskGroup() as under_way:
            for number in count():
                under_way.create_task(one(number))
                await asyncio.sleep(every(rate_class))


async def rest(host: str, port: int, address: str) -> None:
    """Open a connection that only rests, and another one some time after it was closed."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port, local_addr=(address, 0))
            with closing(writer):
                await reader.read()
        await asyncio.sleep(10)


async def drip(host: str, port: int, address: str) -> None:
    """Send a head byte by byte, and begin again when that is given up."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, port, local_addr=(address, 0))
            with closing(writer):
                for byte in b"GET /api/v1/tasks HTTP/1.1\r\nHost: docket\r\nX-Slow: " + b"x" * 1000:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.5)


def storm(host: str, port: int, headers: dict[str, Headers], seconds: float, other: Connection) -> None:
    """What a process of its own does once it is told to, at the lowest priority: attackers have machines of their own.

    It tells what it was answered.
    """
    os.nice(19)
    answers: Answers = {name: Counter() for name in headers}

    async def blow() -> None:
        each = [
            strike(f"http://{host}:{port}", name, headers[name], f"127.0.1.{number}", answers[name])
            for number, name in enumerate(headers, 1)
        ]
        resting = [rest(host, port, "127.0.2.1") for _ in range(RESTING)]
        dripping = [drip(host, port, "127.0.2.2") for _ in range(DRIPPING)]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*each, *resting, *dripping)

    other.send("ready")
    other.recv()
    asyncio.run(blow())
    other.send(answers)


async def measure_readers(seconds: float, server: Running, readers: list[Headers]) -> list[float]:
    """How many milliseconds the readers waited for each answer."""
    took: list[float] = []
    reading = [asyncio.create_task(read(server, headers, took)) for headers in readers]
    done, _ = await asyncio.wait(reading, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for each in reading:
        each.cancel()
    for each in done:
        each.result()
    return took


def p95(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=20)[-1]


@pytest.mark.proves("ASVS 5.0 15.2.2", "Readers go on while a client of every class of work does its worst")
async def test_readers_wait_at_most_twice_as_long_in_a_storm(
    url: str, people: tuple[list[SignedIn], dict[str, SignedIn]], tmp_path: Path
) -> None:
    readers, headers = [bearer(one) for one in people[0]], {name: bearer(one) for name, one in people[1].items()}
    ours, theirs = Pipe()
    async with running(tmp_path, url, RATE_LIMITS_ENABLED="true") as server:
        process = SPAWN.Process(target=storm, args=(server.host, server.port, headers, SECONDS + 2, theirs))
        process.start()
        await asyncio.to_thread(ours.recv)
        before = p95(await measure_readers(min(QUIET, SECONDS), server, readers))
        ours.send("begin")
        stormy = await measure_readers(SECONDS, server, readers)
        answers: Answers = await asyncio.to_thread(ours.recv)
        await asyncio.to_thread(process.join)

    for name, found in answers.items():
        print(f"{name}: every {every(ATTACKS[name][0]):.2f} s, answered {dict(found)}")  # noqa: T201 - the measurement
    print(f"{len(stormy)} reads: p95 {before:.1f} ms quiet, {p95(stormy):.1f} ms in the storm")  # noqa: T201 - the measurement
    assert all(found and 500 not in found for found in answers.values())
    assert p95(stormy) <= 2 * before
