"""The operations tagged `tasks`, as callers meet them."""

from tests.client import ApiClient
from tests.factories import Factory


class TestTaskCreate:
    async def test_a_task_with_a_title_alone_gets_the_defaults(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()

        task = await api.as_(ada).post("/tasks", {"title": "Ship it"})

        assert task["status"] == "pending"
        assert task["priority"] == "medium"
        assert task.headers["location"] == f"/api/v1/tasks/{task['id']}"
