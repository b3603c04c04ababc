"""No caller is told an id that is not theirs: 20,000 cases by two users and a superuser, each answer looked through."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from generated.operations import OPERATIONS
from server.terms import TERMS
from tests.fuzz import statuses
from tests.fuzz.__main__ import SETTINGS, fuzz, serve

CASES = 20_000
HASHING = {"changeMyPassword", "createUser"}  # whose answers name no one, and take their time
NAMES = [operation.id for operation in OPERATIONS if TERMS[operation.id].roles and operation.id not in HASHING]
OPTIONS = ["--phases=fuzzing", "--max-examples=200", "--checks=WhatBelongsToAStranger", "--warnings=off"]
OPTIONS += [f"--include-operation-id={name}" for name in NAMES]


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="docket-isolation-") as name:
        Path(name).chmod(0o755)  # for the account that runs PostgreSQL for root
        yield Path(name)


def test_nobody_is_told_what_belongs_to_a_stranger(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen, report = statuses.Seen(), folder / "report.ndjson"
    with serve(folder / "served", SETTINGS) as url, capsys.disabled():
        for seed in count(1):
            assert fuzz(url, report, [*OPTIONS, f"--seed={seed}"]) == 0
            seen += statuses.count_seen(report)
            if seen.total() >= CASES:
                break
        print(statuses.table(seen), f"{seen.total():,} answers, the last by seed {seed}", sep="\n")  # noqa: T201 - the figures

    for operation in ("getTask", "updateTask", "getOrganization", "listMembers", "getMember"):
        assert seen[operation, "200"], "nothing was there"
        assert seen[operation, "404"], "nothing was hidden"
