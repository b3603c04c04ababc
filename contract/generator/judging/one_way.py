"""Refuses `readOnly` and `writeOnly` where they would hold in no direction: they are for members of an object."""

from contract.generator.reading.document import Findings, Node, child
from contract.generator.reading.grammar import Placed

WORDS = ("readOnly", "writeOnly")
WAY = "say it of a member in properties"


def check_one_way(document: Node, placed: list[Placed], findings: Findings) -> None:
    """Find what is for one direction and is no member, nor a schema of its own that members refer to."""
    named = {child("#/components/schemas", name) for name in document.get("components", {}).get("schemas", ())}
    schemas = {one.pointer: one.node for one in placed if one.kind == "schema"}
    for pointer, node in schemas.items():
        target: Node = schemas.get(str(node.get("$ref")), {})
        for word in WORDS:
            if is_member(pointer):
                continue
            if node.get(word) is True and pointer not in named:
                findings.add(child(pointer, word), f"is for members only: {WAY}")
            if target.get(word) is True:
                findings.add(child(pointer, "$ref"), f"refers to what is {word}, and is no member: {WAY}")


def is_member(pointer: str) -> bool:
    return pointer.split("/")[-2:-1] == ["properties"]
