"""Write docs/permissions.md: what every operation answers to each role, by handlers/shared/permissions.py.

tests/api/test_permissions.py sends every one of these requests and compares; so the page says what is the case.
"""

import sys
from collections.abc import Iterator
from typing import NamedTuple

from contract.types import Operation
from generated.operations import OPERATIONS
from handlers.shared import permissions
from handlers.shared.permissions import Action
from scripts.pages import ROOT, keep
from server.terms import TERMS

PAGE = ROOT / "docs" / "permissions.md"
REFUSED = {
    "anonymous": "authentication_required",
    "expired": "token_expired",
    "revoked": "token_revoked",
    "inactive": "token_revoked",
}
"""Callers that everything but public operations answers `401`, and the code. They would be owners."""
EXTERNAL = "external"
"""An owner, by the token of another issuer: without a session here."""
CALLERS = ("outsider", "member", "admin", "owner", "superuser", EXTERNAL)
"""Callers who are let in, by what they are in the team."""
YES, FORBIDDEN, UNSEEN, PERSONAL = "yes", "permission_denied", "not_found", "personal_organization"
DISABLED = "feature_disabled"
ANYWHERE, OWN, TEAM, SELF, OTHERS = "-", "own", "team", "oneself in a team", "another's"
NOT_OF_PERSONAL = {"deleteOrganization", "inviteMember", "updateMember", "removeMember"}
WITHOUT_TOKEN = {"getMetrics": UNSEEN}
"""What takes a credential of its own, which no caller here has."""
OF_OTHERS = {"removeMember": Action.manage_members}
"""What it takes to do to others what everybody may do to himself."""
THINGS = {
    "organization_id",
    "task_id",
    "user_id",
    "session_id",
    "access_token_id",
    "audit_log_id",
    "invitation_id",
    "code",
}


class Undecided(Exception):  # noqa: N818 - it says what is the case
    """It is not said what an operation answers to each caller."""


class Cell(NamedTuple):
    """What an operation answers to a caller about a thing at a place: `yes`, or the code of the problem."""

    operation: Operation
    place: str
    caller: str
    answer: str


def cells() -> Iterator[Cell]:
    """Every cell of the matrix. Raises Undecided."""
    for operation in OPERATIONS:
        for place in places(operation):
            for caller in (*REFUSED, *CALLERS):
                yield Cell(operation, place, caller, answer(operation, place, caller))


def things_in(operation: Operation) -> set[str]:
    """The things that the path of an operation names. Raises Undecided for one that is not decided yet."""
    found = {parameter.name for parameter in operation.parameters if parameter.where == "path"}
    if found - THINGS:
        raise Undecided(f"{operation.id} names {found - THINGS}")
    return found


def places(operation: Operation) -> tuple[str, ...]:
    """Where the thing can be that the operation is about."""
    things = things_in(operation)
    if TERMS[operation.id].roles in (None, ("superuser",)):
        return (ANYWHERE,)
    if TERMS[operation.id].roles == ("user",):
        return (OWN, OTHERS) if things else (OWN,)
    return (OWN, TEAM, SELF, OTHERS) if "user_id" in things else (OWN, TEAM, OTHERS)


def answer(operation: Operation, place: str, caller: str) -> str:
    """Raises Undecided."""
    if caller == EXTERNAL:
        return DISABLED if TERMS[operation.id].local == "session" else answer(operation, place, "owner")
    match TERMS[operation.id].roles:
        case None:
            return WITHOUT_TOKEN.get(operation.id, YES)
        case _ if caller in REFUSED:
            return YES if takes_dead_tokens(operation) and caller != "anonymous" else REFUSED[caller]
        case ("superuser",):
            return YES if caller == "superuser" else FORBIDDEN
        case ("user",):
            sees = place == OWN or (caller == "superuser" and "user_id" in things_in(operation))
            return YES if sees else UNSEEN
        case roles if set(roles) <= {"owner", "admin", "member"}:
            return answer_in(operation, place, caller)
    raise Undecided(f"{operation.id} is for {TERMS[operation.id].roles}")


def takes_dead_tokens(operation: Operation) -> bool:
    """Whether it ends the session of its tokens, however that stands: who signs out is told that it is over."""
    return TERMS[operation.id].roles is not None and TERMS[operation.id].cookie is not None


def answer_in(operation: Operation, place: str, caller: str) -> str:
    """What an operation upon an organization answers."""
    action = permissions.OPERATIONS[operation.id]
    if place == OWN:
        return PERSONAL if operation.id in NOT_OF_PERSONAL else YES
    if place == OTHERS or caller == "outsider" or (place == SELF and caller == "superuser"):
        return UNSEEN
    action = action if place == SELF else OF_OTHERS.get(operation.id, action)
    role = "owner" if caller == "superuser" else caller
    return YES if role in permissions.ROLES[action] else FORBIDDEN


INTRODUCTION = """# Permissions

What each operation answers to each kind of caller. This page is written by `scripts/regen.sh` from `openapi.yaml` and
`handlers/shared/permissions.py`; `tests/api/test_permissions.py` sends each of these requests and compares the answers.

A caller is what its role in the team is; an outsider has none there. `external` is an owner who comes with the token of
another issuer (`AUTH_MODE` `hybrid`), so without a session of ours: what is about sessions and passwords is off for it.
A place says whose the thing is that the request names: the caller's own (in the personal organization), in the team,
oneself as a member of the team, or another's (in somebody else's personal organization). `yes`: it is done. Anything
else is the code of the problem.

Without an access token every operation that is not public answers `authentication_required`, with one that has expired
`token_expired`, and `token_revoked` when the session is over or the account inactive, whatever the role. `logout` alone
takes each of these tokens: the session that they name is over then.
"""


def page() -> str:
    """The text of docs/permissions.md."""
    public = ", ".join(
        f"`{operation.id}`" for operation in OPERATIONS if answer(operation, ANYWHERE, "anonymous") == YES
    )
    rows: dict[tuple[str, str], list[str]] = {}
    for cell in cells():
        if TERMS[cell.operation.id].roles is not None and cell.caller in CALLERS:
            rows.setdefault((cell.operation.id, cell.place), []).append(cell.answer)
    table = [f"| {' | '.join(('Operation', 'Place', *CALLERS))} |", "|---" * (2 + len(CALLERS)) + "|"]
    table += [f"| `{name}` | {place} | {' | '.join(answers)} |" for (name, place), answers in rows.items()]
    return "\n".join(
        [
            INTRODUCTION,
            *table,
            "",
            f"Public, so open to everybody: {public}. `getMetrics` takes `METRICS_TOKEN` alone.",
            "",
        ]
    )


def main(arguments: list[str]) -> int:
    return keep(PAGE, page(), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
