"""A fresh clone under each Python that is supported: the first start, and a journey."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.system.clones import Clone, clone, python

ACCOUNT = {"email": "ada@example.com", "password": "nine lives of a lighthouse"}


@pytest.fixture
def docket() -> Iterator[Clone]:
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    yield clone(folder / "docket")
    shutil.rmtree(folder)


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_a_journey_from_the_first_start_to_a_listed_task(docket: Clone, version: str) -> None:
    with docket.serving(PYTHON=python(version)) as url, httpx.Client(base_url=f"{url}/api/v1", timeout=60) as client:
        assert client.post("/auth/register", json=ACCOUNT).status_code == httpx.codes.CREATED
        signed_in = client.post("/auth/login", json=ACCOUNT).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
        task = client.post("/tasks", json={"title": "Light the lamp"}).raise_for_status().json()

        assert client.get("/tasks").raise_for_status().json()["items"] == [task]
    assert (docket.folder / f".venv/lib/python{version}").is_dir()
