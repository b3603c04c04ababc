"""Print every setting, its value and where it comes from; secrets are masked. Of `.env` also what is none."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from server.settings.settings import Settings
from server.settings.sources import env_file, variable

WIDTH = 30


def add(_parser: argparse.ArgumentParser) -> None:
    """Everything is said by settings."""


def run(_arguments: argparse.Namespace, settings: Settings) -> int:
    file = env_file(variable("ENVIRONMENT"))
    written = dotenv_values(file) if file and Path(file).is_file() else {}
    for field in Settings.model_fields:
        name = field.upper()
        print(f"{name:{WIDTH}} {source(name, written):12} {show_value(getattr(settings, field))}")  # noqa: T201 - asked for
    for unknown in sorted(name for name in written if name.lower() not in Settings.model_fields):
        print(f"{unknown:{WIDTH}} {'.env':12} (not read: no such setting)")  # noqa: T201 - asked for
    return 0


def source(name: str, written: Mapping[str, str | None]) -> str:
    """Where a setting comes from, as `configuration.load` decides."""
    if variable(f"{name}_FILE"):
        return "file"
    if variable(name):
        return "environment"
    return ".env" if any(value for given, value in written.items() if given.upper() == name) else "default"


def show_value(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********"
    if value is None:
        return "-"
    if isinstance(value, (frozenset, tuple)):
        return ", ".join(sorted(map(str, value))) or "-"
    return str(value)
