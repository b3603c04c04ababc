"""Write docs/scopes.md: what every operation answers to an access token, by the scopes that the contract names.

tests/api/test_scopes.py sends every one of these requests and compares.
"""

import sys
from collections.abc import Iterator
from typing import NamedTuple

from contract.types import Operation
from generated.models import AccessTokenScope
from generated.operations import OPERATIONS
from persistence.authorization import ADMIN
from scripts.pages import ROOT, keep
from server.terms import TERMS

PAGE = ROOT / "docs" / "scopes.md"
SCOPES = [scope.value for scope in AccessTokenScope if scope.value != ADMIN]
YES, LACKING = "yes", "insufficient_scope"


class Cell(NamedTuple):
    """What an operation answers to the access token of a superuser with these scopes: `yes`, or the code."""

    operation: Operation
    scopes: tuple[str, ...]
    answer: str


def cells() -> Iterator[Cell]:
    """Every cell of the matrix: each scope alone, with the one for superusers beside it, and that alone."""
    for operation in OPERATIONS:
        if TERMS[operation.id].roles is not None:
            for scopes in (*[(scope,) for scope in SCOPES], *[(scope, ADMIN) for scope in SCOPES], (ADMIN,)):
                yield Cell(operation, scopes, answer(operation, scopes))


def answer(operation: Operation, scopes: tuple[str, ...]) -> str:
    needed = TERMS[operation.id].scopes
    return YES if needed and set(needed) <= set(scopes) else LACKING


INTRODUCTION = """# Scopes

What the access token of a program needs for every operation that is not public. This page is written by
`scripts/regen.sh` from `openapi.yaml`; `tests/api/test_scopes.py` sends each of these requests, with each scope, with
and without `admin`, and compares the answers.

A token may do what its scopes allow, and never more than its owner: the [permissions](permissions.md) hold beside them.
`admin`: the operation is for superusers, and the token needs that scope, too; without it a superuser's token is that of
anybody. An operation of which no scope is told takes no access token. What a token is not for is `403`
`insufficient_scope`.
"""


def page() -> str:
    """The text of docs/scopes.md."""
    rows = []
    for operation in OPERATIONS:
        if TERMS[operation.id].roles is not None:
            needed = TERMS[operation.id].scopes
            marks = [("`admin`" if ADMIN in needed else YES) if scope in needed else "" for scope in SCOPES]
            rows.append(f"| `{operation.id}` | {' | '.join(marks)} |")
    head = [f"| Operation | {' | '.join(f'`{scope}`' for scope in SCOPES)} |", "|---" * (1 + len(SCOPES)) + "|"]
    return "\n".join([INTRODUCTION, *head, *rows, ""])


def main(arguments: list[str]) -> int:
    return keep(PAGE, page(), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
