"""The encoding of the database, looked at by each new connection: a server may start before its database."""

import logging
from functools import cache

from asyncpg import Connection

log = logging.getLogger(__name__)


class WrongEncoding(OSError):  # noqa: N818 - it says what is the case
    """The database that answers is none in which every text of the contract could be stored."""


def require_utf8(connection: Connection) -> None:
    """Raises WrongEncoding. The server has told the encoding already, so that nothing is asked."""
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        said = f"The database has the encoding {encoding}, not UTF8: `python -m server check` tells what to do"
        tell(said)
        raise WrongEncoding(said)


@cache
def tell(said: str) -> None:
    """Say it once in a process: probes alone may come, which are logged nowhere."""
    log.error(said)
