"""Every setting, and what is right for each of them and for some together."""

import os
import re
import secrets
from contextlib import suppress
from datetime import timedelta
from email.utils import parseaddr
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from persistence.embedded.locks import make_folder
from persistence.engine.hosts import join_hosts, split_hosts
from security.keys import SHORTEST_KEY, Key, Keys
from server.settings.mail_server import MailServer, mail_server_of
from server.settings.parsing import address_of, headers_of, hosts_of, networks_of, origins_of, root_of

EXAMPLE_KEY = "change-me-to-at-least-32-random-characters"
HIGHEST_LIMIT = 1_000_000_000  # `RateLimit` has integers of 15 digits at most (RFC 9651, 3.3.1)
HIGHEST_PORT = 65535
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


class SettingsError(Exception):
    """Settings the server does not start with: one line for each, naming the variable, never a secret."""


def judge_url(text: str) -> None:
    """Raises ValueError when this is no URL of a PostgreSQL server."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("is no URL: write postgresql://user:password@host:5432/database") from None
    if "@" in (url.host or ""):
        raise ValueError("has an @ in its password: write %40 there")
    if url.port is not None and not 0 < url.port <= HIGHEST_PORT:
        raise ValueError(f"has a port that is none: write 1 to {HIGHEST_PORT}")
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError("is not a PostgreSQL URL: write postgresql://user:password@host:5432/database")


class Environment(StrEnum):
    """What the server is run for."""

    development = "development"
    staging = "staging"
    production = "production"


class Settings(BaseSettings):
    """The settings of a server. Every secret can also be given as the path of a file in `<NAME>_FILE`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    environment: Environment = Field(Environment.development, description="What the server is run for.")
    host: str = Field("127.0.0.1", description="The address to listen on; `::` is every one, of IPv4 too.")
    port: int = Field(8000, ge=0, le=HIGHEST_PORT, description="The port to listen on; 0 chooses a free one.")
    workers: int = Field(1, ge=1, le=64, description="How many processes answer requests.")
    max_connections: int = Field(900, ge=1, description="Connections that a process has at once.")
    max_connections_per_address: int | None = Field(
        None,
        ge=1,
        description="Those of an address that is no trusted proxy; by default two thirds, 100 at least.",
    )
    drain_seconds: float = Field(
        1.0, ge=0, le=60, description="How long a server that ends answers still, while proxies turn away from it."
    )
    data_dir: Path = Field(Path(".data"), description="Where the embedded PostgreSQL and the development key live.")

    database_url: SecretStr | None = Field(
        None, description="A PostgreSQL server, or several with commas between their hosts; none: the embedded one."
    )
    postgres_user: str | None = Field(None, description="The parts of DATABASE_URL, one by one: the role,")
    postgres_password: SecretStr | None = Field(None, description="its password,")
    postgres_host: str | None = Field(None, description="the host (this one names a server),")
    postgres_port: int = Field(5432, ge=1, le=HIGHEST_PORT, description="the port")
    postgres_db: str = Field("docket", description="and the database.")
    pool_size: int = Field(20, ge=1, le=200, description="Connections of each process to PostgreSQL.")
    database_pooler: Literal["transaction"] | None = Field(
        None, description="How a pooler before that server lends connections; pgbouncer and Neon: by the transaction."
    )
    auto_migrate: bool | None = Field(
        None, description="Migrate the database of DATABASE_URL at start; by default only in development."
    )

    secret_key: SecretStr | None = Field(
        None, description=f"Signs tokens and cursors: {SHORTEST_KEY} random characters or more; development makes one."
    )
    secret_key_previous: SecretStr | None = Field(None, description="The key before, accepted until its tokens expire.")
    access_token_minutes: int = Field(15, ge=5, le=30, description="The life of an access token.")
    bcrypt_cost: int = Field(12, ge=12, le=16, description="The cost of a password hash, as a power of two.")
    password_composition: bool = Field(
        default=False, description="Whether a password needs a lower-case and an upper-case letter, a digit and a sign."
    )
    breached_passwords: Path | None = Field(
        None,
        description="A sorted file of SHA-1 of breached passwords; none: only common ones are refused.",
    )
    mfa_required: Literal["nobody", "superusers", "everybody"] = Field(
        "nobody", description="Who must have a second factor; until one is made a session does nothing else."
    )
    password_grant: bool | None = Field(
        None, description="Whether /api/v1/auth/token takes passwords; by default everywhere but in production."
    )
    first_superuser_email: str | None = Field(None, description="A superuser that the first start makes,")
    first_superuser_password: SecretStr | None = Field(None, description="with this password, which it never resets.")

    auth_mode: Literal["local", "external", "hybrid"] = Field(
        "local", description="Whose access tokens count: our own, another issuer's, or both."
    )
    better_auth_secret: SecretStr | None = Field(
        None, description="The secret that Better Auth signs with (HS256): 32 random characters or more."
    )
    better_auth_issuer: str | None = Field(None, description="The `iss` that these tokens must have, if any,")
    better_auth_audience: str | None = Field(None, description="and the `aud`.")
    external_jwt_jwks_url: str | None = Field(
        None, description="Where an issuer publishes its public keys (EdDSA, ES256, RS256)."
    )
    external_jwt_issuer: str | None = Field(
        None, max_length=255, description="The `iss` that its tokens must have; demanded in production, as is"
    )
    external_jwt_audience: str | None = Field(None, description="the `aud`.")
    external_jwt_user_id_claim: str = Field(
        "sub", min_length=1, description="The claim that says whose a token is, by path: `user.id` is one in another."
    )
    external_token_hours: int = Field(
        24, ge=1, le=8760, description="Hours after `iat` for which a token of another issuer counts at most."
    )
    external_iat_is_auth_time: bool = Field(
        default=False, description="Whether such a token proves a sign-in at its `iat` when it has no `auth_time`."
    )

    smtp_url: SecretStr | None = Field(
        None, description="A mail server, as smtps://user:password@mail.example.com; none: nothing is mailed."
    )
    mail_from: str | None = Field(
        None, max_length=254, description="The sender of mails; by default docket@ the host of PUBLIC_URL."
    )
    delivery: Literal["on", "off"] = Field(
        "on", description="Whether the server sends what waits; `off` where `python -m server deliver` does it alone."
    )

    session_days: int = Field(90, ge=1, le=365, description="Days after which a session ends, however it is used.")
    session_idle_days: int = Field(
        7,
        ge=1,
        le=7,
        description="Days without a request after which a session is over, as its refresh tokens are.",
    )
    sessions_per_user: int = Field(
        100, ge=1, le=10_000, description="Live sessions of an account; the longest unused one goes."
    )
    quota_tasks: int = Field(1_000_000, ge=1, le=HIGHEST_LIMIT, description="Tasks of an organization at most,")
    quota_organizations: int = Field(100, ge=1, le=HIGHEST_LIMIT, description="organizations that a user made, and")
    quota_members: int = Field(1000, ge=1, le=HIGHEST_LIMIT, description="members of an organization.")
    backend_cors_origins: Annotated[frozenset[str], NoDecode, BeforeValidator(origins_of)] = Field(
        frozenset(),
        validate_default=False,
        description="Origins of our front ends: a JSON array, or a list with commas.",
    )
    backend_cors_headers: Annotated[frozenset[str], NoDecode, BeforeValidator(headers_of)] = Field(
        frozenset(),
        validate_default=False,
        description="Headers that their requests may carry beside those of the contract and of tracing.",
    )
    root_path: Annotated[str, BeforeValidator(root_of)] = Field(
        "", description="Where a proxy has the API below a path, as /docket; it may take that off or not."
    )
    public_url: Annotated[str | None, BeforeValidator(address_of)] = Field(
        None,
        validate_default=False,
        description="Where our front end is, as https://app.example.com: links lead there; none: http://localhost.",
    )
    allowed_hosts: Annotated[frozenset[str], NoDecode, BeforeValidator(hosts_of)] = Field(
        frozenset(),
        validate_default=False,
        description="Hosts that are answered for, as *.example.com; none: every host.",
    )
    trusted_proxies: Annotated[frozenset[IPv4Network | IPv6Network], NoDecode, BeforeValidator(networks_of)] = Field(
        frozenset(),
        validate_default=False,
        description="Addresses or networks of our proxies, whose X-Forwarded-For and X-Forwarded-Proto count.",
    )

    audit_retention_days: int = Field(
        365, ge=1, le=36_500, description="Days after which `prune` deletes an audit log."
    )
    event_retention_days: int = Field(
        30,
        ge=1,
        le=3_650,
        description="Days after which `prune` deletes events, and clients that were away begin anew.",
    )
    rate_limits_enabled: bool = Field(True, description="Whether requests are counted; off for load tests.")
    rate_limit_default: int | None = Field(
        None, ge=1, le=HIGHEST_LIMIT, description="Requests a minute of an address, class `default`."
    )
    rate_limit_login: int | None = Field(
        None, ge=1, le=HIGHEST_LIMIT, description="Wrong passwords an hour of an account, or of an identifier of none."
    )
    redis_url: SecretStr | None = Field(None, description="A Redis where all instances count; none: each for itself.")
    metrics_token: SecretStr | None = Field(
        None, description="What monitoring sends to read /metrics; without it they are off, except in development."
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="An OpenTelemetry collector that gets a span for each request, over HTTP."
    )
    sentry_dsn: SecretStr | None = Field(None, description="Where Sentry takes errors (500); none: nowhere.")
    slow_statement_ms: int = Field(500, ge=1, description="A statement that takes longer is logged.")
    database_log_queries: bool = Field(False, description="Log every statement, without its values, at `debug`.")
    docs: bool = Field(True, description="Whether there are pages: the contract, /docs and /redoc.")
    csp_mode: Literal["strict", "relaxed", "disabled"] = Field(
        "strict", description="The Content-Security-Policy of the pages."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level to log.")
    log_format: Literal["json", "console"] | None = Field(
        None, description="How to log; by default `console` in development and `json` elsewhere."
    )
    response_check_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        0.001, description="The share of answers that is checked against the contract."
    )

    @field_validator("database_url")
    @classmethod
    def is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        for one in split_hosts(value.get_secret_value()):
            judge_url(one)
        return value

    @field_validator("redis_url")
    @classmethod
    def is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                url = urlsplit(value.get_secret_value())
                fit = url.scheme in {"redis", "rediss"} and url.hostname and url.port != 0
            except ValueError:
                fit = False
            if not fit:
                raise ValueError("is no URL of a Redis: write redis://:password@host:6379/0")
        return value

    @field_validator("smtp_url")
    @classmethod
    def is_mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            mail_server_of(value.get_secret_value())
        return value

    @field_validator("mail_from")
    @classmethod
    def is_address(cls, value: str | None) -> str | None:
        if value is not None and not ADDRESS.fullmatch(parseaddr(value)[1]):
            raise ValueError("is no address: write docket@example.com, or Docket <docket@example.com>")
        return value

    @field_validator("secret_key", "secret_key_previous", "better_auth_secret")
    @classmethod
    def is_usable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            Key(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def names_a_database_or_none(self) -> "Settings":
        if self.database_url is None and self.postgres_host is None:
            for name in ("postgres_user", "postgres_password", "postgres_port", "postgres_db"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(
                        f"POSTGRES_HOST is not set, though {name.upper()} is: without it the embedded database is used"
                    )
        return self

    @model_validator(mode="after")
    def names_a_first_superuser_or_none(self) -> "Settings":
        if (self.first_superuser_email is None) != (self.first_superuser_password is None):
            raise ValueError("FIRST_SUPERUSER_EMAIL and FIRST_SUPERUSER_PASSWORD go together: set both or none")
        return self

    @model_validator(mode="after")
    def migrates_over_no_pooler(self) -> "Settings":
        if self.database_pooler and self.auto_migrate:
            raise ValueError(
                "AUTO_MIGRATE: not through a pooler: run `python -m server migrate apply` at the database itself"
            )
        return self

    @model_validator(mode="after")
    def knows_where_links_lead(self) -> "Settings":
        if self.smtp_url is not None and self.public_url is None and not self.is_development:
            raise ValueError("PUBLIC_URL is not set, though SMTP_URL is: mails have links, which begin with it")
        return self

    @model_validator(mode="after")
    def is_fit_for_production(self) -> "Settings":
        key = self.secret_key.get_secret_value() if self.secret_key else None
        if self.environment is not Environment.development:
            if key is None:
                raise ValueError(
                    f"SECRET_KEY is not set: {self.environment} needs one; make it with `openssl rand -hex 32`"
                )
            if key == EXAMPLE_KEY:
                raise ValueError("SECRET_KEY is the example's: make one with `openssl rand -hex 32`")
        return self

    @cached_property
    def url(self) -> str | None:
        """The database as asyncpg wants it; None for the embedded one."""
        if self.database_url is not None:
            each = map(make_url, split_hosts(self.database_url.get_secret_value()))
            urls = [url.set(drivername="postgresql") for url in each]
            return join_hosts([url.render_as_string(hide_password=False) for url in urls])
        if self.postgres_host is not None:
            password = self.postgres_password.get_secret_value() if self.postgres_password else None
            url = URL.create("postgresql", self.postgres_user, password, database=self.postgres_db)
            host, port = self.postgres_host, self.postgres_port
            if host.startswith("/"):  # the folder of a socket, which has no place in a URL but after `?`
                url = url.update_query_dict({"host": host, "port": str(port)})
            else:
                url = url.set(host=host, port=port)
        else:
            return None
        return url.set(drivername="postgresql").render_as_string(hide_password=False)

    @cached_property
    def migrates(self) -> bool:
        """Whether the server migrates its database before it serves."""
        by_default = self.is_development and self.database_pooler is None
        return self.url is None or (by_default if self.auto_migrate is None else self.auto_migrate)

    @property
    def mail_server(self) -> MailServer | None:
        """Where mails go."""
        return None if self.smtp_url is None else mail_server_of(self.smtp_url.get_secret_value())

    @property
    def writes_mail(self) -> bool:
        """Whether mails are written at all: in development into files where they go nowhere else."""
        return self.smtp_url is not None or self.is_development

    @property
    def sender(self) -> str:
        """The sender of mails."""
        return self.mail_from or f"Docket <docket@{urlsplit(self.base_of_links).hostname}>"

    @property
    def features(self) -> frozenset[str]:
        """Those of the contract's features that are on."""
        grants = not self.is_production if self.password_grant is None else self.password_grant
        return frozenset({"password_grant"} if grants else ())

    @property
    def base_of_links(self) -> str:
        """What links begin with, which is never what a request says of its host."""
        return self.public_url or f"http://localhost:{self.port}{self.root_path}"

    @property
    def access_lifetime(self) -> timedelta:
        """The life of an access token."""
        return timedelta(minutes=self.access_token_minutes)

    @property
    def most_of_one_address(self) -> int:
        """How many connections an address has at once."""
        return self.max_connections_per_address or max(100, self.max_connections * 2 // 3)

    @property
    def logs(self) -> Literal["json", "console"]:
        """How to log."""
        return self.log_format or ("console" if self.is_development else "json")

    @property
    def is_development(self) -> bool:
        return self.environment is Environment.development

    @property
    def is_production(self) -> bool:
        return self.environment is Environment.production

    @property
    def keys(self) -> Keys:
        """The key that signs, and the one before it where it is accepted still."""
        previous = self.secret_key_previous
        return Keys(self.signing_key, previous.get_secret_value() if previous else None)

    @cached_property
    def signing_key(self) -> str:
        """SECRET_KEY, or in development the key kept under DATA_DIR, made at first use."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value()
        kept, draft = self.data_dir / "secret-key", self.data_dir / f"secret-key.{os.getpid()}"
        try:
            if not kept.exists():
                make_folder(self.data_dir)
                draft.touch(mode=0o600)
                draft.write_text(secrets.token_hex(32), encoding="utf-8")
                with suppress(FileExistsError):  # another process was first
                    kept.hardlink_to(draft)
                draft.unlink()
        except OSError as error:
            raise SettingsError(f"DATA_DIR: cannot write {self.data_dir}: {error.strerror}") from None
        try:
            key = kept.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"SECRET_KEY: cannot read {kept}: {error.strerror}") from None
        if len(key) < SHORTEST_KEY:
            raise SettingsError(f"SECRET_KEY: the key in {kept} is cut short: remove the file, or set SECRET_KEY")
        return key
