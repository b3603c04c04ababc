"""What is wrong or doubtful about the settings: one list, for the start, for `serve` and for `check`."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

from security.breached_passwords import BreachedPasswords, UnfitList
from server.complaints import Finding, Level
from server.settings.external_issuers import check_issuers
from server.settings.settings import Settings
from server.settings.sources import ENV_FILE, secret_files, secrets_in_env_file
from server.settings.telemetry_checks import check_telemetry

SHORTEST_TOKEN = 32  # characters
READABLE = 0o004  # by others than the owner and the group
ENTERABLE = 0o001
RESOLVE_SECONDS = 2.0
GIVEN = Path("/run/secrets")  # where containers have their secrets, with modes that are not theirs to choose
ENCRYPTED = {"require", "verify-ca", "verify-full"}  # modes of libpq that never speak without TLS
Address: TypeAlias = IPv4Address | IPv6Address


def check_settings(settings: Settings) -> list[Finding]:
    """Find everything wrong or doubtful."""
    return [finding for check in CHECKS for finding in check(settings)]


def check_redis_url(settings: Settings) -> Iterator[Finding]:
    if settings.redis_url is None:
        return
    from redis.asyncio import BlockingConnectionPool  # noqa: PLC0415 - 44 ms and 8 MB, which most servers do without
    from redis.exceptions import RedisError  # noqa: PLC0415

    try:
        pool = BlockingConnectionPool.from_url(settings.redis_url.get_secret_value())
        pool.connection_class(**pool.connection_kwargs)  # nothing is connected
    except (RedisError, TypeError, ValueError):
        said = "has something behind its `?`, or as its database, that the client of Redis does not take"
        yield Finding("wrong", "REDIS_URL", said)


def check_metrics_token(settings: Settings) -> Iterator[Finding]:
    if settings.metrics_token and len(settings.metrics_token.get_secret_value()) < SHORTEST_TOKEN:
        said = f"is shorter than {SHORTEST_TOKEN} characters: make one with `openssl rand -hex 32`"
        yield Finding("wrong" if settings.is_production else "warning", "METRICS_TOKEN", said)


def check_hosts(settings: Settings) -> Iterator[Finding]:
    if settings.is_production and not settings.allowed_hosts:
        yield Finding("warning", "ALLOWED_HOSTS", "is not set: every `Host` is answered for; name your hosts")
    if settings.is_production and not settings.trusted_proxies:
        said = "is not set: no proxy may say that there was TLS, so that all but probes is refused; name your proxies"
        yield Finding("warning", "TRUSTED_PROXIES", said)


def check_links(settings: Settings) -> Iterator[Finding]:
    if settings.auth_mode == "external":
        return
    if settings.is_production and settings.public_url is None:
        yield Finding("warning", "PUBLIC_URL", "is not set: links lead to this machine; name your front end")
    elif settings.is_production and settings.base_of_links.startswith("http:"):
        yield Finding("warning", "PUBLIC_URL", "has no TLS: a link that sets a password can be read on its way")


def check_breached_passwords(settings: Settings) -> Iterator[Finding]:
    if settings.breached_passwords is None:
        return
    try:
        listed = BreachedPasswords(settings.breached_passwords)
    except OSError as error:
        yield Finding("wrong", "BREACHED_PASSWORDS", f"cannot be read: {error.strerror}")
        return
    try:
        listed.judge()
    except UnfitList as unfit:
        yield Finding("wrong", "BREACHED_PASSWORDS", str(unfit))
    finally:
        listed.close()


def check_counting(settings: Settings) -> Iterator[Finding]:
    if settings.workers > 1 and settings.redis_url is None and settings.rate_limits_enabled:
        said = f"is {settings.workers} and REDIS_URL is not set: each process counts requests for itself"
        yield Finding("warning", "WORKERS", said)


def check_files(settings: Settings) -> Iterator[Finding]:
    """Find secrets that other accounts of this machine can read."""
    level: Level = "wrong" if settings.is_production else "warning"
    for name, path in secret_files().items():
        if others_read(Path(path)):
            yield Finding(level, f"{name.upper()}_FILE", f"can be read by others: chmod 0600 {path}")
    if others_read(Path(ENV_FILE)) and secrets_in_env_file():
        yield Finding(level, ENV_FILE, f"has a secret and can be read by others: chmod 0600 {Path(ENV_FILE).resolve()}")


def others_read(path: Path) -> bool:
    """Whether another account can read the file: by its mode and by those of the folders above it."""
    try:
        whole = path.resolve(strict=True)
        modes = [folder.stat().st_mode for folder in whole.parents]
        if os.name != "posix" or whole.is_relative_to(GIVEN):
            return False
        return bool(whole.stat().st_mode & READABLE) and all(mode & ENTERABLE for mode in modes)
    except OSError:
        return False


def check_transport(settings: Settings) -> Iterator[Finding]:
    """Find what is said over a network without TLS."""
    for setting, host in [*plain_databases(settings), *plain_redis(settings), *plain_mail(settings)]:
        where = place_of(host, resolve=settings.is_production)
        if where == "here":
            continue
        said = f"names {host}, and nothing demands TLS there: {REMEDIES[setting]}"
        yield Finding("wrong" if settings.is_production and where == "public" else "warning", setting, said)


def plain_databases(settings: Settings) -> Iterator[tuple[str, str]]:
    """The hosts of the database, when it may be spoken to without TLS."""
    if settings.url is None:
        return
    parts = urlsplit(settings.url)
    given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    mode = given.get("sslmode") or os.environ.get("PGSSLMODE", "")
    if mode.replace("_", "-") in ENCRYPTED:  # the driver takes both
        return
    setting = "POSTGRES_HOST" if settings.database_url is None else "DATABASE_URL"
    hosts = given.get("host") or parts.netloc.rpartition("@")[2] or os.environ.get("PGHOST") or ""
    for host in hosts.split(","):
        if host:
            yield setting, host if host.startswith("/") else urlsplit(f"//{host}").hostname or ""


def plain_redis(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.redis_url is not None:
        parts = urlsplit(settings.redis_url.get_secret_value())
        if parts.scheme != "rediss":
            yield "REDIS_URL", parts.hostname or ""


def plain_mail(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.mail_server is not None and not settings.mail_server.demands_tls:
        yield "SMTP_URL", settings.mail_server.host


def place_of(host: str, *, resolve: bool) -> str:
    """Where a host is: `here`, `public`, or `private`, as one is that cannot be told."""
    if host.startswith("/") or host == "localhost":
        return "here"
    try:
        addresses = {ip_address(host)}
    except ValueError:
        addresses = addresses_of(host) if resolve else set()
    if addresses and all(address.is_loopback for address in addresses):
        return "here"
    return "public" if any(address.is_global for address in addresses) else "private"


def addresses_of(host: str) -> set[Address]:
    """The addresses of a name; none when no name server tells them in time."""
    found: set[Address] = set()

    def look() -> None:
        try:
            for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
                found.add(ip_address(str(address[0]).partition("%")[0]))
        except (OSError, UnicodeError, ValueError):
            return

    looking = threading.Thread(target=look, daemon=True)  # nothing else bounds the time of a name server
    looking.start()
    looking.join(RESOLVE_SECONDS)
    return set(found)


REMEDIES = {
    "DATABASE_URL": "append ?sslmode=verify-full",
    "POSTGRES_HOST": "set PGSSLMODE=verify-full, or DATABASE_URL with ?sslmode=verify-full",
    "REDIS_URL": "write rediss://",
    "SMTP_URL": "write smtps://, or append ?starttls=required",
}
CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    check_issuers,
    check_telemetry,
    check_redis_url,
    check_metrics_token,
    check_hosts,
    check_links,
    check_breached_passwords,
    check_counting,
    check_files,
    check_transport,
)
