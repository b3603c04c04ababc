"""Bodies of errors in a schema of the document's own: as little as it demands, with the words that are known."""

from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

from contract.schemas import Check

Fill: TypeAlias = Callable[[str], Any]
"""Makes a value of what there is to say."""
DETAILS = ("detail", "details", "message", "msg", "description", "reason", "errormessage", "errordescription")
PHRASES = ("title", "error", "errors", "name", "summary")
STATUSES = ("status", "statuscode", "code", "httpstatus", "httpcode", "errorcode")
KNOWN = frozenset({*DETAILS, *PHRASES, *STATUSES})
PLAIN: Sequence[Any] = (
    "",
    "0",
    "about:blank",
    "00000000-0000-0000-0000-000000000000",
    "1970-01-01",
    "1970-01-01T00:00:00Z",
    0,
    1,
    False,
    [],
    {},
    None,
)
"""What is neither known by its name nor has an option or a default; the first that its schema takes."""
INVALID = ("invalid", "badrequest", "validation", "client")
"""What is in an option that fits a request which breaks the contract."""
SAMPLES = ("The request breaks the contract.", "x" * 400)
DEEPEST = 8  # schemas, one in another


def filler_of(check: Check, status: int, name: str = "", depth: int = 0) -> Fill | None:
    """How a value of a schema is made, which stands under a name, whatever the detail; None: not found out."""
    if depth > DEEPEST:
        return None
    for fill in fills_of(check, status, fold_name(name), depth):
        if all(check.is_valid(fill(detail)) for detail in SAMPLES):
            return fill
    return None


def fills_of(check: Check, status: int, name: str, depth: int) -> Iterator[Fill]:
    """What may do, that first which says most."""
    options = check.node.get("enum", [check.node["const"]] if "const" in check.node else [])
    yield from map(constant, sorted(options, key=lambda one: not is_fitting(one, status)))
    for keyword in ("oneOf", "anyOf"):
        for index in range(len(check.node.get(keyword, ()))):
            if (fill := filler_of(check.below(keyword, index), status, name, depth + 1)) is not None:
                yield fill
    if "$ref" in check.node and (fill := filler_of(check.schemas[check.node["$ref"]], status, name, depth + 1)):
        yield fill
    if name in DETAILS:
        yield str
    yield object_of(members_of(check, depth), status, depth)
    if "items" in check.node and (item := filler_of(check.below("items"), status, name, depth + 1)):
        yield lambda detail: [item(detail)]
    if name in STATUSES:
        yield from (constant(status), constant(str(status)))
    told = [*([check.node["default"]] if "default" in check.node else []), *check.node.get("examples", ())]
    yield from map(constant, (HTTPStatus(status).phrase, *told, *PLAIN, check.node.get("minimum", 0)))


def object_of(members: dict[str, tuple[Check | None, bool]], status: int, depth: int) -> Fill:
    """An object of the members that there must be, and of those that are known by their names."""
    made: dict[str, Fill] = {}
    for name, (check, is_required) in members.items():
        if is_required or fold_name(name) in KNOWN:
            fill = filler_of(check, status, name, depth + 1) if check is not None else constant(None)
            made |= {name: fill} if fill is not None else {}
    return lambda detail: {name: fill(detail) for name, fill in made.items()}


def members_of(check: Check, depth: int) -> dict[str, tuple[Check | None, bool]]:
    """The members that a schema names, with their schemas, and whether there must be such a member."""
    found: dict[str, tuple[Check | None, bool]] = {}
    if depth > DEEPEST:
        return found
    parts = [check.below("allOf", index) for index in range(len(check.node.get("allOf", ())))]
    parts += [check.schemas[check.node["$ref"]]] if "$ref" in check.node else []
    for part in parts:
        found |= members_of(part, depth + 1)
    found |= {name: (check.below("properties", name), False) for name in check.node.get("properties", ())}
    return found | {name: (found.get(name, (None, True))[0], True) for name in check.node.get("required", ())}


def is_fitting(option: object, status: int) -> bool:
    """Whether an option says what there is to say."""
    return option in (status, str(status)) or any(word in fold_name(str(option)) for word in INVALID)


def fold_name(name: str) -> str:
    """A name without what conventions do to it."""
    return "".join(character for character in name.lower() if character.isalnum())


def constant(value: object) -> Fill:
    return lambda _detail: value
