"""Which answers that the contract declares the tests have seen: a pytest plugin. `--every-status` wants all of them."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest

from tests.client import DOCUMENT, SEEN

Pair: TypeAlias = tuple[str, str]  # an operation, a status

WALKED = {"408", "414", "429", "431", "500", "503"}  # tests/api walk through all operations with one test for each
UNSEEN: dict[Pair, str] = {}  # those that no test of the suite can see, and why
COLLECTED: set[Pair] = set()  # by all workers


def declared_statuses() -> dict[str, list[str]]:
    """The statuses of every operation of the contract."""
    items = (item for path in DOCUMENT["paths"].values() for item in path.values() if isinstance(item, dict))
    return {operation["operationId"]: list(operation["responses"]) for operation in items}


def list_mistakes(seen: set[Pair]) -> Iterator[str]:
    """What is to be mended: pairs that were not seen, and excuses that are none."""
    pairs = {(name, status) for name, statuses in declared_statuses().items() for status in statuses}
    for name, status in sorted(pairs - seen - UNSEEN.keys()):
        if status not in WALKED:
            yield f"No test has seen {name} answer {status}"
    for name, status in sorted(UNSEEN.keys() & seen | UNSEEN.keys() - pairs):
        yield f"tests/statuses.py excuses {name} {status}, which has been seen, or is not declared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-status", action="store_true", help="fail when a declared answer was never seen")


def pytest_testnodedown(node: Any) -> None:
    """Take what a worker has seen."""
    COLLECTED.update(map(tuple, getattr(node, "workeroutput", {}).get("seen", [])))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give what this worker has seen; in the end, judge it."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["seen"] = sorted(SEEN)
        return
    COLLECTED.update(SEEN)
    if session.config.option.every_status and any(list_mistakes(COLLECTED)):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.option.every_status:
        terminalreporter.section("declared answers")
        count = sum(map(len, declared_statuses().values()))
        known = [pair for pair in COLLECTED if pair[1] in declared_statuses()[pair[0]] and pair[1] not in WALKED]
        terminalreporter.line(f"{count} are declared, {len(known)} of them seen beside those of the walks")
        for line in list_mistakes(COLLECTED):
            terminalreporter.line(line, red=True)
