"""The first and the last of every request: its id, the headers of its answer, its line in the log."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from starlette.types import Message

from generated.operations import VERSION
from persistence.authorization import Caller
from persistence.engine.pool import Pool
from server.middleware import edge
from server.observability import outages
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.binding.conftest import Logged, Modules, answering, capture_log
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import NOW

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
EVERYWHERE = {
    "api-version": VERSION,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.fixture
async def http(settings: Settings, db: Bench) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings, db) as api:
        yield api.http


@asynccontextmanager
async def answer_bound() -> AsyncIterator[ApiClient]:
    async with answering(Modules()) as api:
        yield api


async def send_raw(api: ApiClient, **scope: Any) -> list[Message]:
    """What is sent for a request that httpx would not make."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        messages.append(message)

    plain = {"type": "http", "method": "GET", "path": "/livez", "query_string": b"", "headers": []}
    await vars(api.http._transport)["app"](plain | scope, receive, send)  # noqa: SLF001 - its application
    return messages


class TestRequestId:
    @pytest.mark.parametrize("given", ["a", "0e6ff4f0-c2a1.4b_6", "x" * 128])
    async def test_a_good_one_is_taken_over(self, http: httpx.AsyncClient, given: str) -> None:
        answer = await http.get("/absent", headers={"X-Request-ID": given})

        assert answer.headers["x-request-id"] == answer.json()["request_id"] == given

    @pytest.mark.proves("ASVS 5.0 16.4.1", "A request id that is no plain word is replaced")
    @pytest.mark.parametrize("given", ["", " ", "x" * 129, "a b", "a,b", "ü", "<script>", "a\tb"])
    async def test_another_one_is_replaced(self, http: httpx.AsyncClient, given: str) -> None:
        answer = await http.get("/absent", headers={b"X-Request-ID": given.encode()})

        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
        assert answer.json()["request_id"] == answer.headers["x-request-id"]

    async def test_every_request_has_its_own(self, http: httpx.AsyncClient) -> None:
        assert len({(await http.get(path)).headers["x-request-id"] for path in ("/livez", "/livez", "/docs")}) == 3

    async def test_of_two_none_is_taken(self, http: httpx.AsyncClient) -> None:
        answer = await http.get("/livez", headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")])

        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


class TestHeaders:
    @pytest.mark.proves("ASVS 5.0 3.4.4, ASVS 5.0 3.4.5", "Every answer carries the security headers once")
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/livez", 200),
            ("GET", "/docs", 200),
            ("GET", "/openapi.yaml", 200),
            ("GET", "/absent", 404),
            ("POST", "/livez", 405),
            ("POST", "/docs", 405),
            ("OPTIONS", "/livez", 204),
            ("OPTIONS", "/docs", 204),
            ("GET", "/api/v1/tasks", 401),
            ("POST", "/api/v1/auth/login", 415),
            ("TRACE", "/livez", 405),
            ("BREW", "/absent", 404),
        ],
    )
    async def test_every_answer_carries_them_once(
        self, http: httpx.AsyncClient, method: str, path: str, status: int
    ) -> None:
        answer = await http.request(method, path)

        assert answer.status_code == status
        assert EVERYWHERE.items() <= dict(answer.headers).items()
        names = [name for name, _ in answer.headers.raw]
        assert len(names) == len(set(names))
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "content-length" in answer.headers or status == 204

    @pytest.mark.parametrize("path", ["/livez", "/docs", "/problems/not_found", "/absent"])
    async def test_head_is_get_without_its_body(self, http: httpx.AsyncClient, path: str) -> None:
        same = {"X-Request-ID": "same"}
        got, head = await http.get(path, headers=same), await http.head(path, headers=same)

        assert head.status_code == got.status_code
        assert head.content == b""
        assert head.headers == got.headers


class TestAccessLog:
    @pytest.mark.proves("ASVS 5.0 16.2.1", "A request is one line with moment, caller, address and outcome")
    async def test_a_request_is_one_line(self, logged: Logged) -> None:
        ada = Caller(uuid4(), uuid4(), NOW)
        async with answer_bound() as api:
            headers = {"X_Request_ID": "the-request", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            signed_in = api.as_(ada).with_headers(**headers)
            await signed_in.get("//problems/no%20such", expect=404, token="do-not-tell")

        [line] = logged()
        assert line.pop("timestamp")
        assert line.pop("duration_ms") > 0
        assert line == {
            "event": "request",
            "level": "info",
            "request_id": "the-request",
            "trace_id": TRACE,
            "operation": "getProblemType",
            "method": "GET",
            "path": "/problems/no%20such",
            "status": 404,
            "user_id": str(ada.id),
            "address": "127.0.0.1",
        }

    async def test_a_request_of_no_operation_has_a_line_too(self, logged: Logged) -> None:
        async with answer_bound() as api:
            await api.http.get("/absent")

        [line] = logged()
        assert (line["operation"], line["user_id"], line["status"]) == (None, None, 404)

    async def test_an_outage_says_what_was_met(
        self, settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edge, "log", structlog.get_logger("access"))  # the one there may write elsewhere by now
        monkeypatch.setattr(outages, "log", structlog.get_logger("database"))
        ada = Caller(uuid4(), uuid4(), NOW)
        async with serving(settings, Pool("postgresql://docket@/docket?host=/nowhere", patience=1)) as api:
            headers = {"X_Request_ID": "the-request", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            await api.as_(ada).with_headers(**headers).get("/tasks", expect=503)

        begun, line = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
        assert begun["event"] == "The database does not answer: requests are refused until it does"
        assert line.pop("timestamp")
        assert line == {
            "event": "unavailable",
            "operation": "listTasks",
            "table": "tasks",
            "level": "warning",
            "request_id": "the-request",
            "trace_id": TRACE,
            "reason": "TimeoutError from FileNotFoundError",
        }

    async def test_a_client_without_an_address_is_answered(self, logged: Logged) -> None:
        async with answer_bound() as api:
            start, _ = await send_raw(api, client=None, path="/absent")

        [line] = logged()
        assert start["status"] == 404
        assert (line["address"], line["path"]) == (None, "")

    @pytest.mark.proves("ASVS 5.0 16.4.1", "Nothing that is sent can make a second line")
    @pytest.mark.usefixtures("logged")
    @pytest.mark.parametrize("form", ["json", "console"])
    async def test_nothing_sent_can_make_a_second_line(self, form: Any) -> None:
        forged = b"/livez\r\n2026-01-01T00:00:00Z [error] forged"
        with capture_log(form) as text:
            async with answer_bound() as api:
                await send_raw(
                    api,
                    path=forged.decode(),
                    raw_path=forged,
                    headers=[(b"x-request-id", forged), (b"user-agent", forged), (b"authorization", forged)],
                )

        assert len(text().splitlines()) == 1


async def test_what_is_no_request_is_left_to_the_application(settings: Settings, db: Bench) -> None:
    async with serving(settings, db) as api:
        events = iter(["lifespan.startup", "lifespan.shutdown"])
        said: list[str] = []

        async def receive() -> Message:
            return {"type": next(events)}

        async def send(message: Message) -> None:
            said.append(message["type"])

        await vars(api.http._transport)["app"]({"type": "lifespan", "state": {}}, receive, send)  # noqa: SLF001

    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
