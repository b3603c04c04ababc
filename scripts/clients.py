"""Write the table of docs/clients.md from the rows of a run; `--check` only compares. `--some` keeps the other rows."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from scripts.pages import ROOT, between, keep
from scripts.readme import table

PAGE = ROOT / "docs" / "clients.md"
GENERATORS = ROOT / "tests" / "clients" / "generators.yaml"
HEAD = ("Generator", "Release", "Generated", "Compiled strictly", "Journey", "Remarks")


def main(arguments: list[str]) -> int:
    told, *options = arguments
    page = PAGE.read_text(encoding="utf-8")
    rows = dict(read_rows(page)) if "--some" in options else {}
    rows |= {row[0]: tuple(row) for row in map(json.loads, Path(told).read_text(encoding="utf-8").splitlines())}
    names = yaml.safe_load(GENERATORS.read_text(encoding="utf-8"))
    text = between(page, "generators", table(iter([HEAD, *(rows[name] for name in names if name in rows)])))
    return keep(PAGE, text, [one for one in options if one == "--check"], by="scripts/clients.sh --write")


def read_rows(page: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The rows that the page has."""
    for line in page.partition("<!-- generators -->")[2].partition("<!-- end -->")[0].splitlines():
        cells = tuple(line.removeprefix("| ").removesuffix(" |").split(" | "))
        if len(cells) == len(HEAD) and cells != HEAD:
            yield cells[0], cells


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
