"""A mail server for tests, which can be away, and tells what it got."""

import asyncio
import email
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope

from tests.ports import free_port

TOKEN = re.compile(r"#token=([A-Za-z0-9_-]+)")


@dataclass
class Mailbox:
    """What a mail server at this port took; it answers `refusal` to a recipient where that is set."""

    port: int
    taken: list[tuple[str, EmailMessage]] = field(default_factory=list)
    refusal: str | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def recipients(self) -> list[str]:
        return [recipient for recipient, _ in self.taken]

    def text_to(self, recipient: str) -> str:
        """The text of the latest mail to an address."""
        message = [message for to, message in self.taken if to == recipient][-1]
        part = message.get_body(("plain",))
        assert part is not None
        return str(part.get_content())

    def token_to(self, recipient: str) -> str:
        """The token of the link in the latest mail to an address."""
        found = TOKEN.search(self.text_to(recipient))
        assert found is not None
        return found[1]

    async def handle_RCPT(  # noqa: N802 - as aiosmtpd calls it
        self, _server: object, _session: object, envelope: Envelope, address: str, _options: list[Any]
    ) -> str:
        if self.refusal is not None:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: object, _session: object, envelope: Envelope) -> str:  # noqa: N802
        message = email.message_from_bytes(envelope.original_content or b"", policy=POLICY)
        assert isinstance(message, EmailMessage)
        self.taken += [(recipient, message) for recipient in envelope.rcpt_tos]
        self.arrived.set()
        return "250 OK"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take mails, as long as the context lasts."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(self, hostname="mail.test", loop=loop), "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    async def wait(self) -> None:
        """Wait until a mail comes."""
        async with asyncio.timeout(60):
            await self.arrived.wait()
        self.arrived.clear()


def new_mailbox() -> Mailbox:
    return Mailbox(free_port())
