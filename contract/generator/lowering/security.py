"""What an operation demands of its callers: alternatives, each a set of schemes with scopes."""

from typing import Any

from contract.generator.reading.document import Node, Refused, child, resolve
from contract.generator.reading.grammar import suggest_word
from contract.types import Scheme

KINDS = {
    "apiKey": ("name", "in"),
    "http": ("scheme",),
    "mutualTLS": (),
    "oauth2": ("flows",),
    "openIdConnect": ("openIdConnectUrl",),
}
UNDECLARED = "which is no scheme of components/securitySchemes"
DECLARE = ": declare it there, or name one that is"
Requirements = list[dict[str, list[str]]]


def schemes_of(document: Node) -> dict[str, Scheme]:
    """The security schemes of the document. Raises Refused."""
    found: dict[str, Scheme] = {}
    for name, raw in document.get("components", {}).get("securitySchemes", {}).items():
        node, at = resolve(document, raw, child("#/components/securitySchemes", name))
        kind = node.get("type")
        if kind not in KINDS:
            raise Refused(child(at, "type"), f"is no kind of scheme: it may be {', '.join(KINDS)}")
        for needed in KINDS[kind]:
            if needed not in node:
                raise Refused(at, f"has no {needed}: add it")
        detail = str(node["name"]) if kind == "apiKey" else str(node.get("scheme", "")).lower()
        found[name] = Scheme(kind, detail, node.get("in", "") if kind == "apiKey" else "")
    return found


def read_security(document: Node, operation: Node, at: str) -> Requirements:
    """The alternatives of an operation. Raises Refused where they are none, or name what is not declared."""
    own = "security" in operation
    found: Any = (operation if own else document).get("security", [])
    at = child(at if own else "#", "security")
    if not isinstance(found, list) or not all(is_requirement(one) for one in found):
        raise Refused(at, "is no list of alternatives, each an object of scheme names with a list of roles or scopes")
    schemes: Node = document.get("components", {}).get("securitySchemes", {})
    for index, requirement in enumerate(found):
        for name in requirement:
            if name not in schemes:
                raise Refused(
                    child(at, index), f"names {name}, {UNDECLARED}{suggest_word(name, list(schemes)) or DECLARE}"
                )
    return found


def is_requirement(value: object) -> bool:
    """Whether it is a Security Requirement Object (OpenAPI 3.1, 4.8.30)."""
    return isinstance(value, dict) and all(
        isinstance(scopes, list) and all(isinstance(scope, str) for scope in scopes) for scopes in value.values()
    )
