"""Reads JSON that strangers sent, and looks at its bytes first: how many values it makes, and how deep they lie."""

from typing import Any

from pydantic_core import from_json

from contract.exchange import TooLarge

USUAL_BODY = 64 * 1024  # bytes, where an operation has no `x-max-body`
LARGE_BODY = 1024 * 1024  # bytes, where its schema has no end
LARGEST_BODY = 16 * 1024 * 1024  # bytes that an operation may take of what is parsed
MOST_VALUES = 10_000
DEEPEST = 32  # lists and objects, one in another
BRACKETS = bytes.maketrans(b"{}", b"[]")
BESIDES = bytes(set(range(256)) - set(b"[]{}"))


def parse_json(raw: bytes) -> Any:
    """The value. Raises TooLarge, and ValueError for what is no JSON."""
    opened = raw.count(b"[") + raw.count(b"{")
    many = len(raw) >= MOST_VALUES and opened + raw.count(b",") >= MOST_VALUES
    if opened > DEEPEST or many:  # which a text in it may be the reason of
        weigh(raw)
    return from_json(raw, allow_inf_nan=False)


def weigh(raw: bytes) -> None:
    """Raises TooLarge for more values, or more levels of them, than are read. What is no JSON may pass."""
    bare = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    if bare.count(b'"') > 4 * MOST_VALUES:  # those of the name and the text of a member
        raise TooLarge(f"The body has more than {MOST_VALUES:,} values.")
    outside = b'"'.join(bare.split(b'"')[::2])
    structure = outside.translate(None, b" \t\r\n")
    empty = structure.count(b"[]") + structure.count(b"{}")
    if 1 + structure.count(b",") + structure.count(b"[") + structure.count(b"{") - empty > MOST_VALUES:
        raise TooLarge(f"The body has more than {MOST_VALUES:,} values.")
    brackets = structure.translate(BRACKETS, BESIDES)
    for _ in range(DEEPEST):
        brackets = brackets.replace(b"[]", b"")  # the innermost of all
    if b"[]" in brackets:
        raise TooLarge(f"The body is nested deeper than {DEEPEST} levels.")
