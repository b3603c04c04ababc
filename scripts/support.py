"""Write the tables of contract/README.md: what the engine does with each word of OpenAPI 3.1; `--check` only compares.

The cases are those that tests/contract/test_support.py and generator/test_refused_documents.py try.
"""

import copy
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import yaml

from contract.generator.lowering.shapes import DEFINED, NAMED
from contract.generator.reading.meta_schemas import meta_schema
from scripts.pages import ROOT, between, keep
from scripts.readme import table

Node: TypeAlias = dict[str, Any]
PAGE = ROOT / "contract" / "README.md"
CASES = ROOT / "tests" / "contract" / "support.yaml"
REFUSED = ROOT / "tests" / "contract" / "generator" / "refused.yaml"
KINDS = ("works", "ignored", "refused", "schemas")
OBJECTS = {
    "document": "OpenAPI",
    "xml": "XML",
    "callbacks": "Callback",
    "external-documentation": "External Documentation",
    "oauth-flows": "OAuth Flows",
}
"""The names of objects that are not spelt as in the meta-schema."""
ROWS = {
    "Paths Object": {"paths"},
    "Callback Object": {"the expressions"},
    "Security Requirement Object": {"the scopes"},
    "Specification Extensions": {"^x-"},
    "Responses Object": {"statuses"},
    "Path Item Object": {"$ref"},
    "Media Type Object": {"example", "examples", "x-itemSchema"},
    "Parameter Object": {"example", "examples"},
    "Header Object": {"example", "examples"},
}
"""The rows of members without fixed names, and those that the meta-schema writes apart."""
APART = ("examples", "specification-extensions")
SLIPS = {("Link Object", "body")}
"""What the meta-schema says and the specification does not."""


class Row(NamedTuple):
    """What is done with a word."""

    kind: str
    name: str
    verdict: str
    remark: str


def cases() -> list[Node]:
    found: list[Node] = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    return found


def rows() -> Iterator[Row]:
    """Every word with its verdict."""
    for case in cases():
        for kind, words in case.get("works", {}).items():
            yield from (Row(kind, name, "works", remark) for name, remark in words.items())
        for kind, words in case.get("ignored", {}).items():
            yield from (Row(kind, name, "ignored", remark) for name, remark in words.items())
        for kind, words in case.get("refused", {}).items():
            yield from (Row(kind, name, "refused", case["reason"]) for name in words)
        for name, one in case.get("schemas", {}).items():
            yield Row("Schema Object", name, "ignored" if name in case["for_readers"] else "works", one.get("says", ""))


def words() -> set[tuple[str, str]]:
    """Every word that the meta-schema of OpenAPI 3.1 knows, by object."""
    rules = meta_schema("3.1")
    found = {("OpenAPI Object", name) for name in rules["properties"]}
    for kind, rule in rules["$defs"].items():
        if kind not in APART and "properties" in rule:
            found |= {(object_name(kind), name) for name in fields(rule)}
    found |= {(kind, name) for kind, names in ROWS.items() for name in names}
    return found - SLIPS


def object_name(kind: str) -> str:
    """The name of an object in the specification."""
    return f"{OBJECTS.get(kind) or kind.replace('-', ' ').title()} Object"


def fields(rule: Any) -> Iterator[str]:
    """The members that a rule names, in what it is made of, too."""
    if isinstance(rule, dict):
        for keyword, one in rule.items():
            if keyword == "properties":
                yield from (name for name in one if not name.startswith("x-"))
            elif keyword in ("$defs", "dependentSchemas", "allOf", "then", "else"):
                for below in (
                    one.values() if isinstance(one, dict) and keyword in ("$defs", "dependentSchemas") else [one]
                ):
                    yield from fields(below)
    for below in rule if isinstance(rule, list) else ():
        yield from fields(below)


def merge_fragment(whole: Node, fragment: Node) -> Node:
    """The document with the fragment in it; of lists the items, one by one."""
    made = copy.deepcopy(whole)
    for name, part in fragment.items():
        there = made.get(name)
        if isinstance(part, dict) and isinstance(there, dict):
            made[name] = merge_fragment(there, part)
        else:
            made[name] = copy.deepcopy(part)
    return made


def below(pointer: str, node: Node) -> Node:
    """A fragment with the node at a place."""
    for part in reversed(pointer.split("/")[1:]):
        node = {part.replace("~1", "/").replace("~0", "~"): node}
    return node


def main(arguments: list[str]) -> int:
    text = between(PAGE.read_text(encoding="utf-8"), "support", page())
    return keep(PAGE, between(text, "refused", table(list_refusals())), arguments)


def page() -> str:
    """A table for each object, and one of the styles."""
    found = list(rows())
    parts = []
    for kind in dict.fromkeys(row.kind for row in found):
        told = [(f"`{row.name}`", row.verdict, row.remark) for row in found if row.kind == kind]
        parts.append(f"### {kind}\n\n{table(iter([('Word', 'Verdict', 'How'), *told]))}")
    parts.append(f"### Styles of parameters\n\n{table(styles())}")
    return "\n".join(parts) + "\n"


def list_refusals() -> Iterator[tuple[str, ...]]:
    """What is refused, and the reason; of several the first."""
    yield "What", "Reason"
    for name, case in yaml.safe_load(REFUSED.read_text(encoding="utf-8")).items():
        yield name, next(iter(case["refused"].values())).replace("|", "\\|").replace("<", "&lt;")


def styles() -> Iterator[tuple[str, ...]]:
    yield "In", "Style", "Works for", "Works exploded for"
    for (where, style), defined in DEFINED.items():
        told = [", ".join(NAMED[shape] for shape in defined[explode]) or "refused" for explode in (False, True)]
        yield f"`{where}`", f"`{style}`", *told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
