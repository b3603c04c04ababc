"""The syntax of `Host`, which names what a request is for."""

import re
from functools import lru_cache

HOST = re.compile(rb"(?:\[[0-9a-f:.]+\]|[a-z0-9._~!$&'()*+,;=%-]*)(?::(?P<port>[0-9]{0,5}))?", re.IGNORECASE)
HIGHEST_PORT = 65535


@lru_cache(maxsize=1024)
def is_host(given: bytes) -> bool:
    """Whether it is a host, with a port or without (RFC 9110, 7.2): no user, no blank, no port that is none."""
    found = HOST.fullmatch(given.strip(b" \t"))
    return found is not None and int(found["port"] or 0) <= HIGHEST_PORT
