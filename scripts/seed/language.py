"""Languages: names, titles and descriptions as people write them, combined from the parts that words/ holds."""

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from scripts.seed.dice import Dice

WORDS = Path(__file__).with_name("words")
NUMBERS = {
    "few": range(2, 10),
    "amount": range(12, 480),
    "cents": range(10, 100),
    "number": range(1000, 10_000),
    "hour": range(8, 20),
    "week": range(1, 53),
}
SLOT = re.compile(r"{(\w+)}")
LONGEST = 2000  # characters of a description
ENDED = 0.4  # of the titles say when, with which people or how urgently
LENGTHS = {"none": 42, "sentence": 28, "paragraph": 18, "list": 8, "pages": 4}
LETTERS = str.maketrans({"ł": "l", "\N{LATIN SMALL LETTER DOTLESS I}": "i"})  # those that Unicode does not take apart
Kind = Literal["personal", "work"]


@dataclass(frozen=True, slots=True)
class Name:
    """How somebody is called, and what is left of it in an e-mail address."""

    full: str
    handle: str


class Picks:
    """Fills the slots of one text, each with another part."""

    def __init__(self, dice: Dice, parts: Mapping[str, Sequence[object]]) -> None:
        self.dice = dice
        self.parts = parts
        self.used: set[object] = set()

    def __getitem__(self, slot: str) -> object:
        while (picked := self.dice.pick(self.parts[slot])) in self.used:
            pass
        self.used.add(picked)
        return picked


class Language:
    """What one file of words/ holds."""

    def __init__(self, path: Path) -> None:
        words = tomllib.loads(path.read_text(encoding="utf-8"))
        self.share: float = words["share"]
        self.full_name: str = words["name"]
        self.given = [spelt(name) for name in words["given"]]
        self.family = [spelt(name) for name in words["family"]]
        self.notes: list[str] = words["notes"]
        self.space: str = words.get("space", " ")
        self.capitals: dict[str, str] = words.get("capitals", {})
        self.titles: dict[str, list[tuple[str, list[str]]]] = {
            kind: [(text, fitting(text, words["endings"])) for text in words[kind]] for kind in ("personal", "work")
        }
        names = {"given": [name.full for name in self.given], "family": [name.full for name in self.family]}
        self.parts: dict[str, Sequence[object]] = words["parts"] | names | NUMBERS

    def name(self, dice: Dice) -> Name:
        given, family, second = dice.pick(self.given), dice.pick(self.family), dice.pick(self.family)
        full = self.full_name.format(given=given.full, family=family.full, second=second.full)
        return Name(full, f"{given.handle}.{family.handle}")

    def title(self, dice: Dice, kind: Kind) -> str:
        text, endings = dice.pick(self.titles[kind])
        if dice.chance(ENDED):
            text += dice.pick(endings)
        whole = text.format_map(Picks(dice, self.parts))
        return self.capitals.get(whole[0], whole[0].upper()) + whole[1:]

    def description(self, dice: Dice, kind: Kind) -> str | None:
        """None, a sentence or more of them; no more than LONGEST characters."""
        match dice.weigh(LENGTHS):
            case "none":
                return None
            case "sentence":
                return self.paragraph(dice, 1)
            case "paragraph":
                return self.paragraph(dice, dice.pick((2, 2, 3)))
            case "list":
                items = [f"- {self.title(dice, kind)}" for _ in range(dice.pick((3, 4, 5, 6)))]
                return "\n".join([self.paragraph(dice, 1), "", *items])
            case _:
                return "\n\n".join(self.paragraph(dice, 3) for _ in range(dice.pick((3, 4, 5))))[:LONGEST]

    def longest(self, dice: Dice) -> str:
        """A description as long as the contract allows."""
        text = self.paragraph(dice, 3)
        while len(text) < LONGEST:
            text += f"\n\n{self.paragraph(dice, 3)}"
        return text[:LONGEST]

    def paragraph(self, dice: Dice, sentences: int) -> str:
        notes = Picks(dice, {"note": self.notes})
        texts = [str(notes["note"]).format_map(Picks(dice, self.parts)) for _ in range(sentences)]
        return self.space.join(texts)


@cache
def languages() -> dict[str, Language]:
    """Every language, by its name."""
    return {path.stem: Language(path) for path in sorted(WORDS.glob("*.toml"))}


def any_language(dice: Dice) -> Language:
    """One of them, each as often as its share says."""
    return dice.weigh(shares())


@cache
def shares() -> dict[Language, float]:
    return {language: language.share for language in languages().values()}


def fitting(text: str, endings: Sequence[str]) -> list[str]:
    """The endings that do not say again what the text says already."""
    return [ending for ending in endings if not set(SLOT.findall(ending)) & set(SLOT.findall(text))]


def spelt(entry: str) -> Name:
    """A name of words/: how it is written and, after `|`, how in Latin letters when that cannot be told from it."""
    full, _, latin = entry.partition("|")
    letters = unicodedata.normalize("NFKD", (latin or full).casefold().translate(LETTERS))
    return Name(full, "".join(letter for letter in letters if letter.isascii() and (letter.isalnum() or letter == "-")))
