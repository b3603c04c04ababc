"""`.env.example` names every setting with its meaning and its default, and nothing else."""

import re
from enum import Enum
from pathlib import Path

import pytest

from server.settings.loading import load
from server.settings.settings import EXAMPLE_KEY, Settings, SettingsError

FILE = Path(__file__).parents[2] / ".env.example"
EXAMPLE = re.compile(r"^# (?P<meaning>.*)\n#(?P<name>[A-Z_]+)=(?P<value>.*)$", re.MULTILINE)
FIELDS = {name.upper(): field for name, field in Settings.model_fields.items()}


@pytest.fixture
def uncommented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to start in, whose `.env` has every line of the example in force, and an environment without any."""
    for name in FIELDS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    text = FILE.read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(EXAMPLE.sub(r"\g<name>=\g<value>", text), encoding="utf-8")
    return tmp_path


def test_it_names_every_setting_and_no_other() -> None:
    assert [found["name"] for found in EXAMPLE.finditer(FILE.read_text(encoding="utf-8"))] == list(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_it_says_of_a_setting_what_the_server_says(name: str) -> None:
    said = {found["name"]: found for found in EXAMPLE.finditer(FILE.read_text(encoding="utf-8"))}
    field = FIELDS[name]
    default = field.default.value if isinstance(field.default, Enum) else field.default
    text = "" if default in (None, frozenset()) else str(default).lower() if isinstance(default, bool) else str(default)

    assert said[name]["meaning"].startswith(field.description or "-")
    assert ("(*)" in said[name]["meaning"]) == ("SecretStr" in str(field.annotation))
    assert said[name]["value"] == (EXAMPLE_KEY if name == "SECRET_KEY" else text)


def test_it_changes_nothing_but_the_key_when_all_of_it_is_in_force(uncommented: Path) -> None:
    told = load()
    (uncommented / ".env").unlink()

    assert told == load(secret_key=EXAMPLE_KEY)


@pytest.mark.proves("", "The key of the example is refused in production")
def test_its_key_is_refused_where_it_would_matter(uncommented: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("SECRET_KEY", EXAMPLE_KEY)

    with pytest.raises(SettingsError, match="SECRET_KEY is the example's"):
        load()
