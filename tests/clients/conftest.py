"""The live server of the tests of the system, and the rows of the table in docs/clients.md."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.packages import GENERATORS, Node, version
from tests.system.conftest import serving

SUPERUSER = {"EMAIL": "root@example.com", "PASSWORD": "the lighthouse keeper's cat"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--table", type=Path, help="the file that the row of each generator is appended to")


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The URL of a server as an operator starts it, with a superuser that the journeys know."""
    with (
        pytest.MonkeyPatch.context() as patch,
        serving({f"FIRST_SUPERUSER_{k}": v for k, v in SUPERUSER.items()}) as url,
    ):
        for name, value in SUPERUSER.items():
            patch.setenv(f"SUPERUSER_{name}", value)
        yield url


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Write what came of a generator."""
    page: Path | None = request.config.getoption("--table")

    def write(name: str, *, compiled: str, journey: str, seen: list[str]) -> None:
        generator = GENERATORS[name]
        place = f"[{journey}](../tests/clients/{generator['folder']}/{journey})" if journey else "no"
        newer = f"{generator['newer']}." if "newer" in generator else ""
        remarks = [*settings(generator), *seen, generator.get("remarks", ""), newer]
        row = [name, version(name), "yes", compiled, place, " ".join(filter(None, remarks))]
        if page is not None:
            with page.open("a", encoding="utf-8") as rows:
                rows.write(json.dumps(row) + "\n")

    return write


def settings(generator: Node) -> Iterator[str]:
    """What was given to a generator, in a sentence each."""
    given = {
        **generator.get("settings", {}),
        **{f"modelNameMappings.{a}": b for a, b in generator.get("renames", {}).items()},
    }
    if given:
        yield ", ".join(f"`{key}={value}`".replace("=True", "=true") for key, value in given.items()) + "."
