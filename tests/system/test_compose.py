"""What compose.yaml and compose.dev.yaml start, started as processes with the commands and settings of these files.

A container has an address of its own in 172.28.0.0/24; here it is the same one in 127.28.0.0/24, or in the first such
network that no other run has.
"""

import asyncio
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.system.clones import clone
from tests.system.conftest import ROOT, wait_until_ready
from tests.system.journey import journey
from tests.system.postgres import postgresql
from tests.system.services import folder_for, mortal, process, program
from tests.waiting import until

INSTANCES = ("api1", "api2", "api3")
ALERTS = {"docs/monitoring/alerts.yaml": "docket-alerts.yaml"}  # where Prometheus has them
LIMIT = 100  # requests of an address in a minute
FROM_ENV = {"ALLOWED_HOSTS": "docket.test,172.28.0.10,172.28.0.11"}  # what `.env` beside the compose file says


class Composed:
    """A compose file whose services run here."""

    def __init__(self, name: str, folder: Path) -> None:
        document: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
        self.services: dict[str, dict[str, Any]] = document["services"]
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.stack = ExitStack()
        self.network = claim_network(self.stack)

    def address(self, service: str) -> str:
        networks = self.services[service].get("networks")
        told = networks["inner"]["ipv4_address"] if networks else f"172.28.1.{list(self.services).index(service) + 1}"
        return self.here(told)

    def here(self, text: str) -> str:
        """A text of these files with this machine's names for the same things."""
        text = re.sub(r"\$\{(\w+):[-?].*?\}", lambda found: FROM_ENV.get(found[1], ""), text)
        text = text.replace("172.28.", self.network)
        names = re.compile(rf"\b({'|'.join(self.services)})(?=:\d|$)")
        text = names.sub(lambda found: self.address(found[1]), text)
        text = text.replace("/tmp/", f"{self.folder}/").replace("/run/secrets", f"{self.folder}/secrets")  # noqa: S108
        return text.replace("/etc/prometheus/", f"{self.folder}/").replace("=/prometheus", f"={self.folder}/measured")

    def environment(self, service: str) -> dict[str, str]:
        return {name: self.here(value) for name, value in self.services[service].get("environment", {}).items()}

    def docket(self, service: str) -> tuple[list[str], dict[str, str]]:
        """The command of a service that runs our image, with what the image adds to the settings."""
        command = [sys.executable, "-m", "server", *self.services[service].get("command", ["serve"])]
        image = {"HOST": self.address(service), "PORT": "8000", "DATA_DIR": str(self.folder / "data")}
        return command, {"PATH": os.environ["PATH"], **image, **self.environment(service)}

    def start_postgresql(self) -> None:
        told = self.environment("postgres")
        file = told.get("POSTGRES_PASSWORD_FILE")
        password = Path(file).read_text(encoding="utf-8").strip() if file else told["POSTGRES_PASSWORD"]
        role, database = told["POSTGRES_USER"], told["POSTGRES_DB"]
        place = self.address("postgres")
        self.stack.enter_context(postgresql(place, 5432, role=role, password=password, database=database))

    def start(self, service: str, *more: str, port: int, user: str | None = None) -> None:
        name, *arguments = self.services[service]["command"]
        log, listens = self.folder / f"{service}.log", (self.address(service), port)
        command = [program(name), *(self.here(str(argument)) for argument in arguments), *more]
        self.running[service] = self.stack.enter_context(process(command, log, listens=listens, user=user))

    def start_docket(self, service: str, cwd: Path) -> None:
        command, environment = self.docket(service)
        log = self.folder / f"{service}.log"
        with log.open("wb") as output:
            started = subprocess.Popen(
                mortal(command), cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.running[service] = started
        self.stack.callback(started.wait, 30)
        self.stack.callback(started.terminate)
        wait_until_ready(f"http://{self.address(service)}:8000", started, log)


def claim_network(stack: ExitStack) -> str:
    """How the addresses of a network begin that is ours as long as the stack lasts, and we do."""
    for number in range(28, 256):
        with suppress(OSError):  # another run listens there
            stack.enter_context(socket.create_server((f"127.{number}.0.1", 8000)))
            return f"127.{number}."
    pytest.fail("Every network from 127.28.0.0 on is taken")


@contextmanager
def compose(name: str) -> Iterator[Composed]:
    with folder_for("postgres") as folder:
        these = Composed(name, folder)
        with these.stack:
            yield these


@pytest.fixture(scope="module")
def production() -> Iterator[Composed]:
    with compose("compose.yaml") as these:
        make_secrets(these)
        these.start_postgresql()
        these.start("redis", "--bind", these.address("redis"), port=6379)
        command, environment = these.docket("migrate")
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        for service in INSTANCES:
            these.start_docket(service, ROOT)
        told = these.folder / "nginx.conf"
        told.write_text(these.here((ROOT / "deploy/nginx.conf").read_text(encoding="utf-8")), encoding="utf-8")
        these.start("nginx", "-c", str(told), "-e", "stderr", port=8443, user="postgres")
        for source, name in {"deploy/prometheus.yaml": "prometheus.yaml", **ALERTS}.items():
            text = these.here((ROOT / source).read_text(encoding="utf-8"))
            (these.folder / name).write_text(text, encoding="utf-8")
        these.start("prometheus", f"--web.listen-address={these.address('prometheus')}:9090", port=9090)
        yield these


def make_secrets(production: Composed) -> None:
    subprocess.run([ROOT / "scripts/secrets.sh"], cwd=production.folder, check=True)
    folder = production.folder / "secrets"
    folder.chmod(0o755)  # a container has these files, not their folder, and no other accounts
    for name in production.services["api1"]["secrets"]:
        (folder / name).chmod(0o400)
    url = folder / "redis_url"
    url.write_text(production.here(url.read_text(encoding="utf-8")), encoding="utf-8")


@pytest.fixture
def client(production: Composed) -> Iterator[httpx.Client]:
    with client_from("127.0.0.1", production) as client:
        yield client


def client_from(place: str, production: Composed) -> httpx.Client:
    """Somebody who asks nginx from this address."""
    context = ssl.create_default_context(cafile=str(production.folder / "secrets/tls_certificate"))
    context.check_hostname = False  # it is that of another host
    transport = httpx.HTTPTransport(verify=context, local_address=place)
    return httpx.Client(base_url=f"https://{production.address('nginx')}:8443", transport=transport, timeout=20)


@pytest.mark.parametrize("name", ["compose.yaml", "compose.dev.yaml"])
def test_the_file_is_what_the_specification_allows(name: str) -> None:
    command = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(ROOT / name)]
    checked = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_every_secret_that_is_named_is_made_and_no_other(production: Composed) -> None:
    document = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    made = {f"./secrets/{path.name}" for path in (production.folder / "secrets").iterdir()}

    assert made == {secret["file"] for secret in document["secrets"].values()}


async def test_the_journey_passes_through_nginx_and_all_three_instances(
    client: httpx.Client, production: Composed
) -> None:
    async def list_passed() -> list[str]:
        logs = {service: production.folder / f"{service}.log" for service in INSTANCES}
        return [service for service, log in logs.items() if b"/api/v1/" in log.read_bytes()]

    await asyncio.to_thread(journey, client)

    await until(list_passed, list(INSTANCES))  # an instance writes its lines after its answers


async def test_prometheus_asks_each_instance_by_itself_and_knows_the_alerts(production: Composed) -> None:
    async with httpx.AsyncClient(base_url=f"http://{production.address('prometheus')}:9090/api/v1") as client:

        async def read_targets() -> dict[str, str]:
            targets = (await client.get("/targets")).json()["data"]["activeTargets"]
            return {target["labels"]["instance"]: target["health"] for target in targets}

        await until(read_targets, {f"{production.address(service)}:8000": "up" for service in INSTANCES}, seconds=60)
        groups = (await client.get("/rules")).json()["data"]["groups"]

    known = {rule["name"] for group in groups for rule in group["rules"]}
    [source] = ALERTS
    assert known == set(re.findall(r"alert: (\w+)", (ROOT / source).read_text(encoding="utf-8")))


def test_who_has_no_token_or_password_learns_nothing(production: Composed) -> None:
    refused = httpx.get(f"http://{production.address('api1')}:8000/metrics")
    with socket.create_connection((production.address("redis"), 6379), timeout=5) as connection:
        connection.sendall(b"DBSIZE\r\n")

        assert connection.recv(100).startswith(b"-NOAUTH")
    assert refused.status_code == httpx.codes.UNAUTHORIZED


def test_without_tls_one_is_sent_to_where_there_is(production: Composed) -> None:
    answer = httpx.get(f"http://{production.address('nginx')}:8080/docs", headers={"Host": "docket.test"})

    assert answer.status_code == httpx.codes.PERMANENT_REDIRECT
    assert answer.headers["Location"] == "https://docket.test/docs"


def test_an_instance_that_is_asked_directly_refuses_and_what_a_client_claims_does_not_count(
    production: Composed,
) -> None:
    claims = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"}

    answer = httpx.get(f"http://{production.address('api1')}:8000/api/v1/tasks", headers=claims)

    assert answer.json()["code"] == "https_required"


def test_reads_go_on_while_an_instance_stops_and_another_is_killed(client: httpx.Client, production: Composed) -> None:
    def ask(number: int) -> int | None:
        if number == 200:
            production.running["api1"].terminate()
        if number == 400:
            production.running["api2"].kill()
        try:
            return client.get("/livez").status_code
        except httpx.RemoteProtocolError:
            return None

    with ThreadPoolExecutor(8) as people:
        statuses = Counter(people.map(ask, range(600)))
    cut = statuses.pop(None, 0)
    assert cut <= 1  # what the killed one was in the midst of
    assert statuses == {httpx.codes.OK: 600 - cut}
    assert production.running["api1"].wait(30) == 0

    for service in ("api1", "api2"):
        production.start_docket(service, ROOT)


async def test_the_instances_count_requests_together(production: Composed) -> None:
    places = (f"127.0.1.{number}" for number in count(1))

    async def ask_first() -> Counter[int]:
        """What one is told who was never here before; a busy machine may need a second."""
        with client_from(next(places), production) as client, ThreadPoolExecutor(8) as people:
            asked = people.map(lambda _: client.get("/").status_code, range(2 * LIMIT))
            return await asyncio.to_thread(Counter, asked)

    await until(ask_first, {httpx.codes.OK: LIMIT, httpx.codes.TOO_MANY_REQUESTS: LIMIT})


def test_in_development_a_changed_file_is_served_at_once() -> None:
    source = Path(tempfile.mkdtemp(prefix="docket-"))
    source.chmod(0o755)
    try:
        checkout = clone(source / "docket").folder
        with compose("compose.dev.yaml") as these:
            these.start_postgresql()
            these.start_docket("api", checkout)
            url = f"http://{these.address('api')}:8000/livez"
            before = httpx.get(url).headers["API-Version"]
            code = checkout / "generated/operations.py"
            text = code.read_text(encoding="utf-8")
            code.write_text(text.replace(f'VERSION = "{before}"', 'VERSION = "9.9.9"'), encoding="utf-8")

            deadline = time.monotonic() + 60
            while (found := version_at(url)) != "9.9.9" and time.monotonic() < deadline:
                time.sleep(0.1)
            assert found == "9.9.9"
    finally:
        shutil.rmtree(source)


def version_at(url: str) -> str | None:
    try:
        return httpx.get(url, timeout=5).headers["API-Version"]
    except httpx.TransportError:  # it starts anew
        return None


def test_two_runs_at_once_have_networks_of_their_own() -> None:
    with ExitStack() as one, ExitStack() as other:
        assert claim_network(one) != claim_network(other)
