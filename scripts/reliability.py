"""Write the table of docs/reliability.md from rows of trials; with more arguments the other rows stay as they are."""

import json
import re
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from scripts.pages import ROOT, between, keep
from scripts.readme import table

PAGE = ROOT / "docs" / "reliability.md"
HEAD = (
    "Fault", "Requests", "Failures by status", "Longest wait", "Gap", "Acknowledged", "Lost", "Twice", "Stuck",
    "What the log said",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    told, *some = arguments
    page = PAGE.read_text(encoding="utf-8")
    lines = Path(told).read_text(encoding="utf-8").splitlines()
    rows = dict(read_rows(page)) if some else {}
    rows |= {row[0]: row for row in map(write_row, map(json.loads, lines))}
    return keep(PAGE, between(page, "faults", table(chain([HEAD, *sorted(rows.values())], [total(rows)]))), [])


def read_rows(page: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The rows that the page has."""
    for line in page.partition("<!-- faults -->")[2].partition("<!-- end -->")[0].splitlines():
        cells = tuple(line.removeprefix("| ").removesuffix(" |").split(" | "))
        if len(cells) == len(HEAD) and cells[0] not in (HEAD[0], "All"):
            yield cells[0], cells


def write_row(row: dict[str, Any]) -> tuple[str, ...]:
    failures = ", ".join(f"{status}: {number:,}" for status, number in row["failures"].items()) or "none"
    said = "; ".join(f"{number} {what}" for what, number in row["said"].items()) or "nothing"
    counted = [f"{row[name]:,}" for name in ("acknowledged", "lost", "twice")]
    waits = [f"{row[name]:.2f} s" for name in ("wait", "gap")]
    told = re.sub(r"[|\n]", " ", said)
    return row["fault"], f"{row['requests']:,}", failures, *waits, *counted, str(len(row["stuck"])), told


def total(rows: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What all of them come to."""

    def sum_column(column: int) -> str:
        return f"{sum(int(row[column].replace(',', '')) for row in rows.values()):,}"

    return "All", sum_column(1), "", "", "", sum_column(5), sum_column(6), sum_column(7), sum_column(8), ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
