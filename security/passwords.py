"""Passwords, hashed and judged in a bounded pool of threads, so that the event loop never waits for one."""

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from typing import Any, ParamSpec, Self, TypeVar
from unicodedata import normalize

from passlib.hash import bcrypt_sha256

from security import password_strength
from security.breached_passwords import BreachedPasswords
from security.networks import SITE, network_of

P = ParamSpec("P")
T = TypeVar("T")
BREACHED = "This password was in a breach, so that others try it. Choose one that you have used nowhere."


class HashingBusy(Exception):  # noqa: N818 - it says what is the case
    """So many passwords wait in line that another one would wait for too long."""


class ClientLeft(Exception):  # noqa: N818 - it says what is the case
    """The client has left before the work on its password began."""


class UnreadablePassword(ValueError):  # noqa: N818 - it says what is the case
    """The password is no text: it has a lone surrogate."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the password is the right one and, if it is, whether its hash cost less than a new one would."""

    right: bool
    outdated: bool


class Passwords:
    """Hashes, verifies and judges passwords in NFKC: `threads` at a time, while at most `waiting` more stand in line.

    A client's network has `each` places. Every method raises HashingBusy when there is none, ClientLeft, and
    UnreadablePassword.
    """

    _network: str | None = None
    _left: Callable[[], Awaitable[None]] | None = None

    def __init__(
        self,
        *,
        rounds: int = 12,
        threads: int | None = None,
        waiting: int = 64,
        each: int | None = None,
        composition: bool = False,
        breached: BreachedPasswords | None = None,
    ) -> None:
        self._scheme = bcrypt_sha256.using(default_rounds=rounds, min_desired_rounds=rounds)
        self._rounds = rounds
        self._composition, self._breached = composition, breached
        threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="passwords", initializer=yield_to_others)
        self._most, self._each = threads + waiting, each
        self._pending: dict[Future[Any], str | None] = {}

    def asked_by(self, address: str | None, left: Callable[[], Awaitable[None]]) -> Self:
        """The same line, in which a client stands: `left` returns when it has gone, which gives up its place."""
        own = copy(self)
        own._network, own._left = network_of(address, SITE) or None, left  # noqa: SLF001 - its own
        return own

    @property
    def pending(self) -> int:
        """How many passwords are being worked on or wait in line."""
        return len(self._pending)

    async def warm(self) -> None:
        """Loads bcrypt and lets it test itself (50 ms), so that the first login takes no longer than the others."""
        await self._run(bcrypt_sha256.get_backend)

    async def hash(self, password: str) -> str:
        """The hash to store: `bcrypt_sha256`, which reads all of the password, not 72 bytes."""
        return await self._run(self._scheme.hash, readable(password))

    async def verify(self, password: str, hashed: str | None) -> Verdict:
        """Whether the hash is of this password. None, where there is no account, takes as long and is never right.

        A hash of an earlier, lower cost takes as long, too: the time tells nothing of whether there is an account.
        """
        return await self._run(self._verify, readable(password), hashed)

    async def check(self, password: str, *, email: str, names: Sequence[str]) -> None:
        """Raises PasswordRefused when the password will not do for the owner of this e-mail and these names."""
        text = readable(password)
        await self._run(self._judge, text, email, names)

    def close(self) -> None:
        """Ends the threads once the hashes under way are done. Those in line are cancelled."""
        self._pool.shutdown(cancel_futures=True)
        if self._breached is not None:
            self._breached.close()

    def _judge(self, password: str, email: str, names: Sequence[str]) -> None:
        password_strength.judge(password, email=email, names=names, composition=self._composition)
        if self._breached is not None and self._breached.has(password):
            raise password_strength.PasswordRefused("password_too_common", BREACHED)

    def _verify(self, password: str, hashed: str | None) -> Verdict:
        if hashed is None:
            self._scheme.verify(password, nobodys(self._rounds))
            return Verdict(right=False, outdated=False)
        right = self._scheme.verify(password, hashed)
        for cost in range(self._scheme.from_string(hashed).rounds, self._rounds):  # 2^c + 2^c + ... + 2^(r-1) = 2^r
            self._scheme.verify(password, nobodys(cost))
        return Verdict(right, right and self._scheme.needs_update(hashed))

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if len(self._pending) >= self._most or self._has_enough():
            raise HashingBusy
        future = self._pool.submit(work, *args, **kwargs)
        self._pending[future] = self._network
        future.add_done_callback(self._pending.pop)
        result = asyncio.wrap_future(future)
        if self._left is None:
            return await result
        leaving = asyncio.ensure_future(self._left())
        try:
            await asyncio.wait((result, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not result.done() and future.cancel():
                raise ClientLeft
            return await result
        finally:
            leaving.cancel()
            result.cancel()  # it is done, unless we are cancelled ourselves

    def _has_enough(self) -> bool:
        """Whether all the places are taken that the network of the client may have."""
        if self._each is None or self._network is None:
            return False
        return list(self._pending.values()).count(self._network) >= self._each


def nobodys(cost: int) -> str:
    """A hash of this cost, which no password has."""
    return f"$bcrypt-sha256$v=2,t=2b,r={cost}${'.' * 22}${'.' * 31}"


def yield_to_others() -> None:
    """Let this thread have what the event loop leaves of a core: reads stay quick while many people sign in."""
    if sys.platform == "linux":  # pragma: no branch - only there has a thread a niceness of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def readable(password: str) -> str:
    """The password in NFKC, so that it is the same from every keyboard. Raises UnreadablePassword."""
    try:
        password.encode()
    except UnicodeEncodeError:
        raise UnreadablePassword from None  # the cause would carry the password
    return normalize("NFKC", password)
