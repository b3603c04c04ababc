"""The operators' command line: `python -m server <command>`."""

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

from persistence.embedded.server import EmbeddedError
from server.complaints import CommandError
from server.settings import loading
from server.settings.settings import Settings, SettingsError

COMMANDS = (
    "serve",
    "migrate",
    "database",
    "create-superuser",
    "recover",
    "reencrypt",
    "prune",
    "deliver",
    "events",
    "check",
    "settings",
)
INTERRUPTED = 130  # as shells count SIGINT
UNREAD = 141  # and SIGPIPE


class Command(Protocol):
    """A module of server/commands/."""

    __doc__: str | None

    def add(self, parser: argparse.ArgumentParser, /) -> None: ...

    def run(self, arguments: argparse.Namespace, settings: Settings, /) -> int: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. What comes back is the exit status: 1 when it cannot be done, 2 when it cannot be understood."""
    gc.set_threshold(50_000, 20, 20)  # loading leaves hardly any garbage: to look for it took a tenth of a start
    typed = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m server", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = [name for name in COMMANDS if typed[:1] == [name]]
    commands = {name: command(name) for name in chosen or COMMANDS}
    for name, module in commands.items():
        said = (module.__doc__ or "").partition("\n")[0]
        module.add(subparsers.add_parser(name, help=said, description=module.__doc__))
    given = parser.parse_args(typed)
    try:
        status = commands[given.command].run(given, loading.load())
        print(end="", flush=True)  # noqa: T201 - now, that we hear of it; and where there is no output, too
    except (CommandError, EmbeddedError, SettingsError) as error:
        for line in str(error).splitlines():
            print(f"docket: {line}", file=sys.stderr)  # noqa: T201 - the operator's line
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # as by `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would try again at exit
        return UNREAD
    return status


def command(name: str) -> Command:
    """The module of a command. Only the one that is typed is loaded: Alembic takes 0.1 s and 11 MB."""
    module: Command = import_module(f"server.commands.{name.replace('-', '_')}")
    return module


if __name__ == "__main__":
    sys.exit(main())
