"""Load: runs of wrk, each with one operation against one server."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks import rows
from benchmarks.servers import Server

SCRIPT = Path(__file__).with_name("load.lua")
OPERATIONS = ("get", "list", "create", "patch")
ALONE = ("search",)
"""What the peer does not have."""
SEARCHES = 8  # at once: a process refuses those beyond half of its pool


@dataclass(frozen=True)
class Run:
    """What one run saw: p50 and p99 in µs, server CPU in s; `failed` answers were not 2xx or never came."""

    server: str
    operation: str
    requests: int
    seconds: float
    p50: int
    p99: int
    failed: int
    cpu: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_each(self) -> float:
        """µs of server CPU per request."""
        return self.cpu / self.requests * 1e6 if self.requests else float("inf")


def write_users(server: Server) -> None:
    """Write what wrk acts as: a line for each user, fresh token first, then the ids of the user's tasks."""
    with _users_file(server).open("w") as file:
        for user in range(rows.USERS):
            ids = (str(rows.task_id(user, task)) for task in range(rows.TASKS))
            print(server.sign(user), *ids, file=file)


def run(server: Server, path: str, operation: str, *, seconds: int, connections: int) -> Run:
    """Keep the connections busy for that long, from one thread."""
    options = ["--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--timeout=10s"]
    script = [f"--script={SCRIPT}", server.address, "--", operation, path, str(_users_file(server))]
    before = server.cpu()
    done = subprocess.run(["wrk", *options, *script], capture_output=True, text=True, check=False)
    cpu = server.cpu() - before
    if done.returncode or not done.stdout.rstrip().endswith("}"):
        raise SystemExit(f"bench: wrk failed: {(done.stderr or done.stdout).strip()}")
    seen = json.loads(done.stdout.rstrip().rpartition("\n")[2])
    failed = seen["refused"] + seen["broken"]
    return Run(
        server.name, operation, seen["requests"], seen["microseconds"] / 1e6, seen["p50"], seen["p99"], failed, cpu
    )


def _users_file(server: Server) -> Path:
    return server.folder / f"{server.name}.users"
