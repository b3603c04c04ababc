"""What a search asks for: words, "phrases", -words and alternatives with `or`. No text is an error."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

W = TypeVar("W")
TERM = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')


@dataclass(frozen=True, slots=True)
class Term(Generic[W]):
    """Words that follow each other in a task, or must not. `is_beginning`: of the last one this may be a part."""

    words: W
    negated: bool
    is_beginning: bool


Group: TypeAlias = list[Term[W]]
"""An alternative: a task has every term of one of them."""


def read_groups(text: str, read_words: Callable[[str], W]) -> list[Group[W]]:
    """What the text asks for, by the words that `read_words` finds in its parts; a part without any says nothing."""
    parts = [(minus, phrase, word, read_words(phrase or word)) for minus, phrase, word in TERM.findall(text)]
    terms = [part for part in parts if part[3]]
    groups: list[Group[W]] = [[]]
    for number, (minus, _, word, words) in enumerate(terms, 1):
        last = number == len(terms)
        if word.lower() == "or" and not minus and groups[-1] and not last:
            groups.append([])
            continue
        is_beginning = bool(last and word and not minus and not text[-1].isspace())
        groups[-1].append(Term(words, bool(minus), is_beginning))
    return groups


def join_groups(groups: list[Group[W]], write_term: Callable[[Term[W]], str]) -> str:
    """The groups as PostgreSQL's tsquery reads them."""
    return " | ".join([" & ".join(map(write_term, group)) for group in groups])
