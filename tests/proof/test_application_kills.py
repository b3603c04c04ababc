"""PostgreSQL is killed again and again under the application: 503 meanwhile, and nothing acknowledged is lost."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.outages import WRITERS, backend_of, kept_in, postmaster_of, served, writing

KILLS = 10
QUIET = 0.5  # seconds of writing between the kills


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("victim", [postmaster_of, backend_of])
async def test_the_application_survives_its_database(
    folder: Path, victim: Callable[[Path], psutil.Process], workers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    moments: list[float] = []
    async with served(folder, WORKERS=workers) as server:
        async with writing(server.url) as seen:
            for _ in range(KILLS):
                await seen.one_after(time.monotonic() + QUIET)
                process = victim(folder)
                moments.append(time.monotonic())
                process.kill()
                await asyncio.to_thread(psutil.wait_procs, [process], timeout=2)
            moments.append(await seen.one_after(time.monotonic() + QUIET))
        lost = seen.acknowledged.keys() - await kept_in(folder)
    gaps = [seen.longest_gap(before, after) for before, after in pairwise(moments)]

    with capsys.disabled():
        print(  # noqa: T201 - the figures are what the proof is run for
            f"\nkilled {KILLS} times ({victim.__name__}, {workers} workers) under {WRITERS} writers: acknowledged"
            f" {len(seen.acknowledged)}, lost {len(lost)}, refused {len(seen.refusals)}, longest gaps"
            f" {', '.join(f'{gap:.2f}' for gap in gaps)} s"
        )
    assert lost == set()
    assert {status for status, _ in seen.refusals} <= {503}
    assert all(retry_after for _, retry_after in seen.refusals)
    assert max(gaps) < 5
