"""What Docket reads from the extensions of its operations."""

from typing import Any

import pytest

from contract.types import Operation, Requirement
from server.terms import RATE_CLASSES, SITES, TERMS, Terms, terms_of
from tests.client import DOCUMENT


def operation(*security: Requirement, **extensions: Any) -> Operation:
    named = {f"x-{name.replace('_', '-')}": value for name, value in extensions.items()}
    return Operation(id="o", tag="t", name="o", method="GET", path="/", security=security, extensions=named)


def test_an_operation_has_the_terms_that_its_extensions_and_requirements_say() -> None:
    told = {"rate_limit": "sensitive", "local": "session", "feature": "f", "bulkhead": "always", "waits": "wait"}
    others = {"other": 1}
    demands: tuple[Requirement, ...] = ({"bearer": ("owner", "admin")}, {"refreshCookie": ()})

    terms = terms_of(operation(*demands, **told, **others, rate_limit_when={"email": "sensitive"}))

    assert terms == Terms(
        rate_class="sensitive",
        roles=("owner", "admin"),
        cookie="__Host-refresh",
        local="session",
        feature="f",
        rate_class_when={"email": "sensitive"},
        bulkhead="always",
        waits="wait",
    )


@pytest.mark.parametrize(
    ("security", "roles"), [((), None), (({}, {"refreshCookie": ()}), None), (({"refreshCookie": ()},), ())]
)
def test_anybody_may_call_where_nothing_is_demanded(
    security: tuple[Requirement, ...], roles: tuple[str, ...] | None
) -> None:
    assert terms_of(operation(*security, rate_limit="default")).roles == roles


def test_every_operation_counts_by_a_class_of_the_contract() -> None:
    operations = [one for item in DOCUMENT["paths"].values() for one in item.values() if "operationId" in one]

    assert {one["operationId"]: one["x-rate-limit"] for one in operations} == {
        name: terms.rate_class for name, terms in TERMS.items()
    }
    assert set(RATE_CLASSES) == set(DOCUMENT["x-rate-limits"])
    assert RATE_CLASSES["login"]["identifier"] == (10, 3600)
    assert (SITES["login"], SITES["default"]) == (1, 10)
