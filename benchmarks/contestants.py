"""Docket and its peers: how each is started, what it calls its tables, how its tokens are signed."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt

from benchmarks import rows
from benchmarks.servers import Server, free_port
from security.keys import Keys
from security.tokens import Tokens
from server.app import AUDIENCE, ISSUER

SECRET = "a-secret-of-the-benchmark-0123456789abcdef"  # noqa: S105 - it guards generated rows only


def docket(database: str | None, folder: Path) -> Server:
    """Docket as operators run it, on that database or on an embedded one of its own; only the limits are off."""
    port = free_port()
    environment = {
        "ENVIRONMENT": "staging",
        "SECRET_KEY": SECRET,
        "RATE_LIMITS_ENABLED": "false",
        "AUTO_MIGRATE": "true",
        "DATA_DIR": str(folder / "docket"),
        "PORT": str(port),
    }
    tokens = Tokens(Keys(SECRET), ISSUER, AUDIENCE, timedelta(minutes=15))

    def sign(user: int) -> str:
        return tokens.issue_access(rows.user_id(user), rows.session_id(user), datetime.now(UTC))

    return Server(
        name="docket",
        command=[sys.executable, "-m", "server", "serve"],
        environment=environment if database is None else environment | {"DATABASE_URL": database},
        port=port,
        ready="/readyz",
        database=database or "",
        tables={
            "users": "users",
            "organizations": "organizations",
            "members": "organization_members",
            "sessions": "sessions",
            "tasks": "tasks",
        },
        sign=sign,
        folder=folder,
    )


def peer(name: str, file: Path, database: str, folder: Path, *, same_contract: bool) -> Server:
    """The application `app` of a file, under uvicorn with what uvicorn[standard] brings."""
    port = free_port()
    options = [
        "--port",
        str(port),
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--no-access-log",
        "--log-level",
        "warning",
    ]
    return Server(
        name=name,
        command=[
            sys.executable,
            "-m",
            "uvicorn",
            f"{file.stem}:app",
            "--app-dir",
            str(file.resolve().parent),
            *options,
        ],
        environment={"DATABASE_URL": database.replace("postgresql:", "postgresql+asyncpg:"), "SECRET": SECRET},
        port=port,
        ready="/openapi.json",
        database=database,
        tables={"users": "peer_users", "tasks": "peer_tasks"},
        sign=_peer_token,
        folder=folder,
        same_contract=same_contract,
    )


def _peer_token(user: int) -> str:
    claims = {"sub": str(rows.user_id(user)), "exp": datetime.now(UTC) + timedelta(hours=1)}
    return jwt.encode(claims, SECRET, algorithm="HS256")
