"""Three instances that are restarted one by one, the proxies before them, and people who work there meanwhile."""

import asyncio
import ssl
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import httpx
import pytest

from tests.api.test_real_server import PASSWORD, Running, running
from tests.ports import free_port
from tests.system.conftest import ROOT
from tests.system.services import PATIENCE, process, program
from tests.waiting import until

SIZE = 3
PEOPLE = 8
PROXY, PERSON = "127.0.0.1", "127.0.0.9"
LIE = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}  # what a person claims of itself
BEHIND = {
    "ENVIRONMENT": "production",
    "TRUSTED_PROXIES": PROXY,
    "ALLOWED_HOSTS": "127.0.0.1",
    "PUBLIC_URL": "https://docket.example",
    "DRAIN_SECONDS": "1",
}
Proxy: TypeAlias = Callable[[Sequence[int]], AbstractContextManager[str]]
PROBES = {"getReadiness", "getLiveness"}


@dataclass
class Fleet:
    """Instances upon one database. Their settings are the same but for the port."""

    folder: Path
    database: str
    settings: dict[str, str]
    stack: AsyncExitStack
    ports: list[int] = field(default_factory=lambda: [free_port() for _ in range(SIZE)])
    instances: list[Running] = field(default_factory=list)

    async def start(self, number: int) -> Running:
        folder = self.folder / str(number)
        folder.mkdir(exist_ok=True)
        settings = {"POOL_SIZE": "5", **self.settings, "PORT": str(self.ports[number])}
        return await self.stack.enter_async_context(running(folder, self.database, 1, **settings))

    async def restart(self) -> None:
        """Each in its turn, the next one when the last is ready, as a deployment does."""
        for number in range(SIZE):
            assert await self.instances[number].end() == (0, "")
            self.instances[number] = await self.start(number)
            async with self.instances[number].client() as direct:

                async def readiness(direct: httpx.AsyncClient = direct) -> int:
                    return (await direct.get("/readyz")).status_code

                await until(readiness, 200)

    async def addresses(self) -> set[str]:
        """Where the requests came from, as the instances have logged it."""
        lines = [line for instance in self.instances for line in instance.log()]
        return {line["address"] for line in lines if line["event"] == "request" and line["operation"] not in PROBES}


@asynccontextmanager
async def fleet(database: str, **settings: str) -> AsyncIterator[Fleet]:
    with tempfile.TemporaryDirectory(prefix="docket-") as folder:
        async with AsyncExitStack() as stack:
            three = Fleet(Path(folder), database, settings, stack)
            three.instances = list(await asyncio.gather(*(three.start(number) for number in range(SIZE))))
            yield three
            assert await asyncio.gather(*(each.end() for each in three.instances)) == [(0, "")] * SIZE


@contextmanager
def nginx(ports: Sequence[int]) -> Iterator[str]:
    """The URL of Debian's nginx before these ports, with the file of compose.yaml."""
    with make_certificate() as folder:
        file, listens = place_file("nginx.conf", folder, ports)
        command = [program("nginx"), "-p", str(folder), "-c", str(file), "-g", "daemon off;"]
        with process(command, folder / "log", listens=(PROXY, listens)):
            yield f"https://{PROXY}:{listens}"


@contextmanager
def haproxy(ports: Sequence[int]) -> Iterator[str]:
    """The URL of Debian's haproxy before these ports, with the files of ours."""
    with make_certificate() as folder:
        file, listens = place_file("haproxy.cfg", folder, ports)
        place_file("haproxy.lua", folder, ports)
        with process([program("haproxy"), "-db", "-f", str(file)], folder / "log", listens=(PROXY, listens)):
            yield f"https://{PROXY}:{listens}"


@contextmanager
def caddy(ports: Sequence[int]) -> Iterator[str]:
    """The URL of Debian's Caddy before the first of these ports, with the file of ours."""
    with make_certificate() as folder:
        file, listens = place_file("Caddyfile", folder, ports)
        told = file.read_text(encoding="utf-8").replace("127.0.0.1:8000", f"{PROXY}:{ports[0]}")
        mine = f"https://{PROXY}:{listens} {{\n\tbind {PROXY}\n\ttls {folder}/tls_certificate {folder}/tls_key\n"
        told = told.replace("api.example.com {\n", mine)
        file.write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + told, encoding="utf-8")
        command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(file)]
        home = {"HOME": str(folder)}
        with process(command, folder / "log", listens=(PROXY, listens), environment=home):
            wait_for_certificate(listens)
            yield f"https://{PROXY}:{listens}"


def wait_for_certificate(port: int) -> None:
    """Caddy may listen before it has read it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(ssl.SSLError):
            ssl.get_server_certificate((PROXY, port))
            return
        time.sleep(0.05)
    pytest.fail("Caddy has no certificate")


def place_file(name: str, folder: Path, ports: Sequence[int]) -> tuple[Path, int]:
    """A file of deploy/ with our addresses and paths in the place of its own, and the port where it has TLS."""
    listens = free_port()
    ours = {f"172.28.0.{number}:8000": f"{PROXY}:{port}" for number, port in enumerate(ports, 11)}
    once = free_port()
    ours |= {"172.28.0.10:8081": f"{PROXY}:{once}", "8081 $": f"{once} $"}
    ours |= {"172.28.0.10:8443": f"{PROXY}:{listens}", "172.28.0.10:8080": f"{PROXY}:{free_port()}"}
    ours |= {"172.28.0.10": PROXY, " /tmp": f" {folder}", "/run/secrets": str(folder), "/etc/haproxy": str(folder)}
    told = (ROOT / "deploy" / name).read_text(encoding="utf-8")
    for theirs, mine in ours.items():
        told = told.replace(theirs, mine)
    file = folder / name
    file.write_text(told, encoding="utf-8")
    return file, listens


@contextmanager
def make_certificate() -> Iterator[Path]:
    """A folder with a key and a certificate that no authority has signed."""
    with tempfile.TemporaryDirectory(prefix="docket-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # for the accounts of the proxies
        key, certificate = folder / "tls_key", folder / "tls_certificate"
        files = ["-keyout", str(key), "-out", str(certificate)]
        command = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=docket", *files]
        subprocess.run(command, check=True, capture_output=True)
        (folder / "tls.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
        yield folder


@dataclass
class Seen:
    """What people were answered, how long each answer took in seconds, and what else became of requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def working(url: str) -> AsyncIterator[Seen]:
    """People who read and write there without pause, and lie about where they are."""
    seen, over = Seen(), asyncio.Event()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    transport = httpx.AsyncHTTPTransport(verify=context, local_address=PERSON)
    async with httpx.AsyncClient(base_url=url, transport=transport, headers=LIE, timeout=20) as client:
        account = {"email": "ada@example.com", "password": PASSWORD}
        (await client.post("/api/v1/auth/register", json=account)).raise_for_status()
        token = (await client.post("/api/v1/auth/login", json=account)).json()["access_token"]
        client.headers["authorization"] = f"Bearer {token}"
        async with asyncio.TaskGroup() as group:
            for _ in range(PEOPLE):
                group.create_task(work(client, seen, over))
            try:
                yield seen
            finally:
                over.set()


async def work(client: httpx.AsyncClient, seen: Seen, over: asyncio.Event) -> None:
    """One who writes a task, reads it and corrects it, again and again."""
    path = ""
    while not over.is_set():
        if not path:
            body = await send_and_note(seen, client, "POST", "/api/v1/tasks", {"title": "Feed the pelican"})
            path = f"/api/v1/tasks/{body['id']}" if body else ""
        else:
            await send_and_note(seen, client, "GET", path, None)
            await send_and_note(seen, client, "PUT", path, {"title": "Feed both pelicans"})
            path = ""


async def send_and_note(
    seen: Seen, client: httpx.AsyncClient, method: str, path: str, body: dict[str, str] | None
) -> dict[str, str] | None:
    """Send a request and note what becomes of it. What comes back is the body of a good answer."""
    began = time.monotonic()
    try:
        answer = await client.request(method, path, json=body)
    except httpx.TransportError as error:
        seen.failures.append(f"{method}: {error!r}")
        return None
    seen.took.append(time.monotonic() - began)
    seen.statuses[answer.status_code] += 1
    if not answer.is_success:
        seen.failures.append(f"{method}: {answer.status_code} {answer.text[:200]}")
        return None
    return dict(answer.json())
