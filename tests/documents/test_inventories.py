"""What ASVS wants listed (keys, ways in, connections, logs): each list has what is in the code, and nothing else."""

import ast
import logging
import logging.handlers
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

import pytest
import yaml
from pydantic import SecretStr

from handlers.accounts.updates import RECENT
from persistence.queries.accounts.sessions import REFRESH_LIFETIME
from persistence.tables import User
from security import jwks
from security.keys import Label
from security.password_strength import PRODUCT, SHORTEST_WORD
from server.app import OF_A_CALLER, WAITS_OF_A_CALLER
from server.settings.settings import Settings
from tests.client import DOCUMENT
from tests.conftest import ROOT
from tests.documents.test_asvs import PROGRAM, section

ALGORITHM = re.compile(
    r"md\d|sha-?\d+|sha3_\d+|shake\w+|blake\w+|bcrypt(_sha256)?|scrypt|argon2\w*|pbkdf2\w*|hkdf|[HREP]S\d{3}|EdDSA|ES256K"
    r"|AES\w*|ChaCha\w*|Fernet|TripleDES|ARC4|X25519|Ed25519\w+",
    re.IGNORECASE,
)
OF_CRYPTOGRAPHY = {
    "Crypto", "Cryptodome", "argon2", "authlib", "bcrypt", "cryptography", "ecdsa", "hashlib", "hmac", "itsdangerous",
    "jose", "jwt", "nacl", "passlib", "pyotp", "random", "rsa", "secrets", "uuid",
}  # fmt: skip
CONNECTS = {
    "aiohttp", "aiosmtplib", "asyncpg", "ftplib", "httpx", "opentelemetry", "paramiko", "psycopg", "redis", "requests",
    "sentry_sdk", "smtplib", "telnetlib", "urllib3", "websockets",
}  # fmt: skip
CALLS = {"create_connection", "create_datagram_endpoint", "open_connection", "open_unix_connection", "urlopen"}
PLACE = re.compile(r"URL|HOST|ENDPOINT|DSN")
ADDRESS = re.compile(r"(^|_)(ur[il]|host|callback|webhook|redirect|endpoint|server)s?(_|$)")
HINT = re.compile(r"hint|question|answer|remind|maiden|pet_|security_")
PROVES = {"password", "current_password", "refresh_token", "code", "token"}
OPERATIONS: dict[str, dict[str, Any]] = {
    each["operationId"]: each
    for path in DOCUMENT["paths"].values()
    for method, each in path.items()
    if isinstance(each, dict) and "operationId" in each
}


@cache
def trees() -> list[tuple[str, ast.Module]]:
    """The modules of the program, by their paths. The generator of the engine is no part of what runs."""
    paths = [path for top in PROGRAM for path in sorted((ROOT / top).rglob("*.py")) if "generator" not in path.parts]
    return [(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def names_in(tree: ast.Module) -> Iterator[str]:
    """Every name and every text of a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                yield name
            case ast.ImportFrom(names=names):
                yield from (each.name for each in names)


def imports_of(tree: ast.Module) -> Iterator[str]:
    """The packages that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def rows(text: str, title: str) -> list[list[str]]:
    """The cells of the table whose first column has this title."""
    found = re.search(rf"^\| {re.escape(title)} \|.*\n\|[-|]+\n((?:\|.*\n?)+)", text, re.MULTILINE)
    assert found is not None, f"There is no table of {title}"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found[1].splitlines()]


def quote_cells(*cells: str) -> set[str]:
    """What stands there as code."""
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def settings_with(prefix: str) -> set[str]:
    return {name.upper() for name in Settings.model_fields if name.upper().startswith(prefix)}


def members_of(schema: object) -> Iterator[str]:
    """The names of what a body may have, at every depth."""
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if reference:
            yield from members_of(DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]])
        for key, value in schema.items():
            if key == "properties":
                yield from value
            yield from members_of(value)
    elif isinstance(schema, list):
        for each in schema:
            yield from members_of(each)


def body_of(operation: dict[str, Any]) -> set[str]:
    content = operation.get("requestBody", {}).get("content", {})
    return {name for kind in content.values() for name in members_of(kind["schema"])}


@pytest.mark.proves(
    "ASVS 5.0 11.1.2", "Keys, algorithms and certificates are listed, with their uses; the list is the code's"
)
def test_every_key_and_algorithm_is_in_the_inventory() -> None:
    inventory = section("docs/security.md", "Cryptography")
    keys = section("docs/security.md", "Sessions and keys")
    used = {name for _, tree in trees() for name in names_in(tree) if ALGORITHM.fullmatch(name)}
    secrets = {name.upper() for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation)}

    assert len(secrets) > 5
    assert quote_cells(*(row[0] for row in rows(inventory, "In code"))) == used
    assert quote_cells(*(row[0] for row in rows(inventory, "Key of its own"))) == set(get_args(Label))
    assert secrets | {"tls_key", "tls_certificate"} == quote_cells(*(row[0] for row in rows(keys, "Key or secret")))


@pytest.mark.proves("ASVS 5.0 11.2.1", "Cryptography is that of libraries which others have examined, and of no others")
def test_cryptography_is_that_of_listed_libraries() -> None:
    inventory = section("docs/security.md", "Cryptography")
    imported = {path: set(imports_of(tree)) & OF_CRYPTOGRAPHY for path, tree in trees()}

    assert quote_cells(*(row[0] for row in rows(inventory, "Module"))) == set().union(*imported.values())
    assert [path for path, found in imported.items() if "random" in found and path.startswith("security/")] == []


@pytest.mark.proves("ASVS 5.0 6.1.3", "Every way in is listed with what proves it and what bounds it")
def test_every_way_in_is_listed() -> None:
    said = section("docs/security.md", "Who proves what, and how")
    ways = rows(said, "Way in")
    kinds = {
        name
        for name, operation in OPERATIONS.items()
        if body_of(operation) & PROVES
        or {"refreshCookie", "metricsToken"} & {*map(first, operation.get("security", ()))}
    }

    assert {name for name in quote_cells(*(row[1] for row in ways)) if name in OPERATIONS} == kinds
    settings = {"METRICS_TOKEN", "AUTH_MODE", "PASSWORD_GRANT", "ACCESS_TOKEN_MINUTES"}
    for prefix in ("BETTER_AUTH", "EXTERNAL", "FIRST_SUPERUSER"):
        settings |= settings_with(prefix)
    assert settings <= quote_cells(said)
    assert [row[0] for row in ways if not all(row)] == []
    for row in ways:
        classes = {OPERATIONS[name]["x-rate-limit"] for name in quote_cells(row[1]) & OPERATIONS.keys()}
        assert classes - {"default", "exempt"} <= quote_cells(row[3]), row


def first(requirement: dict[str, Any]) -> str:
    return next(iter(requirement), "")


@pytest.mark.proves("ASVS 5.0 7.1.3", "How long the sessions of each system count here, and how they end, is written")
def test_the_sessions_of_every_system_are_listed() -> None:
    systems = rows(section("docs/security.md", "Who proves what, and how"), "Sessions of")
    told = {row[0].partition(" (")[0]: " | ".join(row) for row in systems}

    assert {*told} == {"Docket", "Better Auth, JWT plugin", "Better Auth, cookie cache", "another issuer"}
    modes = {mode for mode in get_args(Settings.model_fields["auth_mode"].annotation) if mode != "local"}
    assert all(modes <= quote_cells(row[0]) for row in systems[1:])
    of_ours, of_others = told["Docket"], told["Better Auth, JWT plugin"]
    assert f"{Settings.model_fields['session_days'].default} days" in of_ours
    assert f"{REFRESH_LIFETIME.days} days" in of_ours
    assert f"{Settings.model_fields['access_token_minutes'].default} minutes" in of_ours
    assert f"{Settings.model_fields['external_token_hours'].default} hours" in of_others
    assert f"counts {jwks.LIFETIME / 60:.0f} minutes more" in of_others
    assert all(f"after {RECENT.seconds // 60} minutes" in each for each in (of_ours, of_others))
    ends = {"revokeSession", "revokeUserSessions"}
    assert ends <= quote_cells(*told.values()) & OPERATIONS.keys()


@pytest.mark.proves("ASVS 5.0 6.1.2", "The words that no password is made of are listed")
def test_the_words_that_no_password_is_made_of_are_those_listed() -> None:
    listed = rows(section("docs/security.md", "Words that no password is made of"), "Words")
    of_account = quote_cells(*(row[0] for row in listed if row[1].startswith("the account")))

    assert quote_cells(*(row[0] for row in listed)) - of_account == {PRODUCT}
    assert of_account == body_of(OPERATIONS["registerUser"]) - {"password"}
    assert all(f"{SHORTEST_WORD} characters" in row[1] for row in listed if quote_cells(row[0]) & of_account)


@pytest.mark.proves(
    "ASVS 5.0 13.1.1, ASVS 5.0 13.2.4", "What is talked to is listed, each with the setting that names it"
)
def test_every_connection_is_listed_and_named_by_a_setting() -> None:
    said = section("docs/deployment.md", "What talks to what")
    listed = rows(said, "To")
    used = {name for _, tree in trees() for name in imports_of(tree)} & CONNECTS
    calling = {path for path, tree in trees() for name in names_in(tree) if name in CALLS}

    assert calling == {"server/database/programs.py"}
    assert quote_cells(*(row[1] for row in listed)) - {"psql", "pg_dump", "pg_restore"} == used | {"asyncio"}
    places = {name.upper() for name in Settings.model_fields if PLACE.search(name.upper())} - {"ALLOWED_HOSTS"}
    assert places | {"PORT", "DATA_DIR"} == quote_cells(said) & {name.upper() for name in Settings.model_fields}
    assert all(quote_cells(row[2]) & {name.upper() for name in Settings.model_fields} for row in listed)


@pytest.mark.proves("ASVS 5.0 13.1.1", "No caller names an address that the server would ask")
def test_nothing_that_is_sent_is_an_address() -> None:
    sent = {name for operation in OPERATIONS.values() for name in body_of(operation)}
    parameters = DOCUMENT["components"]["parameters"].values()

    assert len(sent) > 20
    assert {name for name in sent | {each["name"] for each in parameters} if ADDRESS.search(name)} == set()


@pytest.mark.proves("ASVS 5.0 15.1.3", "What is dear is listed with what bounds it, as the contract has it")
def test_what_is_dear_is_listed_with_its_bounds() -> None:
    listed = rows(section("docs/performance.md", "What is dear, and what bounds it"), "Operations")
    dear = {
        name
        for name, operation in OPERATIONS.items()
        if {"x-bulkhead", "x-waits"} & set(operation)
        or {"password", "new_password"} & body_of(operation)
        or name.startswith("bulk")
        or operation["x-rate-limit"] in {"login", "register", "password", "search", "bulk"}
    }

    assert dear <= (told := quote_cells(*(row[0] for row in listed)))
    assert told - dear <= {name for name in OPERATIONS if name.startswith("delete")}
    for row in listed:
        rate, number, partition = re.fullmatch(r"`(\w+)`: (\d+) a minute( of an address)?", row[3]).groups()  # type: ignore[union-attr]
        limit = DOCUMENT["x-rate-limits"][rate]["ip" if partition else "user"]
        assert (limit["limit"], limit["window"]) == (int(number), 60)
        assert {OPERATIONS[name]["x-rate-limit"] for name in quote_cells(row[0])} == {rate}
        if any("x-bulkhead" in OPERATIONS[name] for name in quote_cells(row[0])):
            assert row[2].startswith((f"{OF_A_CALLER} of a caller", "the same")), row
        if any("x-waits" in OPERATIONS[name] for name in quote_cells(row[0])):
            assert row[2].startswith(f"{WAITS_OF_A_CALLER} of a caller"), row


@pytest.mark.proves("ASVS 5.0 15.1.3", "Docket answers before the proxies before it give up")
def test_docket_gives_up_before_its_proxies() -> None:
    said = section("docs/performance.md", "What is dear, and what bounds it")
    nginx = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    haproxy = (ROOT / "deploy" / "haproxy.cfg").read_text(encoding="utf-8")

    for proxy in (
        sorted(
            {int(number) for number in re.findall(r"proxy_read_timeout (\d+)s", nginx.partition("server { # where")[0])}
        ),
        sorted({int(number) for number in re.findall(r"(?:timeout server|set-timeout server) (\d+)s", haproxy)}),
    ):
        assert re.search(r"\((\d+) s; (\d+) s .*, (\d+) s ", said).groups() == tuple(map(str, proxy))  # type: ignore[union-attr]


@pytest.mark.proves("ASVS 5.0 16.1.1", "What is logged at each layer, where, for which readers and how long, is listed")
def test_the_logs_of_every_layer_are_listed() -> None:
    listed = rows(section("docs/logs.md", "Where they are, and for how long"), "Layer")
    whole = quote_cells(*(cell for row in listed for cell in row))

    assert [row for row in listed if len(row) != 6 or not all(row)] == []
    assert {"SENTRY_DSN", "OTEL_EXPORTER_OTLP_ENDPOINT", "AUDIT_RETENTION_DAYS", "audit_logs", "postgres.log"} <= whole
    assert f"{Settings.model_fields['audit_retention_days'].default} days" in str(listed)
    nginx = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    for said in [said for said in whole if "_log " in said]:
        assert f"{said};" in nginx
    assert re.findall(r"^\s*(?:error|access)_log .*?;", nginx, re.MULTILINE) == [
        "error_log stderr warn;",
        "    access_log off;",
    ]
    assert re.search(r"^\s*log\b", (ROOT / "deploy" / "haproxy.cfg").read_text(encoding="utf-8"), re.MULTILINE) is None
    assert re.search(r"^\s*log\b", (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8"), re.MULTILINE) is None
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert [name for name, service in compose["services"].items() if "logging" in service] == []


@pytest.mark.proves("ASVS 5.0 16.2.3", "No part of the code writes logs to a file or sends them by itself")
def test_no_code_writes_logs_elsewhere() -> None:
    handlers = {name for name in (*dir(logging), *dir(logging.handlers)) if name.endswith("Handler")}
    used = {(path, name) for path, tree in trees() for name in names_in(tree) if name in handlers - {"Handler"}}

    assert "FileHandler" in handlers
    assert "SysLogHandler" in handlers
    assert used == {("server/observability/logs.py", "StreamHandler")}


@pytest.mark.proves("ASVS 5.0 6.4.2", "No password has a hint, and no question stands in for one")
def test_nothing_stands_in_for_a_password() -> None:
    columns = {f"{table.name}.{column.name}" for table in User.metadata.tables.values() for column in table.c}
    schemas = {name for schema in DOCUMENT["components"]["schemas"].values() for name in members_of(schema)}

    assert {"password", "users.hashed_password"} <= columns | schemas
    assert [name for name in columns | schemas if HINT.search(name)] == []
