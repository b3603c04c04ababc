"""How long gets and creates take at a fixed rate over many connections, and how many one and three instances answer."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import quantiles

from benchmarks import answers, contestants, load, rows
from benchmarks.run import fill
from benchmarks.servers import Server, free_port
from persistence.embedded.server import Embedded, EmbeddedError

RATE = 100  # requests a second
SECONDS = 10
CONNECTIONS = (100, 1000)
INSTANCES = 3
ALIVE = b"GET /livez HTTP/1.1\r\nHost: docket\r\n\r\n"
BODY = b'{"title":"Answer the questions of team"}'


def main() -> int:
    if shutil.which("wrk") is None:
        raise SystemExit("bench: wrk is missing: install it with `apt-get install wrk`")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, and takes the servers along
    with tempfile.TemporaryDirectory(prefix="docket-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's account enters it when root runs this
        servers = prepare(folder, stack)
        failed = sum(asyncio.run(measure_paced(servers[0], count)) for count in CONNECTIONS)
        failed += sum(highest(servers[:count]) for count in (1, INSTANCES))
    if failed:
        print(f"FAILED {failed} answers were not 2xx")
    return 1 if failed else 0


def prepare(folder: Path, stack: ExitStack) -> list[Server]:
    """Instances upon one database that has rows, on all cores."""
    postgres = Embedded(folder / "postgres")
    postgres.open()
    stack.callback(postgres.close)
    servers = []
    for number in range(INSTANCES):
        server = contestants.docket(postgres.url("docket", "docket"), folder)
        port = free_port()
        more = {"PORT": str(port), "MAX_CONNECTIONS": "2000"}
        server = replace(server, name=f"docket-{number + 1}", port=port, environment={**server.environment, **more})
        server.start(os.sched_getaffinity(0))
        stack.callback(server.stop)
        servers.append(server)
    asyncio.run(fill(servers[0]))
    return servers


async def measure_paced(server: Server, count: int) -> int:
    """Print how long gets and creates take, each connection sending in its turn; how many failed."""
    print(f"{RATE} requests a second over {count:,} connections, {SECONDS} s each")
    connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(count)]
    await asyncio.gather(*[is_answered(*connection, ALIVE) for connection in connections])
    failed = 0
    for operation in ("get", "create"):
        requests = [request(server, operation, number) for number in range(RATE * SECONDS)]
        began = time.perf_counter()

        async def send(number: int, requests: list[bytes] = requests, began: float = began) -> tuple[float, bool]:
            due = began + number / RATE
            await asyncio.sleep(due - time.perf_counter())
            good = await is_answered(*connections[number % count], requests[number])
            return time.perf_counter() - due, good

        took = await asyncio.gather(*[send(number) for number in range(len(requests))])
        cuts = [cut * 1000 for cut in quantiles([seconds for seconds, _ in took], n=100)]
        print(f"  {operation:8} p50 {cuts[49]:.1f}, p95 {cuts[94]:.1f}, p99 {cuts[98]:.1f} ms")
        failed += sum(not good for _, good in took)
    for _, writer in connections:
        writer.close()
    return failed


async def is_answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> bool:
    """Whether the answer to a request is 2xx."""
    writer.write(sent)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    return head.startswith(b"HTTP/1.1 2")


def request(server: Server, operation: str, number: int) -> bytes:
    user = number % rows.USERS
    head = f"Host: docket\r\nAuthorization: Bearer {server.sign(user)}\r\n"
    if operation == "get":
        return f"GET /api/v1/tasks/{rows.task_id(user, number % rows.TASKS)} HTTP/1.1\r\n{head}\r\n".encode()
    told = f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
    return f"POST /api/v1/tasks HTTP/1.1\r\n{head}{told}\r\n".encode() + BODY


def highest(servers: list[Server]) -> int:
    """Print how many gets and creates a second these instances answer at most; how many failed."""
    failed = 0
    for operation in ("get", "create"):
        runs = list(together(servers, operation))
        print(f"{len(servers)} of them, {operation}: {sum(run.rate for run in runs):,.0f} requests a second")
        failed += sum(run.failed for run in runs)
    return failed


def together(servers: list[Server], operation: str) -> Iterator[load.Run]:
    """A run of wrk against each instance at the same time."""
    for server in servers:
        load.write_users(server)
    path = answers.tasks_path(servers[0])

    async def run() -> list[load.Run]:
        return await asyncio.gather(
            *[
                asyncio.to_thread(load.run, server, path, operation, seconds=SECONDS, connections=32)
                for server in servers
            ]
        )

    yield from asyncio.run(run())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EmbeddedError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("bench: interrupted")
