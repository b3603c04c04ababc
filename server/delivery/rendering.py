"""Mails from templates: for each kind a text, whose first line is the subject, and the same in HTML."""

import re
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from uuid import UUID

FOLDER = Path(__file__).parent / "templates"
SUBJECT = "Subject: "
LONGEST_VALUE = 100  # characters of what people have named; a link is longer
QUOTED_PAIR = re.compile(r"\\(.)")
LINKISH = re.compile(r"://|=\?|\.(?=[^\s.])|[\u3002\uff0e\uff61](?=\w)")
"""What a link is known by, with the dots of other scripts, and the beginning of a word of RFC 2047, which hides one."""


@cache
def templates(kind: str) -> tuple[Template, Template, Template]:
    """Subject, text and HTML of a kind of mail."""
    text = (FOLDER / f"{kind}.txt").read_text(encoding="utf-8")
    subject, _, body = text.partition("\n\n")
    html = (FOLDER / f"{kind}.html").read_text(encoding="utf-8")
    return Template(subject.removeprefix(SUBJECT)), Template(body), Template(html)


def render(
    kind: str, values: Mapping[str, str], *, mail_id: UUID, sender: str, recipient: str, domain: str
) -> EmailMessage:
    """A mail. `mail_id` names it, so that who gets it twice can tell."""
    subject, text, html = templates(kind)
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = sender, address_of(recipient)
    message["Subject"] = subject.substitute(values)
    message["Date"], message["Message-ID"] = formatdate(), f"<{kind.replace('_', '-')}-{mail_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation answers it
    shown = {name: escape(value) for name, value in values.items()}
    message.set_content(written := text.substitute(values), cte=encoding_of(written))
    message.add_alternative(written := html.substitute(shown), subtype="html", cte=encoding_of(written))
    return message


def address_of(recipient: str) -> Address:
    """One address, whatever is in its text: a comma in quotes begins no other."""
    user, _, host = recipient.rpartition("@")
    if user.startswith('"'):
        user = QUOTED_PAIR.sub(r"\1", user[1:-1])
    return Address(username=user, domain=host)


def encoding_of(text: str) -> str:
    """As it is where that may be, so that a link stays in one piece."""
    return "7bit" if text.isascii() else "quoted-printable"


def quote_name(name: str) -> str:
    """A name that somebody chose, cut, and with nothing that a mail program makes a link of."""
    return LINKISH.sub(lambda found: {"://": ": ", "=?": "= ?"}.get(found[0], " "), name)[:LONGEST_VALUE]
