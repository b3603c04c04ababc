"""Check what a server needs before it serves: settings, key, database, clock, Redis, mail, the issuer's keys.

The exit status is 1 when something is wrong; what is only unwise is a warning.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import asyncpg
import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from persistence.engine.pool import Transaction
from persistence.queries import event_log, outbox
from security.jwks import Unusable, keys_of
from server.complaints import CommandError, Finding
from server.database import kept_secrets, revision
from server.database.connect import connect, open_url
from server.database.encoding import doubt_of, require_utf8
from server.delivery.carriers import Failed
from server.delivery.delivery import carrier_of
from server.settings.checks import check_settings
from server.settings.settings import Settings

with suppress(ImportError):  # Windows has none
    import resource

OLDEST_POSTGRESQL = 15
MOST_SECONDS_APART = 2.0
FEWEST_CHARACTERS = 12  # different ones, in a key
PATIENCE = 5
LONG_WAIT = 600  # seconds for which a mail waits without anything being wrong
OTHER_FILES = 64  # besides connections
LEFT = """
SELECT least(
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0)
        - (SELECT count(*) FROM pg_stat_activity
           WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND usename <> current_user),
    (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
    (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
)::int
"""


def add(_parser: argparse.ArgumentParser) -> None:
    """Everything is said by settings."""


def run(_arguments: argparse.Namespace, settings: Settings) -> int:
    """Settings that cannot be read were refused before."""
    findings = [
        Finding("ok", "settings", f"for {settings.environment}"),
        key(settings),
        files(settings),
        *check_settings(settings),
    ]
    findings += asyncio.run(looked_at(settings))
    for finding in findings:
        print(f"{finding.level:8} {finding.setting:12} {finding.message}")  # noqa: T201 - what the operator asked for
    return 1 if any(finding.level == "wrong" for finding in findings) else 0


def key(settings: Settings) -> Finding:
    different = len(Counter(settings.signing_key))
    if different < FEWEST_CHARACTERS:
        return Finding(
            "warning", "SECRET_KEY", f"has {different} different characters: make one by `openssl rand -hex 32`"
        )
    return Finding("ok", "SECRET_KEY", "long and varied")


async def looked_at(settings: Settings) -> list[Finding]:
    found: list[Finding] = []
    try:
        with open_url(settings) as url:
            found += [finding async for finding in database(url, settings)]
    except CommandError as error:
        found.append(Finding("wrong", "database", str(error)))
    if settings.mail_server is not None:
        found.append(await mail_server(settings))
    if settings.redis_url is not None:
        found.append(await redis(settings.redis_url.get_secret_value()))
    if settings.external_jwt_jwks_url is not None:
        found.append(await jwks(settings.external_jwt_jwks_url))
    return found


async def database(url: str, settings: Settings) -> AsyncIterator[Finding]:
    async with connect(url) as connection:
        version = connection.get_server_version().major
        said = f"PostgreSQL {version}"
        yield Finding("ok" if version >= OLDEST_POSTGRESQL else "wrong", "database", said)
        yield await clock(connection)
        if settings.database_pooler is None:
            yield await room(connection, settings.workers * settings.pool_size)
        await require_utf8(connection)
        doubt = await doubt_of(connection)
        yield Finding("warning" if doubt else "ok", "letters", doubt or "UTF8, and their case is known")
    found, wanted = await revision.current(url), revision.head()
    if found == wanted:
        yield Finding("ok", "migrations", f"at {wanted}")
        yield await days(url)
        async for finding in secrets(url, settings):
            yield finding
        if settings.writes_mail:
            yield await waiting_mails(url)
    elif found is not None and found not in revision.list_migrations():
        yield Finding("warning", "migrations", revision.Ahead(found).served)
    else:
        said = f"at {found}, the code needs {wanted}: run `python -m server migrate apply`"
        yield Finding("wrong", "migrations", said)


async def days(url: str) -> Finding:
    """How many days the event log has room for; where there is none for a day, nothing can be written on it."""
    async with connect(url) as connection:
        ahead = await event_log.days_ahead(Transaction(connection))
    if ahead < event_log.FEWEST_AHEAD:
        said = f"has room for {ahead} more days: start the server, or run `python -m server prune`"
        return Finding("wrong", "event log", said)
    return Finding("ok", "event log", f"has room for {ahead} more days")


async def secrets(url: str, settings: Settings) -> AsyncIterator[Finding]:
    """Whether SECRET_KEY alone reads what is kept encrypted, so that SECRET_KEY_PREVIOUS can go."""
    async with connect(url) as connection:
        tallies = [tally async for tally in kept_secrets.examine(Transaction(connection), settings.keys)]
    for tally in tallies:
        place = f"of {tally.secrets} in {tally.table}"
        if tally.unreadable:
            said = f"{tally.unreadable} {place} are read by no key: is SECRET_KEY_PREVIOUS the one of before?"
            yield Finding("warning", "secrets", said)
        if tally.outdated:
            said = f"{tally.outdated} {place} need SECRET_KEY_PREVIOUS: run `python -m server reencrypt`"
            yield Finding("warning", "secrets", said)
        if not tally.unreadable + tally.outdated:
            yield Finding("ok", "secrets", f"SECRET_KEY reads all {place.removeprefix('of ')}")


async def clock(connection: asyncpg.Connection) -> Finding:
    theirs: datetime = await connection.fetchval("SELECT clock_timestamp()")
    apart = abs((datetime.now(UTC) - theirs).total_seconds())
    said = f"{apart:.1f} s from the database's"
    return Finding("ok" if apart < MOST_SECONDS_APART else "wrong", "clock", said)


async def room(connection: asyncpg.Connection, needed: int) -> Finding:
    """Whether the server has a connection for each slot of an instance, and of a second beside it."""
    left: int = await connection.fetchval(LEFT)
    said = f"an instance takes {needed} (WORKERS x POOL_SIZE), the server has {left} for us: {{}}"
    match left // needed:
        case 0:
            return Finding("wrong", "connections", said.format("lower POOL_SIZE or raise its limit"))
        case 1:
            return Finding("warning", "connections", said.format("no second one fits beside it for a moment"))
        case instances:
            return Finding("ok", "connections", said.format(f"{instances} at once"))


def files(settings: Settings) -> Finding:
    """Whether a process may open as many files as it may have connections."""
    allowed, needed = files_allowed(), settings.max_connections + settings.pool_size + OTHER_FILES
    if allowed is None or allowed >= needed:
        return Finding("ok", "files", f"a process opens {needed} at most")
    said = f"a process may open {allowed}, and needs {needed} for MAX_CONNECTIONS: raise `ulimit -n` or LimitNOFILE"
    return Finding("wrong", "files", said)


def files_allowed() -> int | None:
    """How many files a process may have open; None where there is no limit."""
    if "resource" not in globals():
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit


async def waiting_mails(url: str) -> Finding:
    """Whether mails wait for longer than a mail server should be away."""
    async with connect(url) as connection:
        mails, seconds, problem = await outbox.measure(Transaction(connection))
    if seconds < LONG_WAIT:
        return Finding("ok", "outbox", f"{mails} mails wait")
    why = f"the last attempt failed: {problem}" if problem else "no one sends them: see DELIVERY"
    return Finding("warning", "outbox", f"{mails} mails wait, the oldest for {seconds / 60:.0f} minutes; {why}")


async def mail_server(settings: Settings) -> Finding:
    """Whether the mail server takes us, which it is asked without a mail."""
    carrier = carrier_of(settings)
    try:
        if carrier is not None:
            async with asyncio.timeout(2 * PATIENCE):
                await carrier.look()
    except (Failed, TimeoutError) as error:
        said = str(error) or "does not answer"
        return Finding("warning", "SMTP_URL", f"{said}: mails wait meanwhile, and are sent when it takes them")
    return Finding("ok", "SMTP_URL", "answers")


async def redis(url: str) -> Finding:
    client = Redis.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
    try:
        await client.ping()
    except (RedisError, OSError) as error:
        return Finding("warning", "Redis", f"{type(error).__name__}: each process counts its own requests meanwhile")
    finally:
        await client.aclose()
    return Finding("ok", "Redis", "answers")


async def jwks(url: str) -> Finding:
    try:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            keys = keys_of((await client.get(url)).raise_for_status().content)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding("wrong", "JWKS", f"{type(error).__name__} at EXTERNAL_JWT_JWKS_URL")
    except Unusable as unusable:
        return Finding("wrong", "JWKS", f"what is at EXTERNAL_JWT_JWKS_URL will not do: {unusable}")
    return Finding("ok", "JWKS", f"{len(keys)} keys")
