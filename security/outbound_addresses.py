"""Which addresses of others we connect to: public ones, never what is within our own network."""

import asyncio
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
UNICAST = IPv6Network("2000::/3")
COMPATIBLE = IPv6Network("::/96")  # once IPv4 in IPv6; no longer given to anybody
NAT64 = IPv6Network("64:ff9b::/96")
HTTPS, HTTP = 443, 80
FLAGS = re.ASCII | re.IGNORECASE  # or a letter of another script stands for one of ours
URL = re.compile(r"(https?)://([^/?#]*)(/[!$-;=?-Z\[\]_a-z~%]*|\?[!$-;=?-Z\[\]_a-z~%]*)?", FLAGS)
AUTHORITY = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{0,5}))?", FLAGS)
HIGHEST_PORT = 65_535


class Forbidden(Exception):  # noqa: N818 - it says what is the case
    """We do not connect there. The message says why, as what completes `The URL ...`."""


class Unresolved(Exception):  # noqa: N818 - it says what is the case
    """No name server knows the host, or none answers."""


@dataclass(frozen=True, slots=True)
class OutboundRules:
    """Where webhooks may go beside public addresses at port 443."""

    ports: frozenset[int] = frozenset()
    networks: frozenset[IPv4Network | IPv6Network] = frozenset()
    is_development: bool = False
    """Whether the machine itself may be called, without TLS, too."""


class Target(NamedTuple):
    """A URL that was judged, in parts; where its host is was not yet asked."""

    scheme: str
    host: str
    port: int
    path: str
    """With what follows `?`."""


def judge_url(text: str, rules: OutboundRules) -> str | None:
    """Why this URL is none for us, whatever its host resolves to; None: it may be one."""
    try:
        parse_url(text, rules)
    except Forbidden as forbidden:
        return str(forbidden)
    return None


def parse_url(text: str, rules: OutboundRules) -> Target:
    """The parts of the URL. Raises Forbidden."""
    whole = URL.fullmatch(text)
    if whole is None:
        raise Forbidden("must be an https URL in ASCII, without a fragment")
    scheme, authority, path = whole[1].lower(), whole[2], whole[3] or ""
    if scheme == "http" and not rules.is_development:
        raise Forbidden("must begin with https://")
    if "@" in authority:
        raise Forbidden("must not have a user name or a password")
    parts = AUTHORITY.fullmatch(authority)
    host = parts[1].lower().rstrip(".") if parts else ""
    port = int((parts and parts[2]) or (HTTPS if scheme == "https" else HTTP))
    if not host or not 0 < port <= HIGHEST_PORT:
        raise Forbidden("names no host, or one that is not written in ASCII, or no port")
    if scheme == "https" and port not in {HTTPS, *rules.ports}:
        allowed = ", ".join(str(one) for one in sorted({HTTPS, *rules.ports}))
        raise Forbidden(f"names port {port}: allowed are {allowed}")
    return Target(scheme, host.strip("[]"), port, path if path.startswith("/") else f"/{path}")


async def resolve(target: Target, rules: OutboundRules) -> list[str]:
    """The addresses of the host, if we may connect to each of them. Raises Forbidden, Unresolved."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unresolved("names a host that cannot be resolved") from None
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    if not all(is_allowed(address, target, rules) for address in addresses):
        raise Forbidden("leads to an address that is not public")
    return addresses


def is_allowed(text: str, target: Target, rules: OutboundRules) -> bool:
    """Whether we may connect to an address, for the sake of this URL."""
    if "%" in text:  # an address of a link
        return False
    within = list(unwrap(ip_address(text)))
    if target.scheme == "http":
        return rules.is_development and all(address.is_loopback for address in within)
    return all(is_public(address) or is_among(address, rules) for address in within)


def unwrap(address: Address) -> Iterator[Address]:
    """Where a packet to this address ends: IPv4 addresses within one of IPv6, or itself."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.teredo:
        yield from address.teredo
    elif address.ipv4_mapped or address.sixtofour:
        yield address.ipv4_mapped or address.sixtofour or address
    elif address in NAT64 or (address in COMPATIBLE and int(address) > 1):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield address


def is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in UNICAST:
        return False
    return address.is_global and not address.is_multicast


def is_among(address: Address, rules: OutboundRules) -> bool:
    """Whether an address is one that operators allow."""
    if rules.is_development and address.is_loopback:
        return True
    return any(address in network for network in rules.networks)
