"""Writers that change what they can at once, and readers that keep a copy of it: one by changes, others as is usual."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from typing import Any

import asyncpg

from persistence.engine.pool import Pool
from tests.client import ApiClient

NUMBERED = "SELECT seq, subject_id, version FROM events WHERE seq > $1 ORDER BY seq"
MOVES = 0.15
TASKS = 20


class Copy:
    """Tasks by their ids, as `listChanges` tells of them. What is told twice, or goes back, is written down."""

    def __init__(self, client: ApiClient) -> None:
        self.client = client
        self.cursor: str | None = None
        self.tasks: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, int] = {}
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def begin(self) -> None:
        """Take a cursor, then list everything."""
        self.cursor = (await self.client.get("/changes"))["next_cursor"]
        self.tasks = {task["id"]: task for task in await list_tasks(self.client)}

    async def follow(self, wait: int = 0) -> bool:
        """Read a page, whose answer may get lost: then it is asked for again. What comes back is whether it had any."""
        page = await self.client.get("/changes", cursor=self.cursor, limit=100, wait=wait)
        if random.random() < 0.3:  # noqa: S311 - as a network that drops answers
            return True
        for change in page["items"]:
            self.take(change)
        self.cursor = page["next_cursor"]
        return bool(page["items"])

    def take(self, change: dict[str, Any]) -> None:
        kind, of, version = change["type"], change["subject"]["id"], change["version"]
        self.seen[change["id"]] += 1
        if change["subject"]["type"] != "task":
            return
        if version < self.versions.get(of, 0):
            self.wrong.append(f"{of} goes back from {self.versions[of]} to {version} by {kind}")
        self.versions[of] = version
        if kind != "task.deleted":
            self.tasks[of] = change["data"]
        elif of in self.tasks and self.tasks[of]["organization_id"] == change["organization_id"]:
            del self.tasks[of]


async def list_tasks(client: ApiClient, **asked: Any) -> list[dict[str, Any]]:
    """All tasks that the client sees, page by page."""
    tasks: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await client.get("/tasks", scope="all", limit=200, **asked, **cursor)
        tasks += page["items"]
        if page["next_cursor"] is None:
            return tasks
        cursor = {"cursor": page["next_cursor"]}


class Numbered:
    """Who follows the numbers of the log, `id > last`, as is usual: what is committed late is never read."""

    def __init__(self, db: Pool) -> None:
        self.db, self.last, self.read = db, 0, 0

    async def follow(self) -> None:
        rows = await self.db.fetch(NUMBERED, [self.last])
        self.read += len(rows)
        self.last = rows[-1]["seq"] if rows else self.last


class Writers:
    """Change the same tasks in two places until so many changes are made."""

    def __init__(self, client: ApiClient, places: list[str], db: Pool, changes: int) -> None:
        self.client, self.places, self.db, self.left = client, places, db, changes
        self.tasks: list[str] = []

    async def run(self, number: int) -> None:
        self.tasks += [await self.create() for _ in range(max(1, number // 4))]
        await asyncio.gather(*[self.write() for _ in range(number)], self.hold())

    async def create(self) -> str:
        task: str = (await self.client.post("/tasks", {"title": "A task", "organization_id": self.place()}))["id"]
        return task

    def place(self) -> str:
        return random.choice(self.places)  # noqa: S311 - which one matters not

    async def write(self) -> None:
        while self.left > 0:
            self.left -= 1
            chance = random.random()  # noqa: S311 - any will do
            if len(self.tasks) < TASKS:
                self.tasks.append(await self.create())
                continue
            task = random.choice(self.tasks)  # noqa: S311 - any will do
            with suppress(AssertionError):  # somebody else has deleted it: the client expects 200
                if chance < MOVES:
                    await self.client.patch(f"/tasks/{task}", {"organization_id": self.place(), "title": f"{chance}"})
                elif chance < 2 * MOVES:
                    self.tasks.remove(task)
                    await self.client.delete(f"/tasks/{task}")
                else:
                    await self.client.patch(f"/tasks/{task}", {"title": f"At {chance}"})

    async def hold(self) -> None:
        """Begin transactions and write in them late, so that older ones write newer versions."""
        while self.left > 0:
            with suppress(asyncpg.PostgresError):  # the task is moved or deleted meanwhile, or it is a deadlock
                async with self.db.transaction() as older:
                    await older.fetch("SELECT pg_current_xact_id()", [])
                    await asyncio.sleep(0.05)
                    await older.fetch(
                        "UPDATE tasks SET title = 'By an older one', version = version + 1,"
                        " updated_at = clock_timestamp() WHERE id = $1",
                        [self.tasks[-1]],
                    )


async def follow_all(client: ApiClient, places: list[str], db: Pool, *, changes: int) -> tuple[Copy, Numbered]:
    """Let writers make so many changes while readers follow, and read the rest. What comes back are the readers."""
    copy, numbered = Copy(client), Numbered(db)
    await copy.begin()
    numbered.last = (await db.fetch("SELECT last_value FROM event_seq", []))[0][0]
    writing = asyncio.create_task(Writers(client, places, db, changes).run(8))
    while not writing.done():
        await copy.follow()
        await numbered.follow()
    await writing
    last = (await client.post("/tasks", {"title": "The last one"}))["id"]
    async with asyncio.timeout(120):
        while last not in copy.tasks:
            await copy.follow(wait=2)
    await numbered.follow()
    return copy, numbered
