"""How a mail leaves: over SMTP, or in development into a folder."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol, TypeAlias

import structlog
from typing_extensions import override

from persistence.embedded.locks import make_folder

Compose: TypeAlias = Callable[[], Awaitable[EmailMessage | None]]
"""Writes the mail, once it can be taken. None: there is nothing to send any more."""
log = structlog.get_logger("delivery")


class Failed(Exception):  # noqa: N818 - it says what is the case
    """The mail was not taken, for a reason in words without the address; a later attempt may do better."""


class Refused(Failed):
    """The mail server will never take it."""


class Carrier(Protocol):
    """Takes mails away."""

    async def carry(self, compose: Compose, /) -> bool:
        """Send a mail; whether there was one to send. Raises Failed, Refused."""
        ...

    async def look(self) -> None:
        """Raises Failed when no mail could be sent now."""
        ...


class FolderCarrier(Carrier):
    """Writes mails into a folder, for who develops."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @override
    async def carry(self, compose: Compose, /) -> bool:
        message = await compose()
        if message is None:
            return False
        try:
            file = await asyncio.to_thread(self.write, message)
        except OSError as error:
            raise Failed(f"{self.folder} cannot be written: {error.strerror}") from error
        log.info("mail_written", file=str(file))
        return True

    @override
    async def look(self) -> None:
        """A folder is made when it is needed."""

    def write(self, message: EmailMessage) -> Path:
        make_folder(self.folder.parent)
        make_folder(self.folder)
        file = self.folder / f"{re.sub('[^0-9a-z-]', '', message['Message-ID'].partition('@')[0])}.eml"
        file.touch(mode=0o600)
        file.write_bytes(message.as_bytes())
        return file
