"""The address a request comes from, and over what, as the proxies say that we trust (TRUSTED_PROXIES)."""

from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from contract.exchange import Exchange
from security.networks import parse

Network: TypeAlias = IPv4Network | IPv6Network
LONGEST_CHAIN = 32  # entries of X-Forwarded-For that are looked at


class Proxies:
    """The proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` count. What anybody else sends is not read."""

    def __init__(self, networks: Collection[Network]) -> None:
        self.networks = tuple(networks)
        self.is_trusted = lru_cache(1024)(self.is_in_a_network)

    def is_in_a_network(self, address: str) -> bool:
        parsed = parse(address)
        return parsed is not None and any(parsed in network for network in self.networks)

    def trusts(self, peer: str) -> bool:
        return bool(self.networks) and self.is_trusted(peer)

    def origin(self, peer: str | None, scheme: str, exchange: Exchange) -> tuple[str | None, str]:
        """The address of the client and the scheme that it used."""
        if peer is None:
            return None, scheme
        peer = peer.partition("%")[0]  # a zone is a matter of this machine
        if peer.startswith("::ffff:"):
            peer = str(parse(peer) or peer)  # an IPv4 address, heard by a socket of both families
        if not self.trusts(peer):
            return peer, scheme
        told = exchange.header("x-forwarded-proto")
        if told is not None:
            last = told.rpartition(",")[2].strip().lower()  # what the proxy next to us says
            scheme = "https" if last == "https" else "http"
        return self.client(peer, exchange.header("x-forwarded-for") or ""), scheme

    def client(self, peer: str, chain: str) -> str:
        """The rightmost address that is no proxy of ours; the proxy itself where it names none that can be read."""
        nearest = peer
        for entry in reversed(chain.rsplit(",", LONGEST_CHAIN)[-LONGEST_CHAIN:]):
            address = parse(bare(entry.strip()))
            if address is None:
                break
            nearest = str(address)
            if not self.is_trusted(nearest):
                break
        return nearest


def bare(entry: str) -> str:
    """An entry of `X-Forwarded-For` without the port that some proxies add."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
