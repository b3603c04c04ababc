"""What the database says of itself."""

import pytest

from persistence.engine.health import look
from persistence.engine.pool import Pool
from server.database.revision import head
from tests.conftest import Bench, Server


async def test_a_database_that_answers_tells_its_migration(db: Bench) -> None:
    health = await look(db)

    assert health is not None
    assert health.schema_revision == head()
    assert 0 < health.latency < 5


async def test_a_database_without_tables_is_not_well(server: Server) -> None:
    async with server.copy("template0") as url:
        pool = Pool(url, size=1)
        assert await look(pool) is None
        await pool.close()


async def test_a_database_that_does_not_answer_is_not_well() -> None:
    assert await look(Pool("postgresql://ada@127.0.0.1:1/docket", size=1, patience=0.1)) is None


async def test_a_pool_without_a_free_connection_is_not_well(fresh_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(fresh_url, size=1)
    taken = await pool.take()

    with monkeypatch.context() as hurried:
        hurried.setattr(pool, "patience", 0.05)
        assert await look(pool) is None

    pool.put(taken)
    await pool.close()
