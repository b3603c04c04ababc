"""What the class of a problem takes beside the members of all."""

from types import SimpleNamespace
from typing import Any

from contract.generator.lowering.responses import members_of
from contract.types import ProblemType

KINDS = {"full": ProblemType(403, "Full", "Full.", ("limit",)), "barred": ProblemType(403, "No", "No.")}


def members(*codes: str) -> tuple[tuple[str, bool], ...]:
    """The members of a problem with these codes, in a contract of two kinds of problems."""
    known: Any = SimpleNamespace(problem_types=KINDS)
    return members_of(known, codes)


def test_a_member_of_each_code_is_required_and_one_of_some_is_not() -> None:
    assert members("full") == (("limit", True),)
    assert members("full", "barred") == (("limit", False),)
    assert members("barred") == ()
