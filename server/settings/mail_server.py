"""The mail server that SMTP_URL names, and how it is spoken to."""

from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

EXAMPLE = "write smtps://user:password@mail.example.com, or smtp://mail.example.com:587?starttls=required"
SUBMISSION, SUBMISSIONS = 587, 465  # ports of RFC 6409 and RFC 8314
LOOPBACK = ("localhost", "127.0.0.1", "::1")
STARTTLS = {"required": True, "offered": None, "never": False}


class MailServer(NamedTuple):
    """A mail server. `starttls`: None where it is used if the server offers it."""

    host: str
    port: int
    user: str | None
    password: str | None
    tls: bool
    starttls: bool | None

    @property
    def demands_tls(self) -> bool:
        return self.tls or self.starttls is True


def mail_server_of(text: str) -> MailServer:
    """The server of a URL. Raises ValueError, which says nothing of the password."""
    try:
        url = urlsplit(text)
        port, given = url.port, parse_qs(url.query, strict_parsing=bool(url.query))
    except ValueError:
        raise ValueError(f"is no URL of a mail server: {EXAMPLE}") from None
    wanted = given.pop("starttls", ["offered"])[-1]
    if url.scheme not in {"smtp", "smtps"} or not url.hostname or port == 0 or url.path.strip("/") or url.fragment:
        raise ValueError(f"is no URL of a mail server: {EXAMPLE}")
    if given or wanted not in STARTTLS:
        raise ValueError("has something behind its `?` that is none of starttls=required, offered, never")
    if (url.username is None) != (url.password is None):
        raise ValueError("has a user without a password, or the other way round")
    tls = url.scheme == "smtps"
    starttls = False if tls or (wanted == "offered" and url.hostname in LOOPBACK) else STARTTLS[wanted]
    user, password = (None if part is None else unquote(part) for part in (url.username, url.password))
    return MailServer(url.hostname, port or (SUBMISSIONS if tls else SUBMISSION), user, password, tls, starttls)
