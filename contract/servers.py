"""Where operations are served: the beginnings of their paths in the document, and the one that a setting names."""

import re
from collections.abc import Sequence

from contract.types import ContractError, Operation

ANY = re.compile(r"\{([^{}=]*)=([^{}]*)\}")


def usual(template: str) -> str:
    """The beginning with the defaults of its variables."""
    return ANY.sub(r"\2", template)


def fits(template: str, base: str) -> bool:
    """Whether a beginning is one of those that a template stands for."""
    pieces = ANY.split(template)[::3]
    return re.fullmatch("[^/]+".join(map(re.escape, pieces)), base) is not None


def bases_of(operations: Sequence[Operation], base: str | None) -> dict[str, str]:
    """The beginning of the path of each operation, by its id. `base`: the one that a setting names.

    Raises ContractError where it is none of the document's, and where there are several and none is named.
    """
    if base is not None and not any(fits(one, base) for operation in operations for one in operation.servers):
        known = ", ".join(dict.fromkeys(usual(one) or "/" for operation in operations for one in operation.servers))
        raise ContractError(f"no server of the contract is at {base or '/'}, but at {known}")
    return {operation.id: base_of(operation, base) for operation in operations}


def base_of(operation: Operation, base: str | None) -> str:
    if base is not None and any(fits(one, base) for one in operation.servers):
        return base
    if len(operation.servers) > 1:
        told = ", ".join(usual(one) or "/" for one in operation.servers)
        raise ContractError(f"{operation.id} has servers at {told}: say which one this is (`base`)")
    return usual(operation.servers[0])
