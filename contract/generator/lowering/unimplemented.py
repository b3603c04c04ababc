"""Leaves out of a document what no code is written for, where the caller of the generator wants that."""

from contract.generator.lowering import requests, responses
from contract.generator.reading.document import Findings, Node, child
from contract.generator.reading.grammar import Placed

KINDS = {"request-body": requests.is_read, "response": responses.is_written}


def leave_out_media_types(document: Node, placed: list[Placed], findings: Findings) -> list[str]:
    """Take away the media types that are not implemented. What comes back is where they stood, and why not.

    A body of none but those keeps them, and is refused: it would be taken, or answered, for whatever it is.
    """
    told: dict[str, str] = {}
    for one in placed:
        content = one.node.get("content", {})
        if one.kind not in KINDS or not content:
            continue
        is_done = KINDS[one.kind]
        places = {name: child(one.pointer, "content", name) for name in content}
        skipped = [name for name, each in content.items() if not is_done(document, name, each, places[name])]
        if len(skipped) == len(content):
            continue  # it is refused, as it is without the switch
        for name in skipped:
            del content[name]
            told[places[name]] = f"{name} is left out: it would have to be taken apart"
    for one in placed:
        target = str(one.node.get("$ref", ""))
        if any(target.startswith(f"{place}/") for place in told) and not is_within(one.pointer, told):
            findings.add(one.pointer, f"refers into a media type that is left out, {target}: {MOVE}")
    return [f"{place}: {reason}" for place, reason in told.items()]


MOVE = "put the schema into components/schemas"


def is_within(place: str, places: dict[str, str]) -> bool:
    """Whether a place is one of those, or below one."""
    return any(place == one or place.startswith(f"{one}/") for one in places)
