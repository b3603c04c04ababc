"""Texts that others write, made one line as the contract takes it: something to be seen, and nothing that misleads."""

import re

BREAKS = re.compile(r"[\t-\r\x85\u2028\u2029]")
TURNING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that turn the direction of writing, and halves of characters."""
SPACES = " \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
UNSEEN = re.compile(
    r"[\s\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff"
    r"\uffa0\ufff0-\ufffb]+"
)


def clean_line(text: str, longest: int) -> str | None:
    """The text as one line: breaks are spaces, and what must not be there is left out. None when nothing is seen."""
    line = TURNING.sub("", BREAKS.sub(" ", text)).strip(SPACES)[:longest].rstrip(SPACES)
    return None if UNSEEN.fullmatch(line) or not line else line
