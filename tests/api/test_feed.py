"""A copy that is kept by changes is what the database has, however many write at once."""

from persistence.engine.pool import Pool
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.factories import Factory
from tests.feed import follow_all, list_tasks


async def test_a_copy_that_follows_is_the_database(settings: Settings, fresh: Pool) -> None:
    make = Factory(fresh)
    ada = await make.user()
    places = [str(await make.team(owner=ada)) for _ in range(2)]
    async with serving(settings, fresh) as served:
        client = served.as_(ada)

        copy, _ = await follow_all(client, places, fresh, changes=300)

        state = {
            task["id"]: {name: task[name] for name in task if name != "author"} for task in await list_tasks(client)
        }
    assert copy.wrong == []
    assert copy.tasks == state
    assert len(state) > 1
    assert set(copy.seen.values()) == {1}
