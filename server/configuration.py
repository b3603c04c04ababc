"""The settings of the environment (and of `.env` in development): read and checked once, named in every complaint."""

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from server import issuers, telemetry
from server.settings import Environment, Settings, SettingsError


def load(**given: Any) -> Settings:
    """The settings of the environment, those in `given` above all. Raises SettingsError."""
    environment = given.get("environment") or os.environ.get("ENVIRONMENT") or Environment.development
    env_file = ".env" if environment == Environment.development else None
    values: dict[str, Any] = {"_env_file": env_file, **secrets_in_files(), **given}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError("\n".join(complaint(fault) for fault in error.errors())) from None
    wrong = issuers.mistakes(settings, doubts=not settings.is_development) + telemetry.mistakes(settings)
    if wrong:
        raise SettingsError("\n".join(wrong))
    return settings


def secrets_in_files() -> dict[str, str]:
    """The secrets whose files are named by `<NAME>_FILE`. Raises SettingsError."""
    found: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        variable = f"{name.upper()}_FILE"
        if "SecretStr" not in str(field.annotation) or not (path := os.environ.get(variable)):
            continue
        if os.environ.get(name.upper()):
            raise SettingsError(f"{variable}: {name.upper()} is set too; set only one of them")
        try:
            found[name] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{variable}: cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SettingsError(f"{variable}: {path} is no text in UTF-8") from None
    return found


def complaint(fault: Any) -> str:
    """One line about a fault that pydantic found."""
    message = str(fault["msg"]).removeprefix("Value error, ")
    name = "_".join(str(part) for part in fault["loc"]).upper()
    return f"{name}: {message}" if name else message
