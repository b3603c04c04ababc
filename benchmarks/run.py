"""The benchmark: Docket beside its peers, on the same rows, in interleaved rounds, with one core for the server."""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import asyncpg

from benchmarks import answers, contestants, load, report, rows
from benchmarks.servers import Server
from persistence.embedded.server import Embedded, EmbeddedError

TYPICAL = Path(__file__).with_name("peers") / "typical.py"
WARM_UP = 2  # seconds of each operation


def main() -> int:
    """0 when Docket is as much cheaper as demanded and every answer was 2xx."""
    options = _options()
    server_core, load_core = cores()
    if shutil.which("wrk") is None:
        raise SystemExit("bench: wrk is missing: install it with `apt-get install wrk`")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, and takes the servers along
    with tempfile.TemporaryDirectory(prefix="docket-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's account enters it when root runs this
        start = _second_start(folder)
        os.sched_setaffinity(0, {load_core})  # PostgreSQL and wrk inherit it
        servers = _prepare(folder, options.also, server_core, stack)
        answers.compare(servers)
        runs = _measure(servers, options)
        memory = {server.name: server.memory() for server in servers}
    faults = list(report.faults(runs, servers[0].name, servers[1].name, options.floor))
    for line in report.table(runs, list(memory)):
        print(line)
    for server, size in memory.items():
        print(f"{server}: {size / 1e6:.0f} MB resident in a worker")
    print(f"docket: ready {start:.2f} s after its second start, embedded PostgreSQL included")
    for fault in faults:
        print(f"FAILED {fault}")
    if options.json:
        seen = {"runs": [asdict(run) for run in runs], "memory": memory, "second_start": start}
        options.json.write_text(json.dumps(seen, indent=1) + "\n")
    return 1 if faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=3, help="measured runs of each operation on each server")
    parser.add_argument("--seconds", type=positive, default=5, help="length of a run")
    parser.add_argument("--connections", type=positive, default=32, help="connections that wrk keeps busy")
    parser.add_argument("--floor", type=float, default=6, help="how many times Docket's CPU the peer has to take")
    parser.add_argument("--also", type=_file, action="append", default=[], metavar="PATH", help="one more peer beside")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures of every run")
    return parser.parse_args()


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return Path(text)


def cores() -> tuple[int, int]:
    """The core of the servers, and that of wrk and PostgreSQL."""
    found = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    if len(found) < 2:  # noqa: PLR2004 - one for each side
        raise SystemExit("bench: it takes Linux and two cores, one for the server, one for wrk and PostgreSQL")
    return found[0], found[1]


def _second_start(folder: Path) -> float:
    """Seconds until Docket is ready on a database of its own that exists, as `scripts/run.sh` starts it again."""
    server = contestants.docket(None, folder)
    both = set(cores())
    server.start(both)
    server.stop()
    seconds = server.start(both)
    server.stop()
    return seconds


def _prepare(folder: Path, also: Sequence[Path], core: int, stack: ExitStack) -> list[Server]:
    """The servers, running on equal rows: Docket, the typical peer, the others."""
    postgres = Embedded(folder / "postgres")
    postgres.open()
    stack.callback(postgres.close)
    servers = [contestants.docket(postgres.url("docket", "docket"), folder)]
    for number, file in enumerate([TYPICAL, *also]):
        name = f"{file.stem}-{number + 1}" if number else file.stem
        url = asyncio.run(_database(postgres, f"peer_{number}"))
        servers.append(contestants.peer(name, file, url, folder, same_contract=file is TYPICAL))
    for server in servers:
        server.start({core})
        stack.callback(server.stop)
        asyncio.run(fill(server))
    return servers


async def _database(postgres: Embedded, name: str) -> str:
    """The URL of a new database."""
    connection = await asyncpg.connect(postgres.url("postgres", "postgres"))
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return postgres.url("postgres", name)


async def fill(server: Server) -> None:
    connection = await asyncpg.connect(server.database)
    try:
        await connection.execute("SET statement_timeout = 0")  # the application's role has one
        await rows.fill(connection, server.tables)
    finally:
        await connection.close()


def _measure(servers: Sequence[Server], options: argparse.Namespace) -> list[load.Run]:
    """Each operation on each server in turn, round after round; the first round warms up and does not count."""
    paths = {server.name: answers.tasks_path(server) for server in servers}
    runs = []
    for number in range(options.rounds + 1):
        print(f"round {number} of {options.rounds}" if number else "warm-up", file=sys.stderr)
        seconds = options.seconds if number else min(WARM_UP, options.seconds)
        for server in servers:
            load.write_users(server)
        for operation in (*load.OPERATIONS, *load.ALONE):
            alone = operation in load.ALONE
            asked = servers[:1] if alone else servers
            connections = min(options.connections, load.SEARCHES) if alone else options.connections
            for server in asked if number % 2 else reversed(asked):
                path = paths[server.name]
                run = load.run(server, path, operation, seconds=seconds, connections=connections)
                runs += [run] if number else []
    return runs


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EmbeddedError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("bench: interrupted")
