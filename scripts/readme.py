"""Write the tables of endpoints and of problems in README.md from the contract; `--check` only compares."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from generated.operations import OPERATIONS
from scripts.pages import ROOT, between, keep
from server.terms import TERMS

PAGE = ROOT / "README.md"


def main(arguments: list[str]) -> int:
    document: dict[str, Any] = json.loads((ROOT / "generated" / "openapi.json").read_bytes())
    text = between(PAGE.read_text(encoding="utf-8"), "endpoints", table(endpoints(document)))
    return keep(PAGE, between(text, "problems", table(problems(document))), arguments)


def endpoints(document: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    yield "Request", "Operation", "What it does", "Who"
    for operation in OPERATIONS:
        declared = document["paths"][operation.path][operation.method.lower()]
        roles = TERMS[operation.id].roles
        who = "anybody" if roles is None else ", ".join(roles)
        yield f"`{operation.method} {operation.path}`", f"`{operation.id}`", declared["summary"], who


def problems(document: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    yield "Status", "Code", "When"
    for code, problem in document["x-problems"].items():
        yield str(problem["status"]), f"`{code}`", problem["description"]


def table(rows: Iterator[tuple[str, ...]]) -> str:
    """The rows in Markdown, the first as head."""
    head, *rest = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * (head.count(" | ") + 1) + "|", *rest]) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
