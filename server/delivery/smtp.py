"""Mails over SMTP: what a mail server takes, and whether what it refuses is refused for ever."""

from aiosmtplib import SMTP, SMTPDataError, SMTPException, SMTPNotSupported, SMTPRecipientsRefused
from typing_extensions import override

from server.delivery.carriers import Carrier, Compose, Failed, Refused
from server.settings.mail_server import MailServer

STEP_SECONDS = 10.0  # in which a mail server answers each command
PERMANENT = range(500, 600)  # replies of SMTP that no later attempt changes (RFC 5321, 4.2.1)


class SmtpCarrier(Carrier):
    """Gives mails to a mail server, each over a connection of its own."""

    def __init__(self, server: MailServer, sender: str, name: str) -> None:
        self.server, self.sender, self.name = server, sender, name

    @override
    async def carry(self, compose: Compose, /) -> bool:
        try:
            async with self.client() as client:
                message = await compose()
                if message is None:
                    return False
                await client.send_message(message)
        except SMTPException as error:
            raise (Refused if is_permanent(error) else Failed)(reason(error)) from error
        except (OSError, ValueError) as error:
            raise Failed(reason(error)) from error
        return True

    @override
    async def look(self) -> None:
        try:
            async with self.client() as client:
                await client.noop()
        except (SMTPException, OSError, ValueError) as error:
            raise Failed(reason(error)) from error

    def client(self) -> SMTP:
        return SMTP(
            hostname=self.server.host,
            port=self.server.port,
            username=self.server.user,
            password=self.server.password,
            use_tls=self.server.tls,
            start_tls=self.server.starttls,
            local_hostname=self.name,
            timeout=STEP_SECONDS,
        )


def is_permanent(error: SMTPException) -> bool:
    """Whether the server refuses this mail or its recipient, and not us or all mail."""
    match error:
        case SMTPRecipientsRefused(recipients=refused):
            return all(each.code in PERMANENT for each in refused)
        case SMTPDataError(code=code):
            return code in PERMANENT
        case _:
            return isinstance(error, SMTPNotSupported)


def reason(error: BaseException) -> str:
    """What happened, without what a server says of an address."""
    codes = [each.code for each in getattr(error, "recipients", [])] or [getattr(error, "code", None)]
    said = " ".join(str(code) for code in codes if code is not None)
    return f"{type(error).__name__} {said}".strip()
