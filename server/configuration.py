"""The settings of the environment (and of `.env` in development): read and checked once, named in every complaint."""

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from server import issuers, telemetry
from server.settings import Environment, Settings, SettingsError

ENV_FILE = ".env"


def load(**given: Any) -> Settings:
    """The settings of the environment, those in `given` above all. Raises SettingsError."""
    environment = given.get("environment") or variable("ENVIRONMENT")
    values: dict[str, Any] = {"_env_file": env_file(environment), **secrets_in_files(), **given}
    try:
        settings = Settings(**values)
    except (OSError, UnicodeDecodeError) as error:
        why = "is no text in UTF-8" if isinstance(error, UnicodeError) else f"cannot be read: {error.strerror}"
        raise SettingsError(f"{ENV_FILE} {why}") from None
    except ValidationError as error:
        raise SettingsError("\n".join(complaint(fault) for fault in error.errors())) from None
    wrong = issuers.mistakes(settings, doubts=not settings.is_development) + telemetry.mistakes(settings)
    if settings.redis_url is not None:
        from server import shared_counters  # noqa: PLC0415 - most servers do without

        wrong += shared_counters.mistakes(settings.redis_url.get_secret_value())
    if wrong:
        raise SettingsError("\n".join(wrong))
    return settings


def variable(name: str) -> str | None:
    """What the environment says of a setting, whose name may be in small letters there."""
    return next((value for given, value in os.environ.items() if given.upper() == name and value), None)


def env_file(environment: str | None) -> str | None:
    """The file that is read beside the environment, if that says or leaves open that we are in development."""
    return ENV_FILE if environment in (None, Environment.development) else None


def secrets_in_files() -> dict[str, str]:
    """The secrets whose files are named by `<NAME>_FILE`. Raises SettingsError."""
    found: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        place = f"{name.upper()}_FILE"
        if "SecretStr" not in str(field.annotation) or not (path := variable(place)):
            continue
        if variable(name.upper()):
            raise SettingsError(f"{place}: {name.upper()} is set too; set only one of them")
        try:
            found[name] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{place}: cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SettingsError(f"{place}: {path} is no text in UTF-8") from None
    return found


def complaint(fault: Any) -> str:
    """One line about a fault that pydantic found."""
    message = str(fault["msg"]).removeprefix("Value error, ")
    name = "_".join(str(part) for part in fault["loc"]).upper()
    return f"{name}: {message}" if name else message
