"""The roles of the contract and those of handlers/shared/permissions.py are the same."""

from handlers.shared.permissions import OPERATIONS as ACTIONS
from handlers.shared.permissions import ROLES, Action
from server.terms import TERMS

ANYBODY = (None, ("user",))


def test_the_roles_of_every_operation_are_those_of_its_action() -> None:
    contract = {operation: terms.roles for operation, terms in TERMS.items() if terms.roles not in ANYBODY}

    assert {operation: ROLES[action] for operation, action in ACTIONS.items()} == contract


def test_every_action_is_what_some_operation_does_or_does_to_owners() -> None:
    assert set(ROLES) == set(Action) == {*ACTIONS.values(), Action.manage_owners}
