"""Backups of a PostgreSQL 15 that takes nobody without TLS, and is the second of two hosts."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from server.database.migrations import upgrade
from tests.faults.wire import black_hole
from tests.persistence.test_database_command import Operator, fill, rows_of
from tests.ports import free_port
from tests.system.postgres import Postgres, server_of
from tests.system.services import folder_for


@dataclass(frozen=True, slots=True)
class Secured:
    """A server that takes nobody without TLS, and the certificate that it proves itself by."""

    postgres: Postgres
    certificate: Path

    def url(self, database: str, *, first: int) -> str:
        """The URL of a database where another port is to be tried before."""
        url = self.postgres.url(database).replace("@", f"@127.0.0.1:{first},")
        return f"{url}?sslmode=verify-full&sslrootcert={self.certificate}&target_session_attrs=read-write"

    def direct(self, database: str) -> str:
        return f"{self.postgres.url(database)}?sslmode=require"


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    with server_of("127.0.0.1", free_port(), role="docket", password="a-secret") as postgres:
        subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "certificate", *subject]
        postgres.run("openssl", *made)
        postgres.stop()
        (postgres.folder / "data/pg_hba.conf").write_text(
            "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n", encoding="utf-8"
        )
        certificate = postgres.folder / "certificate"
        postgres.settings |= {
            "ssl": "on",
            "ssl_cert_file": str(certificate),
            "ssl_key_file": str(postgres.folder / "key"),
        }
        postgres.start()
        for name in ("old", "new"):
            encoding = "ENCODING UTF8 LOCALE 'C.UTF-8' TEMPLATE template0"
            postgres.ask(f"CREATE DATABASE {name} OWNER docket {encoding}")
        yield Secured(postgres, certificate)


def test_it_is_a_release_before_that_of_the_programs(secured: Secured) -> None:
    assert int(secured.postgres.ask("SHOW server_version_num")) < 180000


async def test_a_backup_over_tls_from_the_second_host_is_restored(secured: Secured) -> None:
    with black_hole() as hole, folder_for("postgres") as folder:
        old, new = (Operator(DATABASE_URL=secured.url(name, first=hole)) for name in ("old", "new"))
        await asyncio.to_thread(upgrade, secured.direct("old"))
        await fill(secured.direct("old"))

        written = await old.types("backup", folder / "file")
        restored = await new.types("restore", folder / "file")
        asked = await new.types("psql", text="SELECT 'over ' || version FROM pg_stat_ssl WHERE pid = pg_backend_pid();")

        assert (written.status, written.errors) == (0, "")
        assert (restored.status, restored.errors) == (0, "")
        assert await rows_of(secured.direct("new")) == await rows_of(secured.direct("old"))
        assert "over TLSv1" in asked.done
