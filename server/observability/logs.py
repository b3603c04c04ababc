"""Logs: one line of JSON, or of text for people, for each thing that happened; never a secret, a token or a body."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import structlog
from pydantic_core import PydanticSerializationError, to_json
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, ExcInfo, Processor

from contract.exchange import Exchange

TRACEBACKS = ExceptionDictTransformer(show_locals=False)
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
current: ContextVar[Exchange | None] = ContextVar("current", default=None)
"""The request that is being answered."""
QUIET = ("uvicorn.error", "alembic", "asyncio")  # libraries that tell more than operators want to know


def configure(
    *, level: Literal["debug", "info", "warning", "error"], form: Literal["json", "console"], out: TextIO
) -> None:
    """Write logs to `out`, those of libraries too, from `level` on."""
    shared: list[Processor] = [
        with_request,
        structlog.processors.add_log_level,
        with_moment,
    ]
    if form == "json":
        shared.append(structlog.processors.ExceptionRenderer(format_exception))
        renderer: Processor = json_line
    else:
        shared.append(with_moment_for_people)
        renderer = structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=tell)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=type("Logger", (Direct, structlog.make_filtering_bound_logger(LEVELS[level])), {}),
        logger_factory=lambda *_: Writer(out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=LEVELS[level], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(LEVELS[level], logging.WARNING))


class Direct:
    """Has an event processed where it is, which structlog copies three times: each request writes a line."""

    _logger: Any
    _processors: list[Processor]

    def _proxy_to_logger(self, method_name: str, event: str | None = None, **event_kw: Any) -> None:
        event_kw["event"] = event
        told: Any = event_kw
        for process in self._processors:
            told = process(self._logger, method_name, told)
        self._logger.line(told)


class Writer:
    """Writes lines to a text stream that is safe to write to from several threads, as `Lines` is."""

    def __init__(self, out: TextIO) -> None:
        self.write = out.write

    def line(self, text: str) -> None:
        self.write(text + "\n")


def with_request(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Add what the lines about one request, and about one trace of several services, are found by."""
    exchange = current.get()
    if exchange is not None:
        event.setdefault("request_id", exchange.request_id)
        event.setdefault("trace_id", exchange.trace_id)
    return event


def with_moment(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Add when it happened, which JSON tells in UTC (RFC 3339)."""
    event["timestamp"] = datetime.now(UTC)
    return event


def with_moment_for_people(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Tell when it happened as JSON does."""
    event["timestamp"] = f"{event['timestamp'].isoformat()[:-6]}Z"
    return event


def format_exception(exc_info: ExcInfo) -> list[dict[str, Any]]:
    """An exception and its causes. Of a message the first line: PostgreSQL and pydantic quote values after it."""
    stacks = TRACEBACKS(exc_info)
    for stack in stacks:
        stack["exc_value"] = stack["exc_value"].partition("\n")[0]
    return stacks


def tell(out: TextIO, exc_info: ExcInfo) -> None:
    """Write an exception for people, with no more in it than `format_exception` has."""
    for stack in reversed(format_exception(exc_info)):
        places = [f'  File "{at["filename"]}", line {at["lineno"]}, in {at["name"]}' for at in stack["frames"]]
        out.write("\n".join(["", *places, f"{stack['exc_type']}: {stack['exc_value']}"]))


def json_line(_logger: Any, _method: str, event: EventDict) -> str:
    """An event as one line of JSON, in which a line break of a value is an escape."""
    try:
        return to_json(event, serialize_unknown=True).decode()
    except PydanticSerializationError:  # a text that is no Unicode
        return json.dumps(with_moment_for_people(_logger, _method, event), default=repr)
