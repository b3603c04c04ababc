"""Write docs/security.md from the tests: a promise that no test is marked to prove cannot stand there.

`@pytest.mark.proves("ASVS 5.0 7.4.1", "A logout acts on the very next request")` on a test makes a row of a table. The
first text names the requirements, separated by commas, and is empty where there is none.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.pages import ROOT, keep

PAGE = ROOT / "docs" / "security.md"
REQUIREMENT = re.compile(r"ASVS 5\.0 \d+\.\d+\.\d+|RFC \d+( \d+(\.\d+)*)?")
NONE = "\u2014"
AREAS = {
    "Sessions": (
        "api/test_attacks",
        "api/test_authentication",
        "api/test_sessions",
        "proof/test_identity",
        "server/test_races",
    ),
    "Tokens and keys": (
        "api/test_attacks.py::TestKeyRotation",
        "security/test_cursors",
        "security/test_forged_tokens",
        "security/test_keys",
        "security/test_tokens",
        "server/test_env_example",
        "server/test_settings",
    ),
    "Other issuers": (
        "api/test_auth_mode",
        "api/test_outsiders",
        "security/test_key_sets",
        "security/test_outsiders",
        "server/test_settings.py::TestOtherIssuers",
    ),
    "Passwords": (
        "api/test_attacks.py::TestPasswordChange",
        "api/test_auth.py",
        "security/test_passwords",
        "security/test_strength",
        "server/test_superuser",
    ),
    "Guessing and storms": (
        "api/test_guessing",
        "api/test_limits",
        "api/test_walk",
        "server/test_counters",
        "proof/test_identity.py::test_reads_go_on",
        "proof/test_identity.py::test_the_time_of_a_login",
    ),
    "Cookies": ("api/test_cookies",),
    "Permission": (
        "api/test_members",
        "api/test_permissions",
        "api/test_organization_races",
        "api/test_organizations",
        "api/test_task_permissions",
        "api/test_account_deletion",
        "api/test_export",
        "api/test_user_administration",
        "api/test_users",
    ),
    "Audit": (
        "api/test_audit",
        "api/test_implied_ownership",
        "api/test_organization_audit",
        "persistence/test_audit",
        "server/test_prune",
    ),
    "Input": (
        "api/test_attacks.py::test_a_device",
        "api/test_attacks.py::test_a_user_agent",
        "api/test_bad_input",
        "api/test_attacks.py::test_what_only",
        "api/test_meta",
        "api/test_connections",
        "api/test_real_server",
        "contract/test_reading",
    ),
    "Answers and logs": (
        "api/test_canaries",
        "api/test_life",
        "api/test_glance",
        "api/test_metrics",
        "api/test_telemetry",
        "contract/test_binding",
        "server/test_cors",
        "server/test_check",
        "server/test_findings",
        "persistence/test_locks",
        "server/test_edge",
        "server/test_connections",
        "server/test_gate",
        "server/test_observability",
    ),
}
"""The areas in their order, and how the ids of their tests begin below tests/. The longest beginning counts."""

INTRODUCTION = """# Security

What Docket promises about sessions, tokens, passwords and records, and the test that shows it. This page is written by
`scripts/regen.sh` from the tests themselves (`@pytest.mark.proves`), so it claims nothing that no test shows. The
requirements are those of the OWASP Application Security Verification Standard (ASVS) 5.0.0 and of RFCs, by number and
section. A dash is a promise of our own. A requirement that is named is touched by the test; it need not be met in full.

`scripts/test.sh` runs all of these tests but those of `tests/proof`, which take minutes and are run by
`scripts/proof.sh`.
"""

ROTATION = """## Rotating SECRET_KEY without logging anyone out

Tokens name the key that signed them (`kid`). The server signs with `SECRET_KEY` and accepts `SECRET_KEY_PREVIOUS` as
well, whichever of the two is the older one.

1. Make a key: `openssl rand -hex 32`.
2. With several instances only: set `SECRET_KEY_PREVIOUS` to the new key, leave `SECRET_KEY` alone, and restart the
   instances one by one. From now on each accepts what another one will sign.
3. Set `SECRET_KEY` to the new key and `SECRET_KEY_PREVIOUS` to the old one, and restart the instances one by one.
4. Wait for 7 days, the life of a refresh token. By then every session is over or has been refreshed with the new key.
5. Drop `SECRET_KEY_PREVIOUS` and restart once more.

Sessions, access tokens, refresh tokens, cursors and counts of wrong passwords survive this: these are kept under a hash
by either key, as long as both are accepted.

A key that has leaked must not be waited for: leave `SECRET_KEY_PREVIOUS` empty in step 3. Everybody signs in again.
"""


class Unprovable(Exception):  # noqa: N818 - it says what is the case
    """A mark that makes no row, with its place."""


class Promise(NamedTuple):
    """A row of a table."""

    text: str
    requirements: str
    file: str
    test: str

    @property
    def area(self) -> str:
        node = f"{self.file}::{self.test}"
        fitting = [(begin, area) for area, begins in AREAS.items() for begin in begins if node.startswith(begin)]
        if not fitting:
            raise Unprovable(f"tests/{node} belongs to no area of scripts/promises.py")
        return max(fitting, key=lambda each: len(each[0]))[1]

    @property
    def row(self) -> str:
        where = f"[{self.file}](../tests/{self.file}) `{self.test.replace('::', '.')}`"
        return f"| {self.text} | {self.requirements or NONE} | {where} |"


def main(arguments: list[str]) -> int:
    try:
        text = page(list(promises(ROOT / "tests")))
    except Unprovable as unprovable:
        print(f"promises: {unprovable}", file=sys.stderr)
        return 1
    return keep(PAGE, text, arguments)


def page(proven: list[Promise]) -> str:
    """The text of docs/security.md."""
    parts = [INTRODUCTION]
    for area in AREAS:
        rows = [promise.row for promise in sorted(proven) if promise.area == area]
        parts.append("\n".join([f"## {area}\n", "| Promise | Requirement | Test |", "|---|---|---|", *rows, ""]))
    return "\n".join([*parts, ROTATION])


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
