"""The operations tagged `meta`."""

from pydantic import MISSING

from generated import models
from generated.models import AccessTokenScope, HealthStatus
from generated.operations import (
    PROBLEM_TYPES,
    TITLE,
    VERSION,
    GetApiInfo200,
    GetHealth200,
    GetHealth503,
    GetLiveness200,
    GetMetrics200,
    GetProblemType200,
    GetProtectedResource200,
    GetReadiness200,
    GetReadiness503,
    ListProblemTypes200,
    NotFound,
    ServiceUnavailable,
)
from handlers.shared.call import PublicCall
from persistence.engine import health
from persistence.engine.pool import Pool

RETRY_AFTER = 2  # seconds
PAGES = {"documentation": "/docs", "reference": "/redoc", "openapi": "/openapi.yaml"}
LOST = "This process has lost places for connections to the database: replace it."


async def get_api_info(call: PublicCall, /) -> GetApiInfo200:
    process = call.process
    pages = {name: process.root + path for name, path in PAGES.items()} if process.has_pages else {}
    health_page = f"{process.root}/health"
    return GetApiInfo200(body=models.ApiInfo(name=TITLE, version=VERSION, health=health_page, **pages))


async def get_protected_resource(call: PublicCall, /) -> GetProtectedResource200:
    address = call.client.origin() + call.process.root
    body = models.ProtectedResource(
        resource=address,
        resource_name=TITLE,
        bearer_methods_supported=["header"],
        scopes_supported=list(AccessTokenScope),
        resource_documentation=address + PAGES["documentation"] if call.process.has_pages else MISSING,
    )
    return GetProtectedResource200(body=body)


async def get_health(call: PublicCall, /) -> GetHealth200 | GetHealth503:
    return await call.process.health.see(lambda: look_around(call))


async def look_around(call: PublicCall) -> GetHealth200 | GetHealth503:
    seen = await health.look(call.db)
    others = {name: check(await look(), HealthStatus.warning) for name, look in call.process.looks.items()}
    database = check(None if seen is None else seen.latency, HealthStatus.failing)
    limping = any(other.status is HealthStatus.warning for other in others.values())
    body = models.Health(
        status=HealthStatus.warning if seen and limping else database.status,
        version=VERSION,
        environment=call.process.environment,
        timestamp=call.now,
        checks=models.HealthChecks(database=database, **others),
    )
    return GetHealth200(body=body) if seen else GetHealth503(body=body, retry_after=RETRY_AFTER)


def check(seconds: float | None, silent: HealthStatus) -> models.HealthCheck:
    """What is said of something that answered after so many seconds, or not at all."""
    if seconds is None:
        return models.HealthCheck(status=silent, latency_ms=None)
    return models.HealthCheck(status=HealthStatus.passing, latency_ms=round(seconds * 1000, 3))


async def get_liveness(call: PublicCall, /) -> GetLiveness200:
    if isinstance(call.db, Pool) and call.db.has_lost_slots():
        raise ServiceUnavailable(detail=LOST, retry_after=RETRY_AFTER)
    return GetLiveness200(body=models.Probe(status=HealthStatus.passing))


async def get_readiness(call: PublicCall, /) -> GetReadiness200 | GetReadiness503:
    seen = None if call.process.life.ending else await health.look(call.db)
    revision = None if seen is None else seen.schema_revision
    if revision is not None and revision not in call.process.earlier_revisions:
        return GetReadiness200(body=models.Probe(status=HealthStatus.passing))
    return GetReadiness503(body=models.Probe(status=HealthStatus.failing), retry_after=RETRY_AFTER)


async def get_metrics(call: PublicCall, /) -> GetMetrics200:
    return GetMetrics200(body=await call.process.metrics.scrape(call.db, call.client.accept))


async def list_problem_types(_call: PublicCall, /) -> ListProblemTypes200:
    kinds = [
        models.ProblemType(code=code, status=kind.status, title=kind.title, description=kind.description)
        for code, kind in sorted(PROBLEM_TYPES.items(), key=lambda known: known[1].status)
    ]
    return ListProblemTypes200(body=models.ProblemTypeList(items=kinds, next_cursor=None, has_more=False))


async def get_problem_type(_call: PublicCall, /, *, code: models.ProblemCode) -> GetProblemType200:
    kind = PROBLEM_TYPES.get(code)
    if kind is None:
        raise NotFound
    body = models.ProblemType(code=code, status=kind.status, title=kind.title, description=kind.description)
    return GetProblemType200(body=body)
