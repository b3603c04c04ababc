"""The tables of README.md are those of the contract."""

import pytest

from scripts import readme
from scripts.pages import between


def test_its_tables_are_fresh() -> None:
    assert readme.main(["--check"]) == 0


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^There is no place for endpoints"):
        between("# Nothing", "endpoints", "| a |\n")
