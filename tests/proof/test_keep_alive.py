"""A connection rests between requests for longer than any proxy of deploy/ lets it, and not forever."""

import asyncio
import time
from pathlib import Path

from server.commands.serve import KEEP_ALIVE
from tests.api.test_real_server import running

PROXY = 60  # seconds that the proxies of deploy/ keep a connection that rests
GET = b"GET /livez HTTP/1.1\r\nHost: docket\r\n\r\n"


async def test_a_connection_rests_for_65_seconds_and_is_then_closed(fresh_url: str, tmp_path: Path) -> None:
    async with running(tmp_path, fresh_url) as server:

        async def ask_after_rest(seconds: float) -> tuple[bytes, float]:
            """What is answered to a request after the rest, if any; and for how long the connection was there."""
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(GET)
            await reader.readuntil(b"}")
            began = time.monotonic()
            try:
                async with asyncio.timeout(seconds):
                    answer = await reader.read()
            except TimeoutError:
                writer.write(GET)
                answer = await reader.readuntil(b"}")
            writer.close()
            return answer, time.monotonic() - began

        (again, _), (nothing, took) = await asyncio.gather(ask_after_rest(PROXY), ask_after_rest(KEEP_ALIVE + 10))

    print(f"\nA connection that rests is closed after {took:.1f} s")  # noqa: T201 - the figure is what the proof is run for
    assert again.startswith(b"HTTP/1.1 200 ")
    assert nothing == b""
    assert KEEP_ALIVE - 0.1 <= took < KEEP_ALIVE + 5
