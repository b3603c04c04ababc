"""The folding of texts: a corpus in many scripts, and texts that no person would write."""

import re
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from persistence.queries import search
from persistence.search.folding import LONGEST, list_lexemes, pair_units, split_runs
from persistence.search.vectors import UNTAGGED, tag, write_tagged_vector
from tests.conftest import Bench

CORPUS = Path(__file__).with_name("search_corpus.txt")
ROW = re.compile(r"(yes|no) +\| (.+?) \| (.+)")
ESCAPE = re.compile(r"\\u([0-9A-F]{4})")
SCRIPTS = 12
FIND = """
    SELECT vector::tsvector @@ query::tsquery
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS _ (vector, query, n) ORDER BY n
"""
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200)
LONG = st.builds(str.__mul__, TEXTS, st.integers(1, 9))


class Case(NamedTuple):
    """A row of the corpus."""

    found: bool
    text: str
    query: str


def read_row(line: str) -> Case:
    row = ROW.fullmatch(line)
    assert row is not None, line
    found, text, query = (ESCAPE.sub(lambda code: chr(int(code[1], 16)), part) for part in row.groups())
    return Case(found == "yes", text, query)


async def find(db: Bench, cases: list[Case]) -> list[bool]:
    """Whether each is found, as PostgreSQL says it."""
    place = uuid4()
    vectors = [write_tagged_vector(place, case.text, None) for case in cases]
    queries = [search.write_wanted(case.query).match.replace(UNTAGGED, tag(place)) for case in cases]
    return [record[0] for record in await db.fetch(FIND, [vectors, queries])]


async def test_every_row_of_the_corpus_is_found_or_not_as_it_says(db: Bench) -> None:
    lines = [line for line in CORPUS.read_text("utf-8").splitlines() if line]
    cases = [read_row(line) for line in lines if line[0] not in "#="]
    scripts = [line for line in lines if line.startswith("== ")]

    found = await find(db, cases)

    assert [case for case, is_found in zip(cases, found, strict=True) if case.found != is_found] == []
    assert len(cases) >= 300
    assert len(scripts) >= SCRIPTS


async def test_a_text_of_the_corpus_is_found_by_itself_and_by_its_beginning(db: Bench) -> None:
    """Whatever is written there; each way of case, too."""
    lines = CORPUS.read_text("utf-8").splitlines()
    texts = {read_row(line).text for line in lines if line.startswith(("yes", "no"))}
    ways = [(text, f'"{way}"'.replace('""', "")) for text in texts for way in (text, text.upper(), text.lower())]
    cases = [Case(True, text, way) for text, way in ways if '"' not in text and len(way) <= 200]

    assert [case for case, is_found in zip(cases, await find(db, cases), strict=True) if not is_found] == []


@given(LONG)
def test_the_short_way_and_the_long_way_tell_the_same(text: str) -> None:
    assert list_lexemes(text) == list(chain.from_iterable(map(pair_units, split_runs(text))))


@given(LONG)
def test_no_lexeme_has_what_a_tag_is_made_of_or_what_postgresql_reads_as_an_end(text: str) -> None:
    for lexeme in list_lexemes(text):
        assert lexeme
        assert not re.search(r"[\x00-\x20'\\:]", lexeme)
        assert len(lexeme) <= 2 * LONGEST + 2
        assert len(lexeme.encode()) < 2000
