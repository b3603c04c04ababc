"""People who read and write without pause, and all that they were told."""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any, NamedTuple
from uuid import uuid4

import httpx

WRITERS, READERS = 6, 2
MOST = 20_000  # tasks, after which writers rest: no test goes on for ever
SERVES = 60.0  # seconds in which a server serves again whatever happened
SLOWEST = 10  # acknowledged writes a second, of a busy machine
AMID = 20  # acknowledged writes before and after a harm, at least
PAUSE = 0.05  # seconds after a refusal: sooner than told, to see when it serves again
PASSWORD = "a pelican reads the timetable"
NO_ANSWER = 0


class Answer(NamedTuple):
    """What became of a request: its status, 0 for none; when it was answered, and after how many seconds."""

    status: int
    when: float
    took: float
    retry_after: bool
    said: str


@dataclass
class People:
    """Writers, half of them with an Idempotency-Key that they use until they are served, and readers.

    `acknowledged` are the tasks by id: their titles, of which each belongs to one wish. `misread` are those that a
    reader found changed.
    """

    writes: int
    is_long: bool
    answers: list[Answer] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)
    moments: list[float] = field(default_factory=list)
    misread: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    ended: float = 0
    said: dict[str, int] = field(default_factory=dict)
    pace: float = 0
    """Seconds that each waits before a request."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    titles: Any = field(default_factory=lambda: (f"Feed pelican {number}" for number in count(1)))

    async def rounds(self, most: int = 10) -> AsyncIterator[int]:
        """Rounds of harm, each amid acknowledged writes: one in the short form, `most` in the long one."""
        number = most if self.is_long else 1
        amid = max(AMID, self.writes // (2 * number))
        for each in range(number):
            await self.have_written(amid, SERVES + amid / SLOWEST)
            yield each
            await self.have_written(amid, SERVES + amid / SLOWEST)

    async def have_written(self, number: int, seconds: float = SERVES) -> None:
        """Until so many more were acknowledged. Raises TimeoutError."""
        wanted = len(self.moments) + number
        await self.until(lambda: len(self.moments) >= wanted, seconds)

    async def until(self, met: Callable[[], object], seconds: float) -> None:
        """Until something is the case. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not met():
            if time.monotonic() > deadline:
                raise TimeoutError
            await asyncio.sleep(0.01)

    async def first_after(self, moment: float) -> float:
        """When the first write after a moment was acknowledged."""
        await self.until(lambda: self.moments and self.moments[-1] > moment, SERVES)
        return next(when for when in self.moments if when > moment)

    @property
    def failures(self) -> Counter[int]:
        """How often each status was answered that is no success."""
        return Counter(answer.status for answer in self.answers if not httpx.codes.is_success(answer.status))

    @property
    def longest_wait(self) -> float:
        return max(answer.took for answer in self.answers)

    @property
    def longest_gap(self) -> float:
        """How long no write was acknowledged."""
        return max(after - before for before, after in pairwise([self.began, *self.moments, self.ended]))

    async def write(self, client: httpx.AsyncClient, *, keyed: bool) -> None:
        while not self.over.is_set() and len(self.moments) < MOST:
            title, key = next(self.titles), {"Idempotency-Key": str(uuid4())} if keyed else {}
            while not self.over.is_set():
                answer = await self.ask(client, "POST", "/tasks", json={"title": title}, headers=key)
                if answer is not None and answer.status_code == httpx.codes.CREATED:
                    self.acknowledged[answer.json()["id"]] = title
                    self.moments.append(time.monotonic())
                    break
                await asyncio.sleep(PAUSE)
                if not keyed:
                    break  # it may be there or not: the next wish has another title

    async def read(self, client: httpx.AsyncClient) -> None:
        while not self.over.is_set():
            if not self.acknowledged:
                await asyncio.sleep(PAUSE)
                continue
            name = next(reversed(self.acknowledged))
            answer = await self.ask(client, "GET", f"/tasks/{name}")
            if answer is None or not answer.is_success:
                await asyncio.sleep(PAUSE)
            elif answer.json()["title"] != self.acknowledged[name]:
                self.misread.append(name)

    async def ask(self, client: httpx.AsyncClient, method: str, path: str, **sent: Any) -> httpx.Response | None:
        """Send a request and note what becomes of it."""
        await asyncio.sleep(self.pace)
        began = time.monotonic()
        try:
            answer = await client.request(method, path, **sent)
        except httpx.TransportError as error:
            now = time.monotonic()
            self.answers.append(Answer(NO_ANSWER, now, now - began, False, repr(error)))
            return None
        now = time.monotonic()
        said = "" if answer.is_success else answer.text[:200]
        self.answers.append(Answer(answer.status_code, now, now - began, "retry-after" in answer.headers, said))
        return answer


@asynccontextmanager
async def working(
    url: str, token: str, writes: int = 0, *, is_long: bool = False, pace: float = 0
) -> AsyncIterator[People]:
    """People who work there as long as the context lasts; what they have asked is answered before it ends."""
    people = People(writes, is_long, pace=pace)
    limits = httpx.Limits(max_connections=WRITERS + READERS, max_keepalive_connections=WRITERS + READERS)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=f"{url}/api/v1", limits=limits, timeout=30, headers=headers, verify=trust_all())
        as client,
        asyncio.TaskGroup() as group,
    ):  # fmt: skip
        for number in range(WRITERS):
            group.create_task(people.write(client, keyed=number % 2 == 0))
        for _ in range(READERS):
            group.create_task(people.read(client))
        try:
            yield people
        finally:
            people.ended = time.monotonic()
            people.over.set()


def trust_all() -> ssl.SSLContext:
    """For a proxy with a certificate that no authority has signed."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@asynccontextmanager
async def signed_in(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a new user, which no trial counts."""
    headers = {"Authorization": f"Bearer {await sign_in(url)}"}
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=30, headers=headers) as client:
        yield client


async def sign_in(url: str) -> str:
    """The access token of somebody new."""
    account = {"email": f"ada-{uuid4()}@example.com", "password": PASSWORD}
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=30, verify=trust_all()) as client:
        (await client.post("/auth/register", json=account)).raise_for_status()
        answer = (await client.post("/auth/login", json=account)).raise_for_status()
    return str(answer.json()["access_token"])
