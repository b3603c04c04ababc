"""100,000 tasks of demo data are written in less than a minute."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from persistence.embedded.server import Embedded
from tests.conftest import ROOT

TASKS, USERS = 100_000, 1_000
LIMIT = 60  # seconds


def test_100_000_tasks_are_written_in_less_than_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="docket-") as name:
        Path(name).chmod(0o755)  # for the account that runs PostgreSQL for root
        embedded = Embedded(Path(name))
        embedded.open()
        first, again = time_seed(name), time_seed(name)
        embedded.close()

    with capsys.disabled():
        print(f"\n{first.line}\n{again.line}")  # noqa: T201 - the figures are what the proof is run for
    assert first.said.startswith("Added")
    assert again.said.startswith("Nothing is changed")
    assert first.seconds < LIMIT


@dataclass(frozen=True, slots=True)
class Timed:
    """What a run said, how long it took, and how much CPU time of its own."""

    said: str
    seconds: float
    cpu: float

    @property
    def line(self) -> str:
        load = psutil.getloadavg()[0]
        return f"{self.seconds:.1f} s, {self.cpu:.1f} s of CPU without PostgreSQL's, load {load:.1f}: {self.said}"


def time_seed(data_dir: str) -> Timed:
    before, began = os.times(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "scripts.seed", "--users", str(USERS), "--tasks", str(TASKS)],
        cwd="/",  # so that no .env counts
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATA_DIR": data_dir},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Timed(done.stdout.splitlines()[0], time.monotonic() - began, cpu)
