"""Write the tables of docs/security.md: each requirement of ASVS 5.0, level 2, with its verdict, and who proves it.

The verdicts are in scripts/asvs.yaml. `@pytest.mark.proves("ASVS 5.0 7.4.1", "A logout acts on the very next request")`
on a test makes a row: the first text names the requirements, with commas between, and is empty where there is none.
What is said to be met without a test that shows it is refused; pages are named beside it.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from scripts.pages import ROOT, between, keep

PAGE = ROOT / "docs" / "security.md"
VERDICTS = ROOT / "scripts" / "asvs.yaml"
REQUIREMENT = re.compile(r"ASVS 5\.0 \d+\.\d+\.\d+|RFC \d+( \d+(\.\d+)*)?")
ASVS = "ASVS 5.0 "
NONE = "\u2014"
MET, UNMET, NOT_APPLICABLE, BEYOND = "met", "not met", "does not apply", "level 3"


class Unprovable(Exception):  # noqa: N818 - it says what is the case
    """A mark that makes no row, with its place, or a verdict that nothing shows."""


class Promise(NamedTuple):
    """What a test is marked to prove."""

    text: str
    requirements: str
    file: str
    test: str

    @property
    def where(self) -> str:
        return f"[{self.file}](../tests/{self.file}) `{self.test.replace('::', '.')}`"

    @property
    def numbers(self) -> list[str]:
        """The requirements of ASVS among them."""
        return [each.removeprefix(ASVS) for each in self.requirements.split(", ") if each.startswith(ASVS)]


class Verdict(NamedTuple):
    """What is said of a requirement; `shown` are tests and pages, `why` is said where it is not met."""

    number: str
    verdict: str
    why: str = ""
    shown: tuple[str, ...] = ()


def main(arguments: list[str]) -> int:
    try:
        text = page(PAGE.read_text(encoding="utf-8"), list(promises(ROOT / "tests")), VERDICTS.read_bytes())
    except Unprovable as unprovable:
        print(f"promises: {unprovable}", file=sys.stderr)
        return 1
    return keep(PAGE, text, arguments)


def page(text: str, proven: list[Promise], verdicts: bytes) -> str:
    """The text of docs/security.md with its tables anew."""
    said = yaml.safe_load(verdicts)
    chapters = [list(verdicts_of(chapter)) for chapter in said["chapters"]]
    titles = [chapter["title"] for chapter in said["chapters"]]
    parts = [counts(titles, chapters)]
    for number, (title, chapter) in enumerate(zip(titles, chapters, strict=True), 1):
        parts.append("\n".join([f"### V{number} {title}\n", *TABLE, *rows(number, chapter, proven), ""]))
    parts.append("\n".join(["### RFCs, and promises of our own\n", *others(proven), ""]))
    verdict = {each.number: each.verdict for chapter in chapters for each in chapter}
    ten = "\n".join(top_ten(said["top ten"], verdict))
    return between(between(text, "asvs", "\n".join(parts)), "top ten", ten + "\n")


TABLE = ("| Requirement | Verdict | Shown by, or why |", "|---|---|---|")


def verdicts_of(chapter: dict[str, Any]) -> Iterator[Verdict]:
    for number, shown in (chapter.get(MET) or {}).items():
        yield Verdict(number, MET, shown=tuple([shown] if isinstance(shown, str) else shown or ()))
    for number, why in (chapter.get(UNMET) or {}).items():
        yield Verdict(number, UNMET, why)
    for why, numbers in (chapter.get(NOT_APPLICABLE) or {}).items():
        yield from (Verdict(number, NOT_APPLICABLE, why) for number in numbers)


def counts(titles: list[str], chapters: list[list[Verdict]]) -> str:
    """How many requirements of each chapter are met, are not, and do not apply."""
    kinds = (MET, UNMET, NOT_APPLICABLE)
    lines = [f"| Chapter | {' | '.join(kinds)} |", "|---|---|---|---|"]
    sums = [[sum(each.verdict == kind for each in chapter) for kind in kinds] for chapter in chapters]
    for number, (title, found) in enumerate(zip(titles, sums, strict=True), 1):
        lines.append(f"| V{number} {title} | {' | '.join(map(str, found))} |")
    lines.append(f"| all | {' | '.join(str(sum(column)) for column in zip(*sums, strict=True))} |")
    return "\n".join([*lines, ""])


def rows(chapter: int, verdicts: list[Verdict], proven: list[Promise]) -> Iterator[str]:
    """The rows of a chapter. Raises Unprovable for one that is met and not shown."""
    told = {each.number: each for each in verdicts}
    touched = {number for promise in proven for number in promise.numbers if number.split(".")[0] == str(chapter)}
    for number in sorted(told.keys() | touched, key=lambda number: [int(part) for part in number.split(".")]):
        verdict = told.get(number, Verdict(number, BEYOND))
        shown = [f"{promise.text}: {promise.where}" for promise in sorted(proven) if number in promise.numbers]
        shown += [link(place, number) for place in verdict.shown]
        if verdict.verdict == MET and "../tests/" not in "".join(shown):
            raise Unprovable(f"scripts/asvs.yaml: {number} is met, and no test shows it: mark one, or name it")
        yield row(number, verdict.verdict, verdict.why, *shown)


def row(number: str, verdict: str, *said: str) -> str:
    return f"| {number} | {verdict} | {' <br> '.join(each for each in said if each)} |"


def link(place: str, number: str) -> str:
    """The link to a test, or to a page. Raises Unprovable when there is none."""
    file, _, test = place.partition("::")
    path = ROOT / file
    if not path.is_file():
        raise Unprovable(f"scripts/asvs.yaml: {number} is shown by {file}, which is not there")
    if test and test not in {name.replace("::", ".") for name, _ in tests_of(ast.parse(path.read_text("utf-8")))}:
        raise Unprovable(f"scripts/asvs.yaml: {number} is shown by {place}, which is not there")
    name = file.removeprefix("tests/").removeprefix("docs/")
    return f"[{name}](../{file})" + (f" `{test}`" if test else "")


def others(proven: list[Promise]) -> Iterator[str]:
    """The table of what is proven and is no requirement of ASVS."""
    yield from ("| Requirement | Shown by |", "|---|---|")
    for promise in sorted(proven):
        if not promise.numbers:
            yield f"| {promise.requirements or NONE} | {promise.text}: {promise.where} |"


def top_ten(said: dict[str, Any], verdicts: dict[str, str]) -> Iterator[str]:
    """The table of the other list, which stands on the verdicts. Raises Unprovable when they say something else."""
    yield from ("| Risk | Requirements met | Not met | How |", "|---|---|---|---|")
    for risk, judged in said.items():
        met, unmet = judged["met"], judged.get("open", [])
        for number, wanted in [*((number, MET) for number in met), *((number, UNMET) for number in unmet)]:
            if verdicts.get(number) != wanted:
                raise Unprovable(f"scripts/asvs.yaml: {risk} says that {number} is {wanted}")
        yield f"| {risk} | {', '.join(met)} | {', '.join(unmet) or NONE} | {judged['how']} |"


def promises(tests: Path) -> Iterator[Promise]:
    """What the tests of a folder are marked to prove. Raises Unprovable where a mark stands on no test, or is bent."""
    for path in sorted(tests.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        file = path.relative_to(tests).as_posix()
        marks = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "proves"}
        for name, test in tests_of(tree) if path.name.startswith("test_") else ():
            for mark in test.decorator_list:
                if mark.lineno in marks:
                    marks.discard(mark.lineno)
                    yield promise_of(mark, file, name)
        for line in marks:
            raise Unprovable(f"tests/{file}:{line} is marked as a proof and is no test")


def tests_of(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The tests of a module as pytest collects them, with their names."""
    for node in tree.body:
        inside = node.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test") else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for each in inside:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_"):
                yield prefix + each.name, each


def promise_of(mark: ast.expr, file: str, test: str) -> Promise:
    match mark:
        case ast.Call(args=[ast.Constant(value=str(requirements)), ast.Constant(value=str(text))], keywords=[]):
            named = requirements.split(", ") if requirements else []
            if text and "|" not in text and all(REQUIREMENT.fullmatch(each) for each in named):
                return Promise(text, requirements, file, test)
    raise Unprovable(f"tests/{file}:{mark.lineno} is marked by something else than a requirement and a promise")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
