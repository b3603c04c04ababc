"""Where settings come from: the environment, `.env` in development, and files that hold a secret each."""

import os
from pathlib import Path

from server.settings.settings import Environment, Settings, SettingsError

ENV_FILE = ".env"
SECRETS = tuple(name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation))


def variable(name: str) -> str | None:
    """What the environment says of a setting, whose name may be in small letters there."""
    return next((value for given, value in os.environ.items() if given.upper() == name and value), None)


def env_file(environment: str | None) -> str | None:
    """The file that is read beside the environment, if that says or leaves open that we are in development."""
    return ENV_FILE if environment in (None, Environment.development) else None


def secret_files() -> dict[str, str]:
    """The paths that `<NAME>_FILE` tells, by the name of the secret."""
    found = {name: variable(f"{name.upper()}_FILE") for name in SECRETS}
    return {name: path for name, path in found.items() if path}


def secrets_in_files() -> dict[str, str]:
    """The secrets whose files are named by `<NAME>_FILE`. Raises SettingsError."""
    found: dict[str, str] = {}
    for name, path in secret_files().items():
        place = f"{name.upper()}_FILE"
        if variable(name.upper()):
            raise SettingsError(f"{place}: {name.upper()} is set too; set only one of them")
        try:
            found[name] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{place}: cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SettingsError(f"{place}: {path} is no text in UTF-8") from None
    return found


def secrets_in_env_file() -> bool:
    """Whether the file `.env` of this folder gives a secret, read by us or not."""
    try:
        lines = Path(ENV_FILE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    given = [line.strip().removeprefix("export ").partition("=") for line in lines]
    return any(name.strip().lower() in SECRETS and value.strip(" \"'") for name, _, value in given)
