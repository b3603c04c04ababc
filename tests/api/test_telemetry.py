"""Spans for OpenTelemetry and reports for Sentry: the real libraries in a real server, and sinks that take all."""

import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import asyncpg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typing_extensions import override

from server.settings.loading import load
from server.settings.settings import SettingsError
from tests.api.conftest import SECRET
from tests.api.test_canaries import BREAK
from tests.api.test_real_server import running
from tests.conftest import ROOT

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
EMAIL = "canary.ada@canaries.example"
PASSWORD = "canary wings over a quiet harbour"
OPEN: dict[str | None, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}


class Sink(NamedTuple):
    """Takes whatever is posted: the path and the body of each."""

    url: str
    taken: list[tuple[str, bytes]]

    def spans(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """The trace, the parent, the name and the attributes of each span, those of its server among them."""
        found = []
        for path, body in self.taken:
            assert path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                server = {each.key: each.value.string_value for each in resource.resource.attributes}
                for span in (span for scope in resource.scope_spans for span in scope.spans):
                    own = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
                    found.append((span.trace_id.hex(), span.parent_span_id.hex(), span.name, server | own))
        return found

    def events(self) -> list[dict[str, Any]]:
        """What Sentry was told: of an envelope the item after the two headers."""
        return [json.loads(body.split(b"\n")[2]) for _, body in self.taken]


@pytest.fixture
def sink() -> Iterator[Sink]:
    taken: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.append((self.path, OPEN[self.headers["content-encoding"]](body)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        @override
        def log_message(self, *_arguments: object) -> None:
            """It is not read."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield Sink(f"http://127.0.0.1:{server.server_port}", taken)
        server.shutdown()


async def test_every_request_is_a_span_of_the_trace_that_its_line_names(
    tmp_path: Path, fresh_url: str, sink: Sink
) -> None:
    async with running(tmp_path, fresh_url, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, LOG_LEVEL="debug") as server:
        async with server.client() as http:
            parent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            await http.get("/livez", headers=parent)
            await http.get("/api/v1/tasks?cursor=a-secret-cursor", headers={"Authorization": "Bearer a-secret-token"})
            await http.get("/nothing")
        assert await server.end() == (0, "")
    lines = [line for line in server.log() if line["event"] == "request"]
    spans = sink.spans()

    assert [trace for trace, *_ in spans] == [line["trace_id"] for line in lines]
    assert [(parent, name) for _, parent, name, _ in spans] == [
        ("00f067aa0ba902b7", "getLiveness"),
        ("", "listTasks"),
        ("", "GET"),
    ]
    assert spans[0][0] == TRACE
    told = spans[1][3]
    assert (told["http.route"], told["http.response.status_code"]) == ("/api/v1/tasks", 401)
    assert (told["docket.request_id"], told["service.name"]) == (lines[1]["request_id"], "docket")
    assert b"a-secret" not in b"".join(body for _, body in sink.taken)


@pytest.mark.proves("ASVS 5.0 14.2.3", "Sentry is told where an error arose, and nothing that was sent")
async def test_an_error_is_reported_by_its_place_without_anything_that_was_sent(
    tmp_path: Path, fresh_url: str, sink: Sink
) -> None:
    dsn = sink.url.replace("http://", "http://key@") + "/7"
    async with running(tmp_path, fresh_url, SENTRY_DSN=dsn) as server:
        database = await asyncpg.connect(fresh_url)
        await database.execute(BREAK)
        await database.close()
        async with server.client() as http:
            headers = {"Authorization": "Bearer canary-token", "Cookie": "canary=1", "X-Request-ID": "the-request"}
            account = {"email": EMAIL, "password": PASSWORD}
            answer = await http.post("/api/v1/auth/register?", json=account, headers=headers)
            assert answer.status_code == 500
            await http.get("/nothing")
        assert await server.end() == (0, "")
    [event] = sink.events()
    [line] = [line for line in server.log() if line["event"] == "error"]

    assert sink.taken[0][0] == "/api/7/envelope/"
    assert event["tags"] == {"request_id": "the-request", "trace_id": line["trace_id"]}
    assert (event["transaction"], event["environment"]) == ("registerUser", "staging")
    [error] = event["exception"]["values"]
    assert error["type"] == "NotNullViolationError"
    assert "persistence/engine/pool.py" in {frame["filename"] for frame in error["stacktrace"]["frames"]}
    assert b"canar" not in b"".join(body for _, body in sink.taken).lower()


async def test_a_server_whose_collectors_are_away_serves_and_ends(tmp_path: Path, fresh_url: str) -> None:
    nowhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "SENTRY_DSN": "http://key@127.0.0.1:1/7"}
    async with running(tmp_path, fresh_url, 1, **nowhere) as server:
        async with server.client() as http:
            assert (await http.get("/livez")).status_code == 200
        assert await server.end() == (0, "")


def run_python(*commands: str) -> subprocess.CompletedProcess[str]:
    """What a Python says that does these things."""
    return subprocess.run(
        [sys.executable, "-c", "\n".join(commands)], cwd=ROOT, check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize("library", ["opentelemetry-exporter-otlp-proto-http", "opentelemetry-sdk", "sentry-sdk"])
def test_their_libraries_are_among_those_that_are_deployed(library: str) -> None:
    assert f"\n{library}==" in (ROOT / "requirements.txt").read_text(encoding="utf-8")


def test_their_libraries_are_not_loaded_for_a_server_that_tells_nobody() -> None:
    ended = run_python(
        "import sys",
        "from server.app import create_app",
        "from server.settings.loading import load",
        f"create_app(load(environment='staging', secret_key='{SECRET}'))",
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'sentry_sdk'))])",
    )

    assert (ended.stdout, ended.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"otel_exporter_otlp_endpoint": "collector:4318"},
        {"otel_exporter_otlp_endpoint": "http://collector:x"},
        {"sentry_dsn": "https://sentry.example/7"},
        {"sentry_dsn": "https://key@sentry.example/docket"},
    ],
)
def test_an_address_that_is_none_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"(is no URL of a collector|is no DSN)"):
        load(environment="development", secret_key=SECRET, **wrong)
