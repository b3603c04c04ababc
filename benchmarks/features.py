"""What limits, logs, metrics and headers take: the server's CPU for a get with none of them, each, and all."""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks import answers, contestants, load
from benchmarks.featured import FEATURES
from benchmarks.run import WARM_UP, cores, fill, positive
from benchmarks.servers import Server
from persistence.embedded.server import Embedded, EmbeddedError

NONE, ALL = "none", "all"
MOST = 40  # µs for all of them together


def main() -> int:
    """0 when all together take no more than they may and every answer was 2xx."""
    options = options_of()
    server_core, load_core = cores()
    if shutil.which("wrk") is None:
        raise SystemExit("bench: wrk is missing: install it with `apt-get install wrk`")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, and takes the servers along
    with tempfile.TemporaryDirectory(prefix="docket-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's account enters it when root runs this
        os.sched_setaffinity(0, {load_core})  # PostgreSQL and wrk inherit it
        servers = prepare(folder, server_core, stack)
        runs = measure(servers, options)
    for line in table(runs):
        print(line)
    failed = sum(run.failed for run in runs)
    if failed:
        print(f"FAILED {failed} answers were not 2xx")
    together = extra(runs, ALL)
    if together > MOST:
        print(f"FAILED all together take {together:.0f} µs; {MOST} are the most")
    return 1 if failed or together > MOST else 0


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5, help="measured runs of each server")
    parser.add_argument("--seconds", type=positive, default=5, help="length of a run")
    parser.add_argument("--connections", type=positive, default=32, help="connections that wrk keeps busy")
    return parser.parse_args()


def prepare(folder: Path, core: int, stack: ExitStack) -> list[Server]:
    """The servers, running upon one database: without any feature, with each, and with all."""
    postgres = Embedded(folder / "postgres")
    postgres.open()
    stack.callback(postgres.close)
    url = postgres.url("docket", "docket")
    first = contestants.docket(url, folder)
    first.start({core})  # it migrates
    first.stop()
    asyncio.run(fill(first))
    servers = []
    for name in (NONE, *FEATURES, ALL):
        server = contestants.docket(url, folder)
        chosen = {NONE: "", ALL: " ".join(FEATURES)}.get(name, name)
        command = [sys.executable, "-m", "benchmarks.featured"]
        server = replace(server, name=name, command=command, environment={**server.environment, "FEATURES": chosen})
        server.start({core})
        stack.callback(server.stop)
        servers.append(server)
    return servers


def measure(servers: Sequence[Server], options: argparse.Namespace) -> list[load.Run]:
    """Each server in turn, round after round; the first round warms up and does not count."""
    path = answers.tasks_path(servers[0])
    runs = []
    for number in range(options.rounds + 1):
        print(f"round {number} of {options.rounds}" if number else "warm-up", file=sys.stderr)
        seconds = options.seconds if number else min(WARM_UP, options.seconds)
        for server in servers if number % 2 else reversed(servers):
            load.write_users(server)
            run = load.run(server, path, "get", seconds=seconds, connections=options.connections)
            runs += [run] if number else []
    return runs


def extra(runs: Sequence[load.Run], name: str) -> float:
    """µs of server CPU that a request takes more than with none: the median of the differences within each round."""
    more, less = ([run.cpu_each for run in runs if run.server == each] for each in (name, NONE))
    return median(one - other for one, other in zip(more, less, strict=True))


def table(runs: Sequence[load.Run]) -> Iterator[str]:
    yield f"{'':8}{'CPU µs':>10}{'more':>10}"
    for name in (NONE, *FEATURES, ALL):
        cpu = median(run.cpu_each for run in runs if run.server == name)
        yield f"{name:8}{cpu:10.0f}{extra(runs, name):+10.1f}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EmbeddedError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("bench: interrupted")
