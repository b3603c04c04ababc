"""Backups of a PostgreSQL 15 that demands TLS and is the second of two hosts, and onto a full disk."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from persistence.engine.pool import Pool
from persistence.tables import IdempotencyKey
from server.database.backup import is_whole
from server.database.migrations import upgrade
from tests.factories import NOW, Factory
from tests.faults.wire import black_hole
from tests.persistence.test_database_command import Operator, fill, rows_of
from tests.ports import free_port
from tests.system.postgres import Postgres, server_of
from tests.system.services import folder_for


@dataclass(frozen=True, slots=True)
class Secured:
    """A server that takes no connection without TLS, and the certificate that it proves itself by."""

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
        assert "over TLSv1" in asked.output_of_success


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk of 1 MB, which only root can mount."""
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "docket", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
    folder.rmdir()


async def test_on_a_full_disk_the_oldest_go_until_the_new_one_fits(fresh_url: str, disk: Path) -> None:
    """The newest of those there were is damaged, and no reason to remove the one before."""
    operator = Operator(DATABASE_URL=fresh_url, COVERAGE_PROCESS_CONFIG="")
    whole = disk / "docket-20260104T000000Z.backup"
    assert (await operator.types("backup", whole)).status == 0
    sizes = {"docket-20260101T000000Z.backup": 300, "docket-20260102T000000Z.backup": 300, "mine": 100}
    for name, size in (sizes | {"docket-20260105T000000Z.backup": 270}).items():
        write_noise(disk / name, size)
    await fill_with_noise(fresh_url, 500_000)

    done = await operator.types("backup", "--keep", "36500", disk)

    assert done.status == 0
    told = [line.rpartition(": ")[2] for line in done.errors.splitlines()]
    assert told == [f"{name} is removed" for name in sorted(sizes)[:2]]
    left = sorted(path.name for path in whole.parent.glob("*"))
    [new] = set(left) - {"locks", "mine", whole.name, "docket-20260105T000000Z.backup"}
    assert len(left) == 5
    assert is_whole(disk / new)


async def test_on_a_full_disk_the_only_complete_one_stays(fresh_url: str, disk: Path) -> None:
    operator = Operator(DATABASE_URL=fresh_url, COVERAGE_PROCESS_CONFIG="")
    whole = disk / "docket-20260104T000000Z.backup"
    assert (await operator.types("backup", whole)).status == 0
    write_noise(disk / "mine", 800)
    await fill_with_noise(fresh_url, 500_000)

    refused = await operator.types("backup", "--keep", "1", disk)

    assert "No space left on device" in refused.errors
    assert refused.status == 1
    assert sorted(os.listdir(disk)) == [whole.name, "locks", "mine"]  # noqa: PTH208
    assert is_whole(whole)


def write_noise(file: Path, kilobytes: int) -> None:
    file.write_bytes(os.urandom(kilobytes * 1024))


async def fill_with_noise(url: str, size: int) -> None:
    """Rows that no program makes much smaller than this."""
    pool = Pool(url, size=1)
    user = await Factory(pool).user()
    kept = {"status": 201, "headers": b"{}", "body": f'"{os.urandom(size * 3 // 4).hex()}"'.encode(), "created_at": NOW}
    await Factory(pool).row(IdempotencyKey, {"user_id": user.id, "key": "~", "fingerprint": b"", **kept})
    await pool.close()
