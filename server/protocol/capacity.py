"""How many connections a process has, and which of them goes when there is no place for another."""

from collections.abc import Iterable
from sys import maxsize
from time import monotonic
from typing import Protocol

from security.networks import SITE, network_of
from server.protocol.client_address import Proxies

PROBES = frozenset(path + slash for path in ("/health", "/livez", "/readyz", "/metrics") for slash in ("", "/"))
"""What the machines ask that watch a server: by its address, and without TLS."""
CAPACITY = "docket.capacity"
"""Where the state of the application has it, which each connection is given."""
SPARE = 32  # connections without a place, which may ask for a probe
LATE = 1.0  # seconds for which a client may keep us waiting in the midst of a request when others want its place
SHORTEST_REST = 5.0  # seconds that a connection may rest when the process is nearly full


class Occupant(Protocol):
    """What is asked of a connection."""

    client: tuple[str, int] | None

    def give_way(self) -> None:
        """Close, for another needs the place."""

    @property
    def is_answered(self) -> bool:
        """Whether nothing of ours is under way for it."""

    def cut(self) -> None:
        """Close at once."""


class Capacity:
    """At most `most` connections at once, and `each` from one network that has no trusted proxy.

    Without a place of its own a connection takes that of the one that rested longest, or else of the one that has kept
    us waiting longest in the midst of a request. Where there is neither it is spare: it may ask for a probe.
    """

    def __init__(self, most: int = maxsize, each: int = maxsize, proxies: Proxies | None = None) -> None:
        self.most, self.each, self.proxies = most, each, proxies or Proxies(())
        self.networks: dict[Occupant, str | None] = {}
        """Those that have a place, and where each comes from; None is a trusted proxy."""
        self.crowds: dict[str, int] = {}
        self.resting: dict[Occupant, None] = {}
        self.late: dict[Occupant, float] = {}
        self.spare: dict[Occupant, None] = {}

    def enter(self, connection: Occupant) -> bool:
        """Whether there is a place for a new connection."""
        network = self.network_of(connection)
        if network is not None and self.crowds.get(network, 0) >= self.each:
            has_place = self.make_place(network)
        else:
            has_place = len(self.networks) < self.most or self.make_place(None)
        if has_place:
            self.networks[connection] = network
            if network is not None:
                self.crowds[network] = self.crowds.get(network, 0) + 1
            self.rest(connection)
        else:
            self.stand_by(connection)
        return has_place

    def network_of(self, connection: Occupant) -> str | None:
        address = connection.client[0].partition("%")[0] if connection.client else ""
        return None if address and self.proxies.trusts(address) else network_of(address, SITE)

    def make_place(self, network: str | None) -> bool:
        """Have a connection of this network give way; None: of any. Whether there was one that could."""
        one = self.first(self.resting, network)
        if one is None:
            one = self.first(self.late, network)
            if one is None or monotonic() - self.late[one] < LATE:
                return False
        self.leave(one)
        one.give_way()
        return True

    def first(self, connections: Iterable[Occupant], network: str | None) -> Occupant | None:
        return next((one for one in connections if network is None or self.networks[one] == network), None)

    def stand_by(self, connection: Occupant) -> None:
        """Keep a connection without a place. Of too many the first goes that is not being answered."""
        self.spare[connection] = None
        if len(self.spare) > SPARE:
            oldest = next((one for one in self.spare if one.is_answered), connection)
            del self.spare[oldest]
            oldest.cut()

    def leave(self, connection: Occupant) -> None:
        """Forget a connection that is closed, or gives way."""
        self.resting.pop(connection, None)
        self.late.pop(connection, None)
        self.spare.pop(connection, None)
        network = self.networks.pop(connection, None)
        if network is not None:
            self.crowds[network] -= 1
            if not self.crowds[network]:
                del self.crowds[network]

    def rest(self, connection: Occupant) -> None:
        """Take note that nothing is asked or answered on it just now."""
        if connection in self.networks:
            self.resting[connection] = None

    def wake(self, connection: Occupant) -> None:
        self.resting.pop(connection, None)

    def wait_for(self, connection: Occupant) -> None:
        """Take note that its client has begun a request, or to read an answer, and not ended."""
        if connection in self.networks:
            self.late.setdefault(connection, monotonic())

    def go_on(self, connection: Occupant) -> None:
        self.late.pop(connection, None)

    def seconds_of_rest(self, connection: Occupant, most: float) -> float:
        """How long a connection may rest: from half full on less and less. A trusted proxy relies on what it knows."""
        free = 2 * (1 - len(self.networks) / self.most)
        if free >= 1 or self.networks.get(connection, "") is None:
            return most
        return max(SHORTEST_REST, most * free)


def is_probe(target: bytes) -> bool:
    """Whether the target of a request is what monitoring and balancers ask."""
    return target.partition(b"?")[0].decode("latin-1") in PROBES
