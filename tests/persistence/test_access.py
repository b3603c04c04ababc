"""What a caller may see and change."""

from generated.models import TaskStatus
from persistence import tasks
from tests.conftest import Bench
from tests.factories import Factory


async def test_a_member_sees_a_task_of_the_team(db: Bench, make: Factory) -> None:
    ada, bob = await make.user(), await make.user(username="Bob")
    task_id = await make.task(await make.team(owner=ada, member=bob), ada, title="Ship it")

    task = await tasks.find(db, task_id, by=bob)

    assert (task.id, task.title, task.status, task.version) == (task_id, "Ship it", TaskStatus.pending, 1)
