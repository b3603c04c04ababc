"""Texts that others write, made one line as the contract takes it: something to be seen, and nothing that misleads."""

import re

import jsonschema_rs

BREAKS = re.compile(r"[\t-\r\x85\u2028\u2029]")
TURNING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that turn the direction of writing, and halves of characters."""
SPACES = " \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
INVISIBLE = r"^[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]*$"
"""What a text of one line is not, as the contract says it; Python's `re` does not know such classes."""
IS_INVISIBLE = jsonschema_rs.validator_for({"pattern": INVISIBLE}).is_valid


def clean_line(text: str, longest: int) -> str | None:
    """The text as one line: breaks are spaces, and what must not be there is left out. None when nothing is seen."""
    line = TURNING.sub("", BREAKS.sub(" ", text)).strip(SPACES)[:longest].rstrip(SPACES)
    return None if IS_INVISIBLE(line) else line
