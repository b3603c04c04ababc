"""The operations tagged `meta`."""

from generated import models
from generated.models import HealthStatus
from generated.operations import (
    PROBLEM_TYPES,
    TITLE,
    VERSION,
    GetApiInfo200,
    GetHealth200,
    GetHealth503,
    GetLiveness200,
    GetProblemType200,
    GetReadiness200,
    GetReadiness503,
    NotFound,
)
from handlers.call import PublicCall
from persistence import health

RETRY_AFTER = 2  # seconds


async def get_api_info(_call: PublicCall, /) -> GetApiInfo200:
    places = models.ApiInfo(
        name=TITLE,
        version=VERSION,
        documentation="/docs",
        reference="/redoc",
        openapi="/openapi.yaml",
        health="/health",
    )
    return GetApiInfo200(body=places)


async def get_health(call: PublicCall, /) -> GetHealth200 | GetHealth503:
    seen = await health.look(call.db)
    status = HealthStatus.failing if seen is None else HealthStatus.passing
    latency = None if seen is None else round(seen.latency * 1000, 3)
    body = models.Health(
        status=status,
        version=VERSION,
        environment=call.process.environment,
        timestamp=call.now,
        checks=models.HealthChecks(database=models.HealthCheck(status=status, latency_ms=latency)),
    )
    return GetHealth200(body=body) if seen else GetHealth503(body=body, retry_after=RETRY_AFTER)


async def get_liveness(_call: PublicCall, /) -> GetLiveness200:
    return GetLiveness200(body=models.Probe(status=HealthStatus.passing))


async def get_readiness(call: PublicCall, /) -> GetReadiness200 | GetReadiness503:
    seen = await health.look(call.db)
    if seen is not None and seen.schema_revision == call.process.schema_revision:
        return GetReadiness200(body=models.Probe(status=HealthStatus.passing))
    return GetReadiness503(body=models.Probe(status=HealthStatus.failing), retry_after=RETRY_AFTER)


async def get_problem_type(_call: PublicCall, /, *, code: models.ProblemCode) -> GetProblemType200:
    kind = PROBLEM_TYPES.get(code)
    if kind is None:
        raise NotFound
    body = models.ProblemType(code=code, status=kind.status, title=kind.title, description=kind.description)
    return GetProblemType200(body=body)
