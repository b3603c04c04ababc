import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.cursors import LONGEST_CURSOR, Cursors, InvalidCursor
from security.keys import Keys
from tests.client import DOCUMENT

OLD, NEW = "the key of last year, of 40 characters..", "the key of this year, of 40 characters.."
POSITION = ("2025-03-01T12:00:00.123456+00", "0195f0a1-7c00-7000-8000-000000000001")
SCOPE = b"ada listTasks -created_at open"
ALPHABET = string.ascii_letters + string.digits + "-_"
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)  # PostgreSQL's

cursors = Cursors(Keys(NEW, OLD))
sealed = cursors.seal(POSITION, SCOPE)


def is_refused(cursor: str, scope: bytes = SCOPE) -> bool:
    with pytest.raises(InvalidCursor):
        cursors.open(cursor, scope)
    return True


@given(st.lists(TEXTS, min_size=1, max_size=3), st.binary(max_size=60))
def test_what_is_sealed_can_be_opened(position: list[str], scope: bytes) -> None:
    assert cursors.open(cursors.seal(position, scope), scope) == tuple(position)


def test_a_cursor_needs_no_escape_in_a_url() -> None:
    assert set(sealed) <= set(ALPHABET)


def test_the_longest_cursor_is_that_of_the_contract() -> None:
    assert DOCUMENT["components"]["parameters"]["Cursor"]["schema"]["maxLength"] == LONGEST_CURSOR


@pytest.mark.parametrize("character", ["\x01", '"', "\\", "\x7f", "\U0001f600"])
def test_the_longest_name_makes_a_cursor_that_the_contract_takes(character: str) -> None:
    cursor = cursors.seal((character * 255, POSITION[1]), SCOPE)

    assert len(cursor) <= LONGEST_CURSOR
    assert cursors.open(cursor, SCOPE)[0] == character * 255


@pytest.mark.proves("", "A cursor serves the caller and the list it was made for alone")
@pytest.mark.parametrize(
    "scope", [b"", b"bob listTasks -created_at open", b"ada listTasks created_at open", SCOPE + b" ", SCOPE[:-1]]
)
def test_a_cursor_of_another_caller_filter_or_sort_is_refused(scope: bytes) -> None:
    assert is_refused(sealed, scope)


def test_the_end_of_a_scope_cannot_become_the_beginning_of_a_position() -> None:
    tail = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    moved = base64.urlsafe_b64encode(tail[:16] + SCOPE[-4:] + tail[16:]).rstrip(b"=").decode()

    assert is_refused(moved, SCOPE[:-4])


def test_a_change_of_any_character_is_refused() -> None:
    changed = [
        sealed[:place] + other + sealed[place + 1 :]
        for place in range(len(sealed))
        for other in (ALPHABET[ALPHABET.index(sealed[place]) ^ 1], ALPHABET[ALPHABET.index(sealed[place]) - 32])
    ]

    assert all(is_refused(cursor) for cursor in changed)


def test_a_cursor_cut_short_anywhere_is_refused() -> None:
    assert all(is_refused(sealed[:end]) for end in range(len(sealed)))


@pytest.mark.parametrize(
    "cursor",
    [
        sealed + "=",
        sealed + "==",
        sealed + "A",
        sealed + "AAAA",
        sealed + "\n",
        " " + sealed,
        sealed[:8] + " " + sealed[8:],
        sealed[:8] + "!" + sealed[8:],
        sealed + "\u00e9",
        sealed + "\ud800",
        sealed + "\x00",
        "\uff21" * 40,
        "~",
        "=",
        base64.urlsafe_b64encode(b"\xff" * 40).rstrip(b"=").decode(),
        base64.urlsafe_b64encode(b'["1","2"]').rstrip(b"=").decode(),
        base64.urlsafe_b64encode(bytes(16) + b'["1","2"]').rstrip(b"=").decode(),
        "A" * (LONGEST_CURSOR + 1),
        "A" * 10_000_000,
    ],
    ids=range(19),
)
def test_anything_odd_is_refused(cursor: str) -> None:
    assert is_refused(cursor)


def test_a_cursor_in_the_other_alphabet_of_base64_is_refused() -> None:
    position = next(p for n in range(1000) if {"-", "_"} & set(cursors.seal(p := (str(n),), SCOPE)))
    cursor = cursors.seal(position, SCOPE)

    assert cursors.open(cursor, SCOPE) == position
    assert is_refused(cursor.replace("-", "+").replace("_", "/"))


def test_a_cursor_longer_than_the_contract_takes_is_refused_even_when_sealed() -> None:
    assert is_refused(cursors.seal(("A" * LONGEST_CURSOR,), SCOPE))


@given(st.text(max_size=200))
def test_any_text_is_refused(cursor: str) -> None:
    assert is_refused(cursor)


def test_a_cursor_of_the_previous_key_is_accepted_until_that_key_is_dropped() -> None:
    before = Cursors(Keys(OLD)).seal(POSITION, SCOPE)

    assert cursors.open(before, SCOPE) == POSITION
    with pytest.raises(InvalidCursor):
        Cursors(Keys(NEW)).open(before, SCOPE)


def test_new_cursors_are_sealed_with_the_current_key() -> None:
    assert Cursors(Keys(NEW)).open(sealed, SCOPE) == POSITION
