"""What an answer tells a browser about pages of other origins."""

from collections.abc import AsyncIterator

import httpx
import pytest

from server.middleware import cors
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import DOCUMENT
from tests.conftest import Bench

OURS, FOREIGN = "https://app.example.com", "https://evil.example"
OPERATIONS = [each for path in DOCUMENT["paths"].values() for each in path.values() if "responses" in each]
DECLARED = [*DOCUMENT["components"]["responses"].values()]
DECLARED += [answer for operation in OPERATIONS for answer in operation["responses"].values()]
EXPOSED = {name for answer in DECLARED for name in answer.get("headers", {})} - {
    "Cache-Control",
    "Set-Cookie",
    "X-Accel-Buffering",
}
"""What the contract declares, but for what browsers always show, and what they never do."""
ANSWERS = [("GET", "/", 200), ("GET", "/absent", 404), ("DELETE", "/", 405), ("GET", "/api/v1/tasks", 401)]
ANSWERS += [("GET", "/docs", 200), ("GET", "/openapi.json", 200)]


@pytest.fixture
async def http(settings: Settings, db: Bench, still_window: None) -> AsyncIterator[httpx.AsyncClient]:
    changed = {"backend_cors_origins": frozenset({OURS}), "rate_limits_enabled": True, "rate_limit_default": 1}
    async with serving(settings.model_copy(update=changed), db) as api:
        yield api.http


def preflight_headers(origin: str) -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "if-match"}


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_a_page_of_ours_reads_every_answer(http: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await http.request(method, path, headers={"Origin": OURS})

    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == OURS
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert set(answer.headers["access-control-expose-headers"].split(", ")) == EXPOSED
    assert "Origin" in answer.headers["vary"].split(", ")


@pytest.mark.proves("ASVS 5.0 3.4.2", "A page of a foreign origin reads nothing")
@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", OURS.upper(), OURS + ":444", OURS + ".evil.example", "http" + OURS[5:]]
)
@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_a_foreign_page_reads_none(
    http: httpx.AsyncClient, method: str, path: str, status: int, origin: str
) -> None:
    answer = await http.request(method, path, headers={"Origin": origin})

    assert answer.status_code == status
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert "Origin" in answer.headers["vary"].split(", ")


async def test_a_page_of_ours_reads_that_it_asked_too_often(http: httpx.AsyncClient) -> None:
    answers = [await http.get("/", headers={"Origin": OURS}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["access-control-allow-origin"] == OURS


@pytest.mark.parametrize("path", ["/api/v1/tasks/1", "/openapi.json", "/docs", "/nothing"])
async def test_asking_for_leave_is_never_counted(http: httpx.AsyncClient, path: str) -> None:
    answers = [await http.options(path, headers=preflight_headers(OURS)) for _ in range(3)]

    for answer in answers:
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-methods"] == cors.METHODS
        assert "if-match" in answer.headers["access-control-allow-headers"].lower().split(", ")
        assert "*" not in answer.headers["access-control-allow-headers"]
        assert answer.headers["access-control-allow-origin"] == OURS
    assert (await http.get("/")).status_code == 200


async def test_what_traces_requests_gets_leave_and_what_the_operator_adds(settings: Settings, db: Bench) -> None:
    changed = {"backend_cors_origins": frozenset({OURS}), "backend_cors_headers": frozenset({"x-trace", "x-batch"})}
    async with serving(settings.model_copy(update=changed), db) as api:
        answer = await api.http.options("/api/v1/tasks", headers=preflight_headers(OURS))

    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"baggage", "sentry-trace", "traceparent", "tracestate"} <= set(allowed)
    assert allowed[-2:] == ["x-batch", "x-trace"]


async def test_a_foreign_page_gets_no_leave(http: httpx.AsyncClient) -> None:
    answer = await http.options("/api/v1/tasks/1", headers=preflight_headers(FOREIGN))

    assert answer.status_code == 204
    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_who_asks_for_leave_without_an_origin_is_no_page(http: httpx.AsyncClient) -> None:
    answer = await http.options("/api/v1/tasks", headers={"Access-Control-Request-Method": "POST"})

    assert (answer.status_code, "POST" in answer.headers["allow"]) == (204, True)


async def test_without_front_ends_nothing_is_said(settings: Settings, db: Bench) -> None:
    async with serving(settings, db) as api:
        answer = await api.http.get("/livez", headers={"Origin": OURS})

    assert not {name for name in answer.headers if name.startswith("access-control-") or name == "vary"}
