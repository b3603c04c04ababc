"""Slow statements are logged and counted, and every one where that is wanted; never a value."""

import json

import pytest
import structlog

from persistence.engine.pool import Pool
from server.observability import statement_log
from server.observability.metrics import Metrics
from server.observability.statement_log import Statements
from tests.binding.conftest import capture_log

CANARY = "do-not-tell"
SQL = "SELECT $1::text,\n  pg_sleep(0.05)"


async def watch_statement(url: str, monkeypatch: pytest.MonkeyPatch, *, slow: float) -> tuple[Metrics, str]:
    """What is measured and written of one statement, where every statement is to be logged."""
    metrics = Metrics()
    monkeypatch.setattr(statement_log, "log", structlog.get_logger("statements"))  # the one there may write elsewhere
    pool = Pool(url, watch=Statements(metrics, slow=slow, every=True))
    with capture_log("json", "debug") as text:
        await pool.fetch(SQL, [CANARY])
    await pool.close()
    return metrics, text()


async def test_a_slow_statement_is_a_warning_and_counted(fresh_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, text = await watch_statement(fresh_url, monkeypatch, slow=0.01)

    line = json.loads(text)
    assert (line["event"], line["level"]) == ("slow_statement", "warning")
    assert line["sql"] == "SELECT $1::text, pg_sleep(0.05)"
    assert line["duration_ms"] >= 50
    assert metrics.registry.get_sample_value("docket_slow_statements_total") == 1
    assert CANARY not in text


async def test_every_statement_is_logged_for_whoever_debugs(fresh_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, text = await watch_statement(fresh_url, monkeypatch, slow=60)

    line = json.loads(text)
    assert (line["event"], line["level"]) == ("statement", "debug")
    assert metrics.registry.get_sample_value("docket_slow_statements_total") == 0
    assert metrics.registry.get_sample_value("docket_statements_total") == 1
    assert CANARY not in text
