"""The API about itself, and what holds for every path: methods, slashes, request ids, headers."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from persistence.engine import pool as engine
from persistence.engine.pool import Pool
from server.database.revision import list_migrations
from server.settings.loading import load
from server.settings.settings import Settings
from tests.api.conftest import SECRET, serving
from tests.client import DOCUMENT, PREFIX, ApiClient
from tests.conftest import Bench
from tests.factories import Factory
from tests.issuer import publishing, sending

PROBES = ["//health", "//livez", "//readyz"]
PROBLEMS: dict[str, dict[str, Any]] = DOCUMENT["x-problems"]
TOLD = ("status", "title", "description")
PATHS: dict[str, dict[str, Any]] = DOCUMENT["paths"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SECURITY_HEADERS = {
    "api-version": DOCUMENT["info"]["version"],
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}


def methods_of(path: str) -> set[str]:
    """What the contract lets a client do there, and what comes with it."""
    declared = {method.upper() for method in PATHS[path]} & set(METHODS)
    return declared | {"OPTIONS"} | ({"HEAD"} if "GET" in declared else set())


def whole(path: str, **ids: UUID) -> str:
    """The path as the client takes it; what it names is nothing, but for these ids."""
    named = defaultdict(uuid4, {"code": "not_found", **ids})
    return "/" + re.sub(r"\{(\w+)\}", lambda found: str(named[found[1]]), path)


@pytest.fixture
async def lonely(settings: Settings) -> AsyncIterator[ApiClient]:
    """A client of a server whose database is away."""
    async with serving(settings, Pool("postgresql://stranger@127.0.0.1:1/none", patience=0.05)) as client:
        yield client


class TestInfo:
    async def test_it_says_what_this_is_and_where_its_documents_are(self, api: ApiClient) -> None:
        info = await api.get("//")

        assert (info["name"], info["version"]) == (DOCUMENT["info"]["title"], DOCUMENT["info"]["version"])
        for name in ("documentation", "reference", "openapi", "health"):
            assert (await api.http.get(info[name])).status_code == 200


class TestProtectedResource:
    @pytest.mark.proves("RFC 9728 2", "The API says what its access tokens may have, and that they come as a header")
    async def test_it_names_the_scopes_that_operations_need(self, api: ApiClient) -> None:
        told = await api.get("//.well-known/oauth-protected-resource")

        needed = {
            scope
            for path in PATHS.values()
            for operation in path.values()
            if isinstance(operation, dict)
            for requirement in operation.get("security", ())
            for scope in requirement.get("accessToken", ())
        }
        assert {*told["scopes_supported"]} == needed
        assert (told["resource"], told["bearer_methods_supported"]) == ("http://docket", ["header"])
        assert (told["resource_documentation"], told.headers["cache-control"]) == ("http://docket/docs", "no-store")

    async def test_it_stands_below_the_path_of_a_proxy(self, settings: Settings, db: Bench) -> None:
        below = settings.model_copy(update={"root_path": "/docket", "docs": False})
        async with serving(below, db) as api:
            told = await api.get("//.well-known/oauth-protected-resource")

        assert (told["resource"], "resource_documentation" in told.body) == ("http://docket/docket", False)


class TestProbes:
    async def test_the_server_says_how_it_and_its_database_are(self, api: ApiClient) -> None:
        health = await api.get("//health")

        assert (health["status"], health["environment"]) == ("pass", "staging")
        assert health["version"] == DOCUMENT["info"]["version"]
        assert health["checks"]["database"]["status"] == "pass"
        assert 0 < health["checks"]["database"]["latency_ms"] < 10_000
        assert abs(datetime.fromisoformat(health["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=1)

    async def test_what_the_server_can_do_without_is_a_warning(self, db: Bench) -> None:
        async with publishing() as issuer:
            given = load(
                environment="development",
                secret_key=SECRET,
                redis_url="redis://127.0.0.1:1",
                auth_mode="hybrid",
                external_jwt_jwks_url=issuer.url,
            )
            async with serving(given, db) as api:
                with_keys = await api.get("//health")
            issuer.reply = sending(b"", "503 Service Unavailable")
            async with serving(given, db) as api:
                without = await api.get("//health")

        assert (with_keys["status"], without["status"]) == ("warn", "warn")
        assert with_keys["checks"]["redis"] == {"status": "warn", "latency_ms": None}
        assert with_keys["checks"]["key_set"]["status"] == "pass"
        assert without["checks"]["key_set"] == {"status": "warn", "latency_ms": None}
        assert without["checks"]["database"]["status"] == "pass"

    @pytest.mark.parametrize("path", PROBES)
    async def test_a_probe_takes_any_query_and_is_not_kept(self, api: ApiClient, path: str) -> None:
        answer = await api.send("GET", f"{path}?colour=red&colour&%ff=%00", expect=200)

        assert (answer["status"], answer.headers["cache-control"]) == ("pass", "no-store")

    async def test_without_its_database_the_server_lives_but_does_not_work(self, lonely: ApiClient) -> None:
        health = await lonely.get("//health", expect=503)
        ready = await lonely.get("//readyz", expect=503)

        assert health["checks"]["database"] == {"status": "fail", "latency_ms": None}
        assert (health["status"], ready["status"]) == ("fail", "fail")
        assert int(health.headers["retry-after"]) == int(ready.headers["retry-after"]) == 2
        assert (await lonely.get("//livez"))["status"] == "pass"

    async def test_a_schema_of_an_earlier_release_is_not_ready(self, api: ApiClient, db: Bench) -> None:
        await api.get("//readyz")

        await db.fetch("UPDATE alembic_version SET version_num = $1", [list_migrations()[-2]])

        assert (await api.get("//readyz", expect=503))["status"] == "fail"
        await api.get("//health")

    async def test_a_server_goes_on_when_the_next_release_has_migrated(self, api: ApiClient, db: Bench) -> None:
        await db.fetch("UPDATE alembic_version SET version_num = 'f00'", [])

        assert (await api.get("//readyz"))["status"] == "pass"

    async def test_a_database_that_was_never_migrated_does_not_work(self, api: ApiClient, db: Bench) -> None:
        await db.fetch("DROP TABLE alembic_version", [])

        await api.get("//readyz", expect=503)
        await api.get("//health", expect=503)

    async def test_without_its_database_every_operation_says_when_to_try_again(
        self, lonely: ApiClient, make: Factory
    ) -> None:
        ada = lonely.as_(await make.user())
        account = {"email": "ada@example.com", "password": "nine lives of a lighthouse"}

        problems = [
            await ada.get("/tasks", expect=503),
            await ada.post("/tasks", {"title": "Ship it"}, expect=503),
            await ada.get("/auth/me", expect=503),
            await lonely.post("/auth/login", account, expect=503),
            await lonely.post("/auth/register", account, expect=503),
        ]

        assert {problem["code"] for problem in problems} == {"service_unavailable"}
        assert {problem.headers["retry-after"] for problem in problems} == {"2"}


class TestProblemTypes:
    @pytest.mark.parametrize("code", PROBLEMS)
    async def test_every_code_of_the_contract_is_explained_to_programs_and_to_people(
        self, api: ApiClient, code: str
    ) -> None:
        described = await api.get(f"//problems/{code}")
        page = await api.with_headers(Accept=FIREFOX).get(f"//problems/{code}")

        assert described.body == {"code": code} | {name: PROBLEMS[code][name] for name in TOLD}
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["vary"] == "Accept"
        assert f"<h1>{PROBLEMS[code]['title']}</h1>" in page.content.decode()

    @pytest.mark.parametrize(
        "accept", ["*/*", "application/json", "image/png", "text/html;q=0", "text/html;q=0.5, */*", ""]
    )
    async def test_who_does_not_prefer_html_gets_json(self, api: ApiClient, accept: str) -> None:
        answer = await api.with_headers(Accept=accept).get("//problems/not_found")

        assert answer.headers["content-type"] == "application/json"

    @pytest.mark.parametrize("code", ["no_such_code", "NOT_FOUND", "not-found", "x", "x" * 65, "%00", "%ff", "<b>"])
    async def test_a_code_that_is_none_is_not_found(self, api: ApiClient, code: str) -> None:
        for accept in ("*/*", FIREFOX):
            problem = await api.with_headers(Accept=accept).get(f"//problems/{code}", expect=404)

            assert (problem["code"], problem["type"]) == ("not_found", "/problems/not_found")

    async def test_the_type_of_a_problem_leads_to_its_page(self, api: ApiClient) -> None:
        problem = await api.get("/tasks", expect=401)

        described = await api.get(f"/{problem['type']}")

        assert (described["code"], described["title"]) == (problem["code"], problem["title"])


class TestMethods:
    @pytest.mark.parametrize("path", PATHS)
    async def test_options_names_the_methods(self, api: ApiClient, path: str) -> None:
        answer = await api.send("OPTIONS", whole(path), expect=204)

        assert set(answer.headers["allow"].split(", ")) == methods_of(path)
        assert answer.content == b""

    @pytest.mark.proves("ASVS 5.0 4.1.4", "Only the methods of the contract are answered")
    @pytest.mark.parametrize("path", PATHS)
    async def test_every_other_method_is_refused_with_those_there_are(self, api: ApiClient, path: str) -> None:
        for method in [*METHODS, "TRACE", "BREW"]:
            if method not in methods_of(path):
                problem = await api.send(method, whole(path), expect=405)

                assert set(problem.headers["allow"].split(", ")) == methods_of(path)
                assert method == "HEAD" or problem["code"] == "method_not_allowed"

    @pytest.mark.parametrize(
        "path", [path for path, methods in PATHS.items() if "get" in methods and path != "/metrics"]
    )
    async def test_head_is_get_without_the_body_and_a_slash_at_the_end_changes_nothing(
        self, api: ApiClient, make: Factory, path: str
    ) -> None:
        ada = await make.user(is_superuser=True)
        known = {"task_id": await make.task(ada.id, ada), "audit_log_id": await make.audit_log()}
        known["access_token_id"] = await make.access_token(ada.id)
        url = whole(path, user_id=ada.id, organization_id=ada.id, **known)
        named = api.as_(ada).with_headers(X_Request_ID="one-for-all")
        query = {"q": "task"} if path.endswith("/search") else {}

        get = await named.send("GET", url, expect=200, params=query)
        head = await named.send("HEAD", url, expect=200, params=query)
        slash = await named.send("GET", "//" if path == "/" else f"{url}/", expect=200, params=query)

        assert head.content == b""
        if path not in ("/health", "/api/v1/users/me/export"):  # which tell the time
            assert (head.headers, slash.body) == (get.headers, get.body)

    @pytest.mark.parametrize(
        "path", ["//nothing", "//api", "//api/v1", "/tasks//", "/tasks/x/y/z", "//docs/nothing", "/%2e%2e"]
    )
    async def test_there_is_nothing_at_any_other_path(self, api: ApiClient, path: str) -> None:
        for method in METHODS:
            answer = await api.send(method, path, expect=404)

            assert answer.body is None or answer["code"] == "not_found"

    @pytest.mark.parametrize("path", ["//docs", "//openapi.json"])
    async def test_a_page_refuses_other_methods_by_a_problem_too(self, api: ApiClient, path: str) -> None:
        problem = await api.send("POST", path, expect=405)

        assert (problem["code"], problem.headers["allow"]) == ("method_not_allowed", "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("accept", ["text/html", "image/png", "application/xml;q=1, */*;q=0", "rubbish"])
async def test_accept_changes_nothing_elsewhere(api: ApiClient, accept: str) -> None:
    picky = api.with_headers(Accept=accept)

    await picky.get("//health")
    await picky.get("/tasks", expect=401)


class TestEveryAnswer:
    @pytest.mark.parametrize("given", ["a", "A-z_0.9", "x" * 128])
    async def test_a_request_id_is_taken_over(self, api: ApiClient, given: str) -> None:
        problem = await api.with_headers(X_Request_ID=given).get("/tasks", expect=401)

        assert (problem["request_id"], problem.headers["x-request-id"]) == (given, given)

    @pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a,b", "<b>", "\u00e4", "a\tb"])
    async def test_a_request_id_is_made_where_none_is_usable(self, api: ApiClient, given: str | None) -> None:
        caller = api if given is None else api.with_headers(X_Request_ID=given)

        ids = [(await caller.get("/tasks", expect=401))["request_id"] for _ in range(2)]

        assert all(re.fullmatch("[0-9a-f]{32}", made) for made in ids)
        assert ids[0] != ids[1]

    async def test_it_carries_version_request_id_and_security_headers(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        path = f"{PREFIX}/tasks/{await make.task(ada.id, ada)}"
        http, headers = api.http, api.as_(ada).headers
        merge = {"Content-Type": "application/merge-patch+json"}
        answers = {
            200: await http.get(path, headers=headers),
            201: await http.post(f"{PREFIX}/tasks", headers=headers, json={"title": "Ship it"}),
            304: await http.get(path, headers={**headers, "If-None-Match": "*"}),
            400: await http.get(path, headers={**headers, "If-None-Match": "x"}),
            401: await http.get(path),
            404: await http.get("/nothing"),
            405: await http.put("/health"),
            412: await http.delete(path, headers={**headers, "If-Match": '"9"'}),
            413: await http.patch(path, headers={**headers, **merge}, content=b" " * 1_100_000),
            415: await http.patch(path, headers=headers, content=b"{}"),
            422: await http.get("/?colour=red"),
            204: await http.options(path),
        }

        for status, answer in answers.items():
            assert answer.status_code == status
            assert SECURITY_HEADERS.items() <= dict(answer.headers).items()
            assert {"x-request-id", "content-security-policy", "permissions-policy"} <= set(answer.headers)

    @pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.yaml", "/openapi.json", "/favicon.ico"])
    async def test_a_page_carries_them_too(self, api: ApiClient, path: str) -> None:
        for method in ("GET", "OPTIONS", "POST"):
            answer = await api.http.request(method, path, headers={"X-Request-ID": "mine"})

            assert SECURITY_HEADERS.items() <= dict(answer.headers).items()
            assert answer.headers["x-request-id"] == "mine"
            assert len(answer.headers.get_list("content-security-policy")) == 1


async def test_a_process_that_has_lost_places_for_connections_wants_to_be_replaced(
    settings: Settings, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOST_SECONDS", 0)
    pool = Pool(fresh_url, size=2)
    async with serving(settings, pool) as client:
        lost = await pool.take()
        problem = await client.get("//livez", expect=503)
        pool.put(lost)
        alive = await client.get("//livez")
    await pool.close()

    assert (problem["code"], problem.headers["retry-after"]) == ("service_unavailable", "2")
    assert alive["status"] == "pass"
