"""Mistakes of ours, for Sentry. Loaded where SENTRY_DSN is set."""

from sentry_sdk import Client
from sentry_sdk.utils import event_from_exception

from contract.exchange import Exchange
from generated.operations import VERSION


class SentryReports:
    """Sends errors from a thread of its own: their kinds, their places, the operation, the request's id and trace.

    Not their messages, which quote rows and input: the log has those, and the id finds them there.
    """

    def __init__(self, dsn: str, environment: str) -> None:
        self.client = Client(
            dsn=dsn,
            environment=environment,
            release=f"docket@{VERSION}",
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            send_default_pii=False,
            send_client_reports=False,
            auto_session_tracking=False,
        )

    def tell(self, error: Exception, exchange: Exchange) -> None:
        event, hint = event_from_exception(error, self.client.options)
        for each in event["exception"]["values"]:
            each.pop("value", None)
        event["tags"] = {"request_id": exchange.request_id, "trace_id": exchange.trace_id or ""}
        if exchange.operation is not None:
            event["transaction"] = exchange.operation.id
        self.client.capture_event(event, hint)

    def close(self) -> None:
        self.client.close()
