"""Print every setting, its value and where it comes from; secrets are masked. Of `.env` also what is none."""

import argparse
import os
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from server.settings import Settings

WIDTH = 30


def add(_parser: argparse.ArgumentParser) -> None:
    """Everything is said by settings."""


def run(_arguments: argparse.Namespace, settings: Settings) -> int:
    written = dotenv_values(".env") if settings.is_development and Path(".env").is_file() else {}
    for name in Settings.model_fields:
        variable = name.upper()
        print(f"{variable:{WIDTH}} {source(variable, written):12} {shown(getattr(settings, name))}")  # noqa: T201 - asked for
    for unknown in sorted(name for name in written if name.lower() not in Settings.model_fields):
        print(f"{unknown:{WIDTH}} {'.env':12} (not read: no such setting)")  # noqa: T201 - asked for
    return 0


def source(variable: str, written: dict[str, str | None]) -> str:
    """Where a setting comes from, as `configuration.load` decides."""
    if os.environ.get(f"{variable}_FILE"):
        return "file"
    if os.environ.get(variable):
        return "environment"
    return ".env" if written.get(variable) else "default"


def shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********"
    if value is None:
        return "-"
    if isinstance(value, (frozenset, tuple)):
        return ", ".join(sorted(map(str, value))) or "-"
    return str(value)
