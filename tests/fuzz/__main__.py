"""Fuzz a server of its own with a fresh database: `python -m tests.fuzz [options of schemathesis run]`."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.fuzz import statuses

SETTINGS = {"PORT": "0", "LOG_FORMAT": "json", "RATE_LIMITS_ENABLED": "false", "RESPONSE_CHECK_RATE": "1"}
READY = "Docket answers at "
PATIENCE = 60  # seconds for the server to start, and to end


def main(options: Sequence[str]) -> int:
    """Fuzz, say what was seen, and what is wrong with it. What comes back is the exit status."""
    folder = Path(tempfile.mkdtemp(prefix="docket-fuzz-"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    log, report = folder / "log", folder / "report.ndjson"
    try:
        with served(folder, log) as url:
            command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.yaml", "--url", url]
            reporting = ["--report", "ndjson", "--report-ndjson-path", str(report)]
            run = subprocess.run([*command, *reporting, *options], check=False)
        faults = [*never_seen(report, options), *errors(log)]
        for fault in faults:
            say(f"fuzz: {fault}")
        if run.returncode or faults:
            say(f"The last that the server logged:\n{''.join(log.read_text().splitlines(keepends=True)[-20:])}")
        return run.returncode or bool(faults)
    finally:
        shutil.rmtree(folder)


@contextmanager
def served(folder: Path, log: Path) -> Iterator[str]:
    """The URL of a server with an empty database, which is gone afterwards."""
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "server", "serve"],
            env={**os.environ, **SETTINGS, "DATA_DIR": str(folder / "data")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield address(server, log)
    finally:
        server.terminate()
        server.wait(PATIENCE)


def address(server: subprocess.Popen[bytes], log: Path) -> str:
    """Where the server answers, as soon as it does."""
    deadline = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        _, ready, rest = log.read_text().partition(READY)
        if ready and ";" in rest:
            return rest.partition(";")[0]
        time.sleep(0.05)
    raise SystemExit(f"fuzz: the server does not start:\n{log.read_text()}")


def never_seen(report: Path, options: Sequence[str]) -> list[str]:
    """Say what was answered; the successes that were not, unless only some operations were asked for."""
    counts = statuses.seen(report)
    say(statuses.table(counts))
    if any(option.startswith(("--include-", "--exclude-")) for option in options):
        return []
    return [f"{missing} was never answered" for missing in statuses.without_success(counts)]


def errors(log: Path) -> list[str]:
    """What the server logged as an error, and its answers 500."""
    events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [f"the server logged {event}" for event in events if event["level"] == "error" or event.get("status") == 500]


def say(lines: str) -> None:
    print(lines, flush=True)  # noqa: T201 - what the program is for


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
