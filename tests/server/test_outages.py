"""An outage is told in words when it begins and when it ends; what a refusal met names code and table."""

import asyncio
import json

import pytest
import structlog
from asyncpg import DeadlockDetectedError, DiskFullError, LockNotAvailableError

from persistence.engine.pool import Pool, PoolExhausted
from server.observability import outages
from server.observability.outages import Outages, describe_error
from tests.binding.conftest import capture_log


async def test_an_outage_has_a_line_when_it_begins_and_one_when_it_ends(
    fresh: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "log", structlog.get_logger("database"))  # the one there may write elsewhere
    these = Outages()
    with capture_log("json", "info") as text:
        these.refuse(DeadlockDetectedError("no outage"), fresh)
        these.refuse(PoolExhausted(), fresh)
        these.refuse(ConnectionRefusedError(), fresh)
        these.refuse(PoolExhausted(), fresh)
        assert these.watching is not None
        await these.watching

    begun, ended = [json.loads(line)["event"] for line in text().splitlines()]
    assert begun == "The database does not answer: requests are refused until it does"
    assert ended == "The database answers again after 0.0 s, in which 2 requests were refused"
    assert these.watching is None


async def test_a_full_disk_is_one_outage_however_often_it_is_met(fresh: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "log", structlog.get_logger("database"))
    these = Outages()
    with capture_log("json", "info") as text:
        for _ in range(5):  # it answers all the time
            these.refuse(DiskFullError("no place"), fresh)
            await asyncio.sleep(outages.PAUSE)
        assert these.watching is not None
        await these.watching

    begun, ended = [json.loads(line)["event"] for line in text().splitlines()]
    assert begun == "The database takes no changes: requests are refused until it does"
    assert ended.endswith("in which 5 requests were refused")


def test_a_refusal_names_what_was_met() -> None:
    error = LockNotAvailableError("canceling statement due to lock timeout")
    error.add_note("WITH visible AS (SELECT 1 FROM sessions)\nUPDATE tasks SET title = $1")

    assert describe_error(error) == {"sqlstate": "55P03", "table": "tasks"}
    assert describe_error(PoolExhausted()) == {}
    assert describe_error(KeyError()) == {}
