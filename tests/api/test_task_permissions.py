"""Who may do what to the tasks of a team, and to those of other people."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from persistence.authorization import Caller
from tests.client import Answer, ApiClient
from tests.conftest import Bench
from tests.factories import Factory

TITLE = {"title": "Changed"}
OPERATIONS = {
    "listTasks": ("GET", "/tasks?organization_id={organization}", None, 200),
    "createTask": ("POST", "/tasks", None, 201),
    "getTask": ("GET", "/tasks/{task}", None, 200),
    "replaceTask": ("PUT", "/tasks/{task}", TITLE, 200),
    "updateTask": ("PATCH", "/tasks/{task}", TITLE, 200),
    "toggleTaskCompletion": ("PATCH", "/tasks/{task}/complete", None, 200),
    "deleteTask": ("DELETE", "/tasks/{task}", None, 204),
}
READS = ("listTasks", "getTask")
WRITES = [operation for operation in OPERATIONS if operation not in READS]


class Team:
    """A team with a task, and what its members and others try there."""

    def __init__(self, api: ApiClient, make: Factory, organization_id: UUID, task_id: UUID, author: Caller) -> None:
        self.api, self.make, self.id, self.task_id, self.author = api, make, organization_id, task_id, author

    async def attempt(self, who: Caller, operation: str, *, expect: int | None = None) -> Answer:
        """Do it; what is expected, unless said, is that it works."""
        method, path, body, status = OPERATIONS[operation]
        sent: Any = TITLE | {"organization_id": str(self.id)} if operation == "createTask" else body
        url = path.format(organization=self.id, task=self.task_id)
        headers = {"Content-Type": "application/merge-patch+json"} if operation == "updateTask" else {}
        more = {} if sent is None else {"json": sent}
        return await self.api.as_(who).send(method, url, expect=expect or status, headers=headers, **more)

    async def is_untouched(self) -> bool:
        """Whether the team has its one task as it was."""
        page = (await self.attempt(self.author, "listTasks")).body
        return [(task["title"], task["version"]) for task in page["items"]] == [("A task", 1)]


@pytest.fixture
async def team(api: ApiClient, make: Factory) -> Team:
    """A team of another owner's, without the users that a test is about."""
    author = await make.user()
    organization_id = await make.team(owner=author)
    return Team(api, make, organization_id, await make.task(organization_id, author), author)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("role", ["owner", "admin"])
async def test_owners_and_admins_may_do_everything(team: Team, role: str, operation: str) -> None:
    ada = await team.make.user()
    await team.make.member(team.id, ada.id, role)

    await team.attempt(ada, operation)


@pytest.mark.parametrize("operation", READS)
async def test_a_member_may_read(team: Team, operation: str) -> None:
    bob = await team.make.user()
    await team.make.member(team.id, bob.id, "member")

    await team.attempt(bob, operation)


@pytest.mark.proves("ASVS 5.0 8.2.1", "Members may read and not write")
@pytest.mark.parametrize("operation", WRITES)
async def test_a_member_may_not_write(team: Team, operation: str) -> None:
    bob = await team.make.user()
    await team.make.member(team.id, bob.id, "member")

    problem = await team.attempt(bob, operation, expect=403)

    assert problem["code"] == "permission_denied"
    assert await team.is_untouched()


@pytest.mark.proves("ASVS 5.0 8.2.2, ASVS 5.0 8.4.1", "Nothing of an organization is there for an outsider")
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_nothing_is_there_for_an_outsider(team: Team, operation: str) -> None:
    problem = await team.attempt(await team.make.user(), operation, expect=404)

    assert problem["code"] == "not_found"
    assert await team.is_untouched()


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_superuser_has_the_rights_of_an_owner_in_a_team(team: Team, operation: str) -> None:
    await team.attempt(await team.make.user(is_superuser=True), operation)


@pytest.mark.parametrize("operation", WRITES)
async def test_a_superuser_who_is_a_member_is_still_an_owner(team: Team, operation: str) -> None:
    root = await team.make.user(is_superuser=True)
    await team.make.member(team.id, root.id, "member")

    await team.attempt(root, operation)


@pytest.mark.proves("ASVS 5.0 8.2.2", "What is personal is there for its user alone, not even for superusers")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("superuser", [False, True], ids=["anybody", "superuser"])
async def test_what_is_personal_is_there_for_nobody_else(
    api: ApiClient, make: Factory, operation: str, *, superuser: bool
) -> None:
    ada = await make.user()
    personal = Team(api, make, ada.id, await make.task(ada.id, ada), ada)

    await personal.attempt(await make.user(is_superuser=superuser), operation, expect=404)

    assert await personal.is_untouched()


@pytest.mark.parametrize("operation", ["replaceTask", "updateTask", "deleteTask", "toggleTaskCompletion"])
async def test_permission_is_judged_before_the_version(team: Team, operation: str) -> None:
    bob = await team.make.user()
    await team.make.member(team.id, bob.id, "member")
    stale = Team(team.api.with_headers(If_Match='"9"'), team.make, team.id, team.task_id, team.author)

    await stale.attempt(bob, operation, expect=403)
    await stale.attempt(await team.make.user(), operation, expect=404)
    await stale.attempt(team.author, operation, expect=412)


@pytest.mark.proves("ASVS 5.0 8.3.2", "A changed role acts on the very next request")
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_who_has_just_been_removed_or_demoted_feels_it_at_once(team: Team, db: Bench, operation: str) -> None:
    bob = await team.make.user()
    await team.make.member(team.id, bob.id, "admin")
    await team.attempt(bob, "getTask")
    his = [team.id, bob.id]

    await db.fetch("UPDATE organization_members SET role = 'member' WHERE organization_id = $1 AND user_id = $2", his)
    await team.attempt(bob, operation, expect=403 if operation in WRITES else None)
    await db.fetch("DELETE FROM organization_members WHERE organization_id = $1 AND user_id = $2", his)
    await team.attempt(bob, operation, expect=404)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_every_operation_needs_a_live_session_of_an_active_account(team: Team, db: Bench, operation: str) -> None:
    await db.fetch("UPDATE users SET is_active = false WHERE id = $1", [team.author.id])

    problem = await team.attempt(team.author, operation, expect=401)

    assert problem["code"] == "token_revoked"


async def test_a_task_cannot_be_put_where_its_author_sees_nothing(api: ApiClient, make: Factory) -> None:
    ada = api.as_(await make.user())

    await ada.post("/tasks", {"title": "Lost", "organization_id": str(uuid4())}, expect=404)


async def test_the_author_of_a_task_of_a_team_is_who_made_it(team: Team) -> None:
    ada = await team.make.user()
    await team.make.member(team.id, ada.id, "admin")

    task = await team.attempt(ada, "createTask")

    assert (task["user_id"], task["organization_id"]) == (str(ada.id), str(team.id))
