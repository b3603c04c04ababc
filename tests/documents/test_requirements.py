"""docs/requirements.md has every requirement once, and what it names as proof exists."""

import ast
import re
from collections import Counter
from functools import cache
from math import inf
from pathlib import Path

import pytest

from server.__main__ import COMMANDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEXT = (DOCS / "requirements.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([A-Z][^|]*?) \| ([^|]+) \| (met|refused|open) \| ([^|]+) \|$", re.MULTILINE)
ROWS = ROW.findall(TEXT)
SIZES = {
    "A": 8,
    "B": 33,
    "C": 8,
    "D": 5,
    "E": 16,
    "F": 7,
    "G": 17,
    "H": 17,
    "I": 19,
    "J": 14,
    "K": 19,
    "L": 29,
    "M": 27,
}
SIZES |= {"N": 14, "O": 11, "P": 15, "Q": 14, "R": 9, "S": 4, "T": 5, "U": 10}
SERIES = {"C-": (40, 2), "FR-": (16, 3), "SC-": (10, 3)}
NAMED = {f"{letter}{number:02}" for letter, size in SIZES.items() for number in range(1, size + 1)}
NAMED |= {f"{start}{number:0{digits}}" for start, (size, digits) in SERIES.items() for number in range(1, size + 1)}
FIGURES = (DOCS / "performance.md").read_text(encoding="utf-8")
each_document = pytest.mark.parametrize("document", ["requirements.md", "verification.md", "performance.md"])


@cache
def names_in(path: Path) -> frozenset[str]:
    """The tests of a file, as pytest names them."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
            found |= {f"{node.name}::{method.name}" for method in methods}
    return frozenset(found)


def exists(test: str) -> bool:
    file, _, name = test.partition("::")
    return (ROOT / file).is_file() and name in names_in(ROOT / file)


@cache
def anchors(path: Path) -> frozenset[str]:
    """The anchors of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def test_every_requirement_is_there_once() -> None:
    ids = Counter(row[0] for row in ROWS)

    assert [one for one, times in ids.items() if times > 1] == []
    assert {one for one in ids if not re.match(r"S[0-4] ", one)} == NAMED


def test_every_row_has_a_state_and_they_are_counted() -> None:
    states = Counter(state for _, _, state, _ in ROWS)
    lines = [line for line in TEXT.splitlines() if re.match(r"\| [A-Z]", line) and not line.startswith("| Id ")]

    assert len(lines) == len(ROWS)
    assert f"met {states['met']}, refused {states['refused']}, open {states['open']}." in TEXT


@each_document
def test_every_test_that_it_names_exists(document: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py::[\w:]+)`", (DOCS / document).read_text(encoding="utf-8"))

    assert [test for test in named if not exists(test)] == []


@each_document
def test_every_anchor_that_it_names_exists(document: str) -> None:
    links = re.findall(r"\]\(([^)#]+\.md)#([^)]+)\)", (DOCS / document).read_text(encoding="utf-8"))

    assert [(target, anchor) for target, anchor in links if anchor not in anchors(DOCS / target)] == []


def test_what_is_met_names_what_shows_it() -> None:
    met = {name: proof for name, _, state, proof in ROWS if state == "met"}

    assert [name for name, proof in met.items() if not re.search(r"`[^`]+`|\]\(|\b[A-Z]\d\d\b", proof)] == []


def test_what_is_settled_by_another_row_has_the_state_of_that_row() -> None:
    states = {name: state for name, _, state, _ in ROWS}
    leaning = [(name, state, re.findall(r"\b[A-Z]\d\d\b", proof)) for name, _, state, proof in ROWS]

    assert [(name, other) for name, state, others in leaning for other in others if states[other] != state] == []


def test_what_is_refused_has_a_decision_and_what_is_open_says_what_lacks() -> None:
    assert [
        row
        for row in ROWS
        if (row[2] == "refused" and not re.search(r"\]\(decisions/|[Pp]roduct decision", row[3]))
        or (row[2] == "open" and not re.search(r"\black", row[3]))
    ] == []


def test_the_commands_that_it_names_exist() -> None:
    named = re.findall(r"`python -m server ([a-z-]+)", TEXT)
    modules = re.findall(r"`python -m (benchmarks\.\w+)", TEXT)

    assert set(named) <= set(COMMANDS)
    assert [module for module in modules if not (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()] == []


@pytest.mark.parametrize(
    ("what", "least", "most"),
    [
        ("highest of one instance", 1000, inf),
        ("highest of three instances", 1000, 10_000),
        ("100 requests a second, 100 connections", 0, 10),
        ("100 requests a second, 1,000 connections", 0, 100),
        ("a token seen for the first time", 0, 10_000),
    ],
)
def test_the_figures_are_what_the_rows_of_performance_say_of_them(what: str, least: float, most: float) -> None:
    [cells] = re.findall(rf"^\| {what}[^|]* \| (.+) \| `[^`]+` \|$", FIGURES, re.MULTILINE)
    figures = [float(cell.split()[0].replace(",", "")) for cell in cells.split(" | ")]

    assert [figure for figure in figures if not least <= figure < most] == []
