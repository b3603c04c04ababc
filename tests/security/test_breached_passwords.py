"""A list of breached passwords, searched on the disk."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from security.breached_passwords import BreachedPasswords, UnfitList
from security.password_strength import PasswordRefused
from security.passwords import Passwords

LISTED = [f"breached password {number}" for number in range(500)]
OTHERS = [f"another password {number}" for number in range(500)]


def write(path: Path, length: int, ending: str) -> Path:
    """The list, of beginnings of this length."""
    hashes = sorted(hashlib.sha1(one.encode(), usedforsecurity=False).hexdigest().upper()[:length] for one in LISTED)
    path.write_text("".join(f"{one}{ending}" for one in hashes), encoding="ascii")
    return path


@pytest.fixture(params=[(40, ":12\r\n"), (40, "\n"), (12, "\n")], ids=["counted", "whole", "beginnings"])
def listed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BreachedPasswords]:
    listed = BreachedPasswords(write(tmp_path / "list", *request.param))
    yield listed
    listed.close()


@pytest.mark.proves("ASVS 5.0 6.2.12", "A password that is in the operator's list of breaches is found there")
def test_what_is_listed_is_found_and_nothing_else(listed: BreachedPasswords) -> None:
    listed.judge()

    assert all(listed.has(one) for one in LISTED)
    assert not any(listed.has(one) for one in OTHERS)


@pytest.mark.parametrize(
    "text", ["", "no hash\n", "ABC\n", "B" * 40 + "\n" + "A" * 40 + "\n", "A" * 10 + "\n" + "B" * 12]
)
def test_what_is_no_list_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "list").write_text(text, encoding="ascii")
    listed = BreachedPasswords(tmp_path / "list")

    assert not listed.has("a pelican reads the timetable")
    with pytest.raises(UnfitList):
        listed.judge()
    listed.close()


async def test_such_a_password_is_refused(tmp_path: Path) -> None:
    passwords = Passwords(threads=1, breached=BreachedPasswords(write(tmp_path / "list", 40, "\n")))

    with pytest.raises(PasswordRefused, match="was in a breach"):
        await passwords.check(LISTED[7], email="ada@example.com", names=[])
    await passwords.check("a pelican reads the timetable", email="ada@example.com", names=[])
    passwords.close()
