"""Counters in Redis. Loaded where REDIS_URL is set: its client takes 44 ms and 8 MB."""

from limits.aio.storage.redis.bridge import RedisBridge
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from server.windows import Window

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
local passed = hit(KEYS, ARGV)
return {{passed, unpack(look(KEYS, {{ARGV[2]}}))}}
"""
"""The two scripts of `limits` as one, so that a request waits for Redis once."""


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


def is_url(redis_url: str) -> bool:
    """Whether the client of Redis takes it. Nothing is connected."""
    try:
        pool = connections(redis_url)
        pool.connection_class(**pool.connection_kwargs)
    except (RedisError, TypeError, ValueError):
        return False
    return True


class SharedMemory:
    """Counters that all instances see."""

    def __init__(self, redis_url: str) -> None:
        self.redis = Redis(connection_pool=connections(redis_url))
        self.script = self.redis.register_script(HIT)

    async def hit(self, key: str, limit: int, seconds: int) -> tuple[bool, Window]:
        """Count one, if it is not one too many."""
        place = f"docket:limits:{{{key}}}"  # in braces, that a cluster keeps both together
        passed, *counted = await self.script([f"{place}/-1", place], [limit, seconds, 1])
        previous, previous_left, current, current_left = (max(0, int(number or 0)) for number in counted)
        return bool(passed), Window(previous, previous_left / 1000, current, current_left / 1000)

    async def ping(self) -> None:
        """Have Redis answer. Raises AWAY."""
        await self.redis.ping()

    async def close(self) -> None:
        await self.redis.connection_pool.aclose()
