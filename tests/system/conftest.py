"""A live server with a fresh database, and Debian's Chromium to look at it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.ports import free_port
from tests.system.services import install_packages, program

ROOT = Path(__file__).parents[2]
QUIET = (
    "--no-sandbox",  # it refuses to start for root otherwise
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The names that resolve. The first is not that of a local host, where ReDoc's telemetry is silent anyway.
    "--host-resolver-rules=MAP docket.test 127.0.0.1, MAP localhost 127.0.0.1, EXCLUDE 127.0.0.1, MAP * ~NOTFOUND",
)


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium. What is expected of a page may come late on a busy machine."""
    expect.set_options(timeout=60_000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program("chromium"), args=QUIET, timeout=120_000)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def redocly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the locked Redocly, and no configuration that could soften its rules."""
    folder = tmp_path_factory.mktemp("redocly")
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(Path(__file__).parent / "redocly" / name, folder / name)
    install_packages(folder)
    return folder


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The URL of a server as an operator starts it, with a database of its own."""
    with serving({}) as url:
        yield url


@contextmanager
def serving(more: Mapping[str, str]) -> Iterator[str]:
    """The URL of such a server, with more settings."""
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    port = int(more.get("PORT", free_port()))
    settings = {
        "DATA_DIR": str(folder / "data"),
        "ENVIRONMENT": "development",
        "PORT": str(port),
        "RATE_LIMITS_ENABLED": "false",
        **more,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "serve"],
            cwd="/",  # so that no .env counts
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            shutil.rmtree(folder)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Fails with what the server has printed when it ends, or takes a minute."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.TransportError):  # it does not listen yet
            if httpx.get(f"{url}/readyz").status_code == httpx.codes.OK:
                return
        time.sleep(0.05)
    pytest.fail(f"The server is not ready (exit code {process.poll()}):\n{log.read_text(errors='replace')}")
