"""Rate limits as callers meet them: who is counted for what, what is told, and what comes after the last one."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import pytest

from server.settings.settings import Settings
from tests.api.conftest import client_of, start_app
from tests.client import DOCUMENT, Answer, ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory

CLASSES: dict[str, dict[str, dict[str, int]]] = DOCUMENT["x-rate-limits"]
TOLD = re.compile(r'"([a-z-]+)";r=([0-9]+);t=([0-9]+)')
UNREADABLE: dict[str, Any] = {}  # a body that is refused before it costs a hash
HERE, THERE = "192.0.2.1", "192.0.2.2"
Clients: TypeAlias = Callable[..., Awaitable[Callable[[str], Awaitable[ApiClient]]]]


@pytest.fixture
async def limited(settings: Settings, db: Bench, still_window: None) -> AsyncIterator[Clients]:
    """A server that counts, with other limits than the contract's where said: `here = (await limited())(HERE)`."""
    async with AsyncExitStack() as stack:

        async def start(**limits: int) -> Callable[[str], Awaitable[ApiClient]]:
            chosen = settings.model_copy(update={"rate_limits_enabled": True, **limits})
            app = await stack.enter_async_context(start_app(chosen, db))

            async def from_(address: str) -> ApiClient:
                return await stack.enter_async_context(client_of(app, chosen, address))

            return from_

        yield start


def list_remaining(answer: Answer) -> list[tuple[str, int]]:
    """What the limits that counted a request have left."""
    return [(name, int(rest)) for name, rest, _ in TOLD.findall(answer.headers.get("ratelimit", ""))]


def policy(name: str, partition: str) -> str:
    limit = CLASSES[name][partition]
    told = name if partition in ("ip", "user") else f"{name}-{partition}"
    return f'"{told}";q={limit["limit"]};w={limit["window"]}'


class TestDefault:
    async def test_an_address_has_as_many_as_the_contract_says_and_no_more(self, limited: Clients) -> None:
        here = await (await limited())(HERE)

        counted = [list_remaining(await here.get("//")) for _ in range(100)]
        problem = await here.get("//", expect=429)

        assert counted == [[("default", 99 - number)] for number in range(100)]
        assert (problem["code"], list_remaining(problem)) == ("rate_limit_exceeded", [("default", 0)])
        assert problem.headers["ratelimit-policy"] == policy("default", "ip")
        assert 1 <= int(problem.headers["retry-after"]) <= 60

    async def test_another_address_is_counted_for_itself(self, limited: Clients) -> None:
        from_ = await limited(rate_limit_default=1)
        here, there = await from_(HERE), await from_(THERE)

        await here.get("//")
        await here.get("//", expect=429)

        await there.get("//")

    async def test_who_is_signed_in_is_counted_by_user_wherever_the_calls_come_from(
        self, limited: Clients, make: Factory
    ) -> None:
        from_ = await limited(rate_limit_default=1)
        here, there = await from_(HERE), await from_(THERE)
        ada, bob = await make.user(), await make.user()

        first = await here.as_(ada).get("/tasks")
        second = await there.as_(ada).get("/auth/me")
        other = await here.as_(bob).get("//")

        assert first.headers["ratelimit-policy"] == policy("default", "user")
        assert [list_remaining(first), list_remaining(second), list_remaining(other)] == [
            [("default", rest)] for rest in (999, 998, 999)
        ]

    async def test_a_user_has_as_many_as_the_contract_says_and_no_more(self, limited: Clients, make: Factory) -> None:
        ada = (await (await limited())(HERE)).as_(await make.user())

        statuses = [(await ada.http.get("/", headers=ada.headers)).status_code for _ in range(1_001)]

        assert statuses == [200] * 1_000 + [429]

    async def test_a_token_that_is_no_good_is_counted_by_address(self, limited: Clients, make: Factory) -> None:
        from_ = await limited(rate_limit_default=2)
        here = await from_(HERE)

        for token in ("rubbish", "more rubbish"):
            await here.with_headers(Authorization=f"Bearer {token}").get("/tasks", expect=401)

        await here.with_headers(Authorization="Bearer third").get("/tasks", expect=429)
        await here.get("//", expect=429)
        await here.as_(await make.user()).get("/tasks")

    @pytest.mark.proves("ASVS 5.0 2.4.1", "Unknown paths and methods are counted too")
    async def test_unknown_paths_and_methods_are_counted_too(self, limited: Clients) -> None:
        here = await (await limited(rate_limit_default=4))(HERE)

        answers = [
            await here.get("//nothing", expect=404),
            await here.send("PUT", "//", expect=405),
            await here.send("OPTIONS", "//", expect=204),
            await here.send("HEAD", "//", expect=200),
        ]

        assert [list_remaining(answer) for answer in answers] == [[("default", rest)] for rest in (3, 2, 1, 0)]
        for path in ("//nothing", "//"):
            assert (await here.send("PUT", path, expect=429))["code"] == "rate_limit_exceeded"

    async def test_every_counted_answer_tells_what_is_left(self, limited: Clients, make: Factory) -> None:
        ada = await make.user()
        mine = (await (await limited())(HERE)).as_(ada)
        path = f"/tasks/{await make.task(ada.id, ada)}"

        answers = [
            await mine.get(path),
            await mine.with_headers(If_None_Match="*").get(path, expect=304),
            await mine.with_headers(If_None_Match="x").get(path, expect=400),
            await mine.with_headers(If_Match='"9"').delete(path, expect=412),
            await mine.put(path, {}, expect=422),
            await mine.send("PUT", path, expect=415, content=b"x"),
            await mine.post("/tasks", {"title": "Ship it"}),
            await mine.delete(path),
            await mine.get(path, expect=404),
        ]

        assert [list_remaining(answer) for answer in answers] == [[("default", 999 - number)] for number in range(9)]
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {policy("default", "user")}

    @pytest.mark.parametrize(
        ("one", "other", "together"),
        [
            ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
            ("2001:db8::1", "2001:db8:0:1::1", False),
            ("fe80::1%eth0", "fe80::2%eth0", True),
            ("::1", "127.0.0.1", False),
        ],
    )
    async def test_an_ipv6_network_of_64_bits_is_one_client(
        self, limited: Clients, one: str, other: str, *, together: bool
    ) -> None:
        from_ = await limited(rate_limit_default=1)
        await (await from_(one)).get("//")

        await (await from_(other)).get("//", expect=429 if together else 200)

    async def test_a_48_of_ipv6_has_ten_times_the_number_and_what_a_64_is_refused_uses_up_none_of_it(
        self, limited: Clients
    ) -> None:
        from_ = await limited(rate_limit_default=2)
        greedy = await from_("2001:db8::1")

        told = [list_remaining(await greedy.get("//", expect=status)) for status in (200, 200, *[429] * 30)]
        others = [
            list_remaining(await (await from_(f"2001:db8:0:{n}::1")).get("//")) for n in range(1, 10) for _ in range(2)
        ]
        refused = await (await from_("2001:db8:0:a::1")).get("//", expect=429)
        elsewhere = await (await from_("2001:db8:1::1")).get("//")

        assert told == [[("default", rest)] for rest in (1, 0, *[0] * 30)]
        assert others == [[("default", rest)] for rest in (*[1, 0] * 9,)]
        assert (list_remaining(refused), list_remaining(elsewhere)) == ([("default", 0)], [("default", 1)])
        assert refused.headers["ratelimit-policy"] == '"default";q=20;w=60'
        await (await from_("2001:db8:0:a::1")).get("//", expect=429)

    async def test_of_two_counters_that_is_told_that_has_least_left(self, limited: Clients) -> None:
        from_ = await limited(rate_limit_default=10)

        told = [list_remaining(await (await from_(f"2001:db8:0:{n}::1")).get("//")) for n in range(95)]

        assert told == [[("default", min(9, 99 - n))] for n in range(95)]

    @pytest.mark.parametrize("path", ["//health", "//livez", "//readyz"])
    async def test_probes_are_not_counted(self, limited: Clients, path: str) -> None:
        here = await (await limited(rate_limit_default=1))(HERE)
        await here.get("//")
        await here.get("//", expect=429)

        for _ in range(3):
            assert "ratelimit" not in (await here.get(path)).headers

    @pytest.mark.proves("ASVS 5.0 2.4.1", "Who is not signed in is counted where only users are")
    @pytest.mark.parametrize(
        ("method", "path", "rate_class"),
        [
            ("PUT", "/users/me/password", "password"),
            ("POST", "/auth/logout-all", "sensitive"),
            ("GET", "/audit-logs", "audit"),
        ],
    )
    async def test_who_is_not_signed_in_is_counted_by_address_where_only_users_are(
        self, limited: Clients, make: Factory, method: str, path: str, rate_class: str
    ) -> None:
        here = await (await limited())(HERE)
        for _ in range(CLASSES[rate_class]["user"]["limit"]):
            await here.send(method, path, expect=401)

        refused = await here.send(method, path, expect=429)

        assert refused.headers["ratelimit-policy"] == policy(rate_class, "user")
        assert (
            await here.as_(await make.user()).send(
                method, path, expect=415 if method == "PUT" else 403 if method == "GET" else 204
            )
        ).status != 429


class TestRefresh:
    async def test_a_session_has_thirty_a_minute(self, limited: Clients, make: Factory) -> None:
        await make.user(email="ada@example.com")
        here = await (await limited())(HERE)
        credentials = {"email": "ada@example.com", "password": PASSWORD}
        one, other = [await here.post("/auth/login", credentials, expect=200) for _ in range(2)]
        answer = one

        for _ in range(30):
            answer = await here.post("/auth/refresh", {"refresh_token": answer["refresh_token"]}, expect=200)

        told = f"{policy('refresh', 'ip')}, {policy('refresh', 'session')}"
        assert answer.headers["ratelimit-policy"] == told
        await here.post("/auth/refresh", {"refresh_token": answer["refresh_token"]}, expect=429)
        await here.post("/auth/refresh", {"refresh_token": other["refresh_token"]}, expect=200)

    async def test_who_has_no_session_is_counted_by_address(self, limited: Clients) -> None:
        from_ = await limited()
        here, there = await from_(HERE), await from_(THERE)

        for _ in range(100):
            await here.post("/auth/refresh", {"refresh_token": "none"}, expect=401)

        await here.post("/auth/refresh", {"refresh_token": "nor-this"}, expect=429)
        await there.post("/auth/refresh", {"refresh_token": "none"}, expect=401)

    async def test_an_address_is_counted_before_any_body_is_read(self, limited: Clients) -> None:
        here = await (await limited())(HERE)
        rubbish: dict[str, Any] = {"content": b"{", "headers": {"Content-Type": "application/json"}}

        for _ in range(25):
            await here.send("POST", "/auth/refresh", expect=400, **rubbish)
            await here.send("POST", "/auth/refresh", expect=415, content=b"{")
            await here.send("POST", "/auth/refresh", expect=413, content=b"x" * 100_000)
            await here.post("/auth/refresh", {"refresh_token": 1}, expect=422)

        for more in (rubbish, {"content": b"x" * 100_000}):
            problem = await here.send("POST", "/auth/refresh", expect=429, **more)
            assert problem.headers["ratelimit-policy"] == policy("refresh", "ip")


class TestLogin:
    @pytest.mark.proves("ASVS 5.0 2.4.1", "An address has ten logins a minute")
    async def test_an_address_has_ten_a_minute_for_whomever_it_tries(self, limited: Clients) -> None:
        from_ = await limited()
        here = await from_(HERE)

        for _ in range(5):
            await here.post("/auth/login", UNREADABLE, expect=422)
            await here.send("POST", "/auth/token", expect=400, data={"x": "y"})

        problem = await here.post("/auth/login", UNREADABLE, expect=429)
        assert problem.headers["ratelimit-policy"] == policy("login", "ip")
        assert 1 <= int(problem.headers["retry-after"]) <= 60
        refused = await here.send("POST", "/auth/token", expect=429, data={"x": "y"})
        assert refused["code"] == "rate_limit_exceeded"
        await (await from_(THERE)).post("/auth/login", UNREADABLE, expect=422)

    @pytest.mark.proves("ASVS 5.0 2.4.1", "Wrong passwords of one identifier are counted over all addresses")
    @pytest.mark.usefixtures("clock")
    async def test_an_identifier_is_counted_whatever_its_case_wherever_the_calls_come_from(
        self, limited: Clients, make: Factory
    ) -> None:
        await make.user(email="ada@example.com")
        from_ = await limited(rate_limit_login=2)
        here, there = await from_(HERE), await from_(THERE)
        form = {"grant_type": "password", "username": "ADA@example.com", "password": "not the password"}

        first = await here.post("/auth/login", {"email": "ada@example.com", "password": "no password"}, expect=401)
        second = await there.send("POST", "/auth/token", expect=400, data=form)
        third = await there.post("/auth/login", {"email": "Ada@Example.com", "password": PASSWORD}, expect=429)

        assert [list_remaining(answer) for answer in (first, second, third)] == [
            [("login", 9)],
            [("login", 9)],
            [("login", 8)],
        ]
        assert first.headers["ratelimit-policy"] == f'{policy("login", "ip")}, "login-identifier";q=2;w=3600'
        assert (third["code"], third.headers["retry-after"]) == ("rate_limit_exceeded", "3600")

    async def test_somebody_else_may_still_sign_in(self, limited: Clients, make: Factory) -> None:
        await make.user(email="bob@example.com")
        here = await (await limited(rate_limit_login=1))(HERE)
        for expect in (401, 429):
            await here.post("/auth/login", {"email": "unknown@example.com", "password": PASSWORD}, expect=expect)

        await here.post("/auth/login", {"email": "bob@example.com", "password": PASSWORD}, expect=200)

    async def test_the_contract_gives_an_identifier_ten_an_hour(self, limited: Clients, make: Factory) -> None:
        await make.user(email="ada@example.com")
        here = await (await limited())(HERE)

        answer = await here.post("/auth/login", {"email": "ada@example.com", "password": PASSWORD}, expect=200)

        assert answer.headers["ratelimit-policy"] == f"{policy('login', 'ip')}, {policy('login', 'identifier')}"


@pytest.mark.proves("ASVS 5.0 6.3.1", "A /48 of IPv6 has no more sign-ins, accounts and refreshes than one address")
@pytest.mark.parametrize(
    ("path", "number", "status"), [("login", 10, 422), ("register", 5, 422), ("refresh", 100, 401)]
)
async def test_a_48_of_ipv6_has_no_more_than_one_address(limited: Clients, path: str, number: int, status: int) -> None:
    from_ = await limited()

    answers = [
        (await (await from_(f"2001:db8:0:{n}::1")).http.post(f"/api/v1/auth/{path}", json=UNREADABLE)).status_code
        for n in range(number + 2)
    ]

    elsewhere = await (await from_("2001:db8:1::1")).http.post(f"/api/v1/auth/{path}", json=UNREADABLE)

    assert answers == [status] * number + [429] * 2
    assert elsewhere.status_code == status


@pytest.mark.proves("ASVS 5.0 2.4.1", "An address registers five accounts a minute")
async def test_an_address_registers_five_accounts_a_minute(limited: Clients) -> None:
    here = await (await limited())(HERE)

    for _ in range(5):
        await here.post("/auth/register", UNREADABLE, expect=422)

    problem = await here.post("/auth/register", UNREADABLE, expect=429)
    assert problem.headers["ratelimit-policy"] == policy("register", "ip")


async def test_a_request_counts_for_its_own_class_only(limited: Clients) -> None:
    here = await (await limited(rate_limit_default=1))(HERE)
    await here.get("//")
    await here.get("//", expect=429)

    assert list_remaining(await here.post("/auth/register", UNREADABLE, expect=422)) == [("register", 4)]
    assert list_remaining(await here.post("/auth/login", UNREADABLE, expect=422)) == [("login", 9)]


async def test_nothing_is_counted_where_limits_are_off(api: ApiClient) -> None:
    for _ in range(6):
        answer = await api.post("/auth/register", UNREADABLE, expect=422)

        assert not {"ratelimit", "ratelimit-policy"} & set(answer.headers)
