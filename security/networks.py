"""What counts as one client where a limit is shared: an IPv4 address, or a network of IPv6."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

SUBNET, SITE = 64, 48
"""The lengths of what a customer is given: one network, and all the networks of a place."""


def parse(text: str) -> IPv4Address | IPv6Address | None:
    """An address without its zone; an IPv4 one that is written as IPv6 is itself."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped or IPv6Address(int(address))


def network_of(address: str | None, length: int) -> str:
    """An IPv4 address itself, or the network of this length that an IPv6 one is in."""
    if address is None or ":" not in address:
        return address or ""
    parsed = parse(address)
    return str(IPv6Network((parsed, length), strict=False)) if isinstance(parsed, IPv6Address) else str(parsed)
