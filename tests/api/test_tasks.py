"""The operations tagged `tasks`, as callers meet them. A source counts these classes and their tests."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests.client import METADATA, ApiClient
from tests.factories import Factory


class TestTaskCreate:
    async def test_a_task_with_a_title_alone_gets_the_defaults(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()

        task = await api.as_(ada).post("/tasks", {"title": "Ship it"})

        assert (task["title"], task["status"], task["priority"]) == ("Ship it", "pending", "medium")
        assert (task["description"], task["due_date"], task["completed_at"]) == (None, None, None)
        assert (task["organization_id"], task["user_id"]) == (str(ada.id), str(ada.id))
        assert task.headers["location"] == f"/api/v1/tasks/{task['id']}"
        assert task.headers["etag"] == '"1.1"'

    async def test_a_task_is_all_that_was_asked_for_with_its_instant_in_utc(
        self, api: ApiClient, make: Factory
    ) -> None:
        ada = api.as_(await make.user())
        wanted = {"title": "Ünïcödé 🦩", "description": " as\nit is ", "status": "completed", "priority": "urgent"}

        task = await ada.post("/tasks", wanted | {"due_date": "2026-02-06T18:00:00.25+01:00"})

        assert wanted.items() <= task.body.items()
        assert task["due_date"] == "2026-02-06T17:00:00.250000Z"
        assert (task["completed"], task["completed_at"]) == (True, task["created_at"])
        assert (await ada.get(f"/tasks/{task['id']}")).body == task.body

    async def test_a_title_is_one_line_of_at_most_200_characters(self, api: ApiClient, make: Factory) -> None:
        ada = api.as_(await make.user())

        for body in ({}, {"title": ""}, {"title": " padded"}, {"title": "x" * 201}, {"title": "\U000e0041"}):
            problem = await ada.post("/tasks", body, expect=422)

            assert (problem["code"], problem["errors"][0]["pointer"]) == ("validation_error", "/title")
        assert (await ada.get("/tasks"))["items"] == []

    async def test_nobody_creates_a_task_without_signing_in(self, api: ApiClient) -> None:
        assert (await api.post("/tasks", {"title": "Ship it"}, expect=401))["code"] == "authentication_required"


class TestTaskList:
    async def test_one_who_has_no_tasks_gets_an_empty_page(self, api: ApiClient, make: Factory) -> None:
        page = await api.as_(await make.user()).get("/tasks")

        assert page.body == {"items": [], "next_cursor": None, "has_more": False, "total_count": None}
        assert "link" not in page.headers

    async def test_the_newest_task_comes_first(self, api: ApiClient, make: Factory) -> None:
        ada = api.as_(await make.user())
        made = [await ada.post("/tasks", {"title": title}) for title in ("one", "two", "three")]

        page = await ada.get("/tasks")

        assert page["items"] == [task.body for task in reversed(made)]

    async def test_other_peoples_tasks_are_not_listed(self, api: ApiClient, make: Factory) -> None:
        ada, bob = await make.user(), await make.user()
        await make.task(ada.id, ada)

        assert (await api.as_(bob).get("/tasks"))["items"] == []

    async def test_a_status_filters(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        for status in ("pending", "in_progress", "completed", "cancelled"):
            await make.task(ada.id, ada, title=status, status=status)

        page = await api.as_(ada).get("/tasks", status="completed")

        assert [task["title"] for task in page["items"]] == ["completed"]

    async def test_a_cursor_leads_to_the_next_page(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        for number in range(3):
            await make.task(ada.id, ada, title=f"{number}")

        first = await api.as_(ada).get("/tasks", limit=2, sort="title")
        last = await api.as_(ada).get("/tasks", limit=2, sort="title", cursor=first["next_cursor"])

        assert [task["title"] for task in first["items"]] == ["0", "1"]
        assert [task["title"] for task in last["items"]] == ["2"]
        assert (first["has_more"], last["has_more"], last["next_cursor"]) == (True, False, None)

    async def test_nobody_lists_tasks_without_signing_in(self, api: ApiClient) -> None:
        assert (await api.get("/tasks", expect=401)).headers["www-authenticate"] == f"Bearer {METADATA}"


class TestTaskGet:
    async def test_a_task_is_read_with_its_entity_tag(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, title="Read me", version=7)

        task = await api.as_(ada).get(f"/tasks/{task_id}")

        assert (task["id"], task["title"], task.headers["etag"]) == (str(task_id), "Read me", '"7.1"')

    async def test_a_task_that_is_not_there_is_not_found(self, api: ApiClient, make: Factory) -> None:
        problem = await api.as_(await make.user()).get(f"/tasks/{uuid4()}", expect=404)

        assert problem["code"] == "not_found"

    async def test_somebody_elses_task_is_not_found(self, api: ApiClient, make: Factory) -> None:
        ada, bob = await make.user(), await make.user()
        task_id = await make.task(ada.id, ada)

        await api.as_(bob).get(f"/tasks/{task_id}", expect=404)

    async def test_an_id_that_is_no_uuid_is_not_found(self, api: ApiClient, make: Factory) -> None:
        await api.as_(await make.user()).get("/tasks/17", expect=404)


class TestTaskUpdate:
    async def test_a_patch_changes_what_it_names_and_nothing_else(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, title="Before", description="Kept")

        task = await api.as_(ada).patch(f"/tasks/{task_id}", {"title": "After"})

        assert (task["title"], task["description"], task["version"]) == ("After", "Kept", 2)
        assert task.headers["etag"] == '"2.1"'
        assert (await api.as_(ada).get(f"/tasks/{task_id}")).body == task.body

    async def test_null_clears(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, description="Gone soon", due_date=datetime.now(UTC))

        task = await api.as_(ada).patch(f"/tasks/{task_id}", {"description": None, "due_date": None})

        assert (task["description"], task["due_date"]) == (None, None)

    async def test_to_replace_a_task_is_to_forget_what_is_not_said_again(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        old = {"description": "Old", "status": "completed", "priority": "urgent", "due_date": datetime.now(UTC)}
        task_id = await make.task(ada.id, ada, **old)

        task = await api.as_(ada).put(f"/tasks/{task_id}", {"title": "New"})

        assert (task["title"], task["status"], task["priority"]) == ("New", "pending", "medium")
        assert (task["description"], task["due_date"], task["completed_at"]) == (None, None, None)

    async def test_a_change_to_a_stale_version_is_refused(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, title="Theirs", version=2)

        stale = api.as_(ada).with_headers(If_Match='"1"')
        problem = await stale.patch(f"/tasks/{task_id}", {"title": "Mine"}, expect=412)

        assert (problem["code"], problem.headers["etag"]) == ("precondition_failed", '"2.1"')
        assert (await api.as_(ada).get(f"/tasks/{task_id}"))["title"] == "Theirs"

    async def test_somebody_elses_task_is_not_found(self, api: ApiClient, make: Factory) -> None:
        ada, bob = await make.user(), await make.user()
        task_id = await make.task(ada.id, ada, title="Mine")

        await api.as_(bob).patch(f"/tasks/{task_id}", {"title": "Yours"}, expect=404)

        assert (await api.as_(ada).get(f"/tasks/{task_id}"))["title"] == "Mine"


class TestTaskToggleComplete:
    @pytest.mark.parametrize("digits", ["1", "123456", "1234567", "123456789"])
    async def test_digits_after_the_microsecond_are_cut_off(self, api: ApiClient, make: Factory, digits: str) -> None:
        ada = api.as_(await make.user())

        task = await ada.post("/tasks", {"title": "Ship it", "due_date": f"2026-01-31T09:30:00.{digits}Z"})

        assert task["due_date"] == f"2026-01-31T09:30:00.{digits[:6]:0<6}Z"
        due = f"2026-01-31T09:30:00.{digits}Z"
        assert (await ada.get("/tasks", due_after=due))["items"] == [task.body]

    async def test_a_task_is_completed_and_taken_up_again(self, api: ApiClient, make: Factory) -> None:
        ada = api.as_(await make.user())
        task = await ada.post("/tasks", {"title": "Ship it", "status": "in_progress"})
        path = f"/tasks/{task['id']}/complete"

        completed = await ada.send("PATCH", path, expect=200)
        reopened = await ada.send("PATCH", path, expect=200)

        assert (completed["status"], completed["completed"], reopened["status"]) == ("completed", True, "pending")
        assert completed["completed_at"] == completed["updated_at"]
        assert (reopened["completed_at"], reopened["version"]) == (None, 3)

    async def test_a_body_says_what_it_shall_be_and_can_be_repeated(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        path = f"/tasks/{await make.task(ada.id, ada)}/complete"

        said = [await api.as_(ada).send("PATCH", path, expect=200, json={"completed": True}) for _ in range(2)]

        assert [task["status"] for task in said] == ["completed", "completed"]
        assert [task["version"] for task in said] == [2, 2]

    async def test_false_leaves_a_task_alone_that_is_not_completed(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        task_id = await make.task(ada.id, ada, status="cancelled")

        task = await api.as_(ada).send("PATCH", f"/tasks/{task_id}/complete", expect=200, json={"completed": False})

        assert (task["status"], task["version"]) == ("cancelled", 1)

    async def test_somebody_elses_task_is_not_found(self, api: ApiClient, make: Factory) -> None:
        ada, bob = await make.user(), await make.user()
        task_id = await make.task(ada.id, ada)

        await api.as_(bob).send("PATCH", f"/tasks/{task_id}/complete", expect=404)

        assert (await api.as_(ada).get(f"/tasks/{task_id}"))["status"] == "pending"


class TestTaskDelete:
    async def test_a_deleted_task_is_gone_and_a_second_time_not_found(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        path = f"/tasks/{await make.task(ada.id, ada)}"

        deleted = await api.as_(ada).delete(path)

        assert deleted.content == b""
        await api.as_(ada).delete(path, expect=404)
        await api.as_(ada).get(path, expect=404)

    async def test_a_stale_version_is_not_deleted(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        path = f"/tasks/{await make.task(ada.id, ada, version=2)}"

        await api.as_(ada).with_headers(If_Match='"1"').delete(path, expect=412)

        await api.as_(ada).get(path)

    async def test_somebody_elses_task_is_not_found(self, api: ApiClient, make: Factory) -> None:
        ada, bob = await make.user(), await make.user()
        path = f"/tasks/{await make.task(ada.id, ada)}"

        await api.as_(bob).delete(path, expect=404)

        await api.as_(ada).get(path)


class TestHealthCheck:
    async def test_the_server_says_how_it_is(self, api: ApiClient) -> None:
        assert (await api.get("//health"))["status"] == "pass"
