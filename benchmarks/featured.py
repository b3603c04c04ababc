"""Docket with only those features at work that `FEATURES` names; `benchmarks.features` measures what each takes."""

import os
from dataclasses import replace

import uvicorn
from typing_extensions import override

from contract.exchange import Exchange
from server.dispatch.dispatcher import Calls
from server.middleware.common_headers import Common
from server.middleware.cors import Cors
from server.middleware.edge import Edge
from server.observability.metrics import Metrics
from server.protocol.connections import Connection
from server.rate_limiting.limiter import Limits
from server.workers import worker

FEATURES = ("limits", "logs", "metrics", "headers")
SETTINGS = {"limits": ("RATE_LIMITS_ENABLED", "true", "false"), "logs": ("LOG_LEVEL", "info", "error")}
"""The settings of those that have one, on and off."""


class Uncounted(Metrics):
    """Metrics that count no request."""

    @override
    def answer(self, operation: str, status: int, seconds: float) -> None:
        pass


class Bare(Common):
    """No header that an answer does not have of its own."""

    @override
    def of(self, exchange: Exchange) -> list[tuple[bytes, bytes]]:
        return []


def application() -> Edge:
    named = os.environ["FEATURES"].split()
    for feature, (setting, on, off) in SETTINGS.items():
        os.environ[setting] = on if feature in named else off
    edge = worker.application()
    if "metrics" not in named:
        edge.metrics = Uncounted()
    if "headers" not in named:
        edge.common = Bare("strict", Cors(()), hsts=False)
    calls = edge.binding.server
    if isinstance(calls, Calls) and calls.limits is not None:
        widen(calls.limits)
    return edge


def widen(limits: Limits) -> None:
    """Let nobody ask too often, who is counted all the same."""
    for partitions in limits.classes.values():
        for partition, limit in partitions.items():
            partitions[partition] = replace(limit, amount=1_000_000_000)


if __name__ == "__main__":
    uvicorn.run(
        "benchmarks.featured:application",
        factory=True,
        port=int(os.environ["PORT"]),
        http=Connection,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        lifespan="on",
    )
