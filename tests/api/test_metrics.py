"""What monitoring reads at /metrics, and who may."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from contract.types import Json
from generated.operations import GetApiInfo200
from handlers import meta
from handlers.shared.call import PublicCall
from persistence.engine.pool import Pool
from persistence.queries import jobs
from server.observability import metrics
from server.settings.loading import load
from tests.api.conftest import SECRET, serving
from tests.api.test_real_server import running
from tests.binding.conftest import NOWHERE, Modules, answering, copy_module
from tests.client import ApiClient, check
from tests.factories import NOW, Factory
from tests.waiting import until

TOKEN = "a-token-of-monitoring-0123456789abcdef"
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def values(text: str, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a metric, by the values of their labels."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {tuple(sample.labels.values()): sample.value for sample in samples if sample.name == name}


def counts(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Those samples of a counter that have counted something."""
    return {labels: count for labels, count in values(text, name).items() if count}


@pytest.fixture
async def monitored(fresh: Pool) -> AsyncIterator[ApiClient]:
    """A client with the token, of a server with a database of its own."""
    given = load(environment="staging", secret_key=SECRET, metrics_token=TOKEN, rate_limits_enabled=False)
    async with serving(given, fresh) as client:
        yield client.with_headers(Authorization=f"Bearer {TOKEN}")


async def scrape(client: ApiClient) -> str:
    return (await client.get("//metrics")).content.decode()


class TestWhoReads:
    @pytest.mark.proves("ASVS 5.0 13.4.5", "Metrics are read with the operator's token, and else are not there")
    @pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {TOKEN}"}])
    async def test_nobody_without_the_token(self, monitored: ApiClient, sent: dict[str, str]) -> None:
        answer = await monitored.http.get("/metrics", headers=sent)

        check(answer)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "docket_" not in answer.text

    @pytest.mark.parametrize("token", ["é", "\udce9"])
    async def test_a_token_is_the_bytes_that_the_operator_gave(self, fresh: Pool, token: str) -> None:
        given = load(environment="staging", secret_key=SECRET, metrics_token=token, rate_limits_enabled=False)
        right, wrong = b"Bearer " + token.encode("utf-8", "surrogateescape"), b"Bearer e"
        async with serving(given, fresh) as client:
            answers = [await client.http.get("/metrics", headers={b"Authorization": sent}) for sent in (right, wrong)]

        assert [answer.status_code for answer in answers] == [200, 401]

    async def test_nobody_where_there_is_no_token(self, api: ApiClient) -> None:
        assert (await api.get("//metrics", expect=404))["code"] == "not_found"

    async def test_everybody_in_development(self, fresh: Pool) -> None:
        given = load(environment="development", secret_key=SECRET)
        async with serving(given, fresh) as client:
            assert "docket_build_info" in await scrape(client)

    async def test_without_a_database_too(self) -> None:
        given = load(environment="development", secret_key=SECRET)
        async with serving(given, Pool(NOWHERE, patience=0.05)) as client:
            assert "docket_build_info" in await scrape(client)


class TestForms:
    async def test_it_is_prometheus_own_text_and_takes_any_query(self, monitored: ApiClient) -> None:
        answer = await monitored.get("//metrics?colour=red&colour&%ff=%00")

        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert values(answer.content.decode(), "docket_requests_in_flight") == {(): 1}

    async def test_it_is_openmetrics_for_whoever_asks(self, monitored: ApiClient) -> None:
        answer = await monitored.with_headers(Accept=OPENMETRICS).get("//metrics")

        assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert answer.content.endswith(b"# EOF\n")
        assert b"# TYPE docket_requests counter\n" in answer.content

    @pytest.mark.parametrize(
        ("accept", "told"),
        [
            ('application/openmetrics-text; version="1.0.0"', "application/openmetrics-text; version=1.0.0;"),
            ('text/plain; version="0.0.4"', "text/plain; version=0.0.4;"),
            ("application/openmetrics-text; version=abc", "text/plain; version=0.0.4;"),
            ("text/plain; version=1.x; escaping=what", "text/plain; version=0.0.4;"),
        ],
    )
    async def test_whatever_is_accepted_they_are_told(self, monitored: ApiClient, accept: str, told: str) -> None:
        answer = await monitored.with_headers(Accept=accept).get("//metrics")

        assert answer.headers["content-type"].startswith(told)

    async def test_head_is_told_the_same_without_a_body(self, monitored: ApiClient) -> None:
        answer = await monitored.send("HEAD", "//metrics", expect=200)

        assert answer.content == b""


class TestWhatIsCounted:
    async def test_every_answer_by_its_operation_and_status(self, monitored: ApiClient) -> None:
        for _ in range(3):
            await monitored.http.get("/livez")
        await monitored.http.get("/api/v1/tasks")
        await monitored.http.get("/nothing")

        text = await scrape(monitored)
        counted = counts(text, "docket_requests_total")
        assert values(text, "docket_requests_total")["listTasks", "500"] == 0
        assert counted == {("getLiveness", "200"): 3, ("listTasks", "401"): 1, ("none", "404"): 1}
        assert values(text, "docket_request_duration_seconds_count")["getLiveness",] == 3

    async def test_statements_and_active_sessions(self, monitored: ApiClient, fresh: Pool) -> None:
        ada = await Factory(fresh).user()
        await fresh.fetch("UPDATE sessions SET last_used_at = now()", [])
        await monitored.as_(ada).get("/tasks")

        text = await scrape(monitored)

        assert values(text, "docket_sessions_active") == {(): 1}
        connections = values(text, "docket_pool_connections")
        assert set(connections) == {("in_use",), ("idle",), ("connecting",), ("missing",)}
        assert connections["missing",] == 0

    async def test_when_jobs_last_succeeded(
        self, monitored: ApiClient, fresh: Pool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(metrics, "KEPT", -1)

        before = values(await scrape(monitored), "docket_last_success_timestamp_seconds")
        await jobs.note_success(fresh, "backup", now=NOW)
        after = values(await scrape(monitored), "docket_last_success_timestamp_seconds")

        assert before == {("backup",): 0, ("prune",): 0}
        assert after == {("backup",): NOW.timestamp(), ("prune",): 0}

    @pytest.mark.usefixtures("still_window")
    async def test_what_was_refused_for_being_too_much(self, fresh: Pool) -> None:
        given = load(environment="staging", secret_key=SECRET, metrics_token=TOKEN, rate_limit_default=1)
        async with serving(given, fresh) as client:
            await client.get("//", expect=200)
            await client.get("//", expect=429)

            text = await scrape(client.with_headers(Authorization=f"Bearer {TOKEN}"))

        assert values(text, "docket_limits_refused_total") == {("default",): 1}

    async def test_in_production_answers_that_break_the_contract_are_sent_and_counted(self) -> None:
        async def get_api_info(_call: PublicCall, /) -> GetApiInfo200:
            return GetApiInfo200(body=Json(b'{"name": 1}'))

        handlers = Modules(copy_module(meta, get_api_info=get_api_info))
        async with answering(handlers, environment="production") as client:
            answer = await client.http.get("/")
            text = (await client.http.get("/metrics")).text

        assert (answer.status_code, answer.content) == (200, b'{"name": 1}')
        assert counts(text, "docket_contract_mismatches_total") == {("getApiInfo",): 1}


def kept_for_ever(folder: Path) -> set[str]:
    """The files of gauges that stay when their worker is gone."""
    files = folder.glob("docket-metrics-*/gauge_*.db")
    return {file.name for file in files if not file.name.startswith("gauge_live")}


@pytest.mark.parametrize("workers", [1, 4])
async def test_the_metrics_of_all_workers_sum_to_what_a_client_counted(
    tmp_path: Path, fresh_url: str, workers: int
) -> None:
    counted: Counter[tuple[str, str]] = Counter()

    async def ask(http: httpx.AsyncClient, path: str, operation: str) -> None:
        for _ in range(50):
            answer = await http.get(path)
            counted[operation, str(answer.status_code)] += 1

    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with running(tmp_path, fresh_url, workers, METRICS_TOKEN=TOKEN, TMPDIR=str(tmp_path)) as server:
        async with server.client() as one, server.client() as two, server.client() as three:
            await asyncio.gather(
                *(ask(http, "/livez", "getLiveness") for http in (one, two, three)),
                *(ask(http, "/api/v1/tasks", "listTasks") for http in (one, two, three)),
                *(ask(http, "/nothing", "none") for http in (one, two, three)),
            )
        async with server.client() as http:

            async def read_value(name: str) -> dict[tuple[str, ...], float]:
                return values((await http.get("/metrics", headers=bearer)).text, name)

            async def others() -> dict[tuple[str, ...], float]:
                all_of_them = await read_value("docket_requests_total")
                return {labels: count for labels, count in all_of_them.items() if count and labels[0] != "getMetrics"}

            await until(
                others, counted
            )  # a worker counts what it has answered, and the one that is asked may be quicker
            built = await read_value("docket_build_info")
        kept = kept_for_ever(tmp_path)
        assert await server.end() == (0, "")

    assert counted.total() == 450
    assert kept == set()  # or a worker that is gone would tell for ever of what was the case in it
    assert sum(built.values()) == 1
