"""What operators are told instead of a traceback."""

import sys


class CommandError(Exception):
    """A command that cannot do what it is told; its message is one line that says what to do."""


def say(line: str) -> None:
    """Tell the operator a line."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - that is where operators look
