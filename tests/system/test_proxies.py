"""Three instances behind Debian's nginx and haproxy: whose request it is, and restarts that no client notices."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.api.test_real_server import Running
from tests.conftest import Server
from tests.ports import free_port
from tests.system.fleet import (
    BEHIND,
    LIE,
    PEOPLE,
    PERSON,
    PROXY,
    Proxy,
    Seen,
    fleet,
    haproxy,
    nginx,
    working,
)
from tests.system.postgres import server_of
from tests.waiting import until

HANGING, SLOW = 25, 8  # seconds


@pytest.mark.alone
@pytest.mark.parametrize("proxy", [nginx, haproxy])
async def test_nobody_notices_that_three_instances_are_restarted_one_by_one(fresh_url: str, proxy: Proxy) -> None:
    async with fleet(fresh_url, **BEHIND) as three:
        with proxy(three.ports) as url:
            async with working(url) as seen:
                await three.restart()

        assert seen.failures == []
        assert seen.statuses.keys() == {200, 201}
        await until(three.addresses, {PERSON})


@contextmanager
def stop_time(instance: Running) -> Iterator[None]:
    """The time of an instance stands still: its system accepts connections, and it answers none."""
    os.killpg(instance.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(instance.process.pid, signal.SIGCONT)


@pytest.mark.alone
@pytest.mark.parametrize("proxy", [nginx, haproxy])
async def test_of_three_instances_one_hangs(fresh_url: str, proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    """What changes nothing is answered by another. Of the rest fails what it had, and what nginx tries on it."""
    async with fleet(fresh_url, **BEHIND) as three:
        with proxy(three.ports) as url:
            async with working(url) as seen:
                await until(has_answered(seen, 100), True)
                with stop_time(three.instances[0]):
                    before = seen.statuses.total()
                    await asyncio.sleep(HANGING)
                during = seen.statuses.total() - before
                await until(has_answered(seen, seen.statuses.total() + 100), True)

    with capsys.disabled():
        print(f"\n{proxy.__name__}: {len(seen.failures)} of {during} failed in {HANGING} s")  # noqa: T201
    assert during > 0
    assert len(seen.failures) <= PEOPLE
    assert {failure[:9] for failure in seen.failures} <= {"POST: 504", "PUT: 504 "}


def has_answered(seen: Seen, number: int) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        return seen.statuses.total() >= number

    return enough


@pytest.mark.alone
@pytest.mark.parametrize("proxy", [nginx, haproxy])
async def test_a_slow_database_takes_no_instance_away(proxy: Proxy) -> None:
    """Docket says itself what is the matter, as long as it lasts, and serves as soon as it is over."""
    with server_of(PROXY, free_port(), role="docket", password="a-secret") as postgres:
        template = await Server(postgres.admin, postgres.url("docket")).migrated()
        postgres.ask(f"CREATE DATABASE ours TEMPLATE {template} OWNER docket")
        async with fleet(postgres.url("ours"), **BEHIND) as three:
            with proxy(three.ports) as url:
                async with working(url) as seen:
                    await until(has_answered(seen, 100), True)
                    postgres.freeze()
                    await asyncio.sleep(SLOW)
                    postgres.thaw()
                    served = seen.statuses[200]
                    await until(has_answered(seen, seen.statuses.total() + 10), True)

    assert seen.statuses.keys() <= {200, 201, 503}
    assert all("database" in failure for failure in seen.failures), seen.failures
    assert seen.statuses[200] > served


@pytest.mark.parametrize("proxy", [nginx, haproxy])
async def test_a_body_that_is_too_large_is_refused_in_our_words_and_no_instance_is_given_up(
    fresh_url: str, proxy: Proxy
) -> None:
    body = b'{"email": "' + b"a" * 1_500_000 + b'"}'
    async with fleet(fresh_url, **BEHIND) as three:
        with proxy(three.ports) as url:
            async with httpx.AsyncClient(base_url=url, verify=False) as client:  # noqa: S501 - a certificate of the test
                answers = [
                    await client.post("/api/v1/auth/login", content=body, headers={"Content-Type": "application/json"})
                    for _ in range(20)
                ]

    assert {(answer.status_code, answer.headers["content-type"]) for answer in answers} <= {
        (413, "application/problem+json"),
        (429, "application/problem+json"),
    }
    assert answers[0].json()["code"] == "content_too_large"


async def test_what_is_no_proxy_of_ours_is_not_believed(fresh_url: str) -> None:
    async with fleet(fresh_url, **BEHIND) as three:
        transport = httpx.AsyncHTTPTransport(local_address=PERSON)
        async with httpx.AsyncClient(transport=transport, headers=LIE) as direct:
            answer = await direct.get(f"http://{PROXY}:{three.ports[0]}/")

        assert (answer.status_code, answer.json()["code"]) == (403, "https_required")
        await until(three.addresses, {PERSON})
