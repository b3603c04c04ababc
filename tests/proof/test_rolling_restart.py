"""Thousands of requests while three instances of two workers are restarted one by one, again and again: none fails."""

import statistics

import pytest

from tests.system.fleet import BEHIND, PERSON, Proxy, fleet, haproxy, nginx, working
from tests.waiting import until

LEAST = 20_000  # requests


@pytest.mark.parametrize("proxy", [nginx, haproxy])
async def test_no_request_fails_while_all_instances_are_restarted(
    fresh_url: str, proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = 0
    async with fleet(fresh_url, **BEHIND, WORKERS="2") as three:
        with proxy(three.ports) as url:
            async with working(url) as seen:
                while seen.statuses.total() < LEAST or not rounds:
                    await three.restart()
                    rounds += 1
        await until(three.addresses, {PERSON})
    p95, longest = statistics.quantiles(seen.took, n=20)[18] * 1000, max(seen.took) * 1000

    with capsys.disabled():
        print(  # noqa: T201 - the figures are what the proof is run for
            f"\n{proxy.__name__}: {rounds} times all three restarted: {seen.statuses.total()} requests,"
            f" {len(seen.failures)} failed, p95 {p95:.0f} ms, longest {longest:.0f} ms"
        )
    assert seen.failures == []
