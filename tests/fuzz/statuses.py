"""Which answers that the contract declares a run of schemathesis has seen, by its NDJSON report."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from tests.client import operation_of
from tests.statuses import declared_statuses

LONGEST_FINDING = 600  # characters of a finding that are told
Seen: TypeAlias = Counter[tuple[str, str]]  # how often an operation answered a status


def count_seen(report: Path) -> Seen:
    """What was answered in the run that the report is about."""
    counts: Seen = Counter()
    for request, response in exchanges(report):
        _, operation = operation_of(request["method"], urlsplit(request["uri"]).path)
        if operation is not None:
            counts[operation["operationId"], str(response["status_code"])] += 1
    return counts


def exchanges(report: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The requests of a run that were answered, with their answers."""
    for recorder in recorders(report):
        for interaction in recorder.get("interactions", {}).values():
            if interaction.get("response"):
                yield interaction["request"], interaction["response"]


def count_failures(report: Path) -> Counter[str]:
    """How often each check failed in the run."""
    return Counter(check["name"] for _, check, _ in failures(report))


def findings(report: Path) -> list[str]:
    """What schemathesis found, a line for each operation and kind with one case of it; and what it could not try."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for operation, check, exchange in failures(report):
        title = check["failure_info"]["failure"]["title"]
        line = f"{one_line(check['failure_info']['failure'])}{describe_exchange(exchange)}"
        alike.setdefault((operation, check["name"], title), []).append(line)
    found = [f"{' '.join(which[:2])}, {len(lines)} times, as in {lines[0]}" for which, lines in alike.items()]
    with report.open(encoding="utf-8") as lines:
        errors = [json.loads(line)["NonFatalError"] for line in lines if line.startswith('{"NonFatalError"')]
    return found + [f"{error['label']}: {one_line(error['value'])}" for error in errors]


def failures(report: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The checks that failed, with the operation and the exchange of each."""
    for recorder in recorders(report):
        for case_id, checks in recorder.get("checks", {}).items():
            for check in checks:
                if check["status"] != "success":
                    yield recorder["label"], check, recorder["interactions"].get(case_id, {})


def one_line(problem: Any) -> str:
    return " ".join(json.dumps(problem, ensure_ascii=False).split())[:LONGEST_FINDING]


def describe_exchange(exchange: dict[str, Any]) -> str:
    if not exchange.get("response"):
        return ""
    request = exchange["request"]
    return f" ({request['method']} {request['uri']}: {exchange['response']['status_code']})"


def recorders(report: Path) -> Iterator[dict[str, Any]]:
    """What each scenario of the run has recorded."""
    with report.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line).get("ScenarioFinished", {}).get("recorder", {})


def table(counts: Seen) -> str:
    """A line for each operation: which of its statuses it answered how often, and which never."""
    width = max(map(len, declared_statuses())) + 2
    lines = []
    for name, statuses in declared_statuses().items():
        often = "  ".join(f"{status} x {counts[name, status]}" for status in statuses if counts[name, status])
        never = " ".join(status for status in statuses if not counts[name, status])
        lines.append(f"{name:{width}}{often}  never {never}")
    return "\n".join(lines)


def without_success(counts: Seen) -> list[tuple[str, str]]:
    """The successes that operations declare and never answered."""
    successes = [
        (name, status) for name, statuses in declared_statuses().items() for status in statuses if status[0] == "2"
    ]
    return [success for success in successes if not counts[success]]
