"""The application: everything put together."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import TypeAlias

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from pydantic_core import from_json

from contract.binding import Binding
from generated import models
from generated.operations import OPERATIONS, TITLE, VERSION, Handlers
from handlers import audit, auth, meta, tasks, users
from handlers.call import Call, Process, PublicCall
from persistence.engine import Database
from security.cursors import Cursors
from security.keys import Keys
from security.passwords import Passwords
from security.tokens import Tokens
from server import documentation, headers, observability, revision, settings, storage
from server.calls import Calls
from server.edge import Edge
from server.limits import Limits
from server.settings import Settings

Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Database]]
HANDLERS: Handlers[PublicCall, Call] = Handlers(meta=meta, auth=auth, users=users, tasks=tasks, audit=audit)
ISSUER = AUDIENCE = "docket"
OFF: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}  # to ask each time costs 10 µs


def create_app(given: Settings | None = None, opened: Opened | None = None) -> FastAPI:
    """The application for these settings, or those of the environment; `opened` is the database that it uses.

    Raises SettingsError, and ContractError when a handler is not what the contract needs.
    """
    chosen = given or settings.load()
    observability.configure(level=chosen.log_level, form=chosen.logs)
    contract = (Path(__file__).parents[1] / "openapi.yaml").read_bytes()
    document = resources.files("generated").joinpath("openapi.json").read_bytes()
    process = process_of(chosen)
    calls = Calls(process, limits_of(chosen), chosen.backend_cors_origins)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with (opened or storage.pooled(chosen))() as calls.db:
            await process.passwords.warm()
            yield
        process.passwords.close()

    pages = documentation.documentation(contract, document, csp_mode=chosen.csp_mode)
    binding = Binding(
        OPERATIONS,
        HANDLERS,
        from_json(document),
        calls,
        pages={"getProblemType": lambda kind: documentation.problem_page(**kind.model_dump())},
        check_rate=chosen.response_check_rate,
    )
    app = FastAPI(
        title=TITLE, version=VERSION, lifespan=lifespan, openapi_url=None, redirect_slashes=False, telemetry=OFF
    )
    app.router.routes.extend(pages)
    app.add_middleware(
        Edge, binding=binding, pages={page.path for page in pages}, common=headers.common(chosen.csp_mode)
    )
    return app


def process_of(chosen: Settings) -> Process:
    previous = chosen.secret_key_previous
    keys = Keys(chosen.signing_key, previous.get_secret_value() if previous else None)
    return Process(
        environment=models.Environment(chosen.environment),
        schema_revision=revision.head(),
        keys=keys,
        passwords=Passwords(rounds=chosen.bcrypt_cost),
        tokens=Tokens(keys, ISSUER, AUDIENCE, chosen.access_lifetime),
        cursors=Cursors(keys),
        sessions_per_user=chosen.sessions_per_user,
    )


def limits_of(chosen: Settings) -> Limits | None:
    if not chosen.rate_limits_enabled:
        return None
    wanted = {("default", "ip"): chosen.rate_limit_default, ("login", "identifier"): chosen.rate_limit_login}
    return Limits({place: amount for place, amount in wanted.items() if amount is not None})
