"""The image, built by scripts/image.sh and run as its configuration says: its own root, read-only, and process 1."""

import gzip
import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.ports import free_port
from tests.system.conftest import wait_until_ready
from tests.system.journey import journey
from tests.system.postgres import postgresql

ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000
LARGEST = 350 * MEGABYTE  # with what sends traces and reports errors
SECRET_KEY = "not-the-key-of-anybody-but-this-test"
# As `docker run --read-only --tmpfs /tmp --volume ...:/var/lib/docket`, without a network of its own.
CONTAIN = """\
set -eu; root=$1; data=$2; shift 2
mount --bind "$root" "$root"
mount --bind "$data" "$root/var/lib/docket"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind /dev "$root/dev"
mount -o remount,bind,ro "$root"
exec chroot "$@"
"""


@dataclass(frozen=True)
class Image:
    """Files, and how they are run."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @cached_property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads((self.folder / "image.json").read_bytes())["Docker"]["config"]
        return config

    def command(self, data: Path, command: Sequence[str] = (), /, **settings: str) -> list[str]:
        """How to run it as process 1 of its own, with another command or that of the image."""
        program = [*self.config["Entrypoint"], *(command or self.config["Cmd"])]
        inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", CONTAIN, "sh"]
        return [*inside, str(self.root), str(data), *self.inside(program, **settings)]

    def inside(self, command: Sequence[str], **settings: str) -> list[str]:
        """The arguments of chroot for a command with the account, folder and environment of the image."""
        environment = [*self.config["Env"], *(f"{name}={value}" for name, value in settings.items())]
        place = ["env", "--ignore-environment", f"--chdir={self.config['WorkingDir']}", *environment]
        return [f"--userspec={self.config['User']}", "--groups=", str(self.root), *place, *command]

    def is_healthy(self, **settings: str) -> bool:
        kind, *command = self.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        asked = ["chroot", *self.inside(command, **settings)]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    @contextmanager
    def running(self, data: Path, **settings: str) -> Iterator[httpx.Client]:
        """A client of the running server as its proxy is one. SIGTERM ends it, and then it has to end cleanly."""
        port = str(free_port())
        told = {"PORT": port, "SECRET_KEY": SECRET_KEY, "TRUSTED_PROXIES": "127.0.0.1", "RATE_LIMITS_ENABLED": "false"}
        log = self.folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(data, **(told | settings)), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url, process, log)
            assert self.is_healthy(PORT=port)
            with httpx.Client(base_url=url, headers={"X-Forwarded-Proto": "https"}, timeout=20) as client:
                yield client
            [first] = psutil.Process(process.pid).children()
            assert first.name() == "tini"
            assert first.uids().real == int(self.config["User"].partition(":")[0]) != 0
            first.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, log.read_text(encoding="utf-8", errors="replace")
        finally:
            process.kill()
            process.wait()
        assert not self.is_healthy(PORT=port)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    if os.geteuid() != 0:
        pytest.fail("Only root can build and mount an image: sudo scripts/proof.sh tests/proof/test_image.py")
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)
    began = time.monotonic()
    subprocess.run([ROOT / "scripts/image.sh", folder], check=True)
    print(f"\nbuilt in {time.monotonic() - began:.0f} s")  # noqa: T201 - the measurement
    yield Image(folder)
    shutil.rmtree(folder)


@pytest.fixture
def data(image: Image) -> Iterator[Path]:
    """The volume, as the image has it."""
    folder = image.folder / "data"
    shutil.copytree(image.root / "var/lib/docket", folder)
    kept = (image.root / "var/lib/docket").stat()
    os.chown(folder, kept.st_uid, kept.st_gid)
    yield folder
    shutil.rmtree(folder)


def test_it_is_small_and_has_nothing_that_builds(image: Image) -> None:
    size = sum(path.lstat().st_blocks * 512 for path in image.root.rglob("*") if not path.is_symlink())
    archive = subprocess.run(["tar", "-C", image.root, "-c", "."], capture_output=True, check=True).stdout
    download = len(gzip.compress(archive, 6))
    print(f"\n{size / MEGABYTE:.0f} MB of files, {download / MEGABYTE:.0f} MB to download")  # noqa: T201 - as above

    programs = {path.name for path in image.root.glob("**/bin/*")}

    assert size < LARGEST
    assert "python3" in programs
    assert programs.isdisjoint({"pip", "pip3", "uv", "gcc", "cc", "g++", "ld", "make", "git", "curl", "wget"})
    assert not list(image.root.glob("opt/venv/lib/python3*/site-packages/pip"))


def test_the_account_of_the_server_can_change_nothing_but_its_volume(image: Image) -> None:
    account = int(image.config["User"].partition(":")[0])

    theirs = [path for path in image.root.rglob("*") if path.lstat().st_uid == account]
    open_to_all = [
        path for path in (image.root / "opt").rglob("*") if not path.is_symlink() and path.stat().st_mode & stat.S_IWOTH
    ]

    assert theirs == [image.root / "var/lib/docket"]
    assert open_to_all == []
    assert list(image.config["Volumes"]) == ["/var/lib/docket"]


def test_a_journey_with_a_postgresql_of_its_own(image: Image, data: Path) -> None:
    with postgresql("127.0.0.1", free_port(), role="docket", password="a-secret", database="docket") as url:
        settings = {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY}
        subprocess.run(image.command(data, ["migrate", "apply"], **settings), check=True)

        with image.running(data, DATABASE_URL=url) as client:
            journey(client)

    assert list(data.iterdir()) == []


def test_it_has_what_telemetry_takes(image: Image, data: Path) -> None:
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "SENTRY_DSN": "http://key@127.0.0.1:1/7"}

    with image.running(data, **told) as client:
        assert client.get("/readyz").status_code == httpx.codes.OK


def test_a_journey_with_the_embedded_postgresql_in_the_volume(image: Image, data: Path) -> None:
    with image.running(data) as client:
        journey(client)

    with image.running(data) as client:
        journey(client)
