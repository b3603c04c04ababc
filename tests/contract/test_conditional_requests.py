"""Entity tags, compared as RFC 9110 says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.conditional_requests import is_named, strong_tags

TAG = st.text(st.characters(min_codepoint=0x23, max_codepoint=0x7E))


@pytest.mark.parametrize(
    ("tag", "condition", "named"),
    [
        ('"1"', "*", True),
        ('"1"', " * ", True),
        ('"1"', '"1"', True),
        ('"1"', 'W/"1"', True),
        ('W/"1"', '"1"', True),
        ('W/"1"', 'W/"1"', True),
        ('"1"', '"0", "1"', True),
        ('"1"', '"0","1","2"', True),
        ('"1"', '"2"', False),
        ('"1"', '"11"', False),
        ('"1"', '"0, 1"', False),
        ('"1"', "1", False),
        ('"1"', "", False),
        ('"W/1"', 'W/"1"', False),
    ],
)
def test_if_none_match_is_compared_weakly(tag: str, condition: str, named: bool) -> None:  # noqa: FBT001 - of a table
    assert is_named(tag, condition) is named


@pytest.mark.parametrize(
    ("condition", "tags"),
    [
        ("*", None),
        ('"1"', ("1",)),
        ('"1", "2"', ("1", "2")),
        ('W/"1"', ()),
        ('W/"1","2" , W/"3"', ("2",)),
        ('""', ("",)),
        ('"a, b"', ("a, b",)),
    ],
)
def test_if_match_names_strong_tags(condition: str, tags: tuple[str, ...] | None) -> None:
    assert strong_tags(condition) == tags


@given(st.lists(TAG, min_size=1))
def test_every_tag_of_a_list_is_named(tags: list[str]) -> None:
    condition = ", ".join(f'"{tag}"' for tag in tags)

    assert all(is_named(f'"{tag}"', condition) for tag in tags)
    assert strong_tags(condition) == tuple(tags)
