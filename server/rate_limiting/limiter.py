"""Rate limits: the classes of the contract, counted in a sliding window for each address, user and identifier."""

from dataclasses import dataclass, replace

from contract.exchange import Exchange
from contract.types import Headers, Operation
from generated.operations import TooManyAttempts, TooManyRequests
from security.networks import SITE, SUBNET, network_of
from server.rate_limiting.counters import Counters
from server.rate_limiting.sliding_window import Count
from server.terms import RATE_CLASSES, SITES, TERMS

MAILS, MAIL_SECONDS = 5, 3600  # to one recipient, asked for by one user or network


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests of a class in so many seconds for one key of a partition: `ip`, `user`, `identifier`."""

    name: str
    amount: int
    seconds: int
    policy: str
    place: str
    """What the keys of its counters begin with."""
    site: "Limit | None" = None
    """That of a /48 of IPv6, which has more of them; None: it has no more than one address."""


class Limits:
    """Counts requests. `overridden` are other amounts than the contract's, by class and partition."""

    def __init__(self, overridden: dict[tuple[str, str], int], counters: Counters) -> None:
        self.counters = counters
        self.classes = {name: limits_of(name, partitions, overridden) for name, partitions in RATE_CLASSES.items()}

    async def count(self, exchange: Exchange, rate_class: str | None = None) -> None:
        """Count a request by its user, if one is signed in and counts for its class, or else by its address.

        `rate_class`: another one than that of its operation.
        """
        own = TERMS[exchange.operation.id].rate_class if exchange.operation else "default"
        partitions = self.classes[rate_class or own]
        principal = exchange.principal
        if principal is not None and (limit := partitions.get("user")):
            await self.hit(exchange, limit, principal.name)
        elif limit := partitions.get("ip"):
            await self.hit_address(exchange, limit)

    async def count_by(self, exchange: Exchange, partition: str, key: str) -> None:
        """Count a request by what its body says: its `session`."""
        rate_class = TERMS[exchange.operation.id].rate_class if exchange.operation else ""
        await self.hit(exchange, self.classes[rate_class][partition], key)

    def announce(self, exchange: Exchange, partition: str) -> None:
        """Tell of a limit that is counted elsewhere. What is left of it is not told."""
        rate_class = TERMS[exchange.operation.id].rate_class if exchange.operation else ""
        exchange.answer_headers.append(("RateLimit-Policy", self.classes[rate_class][partition].policy))

    async def hit(self, exchange: Exchange, limit: Limit, key: str) -> None:
        """Count one and tell what is left. Raises TooManyRequests when nothing was."""
        tell(exchange, limit, await self.counters.hit(limit.place + key, limit.amount, limit.seconds))

    async def admit_mail(self, key: str) -> int:
        """Count a mail by its recipient and by who asks: 0, or the seconds until there may be one more."""
        count = await self.counters.hit(f"mail/{key}", MAILS, MAIL_SECONDS)
        return 0 if count.passed else max(1, count.seconds)

    async def hit_address(self, exchange: Exchange, limit: Limit) -> None:
        """Count one by its address: of IPv6 by the /64 and by the /48, and tell of the one that has least left."""
        address = exchange.address or ""
        if ":" not in address or limit.site is None:
            await self.hit(exchange, limit, network_of(address, SITE))
            return
        key, site = network_of(address, SUBNET), limit.site
        narrow, wide = (limit.place + key, limit.amount), (site.place + network_of(address, SITE), site.amount)
        one, other = await self.counters.hit_both(narrow, wide, limit.seconds)
        if one.passed and (not other.passed or other.left < one.left):
            limit, one = site, other
        tell(exchange, limit, one)


def tell(exchange: Exchange, limit: Limit, count: Count) -> None:
    """Tell what is left. Raises TooManyRequests when nothing was."""
    passed, left, seconds = count
    exchange.answer_headers += headers(limit, left, seconds)
    if not passed:
        unit = "second" if seconds == 1 else "seconds"
        detail = f"Too many requests. Try again in {seconds} {unit}."
        raise declared_problem(exchange.operation)("rate_limit_exceeded", detail, retry_after=seconds)


def limits_of(
    rate_class: str, contracted: dict[str, tuple[int, int]], overridden: dict[tuple[str, str], int]
) -> dict[str, Limit]:
    """The limits of a class by partition. Who is not signed in counts by address where a user would count."""
    partitions = {"ip": contracted["user"], **contracted} if "user" in contracted else contracted
    limits: dict[str, Limit] = {}
    for partition, (number, window) in partitions.items():
        amount = overridden.get((rate_class, partition), number)
        name = rate_class if partition in ("ip", "user") else f"{rate_class}-{partition}"  # it may count beside them
        policy = f'"{name}";q={amount};w={window}'
        place = f"{rate_class}/{partition}/{amount}/{window}/"
        limit = Limit(name, amount, window, policy, place)
        if partition == "ip" and SITES[rate_class] > 1:
            many = amount * SITES[rate_class]
            limit = replace(limit, site=Limit(name, many, window, f'"{name}";q={many};w={window}', f"{place}site/"))
        limits[partition] = limit
    return limits


def declared_problem(operation: Operation | None) -> type[TooManyRequests | TooManyAttempts]:
    """The problem that an operation declares for one request too many."""
    attempts = operation is not None and TooManyAttempts in operation.problems
    return TooManyAttempts if attempts else TooManyRequests


def headers(limit: Limit, left: int, seconds: int) -> Headers:
    """What is left of a limit (draft-ietf-httpapi-ratelimit-headers)."""
    return ("RateLimit-Policy", limit.policy), ("RateLimit", f'"{limit.name}";r={left};t={seconds}')
