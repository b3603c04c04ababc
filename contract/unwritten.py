"""What stands in handlers that are not written yet: callers get a 501, and mypy names each of them."""

from typing import Final

from contract.refusals import OwnProblem

NOT_IMPLEMENTED: Final = 501


class NotWritten:
    """What there is never one of: a handler that says to return it is named by mypy."""


def not_written(name: str) -> NotWritten:
    """Raises the problem that something is not written yet."""
    raise OwnProblem(NOT_IMPLEMENTED, f"{name} is not written yet.")
