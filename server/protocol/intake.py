"""What has arrived on a connection and is not read yet: later requests, while earlier ones wait for their answers."""

from asyncio import Transport
from collections.abc import Sized

from typing_extensions import override
from uvicorn.protocols.http.flow_control import FlowControl

PIECE = 2048  # bytes that are read at once: 75 requests at most, and most requests are smaller than one


class Intake(FlowControl):
    """Keeps as bytes what would take a hundred times as much once it is read.

    As long as a request is `waiting` for its turn nothing is read, nor taken from the system: a client that sends
    requests without end has so many of them here and no more.
    """

    def __init__(self, transport: Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self.waiting, self.held = waiting, bytearray()

    def keep(self, data: bytes) -> None:
        """Add what has arrived to what is not read yet."""
        self.held += data

    def next_piece(self) -> bytes:
        """What is to be read now; empty where nothing is."""
        if self.waiting:
            self.pause_reading()
            return b""
        piece = bytes(self.held[:PIECE])
        del self.held[:PIECE]  # which moves no byte, as cutting bytes would
        return piece

    def forget(self) -> None:
        """Nothing more is read of it."""
        self.held.clear()

    @override
    def resume_reading(self) -> None:
        if not self.waiting and not self.held:
            super().resume_reading()
