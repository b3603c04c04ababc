"""What the runs say: medians, ratios, the table, the verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.load import ALONE, OPERATIONS, Run


@dataclass(frozen=True)
class Figures:
    """Medians over the rounds: requests per second, milliseconds twice, µs of server CPU per request."""

    rate: float
    p50: float
    p99: float
    cpu: float


def figures(runs: Sequence[Run], server: str, operation: str) -> Figures:
    seen = [run for run in runs if run.server == server and run.operation == operation]
    return Figures(
        median(run.rate for run in seen),
        median(run.p50 for run in seen) / 1000,
        median(run.p99 for run in seen) / 1000,
        median(run.cpu_each for run in seen),
    )


def ratio(runs: Sequence[Run], operation: str, dear: str, cheap: str) -> float:
    """How many times the CPU of `cheap` a request costs on `dear`: the median of the ratios within each round."""
    costs = {
        server: [run.cpu_each for run in runs if run.server == server and run.operation == operation]
        for server in (dear, cheap)
    }
    return median(more / less for more, less in zip(costs[dear], costs[cheap], strict=True))


def table(runs: Sequence[Run], servers: Sequence[str]) -> Iterator[str]:
    """The lines of the table; ratios are against the first server."""
    width = max(map(len, servers))
    yield f"{'':8}{'':{width}}  requests/s    p50 ms    p99 ms    CPU µs     ratio"
    for operation in (*OPERATIONS, *ALONE):
        for server in servers[:1] if operation in ALONE else servers:
            seen = figures(runs, server, operation)
            times = ratio(runs, operation, server, servers[0])
            name = operation if server == servers[0] else ""
            yield (
                f"{name:8}{server:{width}}{seen.rate:12,.0f}{seen.p50:10.2f}{seen.p99:10.2f}{seen.cpu:10.0f}{times:9.1f}x"
            )


def faults(runs: Sequence[Run], first: str, peer: str, floor: float) -> Iterator[str]:
    """What makes the benchmark fail: answers that were not 2xx, ratios below the floor."""
    for run in runs:
        if run.failed or not run.requests:
            yield f"{run.server}, {run.operation}: {run.failed} of {run.requests} answers were not 2xx"
    for operation in OPERATIONS:
        times = ratio(runs, operation, peer, first)
        if times < floor:
            yield f"{operation}: {peer} takes only {times:.1f} times the CPU of {first}; the floor is {floor:g}"
