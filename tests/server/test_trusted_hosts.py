"""What is let in: by host, by TLS, and by the word of which proxies."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from ipaddress import ip_network
from typing import TypeAlias

import httpx
import pytest

from server.protocol.client_address import Proxies
from server.settings.loading import load
from tests.api.conftest import SECRET, client_of, start_app
from tests.binding.conftest import request
from tests.conftest import Bench

PROXY, STRANGER = "10.0.0.1", "192.0.2.9"
PROBES = ("/health", "/livez", "/readyz")
Started: TypeAlias = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def start(db: Bench) -> AsyncIterator[Started]:
    """A server with other settings, and who calls it: `http = await start(peer=PROXY, allowed_hosts=...)`."""
    async with AsyncExitStack() as stack:

        async def start_behind(peer: str = PROXY, environment: str = "staging", **changed: str) -> httpx.AsyncClient:
            chosen = load(environment=environment, secret_key=SECRET, **{"rate_limits_enabled": "false", **changed})
            app = await stack.enter_async_context(start_app(chosen, db))
            return (await stack.enter_async_context(client_of(app, chosen, peer))).http

        yield start_behind


class TestHosts:
    @pytest.mark.parametrize(
        "host", ["api.example.com", "API.example.com:8443", "a.b.example.org", "[::1]", "[::1]:80", "10.1.2.3:80"]
    )
    async def test_a_host_of_ours_is_answered(self, start: Started, host: str) -> None:
        http = await start(allowed_hosts="api.example.com, *.example.org, ::1, 10.1.2.3")

        assert (await http.get("/", headers={"Host": host})).status_code == 200

    @pytest.mark.proves("ASVS 5.0 4.1.3", "A request for a host that is none of ours is refused")
    @pytest.mark.parametrize(
        "host",
        [
            "",
            "example.com",
            "example.org",
            "api.example.com.evil.example",
            "evilexample.org",
            "[::1",
            "api.example.com@x",
        ],
    )
    @pytest.mark.parametrize("path", ["/", "/docs", "/api/v1/tasks", "/absent"])
    async def test_another_host_is_a_problem(self, start: Started, host: str, path: str) -> None:
        http = await start(allowed_hosts="api.example.com, *.example.org, ::2")

        answer = await http.get(path, headers={"Host": host})

        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
        assert answer.headers["x-frame-options"] == "DENY"

    @pytest.mark.proves("RFC 9110 7.2", "A Host with a user or a port that is none is refused, whatever is asked for")
    @pytest.mark.parametrize(
        "host",
        ["ada@docket", "ada:secret@docket:80", "docket:http", "docket:65536", "docket:-1", "docket:80:80", "doc ket",
         "docket/x", "docket, docket", "[::1", "[::1]x", "d\xf6cket", "docket:1e3", "docket?x", "docket#x"],
    )  # fmt: skip
    @pytest.mark.parametrize("path", ["/", "/docs", "/livez", "/api/v1/tasks"])
    async def test_what_is_no_host_is_a_problem_for_everybody(self, start: Started, host: str, path: str) -> None:
        http = await start()

        answer = await http.get(path, headers=[(b"Host", host.encode("latin-1"))])

        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")

    @pytest.mark.parametrize("host", ["", "docket:", "docket:65535", "DOCKET.", "a_b.example:080", "[fd00::1]:0"])
    async def test_what_is_one_is_answered_where_every_host_is(self, start: Started, host: str) -> None:
        assert (await (await start()).get("/", headers={"Host": host})).status_code == 200

    @pytest.mark.parametrize("path", PROBES)
    async def test_a_probe_is_answered_by_any_name(self, start: Started, path: str) -> None:
        http = await start(allowed_hosts="api.example.com")

        assert (await http.get(path, headers={"Host": "10.1.2.3"})).status_code == 200


class TestChallenges:
    """A `401` has the address of the metadata (RFC 9728, 5.1), as its reader reaches this server."""

    @pytest.mark.proves(
        "RFC 9728 5.1", "The address in a challenge begins as the request's own, below the path of a proxy"
    )
    @pytest.mark.parametrize(
        ("root", "begins"), [("", "https://api.example.com:8443"), ("/todo", "https://a.example.com/todo")]
    )
    async def test_it_begins_as_the_request_did(self, start: Started, root: str, begins: str) -> None:
        given = {"trusted_proxies": PROXY, "allowed_hosts": "*.example.com", "root_path": root}
        http = await start(environment="production", **given)
        told = {"X-Forwarded-Proto": "https", "Host": begins.split("/")[2]}

        refused = await http.get("/api/v1/tasks", headers=told)

        address = f"{begins}/.well-known/oauth-protected-resource"
        assert refused.headers["www-authenticate"] == f'Bearer resource_metadata="{address}"'
        assert (await http.get(address.removeprefix(f"https://{told['Host']}"), headers=told)).json()[
            "resource"
        ] == begins

    async def test_another_host_is_not_repeated(self, start: Started) -> None:
        http = await start(allowed_hosts="api.example.com")

        refused = await http.get("/api/v1/tasks", headers={"Host": "evil.example"})

        assert (refused.status_code, "www-authenticate" in refused.headers) == (400, False)

    async def test_without_a_host_there_is_no_address(self, start: Started) -> None:
        refused = await (await start()).get("/api/v1/tasks", headers={"Host": ""})

        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


class TestTls:
    @pytest.mark.proves("ASVS 5.0 12.2.1, ASVS 5.0 4.1.2", "Without TLS production answers nothing but probes")
    @pytest.mark.parametrize("path", ["/", "/docs", "/api/v1/tasks", "/absent"])
    async def test_production_refuses_what_came_without(self, start: Started, path: str) -> None:
        http = await start(environment="production")

        answer = await http.get(path, headers={"X-Forwarded-Proto": "https", "Authorization": "Bearer rubbish"})

        assert (answer.status_code, answer.json()["code"]) == (403, "https_required")
        assert "strict-transport-security" not in answer.headers

    @pytest.mark.parametrize("path", PROBES)
    async def test_a_probe_needs_none(self, start: Started, path: str) -> None:
        assert (await (await start(environment="production")).get(path)).status_code == 200

    @pytest.mark.proves("ASVS 5.0 3.4.1", "Browsers are told to come by TLS only")
    @pytest.mark.parametrize("told", ["https", "HTTPS", "http, https"])
    async def test_a_trusted_proxy_says_that_it_had_it(self, start: Started, told: str) -> None:
        http = await start(environment="production", trusted_proxies=PROXY)

        answer = await http.get("/", headers={"X-Forwarded-Proto": told})

        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"

    @pytest.mark.parametrize("told", ["", "http", "https, http", "httpss"])
    async def test_a_trusted_proxy_says_that_it_had_none(self, start: Started, told: str) -> None:
        http = await start(environment="production", trusted_proxies=PROXY)

        assert (await http.get("/", headers={"X-Forwarded-Proto": told})).status_code == 403

    async def test_elsewhere_it_is_not_asked_for(self, start: Started) -> None:
        answer = await (await start(trusted_proxies=PROXY)).get("/", headers={"X-Forwarded-Proto": "https"})

        assert answer.status_code == 200
        assert "strict-transport-security" not in answer.headers


class TestAddress:
    @pytest.mark.proves("ASVS 5.0 4.1.3", "Only a trusted proxy tells where a request comes from")
    @pytest.mark.parametrize(
        ("peer", "chain", "client"),
        [
            (STRANGER, "192.0.2.1", STRANGER),
            (PROXY, "192.0.2.1", "192.0.2.1"),
            (PROXY, "203.0.113.5, 192.0.2.1", "192.0.2.1"),
            (PROXY, "203.0.113.5, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
            (PROXY, "10.0.0.9, 10.0.0.2", "10.0.0.9"),
            (PROXY, "192.0.2.1:4711", "192.0.2.1"),
            (PROXY, "[2001:db8::1]:4711", "2001:db8::1"),
            (PROXY, "2001:DB8::0001", "2001:db8::1"),
            (PROXY, "::ffff:192.0.2.1", "192.0.2.1"),
            (PROXY, "fe80::1%eth0", "fe80::1"),
            ("fe80::1%eth0", "192.0.2.1", "fe80::1"),
            ("::ffff:10.0.0.1", "192.0.2.1", "192.0.2.1"),
            ("::ffff:203.0.113.9", "192.0.2.1", "203.0.113.9"),
            (PROXY, "192.0.2.1, rubbish", PROXY),
            (PROXY, "rubbish, 10.0.0.2", "10.0.0.2"),
            (PROXY, "", PROXY),
            (PROXY, ",", PROXY),
            (PROXY, ", ".join(["10.0.0.2"] * 1_000), "10.0.0.2"),
        ],
    )
    def test_it_is_the_rightmost_that_is_no_proxy_of_ours(self, peer: str, chain: str, client: str) -> None:
        proxies = Proxies([ip_network("10.0.0.0/24")])

        assert proxies.origin(peer, "http", request(headers={"X-Forwarded-For": chain})) == (client, "http")

    def test_who_trusts_nobody_reads_nothing(self) -> None:
        told = request(headers={"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"})

        assert Proxies(()).origin(PROXY, "http", told) == (PROXY, "http")

    @pytest.mark.usefixtures("still_window")
    async def test_limits_count_by_it(self, start: Started) -> None:
        http = await start(trusted_proxies=PROXY, rate_limits_enabled="true", rate_limit_default="1")
        chains = ["192.0.2.1", "203.0.113.5, 192.0.2.1", "192.0.2.2"]

        answers = [await http.get("/", headers={"X-Forwarded-For": chain}) for chain in chains]
        split = [("X-Forwarded-For", "203.0.113.5"), ("X-Forwarded-For", "192.0.2.2")]

        assert [answer.status_code for answer in answers] == [200, 429, 200]
        assert (await http.get("/", headers=split)).status_code == 429


class TestSettings:
    def test_they_are_lists(self) -> None:
        chosen = load(allowed_hosts='["API.example.com", "*.example.org"]', trusted_proxies="10.0.0.0/8, 2001:db8::1")

        assert chosen.allowed_hosts == {"api.example.com", "*.example.org"}
        assert chosen.trusted_proxies == {ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128")}
