"""What becomes of the statements that are run: counted, and the slow ones logged, by their SQL and never its values."""

import structlog

from server.observability.metrics import Metrics

log = structlog.get_logger("statements")


class Statements:
    """Is told of every statement. `slow` is a number of seconds; `every` statement is logged where that is wanted."""

    def __init__(self, metrics: Metrics, *, slow: float, every: bool) -> None:
        self.metrics, self.slow, self.every = metrics, slow, every
        self.count = metrics.statements.inc

    def __call__(self, sql: str, seconds: float) -> None:
        self.count()
        if seconds >= self.slow:
            self.metrics.slow.inc()
            log.warning("slow_statement", sql=" ".join(sql.split()), duration_ms=round(seconds * 1000, 3))
        elif self.every:
            log.debug("statement", sql=" ".join(sql.split()), duration_ms=round(seconds * 1000, 3))
