"""Conditional requests upon a task (RFC 9110, 13.1), and what counts as a change."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from persistence.engine.pool import Pool
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import Answer, ApiClient
from tests.conftest import Bench
from tests.factories import NOW, Factory

WRITES: dict[str, tuple[str, str, Any]] = {
    "replace": ("PUT", "", {"title": "Changed"}),
    "update": ("PATCH", "", {"title": "Changed"}),
    "toggle": ("PATCH", "/complete", {"completed": True}),
    "delete": ("DELETE", "", None),
}
NAMES_IT = ['"3.1"', '"1", "3.1"', '"3.1","4"', '"x",\t"3.1"', '"3.1"  ,  W/"1"', "*"]
OF_A_LIST = ['"3"', '"3.9"']  # the version, with whatever the author was at
CODES = ("pattern", "min_length", "max_length")
MALFORMED = ["3", '"3', "W/3", 'w/"3"', '"3" "4"', '"3",', ',"3"', '*, "3"', '"a b"', "", "'3'", f'"{"3" * 1000}"']


class Mine:
    """A task at version 3, and its owner."""

    def __init__(self, ada: ApiClient, path: str) -> None:
        self.ada, self.path = ada, path

    async def get(self, *, expect: int = 200, **headers: str) -> Answer:
        return await self.ada.with_headers(**headers).get(self.path, expect=expect)

    async def write(self, kind: str, *, expect: int | None = None, **headers: str) -> Answer:
        method, more, body = WRITES[kind]
        who = self.ada.with_headers(**headers)
        if kind == "update":
            return await who.patch(self.path, body, expect=expect or 200)
        expected = expect or (204 if kind == "delete" else 200)
        return await who.send(method, self.path + more, expect=expected, **({"json": body} if body else {}))


@pytest.fixture
async def mine(api: ApiClient, make: Factory) -> Mine:
    ada = await make.user()
    task_id = await make.task(ada.id, ada, title="As it was", version=3, due_date=NOW)
    return Mine(api.as_(ada), f"/tasks/{task_id}")


class TestIfNoneMatch:
    @pytest.mark.parametrize("named", [*NAMES_IT, 'W/"3.1"', 'W/"1", W/"3.1"'])
    async def test_who_names_the_tag_gets_no_body(self, mine: Mine, named: str) -> None:
        answer = await mine.get(expect=304, If_None_Match=named)

        assert (answer.content, answer.headers["etag"]) == (b"", '"3.1"')
        assert answer.headers["cache-control"] == "private, no-cache"
        assert not {"content-type", "content-length"} & set(answer.headers)

    @pytest.mark.parametrize("named", ['"2"', '"1", "2", W/"4"', '"03"', '""', '"33"', '"3"', '"3.2"'])
    async def test_who_names_another_tag_gets_the_task(self, mine: Mine, named: str) -> None:
        assert (await mine.get(If_None_Match=named))["version"] == 3

    async def test_it_is_read_from_several_lines(self, mine: Mine) -> None:
        lines = [*mine.ada.headers.items(), ("If-None-Match", '"1"'), ("If-None-Match", '"3.1"')]

        assert (await mine.ada.http.get(f"/api/v1{mine.path}", headers=lines)).status_code == 304

    async def test_a_task_changed_since_is_sent_again(self, mine: Mine) -> None:
        await mine.write("update")

        assert (await mine.get(If_None_Match='"3.1"'))["title"] == "Changed"

    async def test_a_renamed_author_is_another_tag_and_no_other_version(self, mine: Mine, db: Bench) -> None:
        await mine.ada.patch("/users/me", {"full_name": "Augusta King"})

        task = await mine.get(If_None_Match='"3.1"')

        assert (task["author"]["full_name"], task.headers["etag"]) == ("Augusta King", '"3.2"')
        await mine.write("update", If_Match='"3.1"')
        stale = await mine.write("update", expect=412, If_Match='"3.1"')
        await db.fetch("UPDATE tasks SET user_id = NULL WHERE id = $1", [UUID(task["id"])])
        left = await mine.get()
        assert (stale.headers["etag"], left["author"], left.headers["etag"]) == ('"4.2"', None, '"4"')

    async def test_head_is_conditional_too(self, mine: Mine) -> None:
        await mine.ada.with_headers(If_None_Match="*").send("HEAD", mine.path, expect=304)


class TestIfMatch:
    @pytest.mark.parametrize("kind", WRITES)
    @pytest.mark.parametrize("named", [*NAMES_IT, *OF_A_LIST])
    async def test_who_names_the_current_tag_may_write(self, mine: Mine, kind: str, named: str) -> None:
        await mine.write(kind, If_Match=named)

    @pytest.mark.parametrize("kind", WRITES)
    @pytest.mark.parametrize(
        "named",
        ['"2"', '"1", "2"', 'W/"3"', '"4", W/"3"', '"03"', '""', '"x"', '"2.3"', '"3."', '"3.x"', f'"{"9" * 900}"'],
    )
    async def test_who_names_no_current_tag_is_told_the_current_one(self, mine: Mine, kind: str, named: str) -> None:
        problem = await mine.write(kind, expect=412, If_Match=named)

        assert (problem["code"], problem.headers["etag"]) == ("precondition_failed", '"3.1"')
        assert (await mine.get())["title"] == "As it was"

    @pytest.mark.parametrize("kind", WRITES)
    async def test_nobody_has_to_name_one(self, mine: Mine, kind: str) -> None:
        await mine.write(kind)

    @pytest.mark.parametrize("kind", WRITES)
    async def test_a_task_that_is_gone_is_not_found_whatever_is_named(self, mine: Mine, kind: str) -> None:
        await mine.write("delete")

        for named in ("*", '"3"'):
            await mine.write(kind, expect=404, If_Match=named)

    @pytest.mark.usefixtures("patient")
    async def test_of_parallel_writers_of_one_version_exactly_one_wins(self, settings: Settings, fresh: Pool) -> None:
        make = Factory(fresh)
        ada = await make.user()
        task_id = await make.task(ada.id, ada)

        async with serving(settings, fresh) as api:
            who = api.as_(ada).with_headers(If_Match='"1"', Content_Type="application/merge-patch+json")
            writes = [
                who.http.patch(f"/api/v1/tasks/{task_id}", headers=who.headers, json={"title": f"{number}"})
                for number in range(8)
            ]
            answers: list[httpx.Response] = await asyncio.gather(*writes)
            task = await api.as_(ada).get(f"/tasks/{task_id}")

        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
        assert [answer.json()["title"] for answer in answers if answer.status_code == 200] == [task["title"]]
        assert task["version"] == 2


@pytest.mark.parametrize("header", MALFORMED)
async def test_a_header_that_is_no_list_of_tags_is_refused(mine: Mine, header: str) -> None:
    problems = [await mine.write(kind, expect=400, If_Match=header) for kind in WRITES]
    problems.append(await mine.get(expect=400, If_None_Match=header))

    for problem in problems:
        assert problem["code"] == "invalid_header"
        for fault in problem["errors"]:
            assert (fault["in"], fault["code"] in CODES) == ("header", True)
            assert fault["pointer"] in ("/If-Match", "/If-None-Match")
    assert (await mine.get())["version"] == 3


class TestVersions:
    async def test_each_change_makes_one_version_and_its_tag(self, mine: Mine) -> None:
        versions = [(await mine.write(kind)).headers["etag"] for kind in ("update", "toggle", "replace")]

        assert versions == ['"4.1"', '"5.1"', '"6.1"']
        assert (await mine.get()).headers["etag"] == '"6.1"'

    async def test_a_patch_that_changes_nothing_leaves_everything_alone(self, mine: Mine) -> None:
        before = await mine.get()
        due_date = NOW.isoformat()  # the same instant, written otherwise

        for patch in ({}, {"title": "As it was"}, {"title": "As it was", "description": None, "due_date": due_date}):
            same = await mine.ada.with_headers(If_Match='"3"').patch(mine.path, patch)

            assert (same.body, same.headers["etag"]) == (before.body, '"3.1"')

    async def test_a_patch_that_changes_nothing_must_still_name_the_current_version(self, mine: Mine) -> None:
        await mine.ada.with_headers(If_Match='"2"').patch(mine.path, {}, expect=412)

    async def test_the_same_replacement_twice_is_one_change(self, mine: Mine) -> None:
        assert [(await mine.write("replace"))["version"] for _ in range(2)] == [4, 4]

    async def test_a_completed_task_keeps_the_moment_it_was_completed_at(self, mine: Mine) -> None:
        completed = await mine.write("toggle")

        renamed = await mine.write("update")

        assert (renamed["version"], renamed["completed_at"]) == (5, completed["completed_at"])
