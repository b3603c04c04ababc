"""The words of a text as people compare them: without case, accents and joiners, whatever stands between two words."""

import re
import unicodedata
from collections.abc import Iterable
from itertools import chain
from operator import add
from typing import TypeAlias

LONGEST = 255  # characters of a lexeme, of at most four bytes each: PostgreSQL refuses one of 2 KiB
NUKTA, OVERLAY = 7, 1  # combining classes
POINTS = range(10, 37)  # those of Hebrew, Arabic and Syriac
ACCENTS = range(200, 256)
LAST_BASIC = "\uffff"
INDIC = range(0x0900, 0x0E00)
MARKED = [(0xAD, 0xAD), (0x300, 0x30FF), (0xA660, 0xABFF), (0xFB1E, 0xFB1E), (0xFE00, 0xFE2F), (0xFEFF, 0xFEFF)]
MARKED += [(0xFFF9, 0xFFFB), (0x10A00, 0x11FFF), (0x1E000, 0x1E95F), (0xE0001, 0xE01EF)]
"""Where Unicode keeps marks, invisible characters, and the digits of scripts."""
LATIN = [(0xDF, 0x2AF), (0x1D00, 0x1DBF), (0x2C60, 0x2C7F), (0xA720, 0xA7FF), (0xAB30, 0xAB6F)]
NAME = re.compile(r"LATIN SMALL (?:LETTER|LIGATURE) (?:DOTLESS )?([A-Z]{1,2})(?: WITH .+)?")
LETTERS = {"þ": "th"} | dict(zip("ðŋəɛɔĸ", "dneeok", strict=True))  # Latin ones that have their own names
LETTERS |= dict(zip("ىیکٱةہەँ", "ييكاهههं", strict=True))
LETTERS |= {final: letter + "\u0d4d" for final, letter in zip("ൺൻർൽൾൿ", "ണനരലളക", strict=True)} | {"ৎ": "ত্"}
LETTERS |= dict.fromkeys(["_", "\u02ee", *map(chr, range(0x2B9, 0x2C2))], " ")  # Unicode takes apostrophes for letters
UNSPACED = r"\u3005-\u3007\u3041-\u3096\u309D-\u309F\u30A1-\u30FA\u30FC-\u312F\u31A0-\u31BF\u31F0-\u31FF"
UNSPACED += r"\u3400-\u4DBF\u4E00-\u9FFF\U00020000-\U0003FFFF"  # with the line above Chinese and Japanese
UNSPACED += r"\u0E01-\u0E30\u0E32\u0E33\u0E40-\u0E46\u0E81-\u0EB0\u0EB2\u0EB3\u0EBD-\u0EC6\u0EDC-\u0EDF"  # Thai, Lao
UNSPACED += r"\u1000-\u102A\u103F\u1050-\u1055\u105A-\u105D\u1061\u1065\u1066\u106E-\u1070\u1075-\u1081\u108E"
UNSPACED += r"\uA9E0-\uA9E4\uA9E6-\uA9EF\uA9FA-\uA9FE\uAA60-\uAA76\uAA7A\uAA7E\uAA7F"  # with the line above Burmese
UNSPACED += r"\u1780-\u17B3\u17D7\u17DC"  # Khmer
PLAIN = bytes(ord(chr(code).lower()) if chr(code).isalnum() else 0x20 for code in range(128)) + bytes(128)


def characters(ranges: Iterable[tuple[int, int]]) -> list[str]:
    return [chr(code) for first, last in ranges for code in range(first, last + 1)]


def is_dropped(char: str, kind: str) -> bool:
    """True for accents, points, tatweel, joiners and other invisible characters. A vowel sign is a letter to people."""
    if kind in {"Cf", "Me"} or char in "\u034f\u0640\u07fa" or "SELECTOR" in unicodedata.name(char):
        return True
    if kind != "Mn" or char > LAST_BASIC:
        return False
    order = unicodedata.combining(char)
    return ord(char) in INDIC if order == NUKTA else order == OVERLAY or order in POINTS or order in ACCENTS


def name_letters() -> dict[str, str]:
    """The Latin letters that Unicode does not take apart, and what their names say that they are."""
    named = {char: NAME.fullmatch(unicodedata.name(char, "")) for char in characters(LATIN)}
    return {char: name[1].lower() for char, name in named.items() if name}


def any_of(chars: Iterable[str]) -> str:
    """What stands for them between brackets: ranges, since beyond U+FFFF `re` tries one part after the other."""
    codes = sorted(map(ord, chars))
    firsts = [code for before, code in zip([-1, *codes], codes, strict=False) if code != before + 1]
    lasts = [code for code, after in zip(codes, [*codes[1:], -1], strict=True) if after != code + 1]
    return "".join([f"\\U{first:08x}-\\U{last:08x}" for first, last in zip(firsts, lasts, strict=True)])


KINDS = {char: unicodedata.category(char) for char in characters(MARKED)}
DIGITS = {char: str(unicodedata.decimal(char)) for char, kind in KINDS.items() if kind == "Nd" and char <= LAST_BASIC}
SEEN = {char: not is_dropped(char, kind) for char, kind in KINDS.items() if kind in {"Mn", "Mc", "Me", "Cf", "Lm"}}
MARKS = [char for char, seen in SEEN.items() if seen and KINDS[char] != "Lm"]
BASIC_MARKS = any_of(char for char in MARKS if char <= LAST_BASIC)
ALIKE = name_letters() | DIGITS | LETTERS
DROPPED = re.compile(f"[{any_of(char for char, seen in SEEN.items() if not seen)}]+")
UNLIKE = re.compile(f"[{any_of(ALIKE)}]")
BASIC_WORD, WORD = re.compile(rf"[\w{BASIC_MARKS}]+"), re.compile(rf"[\w{any_of(MARKS)}]+")
BEYOND = re.compile(r"[\U00010000-\U0010ffff]")
UNIT = re.compile(rf"[{UNSPACED}][{BASIC_MARKS}]*")
RUN = re.compile(rf"(?:{UNIT.pattern})+|[^{UNSPACED}]{{1,{LONGEST}}}")

Run: TypeAlias = list[str]
"""A word, or the letters of a run of them without spaces, each with its marks."""


def fold(text: str) -> str:
    """The text with the letters that people take for the same made the same."""
    if text.isascii():
        return text.lower().replace("_", " ")
    letters = DROPPED.sub("", unicodedata.normalize("NFKD", text)).casefold()
    return UNLIKE.sub(lambda letter: ALIKE[letter[0]], letters)


def split_words(folded: str) -> list[str]:
    return (WORD if BEYOND.search(folded) else BASIC_WORD).findall(folded)


def split_runs(text: str) -> list[Run]:
    """The words of a text, in order; those of more than LONGEST letters in parts."""
    parts = chain.from_iterable(map(RUN.findall, split_words(fold(text))))
    return [UNIT.findall(part) or [part] for part in parts]


def is_unspaced(run: Run) -> bool:
    return UNIT.match(run[0]) is not None


def pair_units(run: Run) -> list[str]:
    """The lexemes of a run: of letters without spaces each with the one after it, the last alone."""
    return list(map(add, run, [*run[1:], ""]))


def list_beginnings(text: str) -> list[str]:
    """The lexemes that a text which goes on has, too: the last of letters without spaces may be followed by another."""
    runs = split_runs(text)
    pairs = [lexeme for run in runs[:-1] for lexeme in pair_units(run)]
    return [*pairs, *[lexeme for run in runs[-1:] for lexeme in pair_units(run)[:-1] or run]]


def list_lexemes(text: str) -> list[str]:
    """What a text is found by, in order. `split_runs` tells the same of any text, and takes longer."""
    if text.isascii():
        words = text.encode().translate(PLAIN).decode().split()
        if len(text) <= LONGEST or max(map(len, words), default=0) <= LONGEST:
            return words
    elif UNIT.search(folded := fold(text)) is None:
        words = split_words(folded)
        if max(map(len, words), default=0) <= LONGEST:
            return words
    return list(chain.from_iterable(map(pair_units, split_runs(text))))
