"""What is encrypted is read by its key and for its row alone."""

import pytest

from security.encryption import Encryption, Unreadable
from security.keys import Keys

OLD, NEW = "the-key-of-before-0123456789abcdef", "the-key-of-today-0123456789abcdefgh"
SECRET, ROW = b"a seed", b"row 1"


def test_a_secret_comes_back_and_is_another_text_each_time() -> None:
    encryption = Encryption(Keys(NEW), "totp")

    kept = {encryption.encrypt(SECRET, bound_to=ROW) for _ in range(100)}

    assert len(kept) == 100
    assert not any(SECRET in one for one in kept)
    assert {encryption.decrypt(one, bound_to=ROW) for one in kept} == {(SECRET, False)}


def test_the_key_before_reads_and_says_so() -> None:
    kept = Encryption(Keys(OLD), "totp").encrypt(SECRET, bound_to=ROW)

    assert Encryption(Keys(NEW, OLD), "totp").decrypt(kept, bound_to=ROW) == (SECRET, True)
    with pytest.raises(Unreadable):
        Encryption(Keys(NEW), "totp").decrypt(kept, bound_to=ROW)


@pytest.mark.proves("ASVS 5.0 11.3.2", "A secret that was changed, cut or moved to another row cannot be read")
def test_what_was_changed_cut_or_moved_is_unreadable() -> None:
    encryption = Encryption(Keys(NEW), "totp")
    kept = encryption.encrypt(SECRET, bound_to=ROW)
    changed = bytes([*kept[:-1], kept[-1] ^ 1])

    for one, row in ((kept, b"row 2"), (changed, ROW), (kept[:-1], ROW), (kept[:5], ROW), (b"", ROW)):
        with pytest.raises(Unreadable):
            encryption.decrypt(one, bound_to=row)


def test_a_secret_for_one_use_is_none_for_another() -> None:
    kept = Encryption(Keys(NEW), "cursor").encrypt(SECRET, bound_to=ROW)

    with pytest.raises(Unreadable):
        Encryption(Keys(NEW), "totp").decrypt(kept, bound_to=ROW)
