"""Where uploads lie: in memory, or on the disk when they are large."""

import asyncio
from typing import IO

MOST_MEMBERS = 100  # of a form
IN_MEMORY = 1024 * 1024  # bytes of a file, before it goes to the disk


async def write(spool: IO[bytes], chunk: bytes, size: int) -> None:
    """Write to a spool, beside the loop once it lies on the disk."""
    if size <= IN_MEMORY:
        spool.write(chunk)
    else:
        await asyncio.to_thread(spool.write, chunk)
