"""Make a superuser.

A terminal is asked for the e-mail and, unseen, for the password; without one, both are read from the standard input,
each from a line of its own. With `--external` it is a user of another issuer, who has no password here.
"""

import argparse
import asyncio
import sys
from getpass import getpass

from server.commands import superuser
from server.complaints import CommandError
from server.database.connect import open_url
from server.settings.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--promote", action="store_true", help="make one of an account that exists; it keeps its password"
    )
    parser.add_argument(
        "--external", nargs=2, metavar=("NAMESPACE", "SUBJECT"), help="make one of a user of another issuer"
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.external:
        return run_external(settings, *arguments.external)
    email, password = ask_credentials() if sys.stdin.isatty() else read()
    with open_url(settings) as url:
        outcome = asyncio.run(superuser.make(url, settings, email, password, promote=arguments.promote))
    if outcome == "is none":
        raise CommandError(f"{email} has an account already: make a superuser of it with --promote")
    said = {"made": "is now a superuser", "promoted": "is now a superuser and keeps its password"}
    print(f"{email} {said.get(outcome, 'is a superuser already')}")  # noqa: T201 - what the operator asked for
    return 0


def run_external(settings: Settings, namespace: str, subject: str) -> int:
    with open_url(settings) as url:
        outcome = asyncio.run(superuser.make_external(url, settings, namespace, subject))
    said = "is a superuser already" if outcome == "is one" else "is now a superuser"
    print(f"{subject} of {namespace} {said}")  # noqa: T201 - what the operator asked for
    return 0


def ask_credentials() -> tuple[str, str]:
    """The e-mail and the password that somebody types. Raises KeyboardInterrupt for Ctrl-D, too."""
    try:
        email = input("E-mail: ").strip()
        password = getpass("Password: ")
        again = getpass("Password again: ")
    except EOFError:
        raise KeyboardInterrupt from None
    if again != password:
        raise CommandError("The two passwords differ")
    return email, password


def read() -> tuple[str, str]:
    """The first two lines of the standard input. Raises CommandError when there are none."""
    email, password = (sys.stdin.readline().rstrip("\r\n") for _ in range(2))
    if not email and not password:
        raise CommandError("There is no terminal, and nothing came: send the e-mail and the password, a line each")
    return email.strip(), password
