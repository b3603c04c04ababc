"""What texts are sorted by: letters that people take for the same stand together, whatever the database collates."""

from persistence.search.folding import fold

LONGEST = 200  # characters of what is folded, so that an index can hold the key


def write_sort_key(text: str) -> str:
    """The text as a search folds it, then as it is. Compare it byte by byte."""
    return f"{fold(text)[:LONGEST]}\x01{text}"
