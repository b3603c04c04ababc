"""A file that a thread writes, so that the server never waits for a slow reader of its log."""

import os
from collections import deque
from io import TextIOBase
from threading import Event, Thread

from typing_extensions import override

MOST = 20_000  # lines that may wait
EVERY = 0.05  # seconds between two writes
PATIENCE = 2.0  # seconds that the last lines have at the end


class Lines(TextIOBase):
    """Text for a file descriptor. What finds `most` waiting is dropped; the next line to go out says how much was."""

    def __init__(self, descriptor: int, most: int = MOST) -> None:
        self.descriptor, self.most = descriptor, most
        self.waiting: deque[str] = deque()
        self.dropped = self.told = 0
        self.ending = Event()
        self.thread = Thread(target=self.work, name="lines", daemon=True)
        self.thread.start()

    @override
    def isatty(self) -> bool:
        return os.isatty(self.descriptor)

    @override
    def write(self, text: str) -> int:
        if len(self.waiting) < self.most:
            self.waiting.append(text)
        else:
            self.dropped += 1
        return len(text)

    def work(self) -> None:
        while not self.ending.wait(EVERY):
            self.put()
        self.put()

    def put(self) -> None:
        """Write what waits, in one go."""
        texts = [self.waiting.popleft() for _ in range(len(self.waiting))]
        if self.dropped > self.told:
            texts.append(f'{{"event":"lines_dropped","level":"warning","count":{self.dropped - self.told}}}\n')
            self.told = self.dropped
        left = memoryview("".join(texts).encode("utf-8", "backslashreplace"))
        try:
            while left:
                left = left[os.write(self.descriptor, left) :]
        except OSError:  # they have no reader any more
            self.dropped += len(texts)

    def end(self) -> None:
        """Write the last lines, unless they are not taken in time. What is logged later waits for the next call."""
        self.ending.set()
        self.thread.join(PATIENCE)
        if self.waiting and not self.thread.is_alive():
            self.put()
