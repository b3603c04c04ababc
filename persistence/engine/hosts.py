"""The servers that a URL names: one, or several with commas between them, as libpq has it."""

import re
from collections.abc import Sequence
from typing import Any

import asyncpg
from asyncpg import Connection
from asyncpg.exceptions import TargetServerAttributeNotMatched
from sqlalchemy import make_url

PARTS = re.compile(r"([^:/]+://(?:[^/?#]*@)?)([^/?#]*)(.*)", re.DOTALL)
NEXT = (OSError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError, TargetServerAttributeNotMatched)


class NoHostAnswers(ConnectionRefusedError):  # noqa: N818 - it says what is the case
    """None of several servers answers, or is what `target_session_attrs` asks for."""


def split_hosts(url: str) -> list[str]:
    """A URL for each of the hosts."""
    parts = PARTS.fullmatch(url)
    return [url] if parts is None else [f"{parts[1]}{host}{parts[3]}" for host in parts[2].split(",")]


def join_hosts(urls: Sequence[str]) -> str:
    """One URL of those for each host."""
    parts = [PARTS.fullmatch(url) for url in urls]
    hosts = ",".join(part[2] for part in parts if part)
    return urls[0] if parts[0] is None or len(urls) == 1 else f"{parts[0][1]}{hosts}{parts[0][3]}"


def place_of(url: str) -> str:
    """The host and port of a URL that names one."""
    parts = make_url(url)
    return f"{parts.host or parts.query.get('host', 'localhost')}:{parts.port or 5432}"


async def connect_to_first(url: str, seconds: float, **options: Any) -> Connection:
    """A connection to the first server that will do; each of several has its share of the time.

    Raises NoHostAnswers, which names each place and what was met there.
    """
    urls = split_hosts(url)
    if len(urls) == 1:
        return await asyncpg.connect(url, timeout=seconds, **options)
    met = []
    for one in urls:
        try:
            return await asyncpg.connect(one, timeout=seconds / len(urls), **options)
        except NEXT as error:
            said = str(error).partition("\n")[0] or f"no answer within {seconds / len(urls):.1f} s"
            met.append(f"{place_of(one)}: {said}")
    raise NoHostAnswers("; ".join(met))
