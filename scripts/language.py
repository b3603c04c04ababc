"""How plainly the code speaks: `python -m scripts.language` counts what makes names and sentences hard to read."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.pages import ROOT

GENERATED = re.compile(r"\.|generated$|node_modules$|build$")
"""Folders that others write."""
VAGUE = re.compile(r"\b(whoever|whom|nobody)\b", re.IGNORECASE)
IRREGULAR = re.compile(
    r"(begun|born|bound|broken|built|chosen|done|drawn|driven|felt|forgotten|found|frozen|given|gone|grown|"
    r"heard|held|hidden|hung|kept|known|led|left|lent|lit|lost|made|meant|met|said|seen|sent|shown|sold|"
    r"sought|spent|spoken|stood|struck|stuck|taken|taught|thrown|told|understood|won|worn|woven|written|"
    r"wrong)"
)
"""Participles that do not end in -ed and are no imperatives as well, as `read`, `run`, `set` and `put` are."""


class Tally(NamedTuple):
    """How many there are, of how many, and where."""

    found: list[str]
    total: int

    def per(self, base: int) -> float:
        return len(self.found) * base / self.total


def sources() -> list[Path]:
    """The Python that is written by hand."""
    rooms = [room for room in sorted(ROOT.iterdir()) if room.is_dir() and not GENERATED.match(room.name)]
    files = [file for room in rooms for file in sorted(room.rglob("*.py"))]
    return [file for file in files if not any(GENERATED.match(part) for part in file.relative_to(ROOT).parts)]


def count_vague_lines() -> Tally:
    """The lines that say whoever, whom or nobody, where a plain sentence names who does something."""
    lines = [
        (f"{file.relative_to(ROOT)}:{number}", line)
        for file in sources()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    ]
    return Tally([place for place, line in lines if VAGUE.search(line)], len(lines))


def count_participles() -> Tally:
    """The functions that are named by a bare participle, which tells what comes back and not what happens."""
    functions = [
        (f"{file.relative_to(ROOT)}:{function.lineno}", function.name)
        for file in sources()
        for function in functions_of(file)
    ]
    return Tally([f"{place} {name}" for place, name in functions if is_participle(name)], len(functions))


def functions_of(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def is_participle(name: str) -> bool:
    word = name.strip("_")
    return IRREGULAR.fullmatch(word) is not None or (
        word.isalpha() and word.endswith("ed") and not word.endswith(("eed", "feed"))
    )


if __name__ == "__main__":
    vague, participles = count_vague_lines(), count_participles()
    print(*vague.found, *participles.found, sep="\n")
    print(f"whoever, whom, nobody: {vague.per(10_000):.1f} of 10,000 lines")
    print(f"functions named by a bare participle: {participles.per(100):.1f} %")
