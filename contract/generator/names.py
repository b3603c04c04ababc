"""The names that things of the contract get in Python, and the refusal of those that clash."""

import keyword
import re
from collections.abc import Iterable

from contract import types
from contract.generator.reading.document import Refused

ARGUMENTS = frozenset({"call", "self", "body"})
MEMBERS = ARGUMENTS | {"code", "detail", "errors", "status", "types", "media_type", "media_types", "constant_headers"}
FUNCTIONS = ARGUMENTS | {"models", "not_written"}
"""What a module of handlers has by other names already."""
CLASSES = frozenset(vars(types)) | {"Handlers", "MISSING", "Protocol"}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).strip("_").lower()


def pascal(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))


def check_name(name: str, pointer: str, taken: frozenset[str] = ARGUMENTS) -> str:
    """The name. Raises Refused when Python knows no such names, or the generated code has taken it."""
    if not name.isidentifier() or keyword.iskeyword(name) or name in taken:
        raise Refused(pointer, f"the name would be {name!r} in Python, which clashes: choose another")
    return name


def argument(name: str, pointer: str, taken: frozenset[str] = ARGUMENTS) -> str:
    """The name of an argument or a member: one that Python keeps for itself gets an underscore at its end."""
    told = snake(name)
    if told[:1].isdigit():
        told = f"field_{told}"
    return check_name(f"{told}_" if keyword.iskeyword(told) or told in taken else told, pointer, taken)


def refuse_doubles(named: Iterable[tuple[str, str]]) -> None:
    """Raises Refused at the second thing of a name. `named` are names and JSON Pointers."""
    first: dict[str, str] = {}
    for name, pointer in named:
        if name in first:
            raise Refused(pointer, f"is called {name!r} in Python, as {first[name]} is: choose another name")
        first[name] = pointer
