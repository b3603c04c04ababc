"""Several hosts in a URL: each has its share of the time, and each is named when none will do."""

import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import make_url

from persistence.engine.hosts import NoHostAnswers, connect_to_first, join_hosts, split_hosts
from persistence.engine.pool import Pool
from server.settings.loading import load
from tests.faults.wire import black_hole
from tests.persistence.test_pool import relay
from tests.ports import free_port

URL = "postgresql://u:p%2C@h1:5432,[::1]:5433,h3/db?target_session_attrs=read-write"
EACH = [
    "postgresql://u:p%2C@h1:5432/db?target_session_attrs=read-write",
    "postgresql://u:p%2C@[::1]:5433/db?target_session_attrs=read-write",
    "postgresql://u:p%2C@h3/db?target_session_attrs=read-write",
]


def test_a_url_has_hosts() -> None:
    assert split_hosts(URL) == EACH
    assert join_hosts(EACH) == URL
    assert split_hosts("postgresql://u@/db?host=/run") == ["postgresql://u@/db?host=/run"]
    assert load(database_url=URL).url == URL


async def test_a_first_host_in_a_black_hole_hides_no_living_second() -> None:
    with black_hole() as hole:
        refused = f"postgresql://u@127.0.0.1:{hole},127.0.0.1:{free_port()}/db"
        began = time.monotonic()
        with pytest.raises(NoHostAnswers, match=rf"127.0.0.1:{hole}: .*; 127.0.0.1:.*"):
            await connect_to_first(refused, 1)
    assert 0.4 < time.monotonic() - began < 2


@asynccontextmanager
async def relay_database(url: str) -> AsyncIterator[int]:
    """A port by which the database can be reached."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        async with relay(url, port):
            yield port.getsockname()[1]


async def test_a_living_second_host_serves_a_pool(database_url: str) -> None:
    with black_hole() as hole:
        async with relay_database(database_url) as port:
            parts = make_url(database_url)
            who = f"{parts.username}:{parts.password or 'none'}"
            url = (
                f"postgresql://{who}@127.0.0.1:{hole},127.0.0.1:{port}/{parts.database}?target_session_attrs=read-write"
            )
            pool = Pool(url, size=1, patience=4)
            assert await pool.fetch("SELECT 1", [])
            await pool.close()
