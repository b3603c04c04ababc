"""What is wrong or doubtful about settings: refused in production, told by `check` and at the start elsewhere."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.settings import checks
from server.settings.checks import check_settings
from server.settings.loading import load
from server.settings.mail_server import mail_server_of
from server.settings.settings import Settings, SettingsError
from server.settings.sources import SECRETS
from tests.server.test_command_line import type_command

KEY = "3f9c1b7a5e2d8046aa17c0de9b5f4e213f9c1b7a5e2d8046"
PUBLIC, PRIVATE = "93.184.216.34", "10.1.2.3"
WELL = {"ALLOWED_HOSTS": "api.example.com", "TRUSTED_PROXIES": "127.0.0.1", "PUBLIC_URL": "https://app.example.com"}
Told = Callable[..., tuple[set[tuple[str, str]], str]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """What is found of settings, as level and setting, and what a start that they keep from starting says."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.delenv("PGSSLMODE", raising=False)
    monkeypatch.chdir(tmp_path)

    def tell(environment: str = "production", **given: str) -> tuple[set[tuple[str, str]], str]:
        values = {"SECRET_KEY": KEY} | WELL | given
        for name, value in {"ENVIRONMENT": environment, **values}.items():
            if not (name == "SECRET_KEY" and "SECRET_KEY_FILE" in given):
                monkeypatch.setenv(name, value)
        try:
            return {finding[:2] for finding in check_settings(load())}, ""
        except SettingsError as error:
            return set(), str(error)

    return tell


def test_settings_that_are_fit_for_production_have_no_finding(told: Told) -> None:
    url = f"postgresql://docket@{PUBLIC}/docket?sslmode=verify-full"
    given = {"DATABASE_URL": url, "REDIS_URL": f"rediss://{PUBLIC}", "METRICS_TOKEN": KEY, "WORKERS": "2"}

    assert told(**given) == (set(), "")


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({"METRICS_TOKEN": "x" * 31}, "METRICS_TOKEN"),
        ({"DATABASE_URL": f"postgresql://docket@{PUBLIC}/docket"}, "DATABASE_URL"),
        ({"DATABASE_URL": f"postgresql://docket@{PUBLIC}/docket?sslmode=prefer"}, "DATABASE_URL"),
        ({"DATABASE_URL": f"postgresql://docket@{PRIVATE},{PUBLIC}:5433/docket"}, "DATABASE_URL"),
        ({"DATABASE_URL": f"postgresql://docket@/docket?host={PUBLIC}"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://docket@[2606:2800:220:1::1]/docket"}, "DATABASE_URL"),
        ({"POSTGRES_HOST": PUBLIC}, "POSTGRES_HOST"),
        ({"REDIS_URL": f"redis://:secret@{PUBLIC}:6379/0"}, "REDIS_URL"),
    ],
    ids=str,
)
@pytest.mark.proves("ASVS 5.0 12.3.3", "Production speaks to no public address without TLS, and takes no weak token")
def test_production_does_not_start_with_it(told: Told, given: dict[str, str], setting: str) -> None:
    found, refusal = told(**given)
    assert (found, refusal.split()[0]) == (set(), setting)
    assert "secret@" not in refusal

    for environment in ("development", "staging"):
        found, refusal = told(environment, **given)
        assert (refusal, ("warning", setting) in found) == ("", True)


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS"),
        ({"TRUSTED_PROXIES": ""}, "TRUSTED_PROXIES"),
        ({"WORKERS": "2"}, "WORKERS"),
        ({"DATABASE_URL": f"postgresql://docket@{PRIVATE}/docket"}, "DATABASE_URL"),
        ({"POSTGRES_HOST": "fd00::1"}, "POSTGRES_HOST"),
        ({"REDIS_URL": f"redis://{PRIVATE}"}, "REDIS_URL"),
        ({"REDIS_URL": "redis://100.64.0.1"}, "REDIS_URL"),
    ],
    ids=str,
)
def test_production_is_told_of_it_and_starts(told: Told, given: dict[str, str], setting: str) -> None:
    assert told(**given) == ({("warning", setting)}, "")


@pytest.mark.parametrize(
    "given",
    [
        {"DATABASE_URL": "postgresql://docket@127.0.0.1/docket"},
        {"DATABASE_URL": "postgresql://docket@localhost/docket"},
        {"DATABASE_URL": "postgresql://docket@/docket?host=/run/postgresql"},
        {"DATABASE_URL": f"postgresql://docket@{PUBLIC}/docket?sslmode=require"},
        {"POSTGRES_HOST": "/run/postgresql"},
        {"POSTGRES_HOST": PUBLIC, "PGSSLMODE": "verify-full"},
        {"REDIS_URL": "redis://[::1]:6379"},
        {"REDIS_URL": f"rediss://{PUBLIC}"},
        {"WORKERS": "2", "RATE_LIMITS_ENABLED": "false"},
    ],
    ids=str,
)
def test_what_stays_on_the_machine_or_has_tls_is_no_finding(told: Told, given: dict[str, str]) -> None:
    assert told(**given) == (set(), "")


@pytest.mark.parametrize(
    ("addresses", "level"), [([PUBLIC, PRIVATE], "wrong"), ([PRIVATE], "warning"), ([], "warning"), (["::1"], "")]
)
def test_a_name_is_what_its_addresses_are(
    told: Told, monkeypatch: pytest.MonkeyPatch, addresses: list[str], level: str
) -> None:
    def look(_host: str, _port: None, **_kind: Any) -> list[tuple[Any, ...]]:
        if not addresses:
            raise socket.gaierror
        return [(0, 0, 0, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look)
    found, refusal = told(REDIS_URL="redis://redis.example")

    assert (bool(refusal), found) == (level == "wrong", {("warning", "REDIS_URL")} if level == "warning" else set())


class TestFiles:
    @pytest.fixture
    def open_folder(self, tmp_path: Path) -> Path:
        """A folder that everybody enters, as are those above it."""
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o001)
        return tmp_path

    @pytest.mark.parametrize("name", SECRETS)
    def test_a_secret_that_others_read_is_refused_in_production(self, told: Told, open_folder: Path, name: str) -> None:
        values = {
            "database_url": "postgresql://127.0.0.1/docket",
            "redis_url": "redis://127.0.0.1",
            "smtp_url": "smtp://127.0.0.1",
        }
        values |= {"postgres_password": "pelican", "sentry_dsn": "https://a@sentry.example/1"}
        file = open_folder / "secret"
        file.write_text(values.get(name, KEY.upper()))
        setting = f"{name.upper()}_FILE"
        needed = {"postgres_password": {"POSTGRES_HOST": "localhost"}}
        needed |= {"first_superuser_password": {"FIRST_SUPERUSER_EMAIL": "root@example.com"}}
        file.chmod(0o644)

        _, refusal = told(**{setting: str(file)}, **needed.get(name, {}))
        assert f"{setting} can be read by others: chmod 0600 {file}" in refusal

        file.chmod(0o640)
        _, refusal = told(**{setting: str(file)})
        assert setting not in refusal

    def test_one_in_a_folder_that_nobody_else_enters_is_kept(self, told: Told, open_folder: Path) -> None:
        folder = open_folder / "secrets"
        folder.mkdir(mode=0o700)
        (folder / "key").write_text(KEY)
        (folder / "key").chmod(0o444)

        assert told(SECRET_KEY_FILE=str(folder / "key")) == (set(), "")
        folder.chmod(0o711)
        assert "SECRET_KEY_FILE can be read by others" in told(SECRET_KEY_FILE=str(folder / "key"))[1]

    @pytest.mark.parametrize(
        ("text", "production", "development"),
        [
            (f"SECRET_KEY={KEY}", ".env has a secret and can be read by others", {("warning", ".env")}),
            (f"export database_url = 'postgresql://127.0.0.1/{KEY}'", ".env has a secret", {("warning", ".env")}),
            ("PORT=8000\n#SECRET_KEY=x\nSECRET_KEY=", "", set()),
        ],
    )
    def test_so_is_an_env_file_that_has_one(
        self, told: Told, open_folder: Path, *, text: str, production: str, development: set[tuple[str, str]]
    ) -> None:
        (open_folder / ".env").write_text(text)
        (open_folder / ".env").chmod(0o644)

        assert told("development")[0] == development
        refusal = told()[1]
        assert production in refusal
        assert bool(production) == bool(refusal)
        (open_folder / ".env").chmod(0o600)
        assert told() == (set(), "")

    def test_what_a_container_is_given_has_the_modes_that_it_has(
        self, told: Told, open_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (open_folder / "key").write_text(KEY)
        (open_folder / "key").chmod(0o444)
        monkeypatch.setattr(checks, "GIVEN", open_folder)

        assert told(SECRET_KEY_FILE=str(open_folder / "key")) == (set(), "")


def test_check_tells_them_and_serve_refuses_them(tmp_path: Path, fresh_url: str) -> None:
    given = {"DATABASE_URL": fresh_url, "SECRET_KEY": KEY, "METRICS_TOKEN": "short", "WORKERS": "2", "PORT": "0"}

    checked = type_command(tmp_path, "check", ENVIRONMENT="staging", **given)
    served = type_command(tmp_path, "serve", ENVIRONMENT="production", **given)

    assert [line.split()[:2] for line in checked.stdout.splitlines() if line.startswith("warning")] == [
        ["warning", "METRICS_TOKEN"],
        ["warning", "WORKERS"],
    ]
    assert (served.returncode, served.stderr.split()[:3]) == (1, ["docket:", "METRICS_TOKEN", "is"])


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", ("mail.example.com", 587, None, None, False, None)),
        (
            "smtp://ada:p%40ss@mail.example.com:25?starttls=required",
            ("mail.example.com", 25, "ada", "p@ss", False, True),
        ),
        ("smtps://mail.example.com", ("mail.example.com", 465, None, None, True, False)),
        ("smtp://127.0.0.1:1025", ("127.0.0.1", 1025, None, None, False, False)),
        ("smtp://mailpit:1025?starttls=never", ("mailpit", 1025, None, None, False, False)),
    ],
)
def test_a_mail_server_is_named_by_its_url(url: str, server: tuple[Any, ...]) -> None:
    assert mail_server_of(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com:0",
        "smtp://mail.example.com:port",
        "smtp://mail.example.com/inbox",
        "smtp://mail.example.com?starttls=perhaps",
        "smtp://mail.example.com?tls=yes",
        "smtp://mail.example.com?starttls",
        f"smtp://{KEY}@mail.example.com",
    ],
)
def test_what_names_no_mail_server_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"is no URL of a mail server|behind its|user without") as refused:
        mail_server_of(url)

    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "level"),
    [
        (f"smtp://{PUBLIC}", "wrong"),
        (f"smtp://{PRIVATE}", "warning"),
        (f"smtp://{PUBLIC}?starttls=required", ""),
        (f"smtps://{PUBLIC}", ""),
        ("smtp://localhost:25", ""),
    ],
)
def test_mails_leave_over_tls(url: str, level: str, told: Told) -> None:
    found, refusal = told(SMTP_URL=url, PUBLIC_URL="https://app.example.com")

    assert [of for of, setting in found if setting == "SMTP_URL"] == ([level] if level == "warning" else [])
    assert ("SMTP_URL names" in refusal) == (level == "wrong")


def test_mails_without_a_place_for_their_links_are_refused(told: Told) -> None:
    _, refusal = told(SMTP_URL=f"smtps://{PUBLIC}", PUBLIC_URL="")

    assert refusal == "PUBLIC_URL is not set, though SMTP_URL is: mails have links, which begin with it"


@pytest.mark.parametrize("text", [None, "no hash"], ids=["missing", "unfit"])
def test_a_list_of_breached_passwords_is_looked_at(told: Told, tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "list").write_text(text, encoding="ascii")

    found, refusal = told("development", BREACHED_PASSWORDS=str(tmp_path / "list"))

    assert ("wrong", "BREACHED_PASSWORDS") in found or refusal.startswith("BREACHED_PASSWORDS")
