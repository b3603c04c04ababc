"""What has 100,000 tasks is deleted, whatever people do in it; those who work elsewhere notice nothing of it."""

import asyncio
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.outages import serve
from tests.proof.test_export import TASKS, fill, signed_in
from tests.waiting import until

WORKERS = 4  # inside and outside
MOST = 1.0  # seconds that an answer takes outside; PostgreSQL ends a deadlock after one, a wait for a lock after 1.5
PASSWORD = "a pelican reads the timetable"
PATCH = {"content-type": "application/merge-patch+json"}
SETTLED = {  # by what is deleted: what people are answered who work inside; 503 if it takes longer than they wait
    "team": {200, 201, 404, 503},
    "account": {200, 201, 401, 404, 503},
    "author": {200, 201},
}


@dataclass
class Told:
    """How often people were answered which status, and after how many seconds at most."""

    statuses: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0

    async def work(self, client: httpx.AsyncClient, organization_id: str, over: asyncio.Event) -> None:
        """List tasks there, make and change one, and touch the organization, until it is over."""
        made, task = {"title": "Mine", "organization_id": organization_id}, organization_id
        while not over.is_set():
            await self.ask(client, "GET", f"/tasks?organization_id={organization_id}")
            task = (await self.ask(client, "POST", "/tasks", made)).json().get("id", task)
            await self.ask(client, "PATCH", f"/tasks/{task}", {"title": "Yours"})
            await self.ask(client, "PATCH", f"/organizations/{organization_id}", {"name": "Ours"})

    async def ask(
        self, client: httpx.AsyncClient, method: str, path: str, body: dict[str, str] | None = None
    ) -> httpx.Response:
        headers = PATCH if method == "PATCH" else {"content-type": "application/json"} if body else {}
        began = time.monotonic()
        answer = await client.request(method, path, content=json.dumps(body) if body else None, headers=headers)
        self.longest = max(self.longest, time.monotonic() - began)
        self.statuses[answer.status_code] += 1
        return answer


async def everybody_wrote(*told: Told) -> bool:
    return all(each.statuses[httpx.codes.CREATED] >= WORKERS for each in told)


@pytest.mark.parametrize("what", SETTLED)
async def test_it_is_deleted_while_people_work_in_it_and_elsewhere(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    inside, outside, over = Told(), Told(), asyncio.Event()
    with tempfile.TemporaryDirectory(prefix="docket-") as name:
        folder = Path(name, "data")
        folder.parent.chmod(0o755)  # for the account that runs PostgreSQL for root
        async with (
            serve(folder) as server,
            signed_in(server.url, email="ada@example.com", password=PASSWORD) as (ada, ada_id),
            signed_in(server.url, email="bob@example.com", password=PASSWORD) as (bob, _),
        ):
            place = await fill(folder, ada_id if what == "account" else None, ada_id)
            async with (
                signed_in(server.url, email="eve@example.com", password=PASSWORD) as (eve, eve_id),
                asyncio.TaskGroup() as group,
            ):
                insider = ada if what == "account" else bob
                for told, who, where in ((inside, insider, place), (outside, eve, eve_id)) * WORKERS:
                    group.create_task(told.work(who, where, over))
                await until(partial(everybody_wrote, inside, outside), answer=True)
                began = time.monotonic()
                answer = await ada.delete(f"/organizations/{place}" if what == "team" else "/users/me")
                seconds = time.monotonic() - began
                over.set()

    with capsys.disabled():
        print(f"\n{TASKS} tasks, {what}: {answer.status_code} in {seconds:.2f} s")  # noqa: T201 - the figures are what the proof is run for
        for where, told in (("inside", inside), ("outside", outside)):
            print(f"{where}: {dict(told.statuses)}, the longest took {told.longest:.2f} s")  # noqa: T201 - as above
    assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
    assert set(inside.statuses) <= SETTLED[what]
    assert set(outside.statuses) <= {200, 201}
    assert outside.longest <= MOST
