"""The settings of the environment (and of `.env` in development): read and checked once, named in every complaint."""

from typing import Any

from pydantic import ValidationError

from server.settings.checks import check_settings
from server.settings.settings import Settings, SettingsError
from server.settings.sources import ENV_FILE, env_file, secrets_in_files, variable


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
    wrong = [finding for finding in check_settings(settings) if finding.level == "wrong"]
    if wrong:
        raise SettingsError("\n".join(f"{setting} {message}" for _, setting, message in wrong))
    return settings


def complaint(fault: Any) -> str:
    """One line about a fault that pydantic found."""
    message = str(fault["msg"]).removeprefix("Value error, ")
    name = "_".join(str(part) for part in fault["loc"]).upper()
    return f"{name}: {message}" if name else message
