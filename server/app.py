"""The application: everything put together."""

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO, TypeAlias, cast

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from pydantic_core import from_json

from contract.binding import Binding
from generated import models
from generated.operations import OPERATIONS, SCHEMES, TITLE, VERSION, Handlers
from handlers import (
    access_tokens,
    audit,
    auth,
    changes,
    invitations,
    members,
    meta,
    organizations,
    profile,
    tasks,
    users,
)
from handlers.shared.call import Call, Life, Look, Mail, Process, PublicCall, Quota, Quotas, SessionLife
from persistence.engine.pool import Database
from security.access_tokens import AccessTokens
from security.breached_passwords import BreachedPasswords
from security.cursors import Cursors
from security.encryption import Encryption
from security.passwords import Passwords
from security.tokens import Tokens
from server.database import connect, revision
from server.delivery.delivery import delivering
from server.dispatch.authentication import Callers
from server.dispatch.bulkheads import Bulkheads, Waits
from server.dispatch.dispatcher import Calls
from server.dispatch.fan_out import FanOut
from server.dispatch.news import Watch
from server.dispatch.task_counts import TaskCounts
from server.documentation.pages import Pages
from server.documentation.routes import documentation
from server.middleware.common_headers import Common
from server.middleware.cors import Cors
from server.middleware.edge import Edge
from server.middleware.trusted_hosts import Gate
from server.observability import logs
from server.observability.log_writer import Lines
from server.observability.metrics import Metrics, state
from server.observability.statement_log import Statements
from server.observability.telemetry import telemetry_of
from server.protocol.capacity import CAPACITY, Capacity
from server.protocol.client_address import Proxies
from server.protocol.refusals import REFUSALS, Refusals
from server.rate_limiting.counters import Counters
from server.rate_limiting.limiter import Limits
from server.settings import external_issuers, loading
from server.settings.settings import Settings
from server.terms import RATE_CLASSES

if TYPE_CHECKING:
    from security.jwks import KeySet  # loads httpx

Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Database]]
HANDLERS: Handlers[PublicCall, PublicCall, Call] = Handlers(
    meta=meta,
    auth=auth,
    access_tokens=access_tokens,
    profile=profile,
    users=users,
    organizations=organizations,
    members=members,
    invitations=invitations,
    tasks=tasks,
    changes=changes,
    audit=audit,
)
ISSUER = AUDIENCE = "docket"
EACH = 4  # places in the line of passwords that a network has
OF_A_CALLER = 4  # searches, counts and exports that a caller has at once
WAITS_OF_A_CALLER = 10  # requests that wait for changes at once: tabs and devices
OFF: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}  # to ask each time costs 10 µs


def create_app(
    given: Settings | None = None,
    opened: Opened | None = None,
    *,
    life: Life | None = None,
    lines: Lines | None = None,
) -> Edge:
    """The application for these settings, or those of the environment; `opened` is the database that it uses.

    `life` says when the process is about to end, `lines` is where it logs.

    Raises SettingsError, and ContractError when a handler is not what the contract needs.
    """
    chosen = given or loading.load()
    logs.configure(level=chosen.log_level, form=chosen.logs, out=cast("TextIO", lines or sys.stdout))
    contract = (Path(__file__).parents[1] / "openapi.yaml").read_bytes()
    document = resources.files("generated").joinpath("openapi.json").read_bytes()
    metrics, telemetry = metrics_of(chosen), telemetry_of(chosen)
    limits, key_set = limits_of(chosen, metrics), external_issuers.key_set_of(chosen)
    outsiders = external_issuers.outsiders_of(chosen, key_set)
    bulkheads = Bulkheads(max(1, chosen.pool_size // 2), OF_A_CALLER if chosen.rate_limits_enabled else None)
    waits = Waits(max(1, chosen.max_connections // 2), WAITS_OF_A_CALLER if chosen.rate_limits_enabled else None)
    process = process_of(chosen, metrics, life or Life(), looks_at(limits, key_set))
    if limits is not None:
        process.mail.admit = limits.admit_mail
    accounts, proxies = chosen.auth_mode != "external", Proxies(chosen.trusted_proxies)
    callers = Callers(process, outsiders, chosen.backend_cors_origins, accounts=accounts)
    calls = Calls(process, metrics, limits, callers, chosen.features, bulkheads=bulkheads, waits=waits)
    statements = Statements(metrics, slow=chosen.slow_statement_ms / 1000, every=chosen.database_log_queries)

    cors, root = Cors(chosen.backend_cors_origins, chosen.backend_cors_headers), chosen.root_path

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, object]]:
        async with (opened or connect.open_pool(chosen, statements, lambda: process.life.ending))() as calls.db:
            await process.passwords.warm()
            measuring = metrics.measuring(lambda: state(calls.db, process.passwords, lines))
            news, streams = process.news.watching(calls.db), process.streams.watching(calls.db)
            sending = delivering(chosen, calls.db, process.mail, metrics.count_mail)
            counting = process.quotas.tasks.counting_in(bulkheads.beside(calls.db))
            async with measuring, counting, sending, news, streams, calls.uses.writing_to(calls.db):
                capacity = Capacity(chosen.max_connections, chosen.most_of_one_address, proxies)
                yield {CAPACITY: capacity, REFUSALS: Refusals(cors.headers, root)}
            calls.outages.close()
        process.passwords.close()
        if limits is not None:
            await limits.counters.close()
        if outsiders is not None:
            await outsiders.close()
        await telemetry.close()
        if lines is not None:
            lines.end()  # uvicorn ends a worker by the signal that it got, and then nothing is called at exit

    pages = pages_of(chosen, document)
    routes = documentation(contract, document, pages, chosen.csp_mode)
    binding = Binding(
        OPERATIONS,
        HANDLERS,
        from_json(document),
        calls,
        pages={
            "getApiInfo": pages.home_page,
            "listProblemTypes": pages.problems_page,
            "getProblemType": pages.problem_page,
        },
        check_rate=chosen.response_check_rate,
        authenticators=calls.authenticators,
        schemes=SCHEMES,
    )
    shell = FastAPI(
        title=TITLE, version=VERSION, lifespan=lifespan, openapi_url=None, redirect_slashes=False, telemetry=OFF
    )
    shell.router.routes.extend(routes)
    return Edge(
        shell,
        metrics=metrics,
        telemetry=telemetry,
        life=process.life,
        binding=binding,
        pages={route.path for route in routes},
        proxies=proxies,
        limits=limits,
        gate=Gate(chosen.allowed_hosts, https_only=chosen.is_production),
        common=Common(chosen.csp_mode, cors, hsts=chosen.is_production),
        root=root,
    )


def pages_of(chosen: Settings, document: bytes) -> Pages:
    info = from_json(document)["info"]
    accounts = chosen.auth_mode != "external"
    return Pages(info["title"], info["summary"], chosen.root_path, docs=chosen.docs, accounts=accounts)


def metrics_of(chosen: Settings) -> Metrics:
    token = chosen.metrics_token
    return Metrics(token.get_secret_value() if token else None, public=chosen.is_development)


def looks_at(limits: Limits | None, key_set: "KeySet | None") -> dict[str, Look]:
    """How to look at what a server can do without, where it has that."""
    looks: dict[str, Look] = {}
    if limits is not None and limits.counters.shared is not None:
        looks["redis"] = limits.counters.look
    if key_set is not None:
        looks["key_set"] = key_set.look
    return looks


def process_of(
    chosen: Settings, metrics: Metrics, life: Life, looks: Mapping[str, Look] = MappingProxyType({})
) -> Process:
    keys = chosen.keys
    return Process(
        environment=models.Environment(chosen.environment),
        earlier_revisions=frozenset(revision.list_migrations()[:-1]),
        keys=keys,
        passwords=Passwords(
            rounds=chosen.bcrypt_cost,
            each=EACH if chosen.rate_limits_enabled else None,
            composition=chosen.password_composition,
            breached=None if chosen.breached_passwords is None else BreachedPasswords(chosen.breached_passwords),
        ),
        tokens=Tokens(keys, ISSUER, AUDIENCE, chosen.access_lifetime),
        access_tokens=AccessTokens(keys),
        cursors=Cursors(keys),
        seeds=Encryption(keys, "totp"),
        mfa_required=chosen.mfa_required,
        metrics=metrics,
        life=life,
        sessions=SessionLife(timedelta(days=chosen.session_days), timedelta(days=chosen.session_idle_days)),
        sessions_per_user=chosen.sessions_per_user,
        sign_ins=sign_ins_of(chosen),
        has_pages=chosen.docs,
        root=chosen.root_path,
        public_url=chosen.base_of_links,
        news=Watch(life),
        streams=FanOut(life, metrics),
        quotas=Quotas(TaskCounts(chosen.quota_tasks), chosen.quota_organizations, chosen.quota_members),
        mail=Mail(is_on=chosen.smtp_url is not None, is_written=chosen.writes_mail),
        looks=looks,
    )


def sign_ins_of(chosen: Settings) -> Quota:
    """How many wrong passwords an account has; without limits no end of them, five in a row at a time."""
    amount, seconds = RATE_CLASSES["login"]["identifier"]
    return Quota(chosen.rate_limit_login or amount if chosen.rate_limits_enabled else sys.maxsize, seconds)


def limits_of(chosen: Settings, metrics: Metrics) -> Limits | None:
    if not chosen.rate_limits_enabled:
        return None
    wanted = {("default", "ip"): chosen.rate_limit_default, ("login", "identifier"): chosen.rate_limit_login}
    redis_url = chosen.redis_url.get_secret_value() if chosen.redis_url else None
    counters = Counters(redis_url, metrics.fallbacks.inc)
    return Limits({place: amount for place, amount in wanted.items() if amount is not None}, counters)
