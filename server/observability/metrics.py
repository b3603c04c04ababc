"""What Prometheus reads: requests, the pool, statements, hashing, limits; of all workers, whichever is asked."""

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from time import monotonic
from typing import Literal, NamedTuple, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from contract.types import Problem, Text
from generated.operations import OPERATIONS, VERSION, NotFound
from persistence.engine.pool import AWAY, Database, Pool
from persistence.queries import event_log, jobs, outbox
from persistence.queries.accounts import sessions
from security.passwords import Passwords
from server.database import revision
from server.errors import unauthorized_problem
from server.observability.log_writer import Lines
from server.observability.shared_metrics import WORKER_DEATHS

ACTIVE = timedelta(minutes=15)
PATIENCE = 1.0  # seconds that a scrape waits for the database
KEPT = 30.0  # seconds for which a number of sessions is good
NONE = "none"  # the operation of a request that belongs to none
EVERY = 1.0  # seconds between two looks at what a worker lets the others tell of it
Encoder: TypeAlias = Callable[[CollectorRegistry], bytes]
Mode: TypeAlias = Literal["livesum", "livemostrecent", "livemax"]
MAIL_OUTCOMES = ("sent", "dropped", "postponed", "given_up")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def encoder(accept: str) -> tuple[Encoder, str]:
    """How to write metrics, and the media type. The library knows neither quotes nor versions that are none."""
    try:
        return choose_encoder(accept.replace('"', ""))
    except (TypeError, ValueError):
        return choose_encoder("")


class State(NamedTuple):
    """What is the case in a process just now."""

    in_use: int
    idle: int
    connecting: int
    missing: int
    waiting: int
    hashing: int
    dropped: int


def state(db: Database | None, passwords: Passwords, lines: Lines | None) -> State:
    dropped = lines.dropped if lines else 0
    if not isinstance(db, Pool):
        return State(0, 0, 0, 0, 0, passwords.pending, dropped)
    slots, idle = db.slots(), sum(slot is not None for slot in db.free)
    waiting = len(db.waiting) + len(db.sharing)
    return State(slots.in_use, idle, slots.connecting, slots.missing, waiting, passwords.pending, dropped)


class Metrics:
    """The metrics of a process. With PROMETHEUS_MULTIPROC_DIR the workers write theirs there, and each tells of all.

    They need the token; where there is none they are off, or when they are `public` open to all.
    """

    def __init__(self, token: str | None = None, *, public: bool = False) -> None:
        self.token, self.public = token, public
        self.registry = CollectorRegistry()
        self.requests = self.counter("requests", "Requests answered.", "operation", "status")
        name, said = "docket_request_duration_seconds", "How long requests took."
        self.seconds = Histogram(name, said, ["operation"], buckets=BUCKETS, registry=self.registry)
        self.in_flight = self.gauge("requests_in_flight", "Requests under way.")
        self.under_way = 0
        self.connections = self.gauge(
            "pool_connections", "Connections to PostgreSQL; missing are places that were lost.", "state"
        )
        self.waiting = self.gauge("pool_waiting", "Requests that wait for a connection.")
        self.statements = self.counter("statements", "Statements run.")
        self.slow = self.counter("slow_statements", "Statements that took longer than SLOW_STATEMENT_MS.")
        self.hashing = self.gauge("hashing_pending", "Passwords that are hashed, or wait for it.")
        self.refused = self.counter("limits_refused", "Requests refused for being one too many.", "rate_class")
        self.fallbacks = self.counter("limits_fallbacks", "Requests counted by the process, Redis being away.")
        self.mismatches = self.counter("contract_mismatches", "Answers that broke the contract.", "operation")
        self.dropped = self.counter("log_lines_dropped", "Lines that were not logged, for they were not read.")
        self.mails = self.counter("mails", "Mails tried, by what became of them.", "outcome")
        for outcome in MAIL_OUTCOMES:
            self.mails.labels(outcome)
        said = "Mails that wait to be sent."
        self.mails_waiting = self.gauge("mails_waiting", said, mode="livemostrecent")
        said = "For how long the oldest of them has waited."
        self.oldest_mail = self.gauge("mails_oldest_seconds", said, mode="livemostrecent")
        said = "For how long to come the event log has room, in whole days."
        self.event_room = self.gauge("event_room_seconds", said, mode="livemostrecent")
        said = "For how long a transaction that writes has kept back what followers are told."
        self.delay = self.gauge("event_delay_seconds", said, mode="livemostrecent")
        self.streams = self.gauge("streams", "Streams of changes that are open.")
        self.streams_cut = self.counter("streams_cut", "Streams that were cut, for their readers took nothing.")
        self.worker_deaths = Counter(*WORKER_DEATHS, registry=self.registry)  # their supervisor counts
        said = "Sessions used to sign in or refresh in 15 minutes."
        self.sessions = self.gauge("sessions_active", said, mode="livemostrecent")
        said = "When a job last succeeded, as Unix time; 0: never."
        self.successes = self.gauge("last_success_timestamp_seconds", said, "command", mode="livemax")
        for name in jobs.NAMES:
            self.successes.labels(name)
        info = self.gauge("build_info", "What runs here.", "version", "schema", "python", mode="livemax")
        info.labels(VERSION, revision.head(), platform.python_version()).set(1)
        for operation in OPERATIONS:  # a series that begins with its first count has no increase
            self.mismatches.labels(operation.id)
        for name in (NONE, *(operation.id for operation in OPERATIONS)):
            for status in (500, 503):
                self.requests.labels(name, status)
        self.answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self.counted = -KEPT

    def counter(self, name: str, said: str, *labels: str) -> Counter:
        return Counter(f"docket_{name}", said, labels, registry=self.registry)

    def gauge(self, name: str, said: str, *labels: str, mode: Mode = "livesum") -> Gauge:
        """A gauge. `mode` says what several workers make of it; what begins with `live` goes with its worker."""
        return Gauge(f"docket_{name}", said, labels, registry=self.registry, multiprocess_mode=mode)

    def count_mail(self, outcome: str) -> None:
        self.mails.labels(outcome).inc()

    def answer(self, operation: str, status: int, seconds: float) -> None:
        """Count an answer. Labels that were found once are kept: to find them costs more than to count."""
        found = self.answered.get((operation, status))
        if found is None:
            found = self.requests.labels(operation, status), self.seconds.labels(operation)
            self.answered[operation, status] = found
        found[0].inc()
        found[1].observe(seconds)

    @asynccontextmanager
    async def measuring(self, look: Callable[[], State]) -> AsyncIterator[None]:
        """Write down what is the case, every second: it may be another worker that is asked."""

        async def measure() -> None:
            told = 0
            while True:
                now = look()
                self.in_flight.set(self.under_way)
                self.connections.labels("in_use").set(now.in_use)
                self.connections.labels("idle").set(now.idle)
                self.connections.labels("connecting").set(now.connecting)
                self.connections.labels("missing").set(now.missing)
                self.waiting.set(now.waiting)
                self.hashing.set(now.hashing)
                self.dropped.inc(now.dropped - told)
                told = now.dropped
                await asyncio.sleep(EVERY)

        task = asyncio.create_task(measure())
        try:
            yield
        finally:
            task.cancel()

    def refusal(self, credentials: str | None) -> Problem | None:
        """Why a request with this `Authorization` may not read them."""
        if self.token is None:
            return None if self.public else NotFound(detail="There is nothing at this path.")
        if credentials is None:
            return unauthorized_problem("authentication_required")
        scheme, _, given = credentials.partition(" ")
        right = compare_digest(given.strip(" ").encode("latin-1"), self.token.encode("utf-8", "surrogateescape"))
        return None if right and scheme.lower() == "bearer" else unauthorized_problem("invalid_token")

    async def scrape(self, db: Database, accept: str | None) -> Text:
        """Everything, in OpenMetrics if `accept` asks for it, or else in Prometheus' own text format."""
        await self.ask(db)
        self.in_flight.set(self.under_way)
        registry = self.registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it lacks annotations
        encode, media_type = encoder(accept or "")
        return Text(encode(registry), media_type)

    async def ask(self, db: Database) -> None:
        """Five statements, at most twice a minute. A database that is away is seen elsewhere: the old numbers stay."""
        if monotonic() - self.counted < KEPT:
            return
        self.counted = monotonic()
        with suppress(*AWAY):
            async with asyncio.timeout(PATIENCE):
                self.sessions.set(await sessions.count_used_since(db, datetime.now(UTC) - ACTIVE))
                waiting = await outbox.measure(db)
                self.mails_waiting.set(waiting.mails)
                self.oldest_mail.set(waiting.seconds)
                self.event_room.set(await event_log.days_ahead(db) * 86_400)
                self.delay.set(await event_log.measure_delay(db))
                for name, moment in (await jobs.last_successes(db)).items():
                    self.successes.labels(name).set(moment.timestamp())
