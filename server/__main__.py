"""The operators' command line: `python -m server <command>`."""

import argparse
import sys
from collections.abc import Sequence
from typing import Protocol

from persistence.embedded import EmbeddedError
from server import settings
from server.commands import CommandError, migrate, serve

INTERRUPTED = 130  # as shells count SIGINT


class Command(Protocol):
    """A module of server/commands/."""

    __doc__: str | None

    def add(self, parser: argparse.ArgumentParser, /) -> None: ...

    def run(self, arguments: argparse.Namespace, settings: settings.Settings, /) -> int: ...


COMMANDS: dict[str, Command] = {"serve": serve, "migrate": migrate}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. What comes back is the exit status: 1 when it cannot be done, 2 when it cannot be understood."""
    parser = argparse.ArgumentParser(prog="python -m server", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        said = (command.__doc__ or "").partition("\n")[0]
        command.add(subparsers.add_parser(name, help=said, description=command.__doc__))
    given = parser.parse_args(arguments)
    try:
        return COMMANDS[given.command].run(given, settings.load())
    except (CommandError, EmbeddedError, settings.SettingsError) as error:
        for line in str(error).splitlines():
            print(f"docket: {line}", file=sys.stderr)  # noqa: T201 - the operator's line
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
