"""Settings: where they come from, and what is said of those that the server does not start with."""

import os
import stat
from pathlib import Path

import pytest

from server.settings.checks import check_settings
from server.settings.loading import load
from server.settings.settings import EXAMPLE_KEY, Environment, Settings, SettingsError

KEY = "0123456789abcdef0123456789abcdef"
CANARY = "do-not-tell"
LONG_CANARY = f"{CANARY}-{KEY}"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to start in, and nothing of ours in the environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaint(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        _ = load().signing_key
    return str(refused.value)


class TestSources:
    def test_everything_has_a_default_in_development(self) -> None:
        settings = load()

        assert settings.environment is Environment.development
        assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
        assert settings.url is None
        assert settings.migrates
        assert settings.logs == "console"
        assert settings.access_lifetime.total_seconds() == 900

    def test_the_environment_counts_and_an_empty_value_does_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PORT", "9000")
        monkeypatch.setenv("HOST", "")
        monkeypatch.setenv("LOG_FORMAT", "json")

        settings = load()

        assert (settings.host, settings.port, settings.logs) == ("127.0.0.1", 9000, "json")

    def test_what_is_given_counts_above_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PORT", "9000")

        assert load(port=9001).port == 9001

    def test_a_file_of_settings_is_read_in_development(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        (folder / ".env").write_text(f"PORT=9000\nWORKERS=2\nUNKNOWN=1\nSECRET_KEY={KEY}\n")
        monkeypatch.setenv("WORKERS", "3")

        settings = load()

        assert (settings.port, settings.workers, settings.signing_key) == (9000, 3, KEY)

    @pytest.mark.parametrize("environment", ["staging", "production"])
    def test_a_file_of_settings_is_not_read_elsewhere(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path, environment: str
    ) -> None:
        (folder / ".env").write_text(f"PORT=9000\nSECRET_KEY={KEY}\n")
        monkeypatch.setenv("ENVIRONMENT", environment)
        monkeypatch.setenv("SECRET_KEY", LONG_CANARY)

        settings = load()

        assert (settings.port, settings.signing_key) == (8000, LONG_CANARY)
        assert (settings.logs, settings.migrates) == ("json", True)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SECRET_KEY", KEY),
            ("SECRET_KEY_PREVIOUS", KEY),
            ("POSTGRES_PASSWORD", "a password"),
            ("DATABASE_URL", "postgresql://ada@db/docket"),
        ],
    )
    def test_every_secret_can_be_a_file(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, value: str
    ) -> None:
        (folder / "secret").write_text(f"{value}\n")
        monkeypatch.setenv(f"{name}_FILE", str(folder / "secret"))
        monkeypatch.setenv("POSTGRES_HOST", "db")

        assert getattr(load(), name.lower()).get_secret_value() == value

    def test_a_file_of_settings_that_is_no_text_is_refused(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        (folder / ".env").write_bytes("PORT=9000".encode("utf-16"))

        assert complaint(monkeypatch) == ".env is no text in UTF-8"

    def test_names_in_small_letters_count(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        (folder / ".env").write_text("PORT=9000\n")
        (folder / "key").write_text(KEY)
        for name, value in {"environment": "production", "secret_key_file": "key"}.items():
            monkeypatch.setenv(name, value)

        settings = load()

        assert (settings.environment, settings.port) == (Environment.production, 8000)
        assert settings.signing_key == KEY

    def test_what_is_no_secret_has_no_file(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        monkeypatch.setenv("PORT_FILE", str(folder / "absent"))

        assert load().port == 8000


class TestDatabase:
    @pytest.mark.parametrize(
        "url", ["postgresql://ada:pass@db:5433/docket", "postgresql+asyncpg://ada:pass@db:5433/docket"]
    )
    def test_its_url_is_one_that_asyncpg_takes(self, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        monkeypatch.setenv("DATABASE_URL", url)

        assert load().url == "postgresql://ada:pass@db:5433/docket"

    def test_its_url_can_be_given_in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POSTGRES_HOST", "db")
        assert load().url == "postgresql://db:5432/docket"

        for name, value in (("USER", "ada"), ("PASSWORD", "p@ss:w/rd"), ("PORT", "5433"), ("DB", "tasks")):
            monkeypatch.setenv(f"POSTGRES_{name}", value)
        assert load().url == "postgresql://ada:p%40ss%3Aw%2Frd@db:5433/tasks"

        monkeypatch.setenv("POSTGRES_HOST", "/var/run/postgresql")
        assert load().url == "postgresql://ada:p%40ss%3Aw%2Frd@/tasks?host=%2Fvar%2Frun%2Fpostgresql&port=5433"

        monkeypatch.setenv("DATABASE_URL", "postgresql://whole/url")
        assert load().url == "postgresql://whole/url"

    @pytest.mark.parametrize("name", ["POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_PORT", "POSTGRES_DB"])
    def test_parts_without_a_host_are_refused(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv(name, "5433")

        with pytest.raises(SettingsError, match=f"^POSTGRES_HOST is not set, though {name} is: "):
            load()

    @pytest.mark.parametrize(
        ("environment", "wanted", "migrates"),
        [
            ("development", "", True),
            ("development", "false", False),
            ("production", "", False),
            ("production", "true", True),
        ],
    )
    def test_a_server_of_others_is_migrated_in_development_or_by_order(
        self,
        monkeypatch: pytest.MonkeyPatch,
        environment: str,
        wanted: str,
        migrates: bool,  # noqa: FBT001 - a row of the table
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgresql://db/docket")
        monkeypatch.setenv("SECRET_KEY", KEY)
        monkeypatch.setenv("ENVIRONMENT", environment)
        monkeypatch.setenv("AUTO_MIGRATE", wanted)

        assert load().migrates is migrates

    def test_a_server_behind_a_pooler_is_not_migrated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgresql://db/docket")
        monkeypatch.setenv("DATABASE_POOLER", "transaction")

        assert not load().migrates


class TestComplaints:
    def test_migrating_at_start_does_not_go_with_a_pooler(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said = complaint(monkeypatch, DATABASE_POOLER="transaction", AUTO_MIGRATE="true")

        assert said.startswith("AUTO_MIGRATE: not through a pooler: run `python -m server migrate apply`")

    @pytest.mark.proves("", "A complaint about a setting never tells a secret")
    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("ENVIRONMENT", "Production", "Input should be 'development', 'staging' or 'production'"),
            ("PORT", "high", "Input should be a valid integer"),
            ("PORT", "65536", "Input should be less than or equal to 65535"),
            ("WORKERS", "0", "Input should be greater than or equal to 1"),
            ("POOL_SIZE", "0", "Input should be greater than or equal to 1"),
            ("POSTGRES_PORT", "0", "Input should be greater than or equal to 1"),
            ("AUTO_MIGRATE", "perhaps", "Input should be a valid boolean"),
            ("ACCESS_TOKEN_MINUTES", "31", "Input should be less than or equal to 30"),
            ("BCRYPT_COST", "11", "Input should be greater than or equal to 12"),
            ("SESSIONS_PER_USER", "10001", "Input should be less than or equal to 10000"),
            ("AUDIT_RETENTION_DAYS", "0", "Input should be greater than or equal to 1"),
            ("AUDIT_RETENTION_DAYS", "36501", "Input should be less than or equal to 36500"),
            ("RATE_LIMITS_ENABLED", "2", "Input should be a valid boolean"),
            ("RATE_LIMIT_DEFAULT", "0", "Input should be greater than or equal to 1"),
            ("RATE_LIMIT_DEFAULT", "1000000001", "Input should be less than or equal to 1000000000"),
            ("RATE_LIMIT_LOGIN", "-1", "Input should be greater than or equal to 1"),
            ("RATE_LIMIT_LOGIN", "1000000001", "Input should be less than or equal to 1000000000"),
            ("CSP_MODE", "lax", "Input should be 'strict', 'relaxed' or 'disabled'"),
            ("LOG_LEVEL", "trace", "Input should be 'debug', 'info', 'warning' or 'error'"),
            ("LOG_FORMAT", "xml", "Input should be 'json' or 'console'"),
            ("RESPONSE_CHECK_RATE", "1.1", "Input should be less than or equal to 1"),
            ("SECRET_KEY", CANARY, "is shorter than 32 bytes: make one with `openssl rand -hex 32`"),
            ("SECRET_KEY_PREVIOUS", CANARY, "is shorter than 32 bytes"),
            ("DATABASE_URL", f"db.example.com/{CANARY}", "is no URL: write postgresql://"),
            ("DATABASE_URL", f"mysql://ada:{CANARY}@db/docket", "is not a PostgreSQL URL: write postgresql://"),
            ("DATABASE_URL", f"postgresql://ada:p@ss:{CANARY}@db/docket", "is no URL: write postgresql://"),
            ("DATABASE_URL", f"postgresql://ada:{CANARY}@db:port/docket", "is no URL: write postgresql://"),
            ("DATABASE_URL", f"postgresql://ada:{CANARY}@db:65536/docket", "has a port that is none: write 1 to 65535"),
            ("DATABASE_URL", f"postgresql://ada:{CANARY}@db:0/docket", "has a port that is none: write 1 to 65535"),
            ("DATABASE_URL", f"postgresql://ada:p@{CANARY}@db/docket", "has an @ in its password: write %40 there"),
            ("REDIS_URL", f"http://:{CANARY}@cache/0", "is no URL of a Redis: write redis://"),
            ("REDIS_URL", f"redis://:{CANARY}@cache:port/0", "is no URL of a Redis: write redis://"),
            ("REDIS_URL", CANARY, "is no URL of a Redis: write redis://"),
            ("REDIS_URL", f"redis://:{CANARY}@cache?ssl_cert_reqs=none", "has something behind its `?`"),
            ("REDIS_URL", f"redis://:{CANARY}@cache?db={CANARY}", "has something behind its `?`"),
            ("REDIS_URL", f"rediss://:{CANARY}@cache?ssl_cert_reqs={CANARY}", "has something behind its `?`"),
            ("SMTP_URL", f"http://ada:{CANARY}@mail", "is no URL of a mail server: write smtps://"),
            ("SMTP_URL", f"smtp://ada:{CANARY}@mail?tls={CANARY}", "has something behind its `?`"),
            ("MAIL_FROM", "Docket", "is no address: write docket@example.com"),
            ("DELIVERY", "no", "Input should be 'on' or 'off'"),
            ("BACKEND_CORS_ORIGINS", "*", "is no list of origins: `*` would let every page act for its reader"),
            ("BACKEND_CORS_ORIGINS", "https://a.example, *", "is no list of origins: `*` would"),
            ("BACKEND_CORS_HEADERS", "*", "is no list of names of headers: write X-Trace; `*` would not count"),
            ("BACKEND_CORS_HEADERS", "x trace", "is no list of names of headers: write X-Trace"),
            ("ROOT_PATH", "docket", "is no beginning of a path: write /docket"),
            ("ROOT_PATH", "/a/../b", "is no beginning of a path: write /docket"),
            ("ROOT_PATH", "//docket", "is no beginning of a path: write /docket"),
            ("ROOT_PATH", "/a?b", "is no beginning of a path: write /docket"),
            ("ROOT_PATH", '/"><script>', "is no beginning of a path: write /docket"),
            ("ALLOWED_HOSTS", "*", "is no list of hosts: write api.example.com"),
            ("ALLOWED_HOSTS", "https://a.example", "is no list of hosts: write api.example.com"),
            ("ALLOWED_HOSTS", "a.example:80", "is no list of hosts: write api.example.com"),
            ("TRUSTED_PROXIES", "proxy", "is no list of addresses or networks: write 10.0.0.0/8"),
            ("TRUSTED_PROXIES", "10.0.0.1/8", "is no list of addresses or networks: write 10.0.0.0/8"),
        ],
    )
    def test_a_complaint_names_the_variable_and_never_its_secret(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
    ) -> None:
        line = complaint(monkeypatch, **{name: value})

        assert line.startswith((f"{name}: {said}", f"{name} {said}"))
        assert "\n" not in line
        assert CANARY not in line

    def test_every_bad_setting_has_its_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = complaint(monkeypatch, PORT="high", WORKERS="0", SECRET_KEY=CANARY).splitlines()

        assert [line.partition(":")[0] for line in lines] == ["PORT", "WORKERS", "SECRET_KEY"]

    @pytest.mark.proves("", "Outside development nothing starts without a secret key")
    @pytest.mark.parametrize("environment", ["staging", "production"])
    def test_a_key_must_be_set_outside_development(self, monkeypatch: pytest.MonkeyPatch, environment: str) -> None:
        without = complaint(monkeypatch, ENVIRONMENT=environment)
        assert without == f"SECRET_KEY is not set: {environment} needs one; make it with `openssl rand -hex 32`"

        example = complaint(monkeypatch, SECRET_KEY=EXAMPLE_KEY)
        assert example == "SECRET_KEY is the example's: make one with `openssl rand -hex 32`"

    def test_the_key_of_the_example_is_good_enough_for_development(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_KEY", EXAMPLE_KEY)

        assert load().signing_key == EXAMPLE_KEY

    def test_a_secret_is_given_once(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        line = complaint(monkeypatch, SECRET_KEY=LONG_CANARY, SECRET_KEY_FILE=str(folder / "key"))

        assert line == "SECRET_KEY_FILE: SECRET_KEY is set too; set only one of them"

    def test_a_file_of_a_secret_must_be_there(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        path = folder / "absent"

        line = complaint(monkeypatch, SECRET_KEY_FILE=str(path))

        assert line == f"SECRET_KEY_FILE: cannot read {path}: No such file or directory"

    def test_a_file_of_a_secret_must_be_text(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        (folder / "key").write_bytes(b"\xff" * 40)

        line = complaint(monkeypatch, SECRET_KEY_FILE=str(folder / "key"))

        assert line == f"SECRET_KEY_FILE: {folder / 'key'} is no text in UTF-8"

    def test_a_file_of_a_secret_may_not_be_empty(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        (folder / "key").write_text("\n")

        assert complaint(monkeypatch, SECRET_KEY_FILE=str(folder / "key")).startswith("SECRET_KEY: is shorter than")

    def test_no_representation_tells_a_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_KEY", LONG_CANARY)
        monkeypatch.setenv("DATABASE_URL", f"postgresql://ada:{CANARY}@db/docket")

        settings = load()

        assert CANARY not in f"{settings!r} {settings} {settings.model_dump_json()}"


class TestDevelopmentKey:
    @pytest.mark.proves("", "The key made for development is readable by its owner alone")
    def test_it_is_made_once_and_kept_for_its_owner_alone(self, folder: Path) -> None:
        key = load().signing_key
        kept = folder / ".data" / "secret-key"

        assert len(key) == 64
        assert load().signing_key == key
        assert kept.read_text() == key
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert [file.name for file in kept.parent.iterdir()] == ["secret-key"]

    def test_of_two_processes_the_first_one_makes_it(self, folder: Path) -> None:
        data = folder / ".data"
        data.mkdir()
        (data / f"secret-key.{os.getpid()}").write_text("left behind by a process with this id that was killed")
        (data / "secret-key").write_text(KEY)

        assert load().signing_key == KEY

    def test_a_folder_that_cannot_be_written_is_named(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        (folder / "file").write_text("")

        line = complaint(monkeypatch, DATA_DIR=str(folder / "file"))

        assert line == f"DATA_DIR: cannot write {folder / 'file'}: Not a directory"

    def test_a_kept_key_that_cannot_be_read_is_named(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        (folder / "secret-key").mkdir()

        line = complaint(monkeypatch, DATA_DIR=str(folder))

        assert line == f"SECRET_KEY: cannot read {folder / 'secret-key'}: Is a directory"

    def test_a_kept_key_that_is_cut_short_is_named_and_not_told(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        (folder / "secret-key").write_text(CANARY)

        line = complaint(monkeypatch, DATA_DIR=str(folder))

        assert line == (
            f"SECRET_KEY: the key in {folder / 'secret-key'} is cut short: remove the file, or set SECRET_KEY"
        )


@pytest.mark.parametrize(("text", "root"), [("", ""), ("/", ""), ("/docket", "/docket"), ("/a/b-c.d/", "/a/b-c.d")])
def test_a_root_path_has_no_slash_at_its_end(monkeypatch: pytest.MonkeyPatch, text: str, root: str) -> None:
    monkeypatch.setenv("ROOT_PATH", text)

    assert load().root_path == root


def test_headers_of_front_ends_are_a_list_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKEND_CORS_HEADERS", "X-Trace, x-batch")

    assert load().backend_cors_headers == {"x-trace", "x-batch"}


class TestOrigins:
    @pytest.mark.parametrize(
        ("text", "origins"),
        [
            ("", set()),
            (" , ", set()),
            ("https://App.example.com/", {"https://app.example.com"}),
            ("https://a.example:443, http://a.example:80/", {"https://a.example", "http://a.example"}),
            ("https://a.example:80, http://[::1]:3000", {"https://a.example:80", "http://[::1]:3000"}),
            ("https://xn--bcher-kva.example", {"https://xn--bcher-kva.example"}),
            ("https://a.example, http://localhost:3000", {"https://a.example", "http://localhost:3000"}),
            ('["https://a.example","https://b.example"]', {"https://a.example", "https://b.example"}),
            ("[]", set()),
        ],
    )
    def test_they_are_a_list_with_commas_or_a_json_array(
        self, monkeypatch: pytest.MonkeyPatch, text: str, origins: set[str]
    ) -> None:
        monkeypatch.setenv("BACKEND_CORS_ORIGINS", text)

        assert load().backend_cors_origins == origins

    @pytest.mark.parametrize(
        "text",
        [
            "*",
            "app.example.com",
            "https://a.example/path",
            "https://*.example",
            "[1]",
            '["https://a',
            "[*]",
            "https://bücher.example",
            "https://例え.example",
            "https://a.example:x",
            "https://[::1",
            'https://a"b',
        ],
    )
    def test_what_is_no_origin_is_refused(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        assert complaint(monkeypatch, BACKEND_CORS_ORIGINS=text).startswith("BACKEND_CORS_ORIGINS: is no ")


JWKS = {"AUTH_MODE": "external", "EXTERNAL_JWT_JWKS_URL": "https://issuer.example/jwks"}
DOUBTFUL = {
    "EXTERNAL_JWT_ISSUER is not set": JWKS | {"EXTERNAL_JWT_AUDIENCE": "docket"},
    "EXTERNAL_JWT_AUDIENCE is not set": JWKS | {"EXTERNAL_JWT_ISSUER": "https://issuer.example"},
    "AUTH_MODE is local": {"BETTER_AUTH_SECRET": LONG_CANARY},
    "BETTER_AUTH_SECRET is the one that everybody knows": {
        "AUTH_MODE": "external",
        "BETTER_AUTH_SECRET": "better-auth-secret-12345678901234567890",
    },
    "BETTER_AUTH_SECRET is SECRET_KEY": {"AUTH_MODE": "external", "BETTER_AUTH_SECRET": KEY},
}


class TestOtherIssuers:
    @pytest.mark.proves("ASVS 5.0 9.2.3", "In production tokens of another issuer are taken for one audience only")
    @pytest.mark.parametrize("said", DOUBTFUL)
    def test_what_is_doubtful_is_told_in_development_and_refused_elsewhere(
        self, monkeypatch: pytest.MonkeyPatch, said: str
    ) -> None:
        for name, value in {"SECRET_KEY": KEY, **DOUBTFUL[said]}.items():
            monkeypatch.setenv(name, value)

        [(level, *doubt)] = check_settings(load())

        assert (level, " ".join(doubt).startswith(said)) == ("warning", True)
        assert said in complaint(monkeypatch, ENVIRONMENT="production")
        assert said in complaint(monkeypatch, ENVIRONMENT="staging")

    @pytest.mark.parametrize(
        "url",
        [
            "http://issuer.example/jwks",
            "http://127.0.0.1.example/jwks",
            "http://10.0.0.1/jwks",
            "ftp://issuer.example/jwks",
            "file:///etc/passwd",
            "https://ada:secret@issuer.example/jwks",
            "https://issuer.example/jwks#first",
            "https://issuer.example:port/jwks",
            "https:///jwks",
            "issuer.example",
        ],
    )
    @pytest.mark.proves("ASVS 5.0 12.3.1", "The keys of another issuer come by TLS")
    def test_keys_come_by_tls(self, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        said = complaint(monkeypatch, AUTH_MODE="external", EXTERNAL_JWT_JWKS_URL=url)

        assert "EXTERNAL_JWT_JWKS_URL is no https:// URL" in said

    @pytest.mark.parametrize("url", ["http://localhost:3000/jwks", "http://127.0.0.1/jwks", "http://[::1]:3000/jwks"])
    def test_keys_may_come_from_this_machine_in_development_only(
        self, monkeypatch: pytest.MonkeyPatch, url: str
    ) -> None:
        monkeypatch.setenv("AUTH_MODE", "hybrid")
        monkeypatch.setenv("EXTERNAL_JWT_JWKS_URL", url)

        assert load().external_jwt_jwks_url == url
        assert "is no https:// URL" in complaint(monkeypatch, ENVIRONMENT="production", SECRET_KEY=KEY)

    def test_a_short_secret_is_refused_and_not_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said = complaint(monkeypatch, AUTH_MODE="external", BETTER_AUTH_SECRET=CANARY)

        assert "BETTER_AUTH_SECRET: is shorter than 32 bytes" in said
        assert CANARY not in said

    def test_the_secret_may_be_in_a_file(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        (folder / "secret").write_text(f"{LONG_CANARY}\n")
        monkeypatch.setenv("BETTER_AUTH_SECRET_FILE", str(folder / "secret"))
        monkeypatch.setenv("AUTH_MODE", "external")

        secret = load().better_auth_secret

        assert secret is not None
        assert secret.get_secret_value() == LONG_CANARY

    def test_two_issuers_have_two_namespaces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said = complaint(monkeypatch, **JWKS, EXTERNAL_JWT_ISSUER="better-auth")

        assert "EXTERNAL_JWT_ISSUER is better-auth" in said
