"""Counters in Redis. Loaded where REDIS_URL is set: its client takes 44 ms and 8 MB."""

from collections.abc import Sequence
from typing import Any

from limits.aio.storage.redis.bridge import RedisBridge
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from server.rate_limiting.sliding_window import Hit, Place, Window

AWAY = (RedisError, OSError)
"""What is raised when Redis does not answer, or not as it should."""
PATIENCE = 0.2  # seconds that Redis has for an answer
CONNECTIONS = 8  # of each process to Redis
HIT = f"""
local function hit(KEYS, ARGV)
{RedisBridge.SCRIPT_ACQUIRE_SLIDING_WINDOW.decode()}
end
local function look(KEYS, ARGV)
{RedisBridge.SCRIPT_SLIDING_WINDOW.decode()}
end
if #KEYS == 2 then
    local passed = hit(KEYS, ARGV)
    return {{passed, unpack(look(KEYS, {{ARGV[2]}}))}}
end
local narrow, wide = {{KEYS[1], KEYS[2]}}, {{KEYS[3], KEYS[4]}}
local passed = hit(narrow, ARGV)
local passed_wide = passed and hit(wide, {{ARGV[4], ARGV[2], ARGV[3]}})
if passed and not passed_wide then
    redis.call('decrby', KEYS[2], ARGV[3])
end
return {{{{passed, unpack(look(narrow, {{ARGV[2]}}))}}, {{passed_wide, unpack(look(wide, {{ARGV[2]}}))}}}}
"""
"""The two scripts of `limits` as one, so that a request waits for Redis once, for two counters too."""


def connections(redis_url: str) -> BlockingConnectionPool:
    """Connections that wait for nothing longer than PATIENCE, and try nothing twice."""
    return BlockingConnectionPool.from_url(
        redis_url,
        max_connections=CONNECTIONS,
        timeout=PATIENCE,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )


def read(answer: Sequence[Any]) -> Hit:
    """What Redis says of a counter."""
    passed, *counted = answer
    previous, previous_left, current, current_left = (max(0, int(number or 0)) for number in counted)
    return bool(passed), Window(previous, previous_left / 1000, current, current_left / 1000)


class SharedMemory:
    """Counters that all instances see."""

    def __init__(self, redis_url: str) -> None:
        self.redis = Redis(connection_pool=connections(redis_url))
        self.script = self.redis.register_script(HIT)

    async def hit(self, key: str, limit: int, seconds: int) -> Hit:
        """Count one, if it is not one too many."""
        place = f"docket:limits:{{{key}}}"  # in braces, that a cluster keeps both together
        return read(await self.script([f"{place}/-1", place], [limit, seconds, 1]))

    async def hit_both(self, narrow: Place, wide: Place, seconds: int) -> tuple[Hit, Hit]:
        """Count one in both, if it is one too many in neither."""
        outer = f"docket:limits:{{{wide[0]}}}"
        inner = f"{outer}/{narrow[0]}"
        places = [f"{inner}/-1", inner, f"{outer}/-1", outer]
        one, other = await self.script(places, [narrow[1], seconds, 1, wide[1]])
        return read(one), read(other)

    async def ping(self) -> None:
        """Have Redis answer. Raises AWAY."""
        await self.redis.ping()

    async def close(self) -> None:
        await self.redis.connection_pool.aclose()
