"""A list of breached passwords: SHA-1 in hexadecimal, or its beginning, sorted, one a line; searched on the disk."""

import hashlib
import os
import re
from pathlib import Path

LONGEST_LINE = 128  # bytes: a hash of 40 digits, a colon and how often it was seen
SAMPLES = 1000
ENTRY = re.compile(rb"[0-9A-F]{10,40}")


class UnfitList(ValueError):  # noqa: N818 - it says what is the case
    """The file is no such list. The message says why."""


class BreachedPasswords:
    """Looks for passwords in a sorted file of any size, of which nothing is kept in memory."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._size = os.fstat(self._file).st_size

    def has(self, password: str) -> bool:
        """Whether the password is in the list."""
        wanted = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
        low, high = 0, self._size
        while low < high:
            begin, end, entry = self._entry_at((low + high) // 2)
            if entry and wanted.startswith(entry):
                return True
            low, high = (end, high) if entry < wanted else (low, begin)
        return False

    def judge(self) -> None:
        """Raises UnfitList when what is looked at is no sorted list of hashes."""
        entries = [self._entry_at(self._size * at // SAMPLES)[2] for at in range(SAMPLES if self._size else 0)]
        if not entries or not all(ENTRY.fullmatch(entry) for entry in entries):
            raise UnfitList("has lines that are no SHA-1 in hexadecimal, of 10 digits or more")
        if entries != sorted(entries) or len({len(entry) for entry in entries}) > 1:
            raise UnfitList("is not sorted, or has beginnings of several lengths: sort it with `LC_ALL=C sort`")

    def close(self) -> None:
        os.close(self._file)

    def _entry_at(self, offset: int) -> tuple[int, int, bytes]:
        """Where the line at an offset begins, where the next one does, and its hash."""
        base = max(0, offset - LONGEST_LINE)
        text = os.pread(self._file, 2 * LONGEST_LINE, base)
        begin = text.rfind(b"\n", 0, offset - base) + 1
        end = text.find(b"\n", begin)
        end = len(text) if end < 0 else end
        return base + begin, base + end + 1, text[begin:end].partition(b":")[0].strip().upper()
