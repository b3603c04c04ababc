"""What a handler is given besides the arguments of its operation."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypeVar, cast
from uuid import UUID

from pydantic import MISSING

from contract.types import Text
from generated.models import Environment
from generated.operations import GetHealth200, GetHealth503
from handlers.shared.health_check import Glance
from handlers.shared.streams import Stream
from persistence.authorization import Caller, Room
from persistence.engine.pool import Database
from persistence.queries.changes import Position
from security.access_tokens import AccessTokens
from security.cursors import Cursors
from security.encryption import Encryption
from security.keys import Keys
from security.passwords import Passwords
from security.tokens import Tokens

T = TypeVar("T")
Work: TypeAlias = Callable[[], Awaitable[T]]
Look: TypeAlias = Callable[[], Awaitable[float | None]]
"""Asks something that the server can do without, and tells after how many seconds it answered; None: it did not."""


class Life:
    """Whether the process is about to end: it answers still, and asks for no more."""

    __slots__ = ("ending",)

    def __init__(self) -> None:
        self.ending = False


class Quota(NamedTuple):
    """So many in so many seconds."""

    amount: int
    seconds: int


class SessionLife(NamedTuple):
    """How long a session lives in all, and how long when it is not used, which a refresh judges."""

    lifetime: timedelta
    idle: timedelta


class TaskCounts(Protocol):
    """How many tasks organizations have, as far as it is known and has to be."""

    quota: int

    def room(self, organization_id: UUID, /) -> Room | MISSING:
        """What the statement that puts a task there has to look at; MISSING: there is room."""
        ...

    def learn(self, organization_id: UUID, counted: int | None, /) -> None:
        """One more is there, beside those that were counted, if they were."""
        ...

    def counting_in(self, db: Database, /) -> AbstractAsyncContextManager[None]:
        """Count in this database, until it is closed."""
        ...


class Quotas(NamedTuple):
    """How much there may be of what people make: tasks of an organization, organizations of a user, members."""

    tasks: TaskCounts
    organizations: int
    members: int


def sleep_on() -> None:
    """Wake no one: what waits is found by who looks from time to time."""


async def admit_all(_key: str, /) -> int:
    """Have any number of mails sent."""
    return 0


@dataclass(slots=True)
class Mail:
    """Whether there is mail."""

    is_on: bool
    """Whether there is a mail server. Answers that tell whether an address is known are mailed then instead."""
    is_written: bool
    """Whether mails are written at all, in development into files."""
    wake: Callable[[], None] = sleep_on
    """Tells who sends mails that there may be one."""
    admit: Callable[[str], Awaitable[int]] = admit_all
    """Counts a mail by its recipient and by who asks. What comes back are the seconds until there may be one, or 0."""


class News(Protocol):
    """Tells when something was written into a feed."""

    async def wait(self, feeds: Sequence[UUID], xid: int, seconds: float, /) -> None:
        """Until there is something from `xid` on in one of the feeds, for at most so many seconds."""
        ...

    def watching(self, db: Database, /) -> AbstractAsyncContextManager[None]:
        """Ask this database, until it is closed."""
        ...


class Streams(Protocol):
    """Tells those who read streams what is written into their feeds, from one look at the log for all of them."""

    def open(self, caller: Caller, organization_id: UUID | MISSING, epoch: UUID, /) -> AbstractContextManager[Stream]:
        """A stream, until the context ends."""
        ...

    def join(self, stream: Stream, position: Position, /) -> bool:
        """Tell the stream what comes after the position; False: it has to read on by itself up to a newer one."""
        ...

    @property
    def position(self) -> Position | None:
        """All before it was told to all that have joined, or waits for them."""
        ...

    def watching(self, db: Database, /) -> AbstractAsyncContextManager[None]:
        """Look at the log of this database, until it is closed."""
        ...


class Metrics(Protocol):
    """What monitoring reads."""

    async def scrape(self, db: Database, accept: str | None, /) -> Text: ...


@dataclass(frozen=True, slots=True)
class Process:
    """What all calls of a process share."""

    environment: Environment
    earlier_revisions: frozenset[str]
    """The migrations before the one that the code was written for. One that it does not know is of a later release."""
    keys: Keys
    passwords: Passwords
    tokens: Tokens
    access_tokens: AccessTokens
    cursors: Cursors
    seeds: Encryption
    """What keeps what codes of second factors are made of."""
    mfa_required: Literal["nobody", "superusers", "everybody"]
    """Who must have a second factor."""
    metrics: Metrics
    life: Life
    sessions: SessionLife
    sessions_per_user: int
    sign_ins: Quota
    """Wrong passwords that an account, or an identifier of none, has from anywhere but the networks it knows."""
    has_pages: bool
    """Whether the contract and its pages are served."""
    root: str
    """What stands before all paths where a proxy has the API below one."""
    public_url: str
    """What links begin with."""
    quotas: Quotas
    news: News
    streams: Streams
    mail: Mail
    looks: Mapping[str, Look]
    """By the names that `checks` of `/health` has for them."""
    health: Glance[GetHealth200 | GetHealth503] = field(default_factory=Glance)
    """What `/health` saw."""


async def stay() -> None:
    """Wait for ever, as for a client that never leaves."""
    await asyncio.Event().wait()


class Client(NamedTuple):
    """The program that calls: its address, its `User-Agent`, of which 500 characters are kept, and its request's id.

    `refresh_cookie` is the refresh token that it has as a cookie, `accept` what it says it reads; `left` returns when
    it has gone.
    """

    address: str | None
    user_agent: str | None
    request_id: str
    refresh_cookie: str | None
    accept: str | None = None
    left: Callable[[], Awaitable[None]] = stay
    origin: Callable[[], str] = str
    """Where the request was sent to, as it says itself: only its sender may be told."""
    until: datetime | None = None
    """When the token that it has is over, where that is told by the token."""


async def count_nothing(_members: Collection[str], /) -> None:
    """The operation is counted in one way alone."""


class Aside(Exception):  # noqa: N818 - it says what is the case
    """The handler needs what takes long, and holds a connection: once the work is done elsewhere, run it again."""

    def __init__(self, work: Work[object]) -> None:
        super().__init__()
        self.work = work


@dataclass(slots=True)  # to be frozen would cost each request as much as all the rest of it
class PublicCall:
    """A call by anybody. A statement commits alone; several are one change in `db.transaction()`."""

    db: Database
    now: datetime
    process: Process
    client: Client
    is_held: bool = field(default=False, kw_only=True)
    """Whether `db` is a connection, in a transaction that was begun before the handler."""
    done: object = field(default=MISSING, kw_only=True)
    """What the work came to that was done aside."""
    count_changes: Callable[[Collection[str]], Awaitable[None]] = field(default=count_nothing, kw_only=True)
    """Counts the call by the members of its body that change something. Raises TooManyRequests."""

    @property
    def passwords(self) -> Passwords:
        """Passwords, in whose line this client waits."""
        return self.process.passwords.asked_by(self.client.address, self.client.left)

    async def aside(self, work: Work[T]) -> T:
        """What the work comes to, which takes long and so is never done while a connection is held. Once in a call."""
        if self.done is not MISSING:
            return cast("T", self.done)
        if self.is_held:
            raise Aside(work)
        return await work()


@dataclass(slots=True)
class Call(PublicCall):
    """A call by a signed-in user."""

    caller: Caller
