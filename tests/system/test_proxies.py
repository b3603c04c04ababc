"""Three instances behind Debian's nginx and haproxy: whose request it is, and restarts that nobody notices."""

import httpx
import pytest

from tests.system.fleet import BEHIND, LIE, PERSON, PROXY, Proxy, fleet, haproxy, nginx, working
from tests.waiting import until


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
