"""What a `401` says of how access tokens are had (RFC 9728, 5.1): where this server tells it."""

from contract.exchange import Exchange
from contract.types import Headers
from generated.operations import OPERATIONS

METADATA = next(operation.path for operation in OPERATIONS if operation.id == "getProtectedResource")


def with_metadata(headers: Headers, exchange: Exchange, root: str) -> Headers:
    """The headers, in whose challenge is the address of the metadata, which begins as the request's own did.

    A request without a host has no address, and leaves them as they are.
    """
    if not exchange.header("host"):
        return headers
    address = f'resource_metadata="{exchange.origin()}{root}{METADATA}"'
    return tuple((name, pointing(value, address) if name == "WWW-Authenticate" else value) for name, value in headers)


def pointing(challenge: str, address: str) -> str:
    """The challenge with one parameter more; the first one follows the scheme without a comma."""
    return f"{challenge}, {address}" if " " in challenge else f"{challenge} {address}"
