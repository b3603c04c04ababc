"""Five hundred connections that send a byte now and then, and whether others wait longer for them."""

import asyncio
import statistics
from multiprocessing import get_context
from pathlib import Path

import psutil
import pytest

from tests.api.test_connections import drip, latencies
from tests.api.test_real_server import running
from tests.waiting import until

SLOW = 500
SECONDS = 30.0


def drip_all(host: str, port: int) -> None:
    """Open them all, and again whenever the server hangs up."""

    async def drip_together() -> None:
        await asyncio.gather(*(drip(host, port) for _ in range(SLOW)))

    asyncio.run(drip_together())


async def test_500_slow_connections_do_not_slow_others(
    fresh_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path, fresh_url) as server:
        before = await latencies(server, SECONDS / 3)
        slow = get_context("spawn").Process(target=drip_all, args=(server.host, server.port), daemon=True)
        slow.start()
        watched = psutil.Process(server.process.pid)

        async def are_open() -> bool:
            return len(watched.net_connections("tcp")) > SLOW

        try:
            await until(are_open, answer=True)
            among = await latencies(server, SECONDS)
            assert slow.is_alive()
        finally:
            slow.kill()
            slow.join()
        after = await latencies(server, SECONDS / 3)
    p95 = [statistics.quantiles(each, n=20)[18] * 1000 for each in (before + after, among)]

    with capsys.disabled():
        print(  # noqa: T201 - the figures are what the proof is run for
            f"\n{SLOW} slow connections for {SECONDS:.0f} s: p95 of others {p95[0]:.2f} ms alone, {p95[1]:.2f} ms among"
            f" them ({len(among)} requests)"
        )
    assert p95[1] <= 2 * p95[0]
