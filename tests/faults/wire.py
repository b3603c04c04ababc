"""A network between two processes that can stop, crawl or break: a TCP proxy on the loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

PIECE = 65536


class Wire:
    """Forwards what comes to `port` until it is told otherwise. Each piece of data waits for `delay` seconds."""

    def __init__(self, host: str, port: int) -> None:
        self.there, self.port = (host, port), 0
        self.delay = 0.0
        self.passing = asyncio.Event()
        self.passing.set()
        self.writers: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Take what is sent, connections too, and pass nothing on: the network is black."""
        self.passing.clear()

    def go(self) -> None:
        """Pass on again, first what has come meanwhile."""
        self.passing.set()

    def cut(self) -> None:
        """Reset every connection that there is."""
        for writer in list(self.writers):
            writer.transport.abort()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        with suppress(OSError):
            await self.passing.wait()
            their_reader, their_writer = await asyncio.open_connection(*self.there)
            self.writers.add(their_writer)
            for source, target in ((reader, their_writer), (their_reader, writer)):
                task = asyncio.create_task(self.forward(source, target))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            return
        writer.transport.abort()
        self.writers.discard(writer)

    async def forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while received := await source.read(PIECE):
                await asyncio.sleep(self.delay)
                await self.passing.wait()
                target.write(received)
                await target.drain()
        await self.passing.wait()  # an end, too, is something that has to come through
        target.close()
        self.writers.discard(target)


@asynccontextmanager
async def lay_wire(host: str, port: int) -> AsyncIterator[Wire]:
    """A wire to what listens there."""
    wire = Wire(host, port)
    server = await asyncio.start_server(wire.pass_on, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        wire.go()
        wire.cut()
        server.close()
        await asyncio.gather(*wire.tasks, return_exceptions=True)


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that answers no connection: the kernel drops what comes, for its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting: list[socket.socket] = []
        try:
            while True:
                client = socket.socket()
                waiting.append(client)
                client.settimeout(0.2)
                client.connect(listener.getsockname())
        except TimeoutError:
            yield listener.getsockname()[1]
        finally:
            for client in waiting:
                client.close()
