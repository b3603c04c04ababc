"""What makes a password no good: being common, being made of its owner's names, being easy to guess."""

import re
import string
from collections.abc import Callable, Iterator, Sequence
from math import prod
from threading import Lock
from typing import Literal
from unicodedata import normalize

SHORTEST_WORD = 4  # shorter names and parts of an e-mail address say nothing
ESTIMATED_LENGTH = 72  # the estimator's time grows with the square of the length
LEAST_SCORE = 2  # of 0 to 4: more than a million guesses
MOST_READINGS = 8  # the estimator reads a password once for each choice of letters that its signs may stand for
PRODUCT = "docket"

SIGNS_FOR = {
    "a": "4@",
    "b": "8",
    "c": "([{<",
    "e": "3",
    "g": "69",
    "i": "1!|",
    "l": "1|7",
    "o": "0",
    "s": "$5",
    "t": "+7",
    "x": "%",
    "z": "2",
}
LETTER_FOR = {sign: letter for letter, signs in SIGNS_FOR.items() for sign in signs}
READINGS = [str.maketrans(letters) for letters in ({}, LETTER_FOR, LETTER_FOR | {"1": "i", "|": "i"})]
MASKED = str.maketrans(dict.fromkeys("@([{<!|$+%", "\N{SECTION SIGN}"))
ENDINGS = string.digits + string.punctuation + string.whitespace

COMPOSITION: dict[str, Callable[[str], bool]] = {
    "a lower-case letter": str.islower,
    "an upper-case letter": str.isupper,
    "a digit": str.isdigit,
    "a symbol": lambda character: not character.isalnum(),
}

estimating = Lock()  # the estimator keeps a caller's words in one place for all threads


class PasswordRefused(Exception):  # noqa: N818 - it says what is the case
    """The password is no good. `detail` says what would be better, and nothing of the password."""

    def __init__(self, code: Literal["password_too_common", "password_too_weak"], detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


def judge(password: str, *, email: str, names: Sequence[str], composition: bool) -> None:
    """Raises PasswordRefused when the password, in NFKC, will not do for the owner of this e-mail and these names."""
    spelt = set(spellings(fold_case(password)))
    if any(common(spelling) for spelling in spelt):
        raise PasswordRefused(
            "password_too_common",
            "This password is among the first that anyone would try, as it stands or with characters changed or added. "
            "Choose one that only you have: four words that do not belong together, for example.",
        )
    whole = {squeeze_text(text) for text in (email, *email.rsplit("@", 1), *names)}
    whole = {name for name in whole if len(name) >= SHORTEST_WORD}
    parts = {part for text in (email, *names) for part in words(text)}
    read = {squeeze_text(spelling) for spelling in spelt}
    if any(name in text for name in whole for text in read) or any(made_of(parts, text) for text in read):
        raise PasswordRefused(
            "password_too_common",
            "This password is made of your e-mail address or name. Choose one that says nothing about you.",
        )
    lacking = [kind for kind, is_one in COMPOSITION.items() if not any(map(is_one, password))]
    if composition and lacking:
        raise PasswordRefused("password_too_weak", f"This password lacks {', '.join(lacking)}.")
    if advice := weakness(password, whole | parts | {PRODUCT}):
        raise PasswordRefused("password_too_weak", f"This password is easy to guess. {advice}")


def fold_case(text: str) -> str:
    """The text as it is compared, whatever its case and Unicode form."""
    return normalize("NFKC", text).casefold()


def squeeze_text(text: str) -> str:
    """The letters and digits of the text, as they are compared."""
    return "".join(filter(str.isalnum, fold_case(text)))


def words(text: str) -> list[str]:
    """The words of the text that are long enough to count."""
    return [word for word in re.split(r"[\W_]+", fold_case(text)) if len(word) >= SHORTEST_WORD]


def spellings(text: str) -> Iterator[str]:
    """The text, with and without the digits and signs it ends in, as it stands and with letters for signs."""
    stem = len(text.rstrip(ENDINGS))
    for end in range(stem if stem >= SHORTEST_WORD else len(text), len(text) + 1):
        for reading in READINGS:
            yield text[:end].translate(reading)


def made_of(parts: set[str], text: str) -> bool:
    """Whether nothing but digits is left of the text without these parts."""
    rest = text
    for part in sorted(parts, key=len, reverse=True):
        rest = rest.replace(part, "")
    return rest != text and not any(map(str.isalpha, rest))


def common(word: str) -> bool:
    """Whether the word is one of the 30,000 most common passwords, or our own name."""
    from zxcvbn.matching import RANKED_DICTIONARIES  # noqa: PLC0415 - 30 ms and 13 MB that start-up does without

    return word == PRODUCT or word in RANKED_DICTIONARIES["passwords"]


def weakness(password: str, own: set[str]) -> str:
    """What makes the password easy to guess for one who knows its owner's words; empty, if it is not."""
    from zxcvbn import zxcvbn  # noqa: PLC0415 - as above

    text = password[:ESTIMATED_LENGTH]
    if prod(max(1, len(set(signs).intersection(text))) for signs in SIGNS_FOR.values()) > MOST_READINGS:
        text = text.translate(MASKED)  # else 72 signs take the estimator two seconds
    with estimating:
        estimate = zxcvbn(text, sorted(own))
    if estimate["score"] >= LEAST_SCORE:
        return ""
    return " ".join(filter(None, [estimate["feedback"]["warning"], *estimate["feedback"]["suggestions"]]))
