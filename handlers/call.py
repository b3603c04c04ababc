"""What a handler is given besides the arguments of its operation."""

from dataclasses import dataclass
from datetime import datetime

from generated.models import Environment
from persistence.access import Caller
from persistence.engine import Database
from security.cursors import Cursors
from security.keys import Keys
from security.passwords import Passwords
from security.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Process:
    """What all calls of a process share."""

    environment: Environment
    schema_revision: str
    """The migration that the code was written for."""
    keys: Keys
    passwords: Passwords
    tokens: Tokens
    cursors: Cursors
    sessions_per_user: int


@dataclass(frozen=True, slots=True)
class Client:
    """The program that calls: its address, its `User-Agent`, of which 500 characters are kept, and its request's id.

    `refresh_cookie` is the refresh token that it has as a cookie.
    """

    address: str | None
    user_agent: str | None
    request_id: str
    refresh_cookie: str | None


@dataclass(frozen=True, slots=True)
class PublicCall:
    """A call by anybody. A statement commits alone; several are one change in `db.transaction()`."""

    db: Database
    now: datetime
    process: Process
    client: Client


@dataclass(frozen=True, slots=True)
class Call(PublicCall):
    """A call by a signed-in user."""

    caller: Caller
