"""What a request must be whatever its operation: for a host of ours, and over TLS."""

import re
from collections.abc import Collection
from functools import lru_cache

from contract.exchange import Exchange
from contract.types import Problem
from server.errors import BadHost, HttpsRequired

PROBES = frozenset(path + slash for path in ("/health", "/livez", "/readyz", "/metrics") for slash in ("", "/"))
"""What the machines ask that watch a server: by its address, and without TLS."""
HOST = re.compile(rb"(?:\[[0-9a-f:.]+\]|[a-z0-9._~!$&'()*+,;=%-]*)(?::(?P<port>[0-9]{0,5}))?", re.IGNORECASE)
HIGHEST_PORT = 65535


@lru_cache(maxsize=1024)
def is_host(given: bytes) -> bool:
    """Whether it is a host, with a port or without (RFC 9110, 7.2): no user, no blank, no port that is none."""
    found = HOST.fullmatch(given.strip(b" \t"))
    return found is not None and int(found["port"] or 0) <= HIGHEST_PORT


class Gate:
    """Lets in what may be answered. `hosts`: none lets in every host; `*.example.com` stands for all below it."""

    def __init__(self, hosts: Collection[str], *, https_only: bool) -> None:
        self.https_only = https_only
        self.hosts = frozenset(hosts)
        self.domains = tuple(host[1:] for host in hosts if host.startswith("*."))

    def refusal(self, exchange: Exchange) -> Problem | None:
        """What is wrong with a request."""
        if not is_host(exchange.headers.get(b"host", b"")):
            return BadHost()
        if exchange.path in PROBES:
            return None
        if self.hosts and not self.serves(exchange.header("host") or ""):
            return BadHost()
        if self.https_only and exchange.scheme != "https":
            return HttpsRequired()
        return None

    def serves(self, given: str) -> bool:
        """Whether `Host` names a host of ours, on whatever port."""
        host = given.lower()
        host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return host in self.hosts or (bool(self.domains) and host.endswith(self.domains))
