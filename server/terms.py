"""The terms of operations: what their `x-` members say to Docket, and their security as roles and a cookie."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from contract.types import Operation
from generated.operations import EXTENSIONS, OPERATIONS, SCHEMES

BEARER, TOKEN = "bearer", "accessToken"
USUAL_SITE = 10  # times the number of an address


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms an operation is to be had. scripts/rules.py refuses a contract that says other things."""

    rate_class: str
    roles: tuple[str, ...] | None = None
    """Who may call; None: anybody."""
    scopes: tuple[str, ...] = ()
    """What an access token needs; none: it takes no access token."""
    before_enrolment: bool = False
    """Whether it answers an account that must have a second factor and has none."""
    cookie: str | None = None
    """The cookie that may stand for an access token."""
    local: Literal["accounts", "session"] | None = None
    """What of the server's own it is about: its accounts, or also the caller's session."""
    feature: str | None = None
    """What the operator can turn off, and this with it."""
    rate_class_when: Mapping[str, str] = field(default_factory=dict)
    """By members of the body: what a request is also counted as when it changes them."""
    bulkhead: str | None = None
    """With which query parameter it asks much of the database, or `always`."""
    waits: str | None = None
    """With how many seconds in which query parameter it waits for changes, or `always`."""


def terms_of(operation: Operation) -> Terms:
    """The terms of an operation."""
    said = operation.extensions
    return Terms(
        rate_class=said["x-rate-limit"],
        roles=roles_of(operation),
        scopes=scopes_of(operation),
        before_enrolment=said.get("x-before-enrolment", False),
        cookie=cookie_of(operation),
        local=said.get("x-local"),
        feature=said.get("x-feature"),
        rate_class_when=said.get("x-rate-limit-when", {}),
        bulkhead=said.get("x-bulkhead"),
        waits=said.get("x-waits"),
    )


def roles_of(operation: Operation) -> tuple[str, ...] | None:
    """The roles beside `bearer`; None when anybody may call."""
    if not operation.security or {} in operation.security:
        return None
    return next((requirement[BEARER] for requirement in operation.security if BEARER in requirement), ())


def scopes_of(operation: Operation) -> tuple[str, ...]:
    """The scopes beside `accessToken`."""
    return next((requirement[TOKEN] for requirement in operation.security if TOKEN in requirement), ())


def cookie_of(operation: Operation) -> str | None:
    """The cookie that may stand for an access token."""
    named = (SCHEMES[name] for requirement in operation.security for name in requirement)
    return next((scheme.detail for scheme in named if scheme.where == "cookie"), None)


TERMS: Mapping[str, Terms] = {operation.id: terms_of(operation) for operation in OPERATIONS}
"""By operation id."""
QUOTAS: Mapping[str, Mapping[str, Mapping[str, int]]] = EXTENSIONS["x-rate-limits"]
RATE_CLASSES: dict[str, dict[str, tuple[int, int]]] = {
    rate_class: {partition: (quota["limit"], quota["window"]) for partition, quota in quotas.items()}
    for rate_class, quotas in QUOTAS.items()
}
"""By class and partition: how many requests in how many seconds."""
SITES: dict[str, int] = {
    rate_class: quotas.get("ip", {}).get("site", USUAL_SITE) for rate_class, quotas in QUOTAS.items()
}
"""How many times the number of an address a /48 of IPv6 has, by class."""
