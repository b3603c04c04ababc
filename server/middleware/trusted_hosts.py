"""What a request must be whatever its operation: for a host of ours, and over TLS."""

from collections.abc import Collection

from contract.exchange import Exchange
from contract.types import Problem
from server.errors import BadHost, HttpsRequired
from server.protocol.capacity import PROBES
from server.protocol.host_header import is_host


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
