"""Holds callers to what an operation demands: one of several alternatives, each a set of schemes with scopes."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from contract.exchange import Exchange
from contract.refusals import Refuse
from contract.types import ContractError, Operation, Problem, Scheme


class Authenticator(Protocol):
    """Tells by the credentials of one scheme who calls."""

    async def __call__(self, exchange: Exchange, scopes: Sequence[str], /) -> Any:
        """Who calls; None where the request has no such credentials. Raises the problem for bad ones, or few scopes."""


class Guard:
    """The demands of one operation."""

    def __init__(
        self,
        operation: Operation,
        authenticators: Mapping[str, Authenticator],
        schemes: Mapping[str, Scheme],
        refuse: Refuse,
    ) -> None:
        self.refuse = refuse
        self.is_optional = {} in operation.security
        demands = [requirement for requirement in operation.security if requirement]
        for name in [name for requirement in demands for name in requirement if name not in authenticators]:
            raise ContractError(f"{operation.id} demands {name}, for which no authenticator is given")
        self.alternatives = [
            [(name, authenticators[name], scopes) for name, scopes in requirement.items()] for requirement in demands
        ]
        told = [challenge(schemes[name]) for requirement in demands for name in requirement if name in schemes]
        self.challenge = ", ".join(dict.fromkeys(one for one in told if one)) or "Bearer"

    async def admit(self, exchange: Exchange) -> None:
        """Let in who meets an alternative. Raises the first problem of credentials that came, or the one for none."""
        refused: Problem | None = None
        for alternative in self.alternatives:
            callers: dict[str, Any] = {}
            try:
                for name, authenticate, scopes in alternative:
                    caller = await authenticate(exchange, scopes)
                    if caller is None:
                        break
                    callers[name] = caller
                else:
                    exchange.callers = callers
                    return
            except Problem as problem:
                refused = refused or problem
        if refused is not None:
            raise refused
        if not self.is_optional:
            raise self.refuse(None, www_authenticate=self.challenge)


def keys_of(operation: Operation, schemes: Mapping[str, Scheme]) -> frozenset[str]:
    """The query parameters that are API keys of the operation."""
    named = (schemes[name] for requirement in operation.security for name in requirement if name in schemes)
    return frozenset(scheme.detail for scheme in named if scheme.where == "query")


def challenge(scheme: Scheme) -> str:
    """What `WWW-Authenticate` says of a scheme: one that HTTP knows (RFC 9110, 11.6.1)."""
    if scheme.kind == "http":
        return 'Basic realm="api"' if scheme.detail == "basic" else scheme.detail.capitalize()
    return "Bearer" if scheme.kind in ("oauth2", "openIdConnect") else ""
