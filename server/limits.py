"""Rate limits: the classes of the contract, counted in a sliding window for each address, user and identifier."""

import math
import time
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_address

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from contract.exchange import Exchange
from contract.vocabulary import Headers, Operation
from generated.operations import RATE_CLASSES, TooManyAttempts, TooManyRequests


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests of a class in so many seconds for one key of a partition: `ip`, `user`, `identifier`."""

    name: str
    partition: str
    item: RateLimitItem
    policy: str


class Limits:
    """Counts requests. `overridden` are other amounts than the contract's, by class and partition."""

    def __init__(self, overridden: dict[tuple[str, str], int]) -> None:
        self.strategy = SlidingWindowCounterRateLimiter(MemoryStorage())
        self.classes: dict[str, dict[str, Limit]] = {}
        for name, partitions in RATE_CLASSES.items():
            self.classes[name] = {}
            for partition, (contracted, window) in partitions.items():
                amount = overridden.get((name, partition), contracted)
                item = RateLimitItemPerSecond(amount, window)
                policy = f'"{name}";q={amount};w={window}'
                self.classes[name][partition] = Limit(name, partition, item, policy)

    async def count(self, exchange: Exchange) -> None:
        """Count a request by its user, if one is signed in and counts for its class, or else by its address."""
        partitions = self.classes[exchange.operation.rate_class if exchange.operation else "default"]
        principal = exchange.principal
        if principal is not None and (limit := partitions.get("user")):
            await self.hit(exchange, limit, str(principal.user_id))
        elif limit := partitions.get("ip"):
            await self.hit(exchange, limit, network(exchange.address))

    async def count_by(self, exchange: Exchange, partition: str, key: str) -> None:
        """Count a request by what its body says: the `identifier` it names, or its `session`."""
        rate_class = exchange.operation.rate_class if exchange.operation else ""
        await self.hit(exchange, self.classes[rate_class][partition], key)

    async def hit(self, exchange: Exchange, limit: Limit, key: str) -> None:
        """Count one and tell what is left. Raises TooManyRequests when nothing was."""
        passed = await self.strategy.hit(limit.item, limit.name, limit.partition, key)
        reset, left = await self.strategy.get_window_stats(limit.item, limit.name, limit.partition, key)
        seconds = max(1, math.ceil(reset - time.time()))
        exchange.answer_headers += headers(limit, left, seconds)
        if not passed:
            unit = "second" if seconds == 1 else "seconds"
            detail = f"Too many requests. Try again in {seconds} {unit}."
            raise declared(exchange.operation)("rate_limit_exceeded", detail, retry_after=seconds)


def declared(operation: Operation | None) -> type[TooManyRequests | TooManyAttempts]:
    """The problem that an operation declares for one request too many."""
    attempts = operation is not None and TooManyAttempts in operation.problems
    return TooManyAttempts if attempts else TooManyRequests


def headers(limit: Limit, left: int, seconds: int) -> Headers:
    """What is left of a limit (draft-ietf-httpapi-ratelimit-headers)."""
    return ("RateLimit-Policy", limit.policy), ("RateLimit", f'"{limit.name}";r={left};t={seconds}')


def network(address: str | None) -> str:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 one."""
    if address is None or ":" not in address:
        return address or ""
    return str(IPv6Network((ip_address(address.partition("%")[0]), 64), strict=False))
