"""What operators are told instead of a traceback."""

import sys
from typing import Literal, NamedTuple, TypeAlias


class CommandError(Exception):
    """A command that cannot do what it is told; its message is one line that says what to do."""


Level: TypeAlias = Literal["ok", "warning", "wrong"]


class Finding(NamedTuple):
    """What was looked at, a setting for example, and what was found: `wrong` keeps a server from starting."""

    level: Level
    setting: str
    message: str


def say(line: str) -> None:
    """Tell the operator a line."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - that is where operators look
