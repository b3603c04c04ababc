"""uvicorn's server as we run it: it says when it answers and that it still does, and ends without a loss."""

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from typing_extensions import override

from server.complaints import CommandError
from server.protocol.connections import Connection
from server.workers.listeners import accept_waiting, complaint

PULSE = 0.5  # seconds from one sign of life to the next
STEPS = 3  # turns of an event loop from accepting a connection to knowing of it


class Server(uvicorn.Server):
    """Calls `tell` as soon as it answers, and from then on `beat`, if there is one, as long as its event loop turns."""

    def __init__(
        self, config: uvicorn.Config, tell: Callable[[], None], beat: Callable[[], None] | None = None
    ) -> None:
        super().__init__(config)
        self.tell, self.beat = tell, beat
        self.beating: asyncio.Task[None] | None = None

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As before. Raises CommandError when another program has begun to listen at our address meanwhile."""
        try:
            await super().startup(sockets)
        except OSError as error:
            await self.lifespan.shutdown()
            address, port = sockets[0].getsockname()[:2] if sockets else (self.config.host, self.config.port)
            raise CommandError(complaint(address, port, error)) from None
        if self.started:
            self.tell()
            if self.beat is not None:
                self.beating = asyncio.create_task(self.keep_beating(self.beat))

    async def keep_beating(self, beat: Callable[[], None]) -> None:
        while True:
            beat()
            await asyncio.sleep(PULSE)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As before, but those who are connected are answered: a listener that closes resets those who wait."""
        accepted: list[socket.socket] = []
        for server, listener in zip(self.servers, sockets or [], strict=True):
            accepted += accept_waiting(listener)
            server.close()  # at once: it resets those who come in between
        for connected in accepted:
            await asyncio.get_running_loop().connect_accepted_socket(self.last_connection, connected)
        for _ in range(STEPS):
            await asyncio.sleep(0)
        await super().shutdown(sockets)

    def last_connection(self) -> Connection:
        connection = Connection(self.config, self.server_state, self.lifespan.state)
        connection.is_ending = True
        return connection
