"""What an operation demands of its callers, and the refusal of what the server would not hold them to."""

from typing import Any

from contract.generator.document import Node, Refused, child

BEARER = "bearer"
COOKIE = "cookie"
TAKEN = "an alternative is `bearer`, a cookie, the password flow of OAuth, or another token where calling is optional"


def read_security(document: Node, operation: Node, at: str) -> list[dict[str, list[str]]]:
    """The alternatives of an operation. Raises Refused where the server would let through more than they do."""
    own = "security" in operation
    found: Any = (operation if own else document).get("security", [])
    at = child(at if own else "#", "security")
    if not isinstance(found, list) or not all(is_requirement(one) for one in found):
        raise Refused(at, "is no list of alternatives, each an object of scheme names with a list of roles or scopes")
    schemes: Node = document.get("components", {}).get("securitySchemes", {})
    for index, requirement in enumerate(found):
        here = child(at, index)
        for name in requirement:
            if name not in schemes:
                raise Refused(here, f"names {name}, which is no scheme of components/securitySchemes")
        if len(requirement) > 1:
            names = " and ".join(requirement)
            raise Refused(here, f"demands {names} at once, of which the server would check one: make them alternatives")
        for name, scopes in requirement.items():
            if not is_checked(name, schemes[name], scopes, optional={} in found):
                raise Refused(here, f"demands {name}, which the server does not check: {TAKEN}")
    if sum(BEARER in requirement for requirement in found) > 1:
        raise Refused(at, "has `bearer` twice: name all roles at once")
    return found


def is_requirement(value: object) -> bool:
    """Whether it is a Security Requirement Object (OpenAPI 3.1, 4.8.30)."""
    return isinstance(value, dict) and all(
        isinstance(scopes, list) and all(isinstance(scope, str) for scope in scopes) for scopes in value.values()
    )


def is_checked(name: str, scheme: Node, scopes: list[str], *, optional: bool) -> bool:
    """Whether the server holds a caller to a scheme, where it stands alone in an alternative."""
    is_token = scheme.get("type") == "http" and str(scheme.get("scheme", "")).lower() == "bearer"
    if name == BEARER:
        return is_token and not optional  # a handler that anybody may call is not told who does
    if scopes:
        return False
    if scheme.get("type") == "oauth2":
        return list(scheme.get("flows", {})) == ["password"]
    return (scheme.get("type") == "apiKey" and scheme.get("in") == COOKIE) or (is_token and optional)


def cookie_of(document: Node, security: list[dict[str, list[str]]]) -> str | None:
    """The cookie that may stand for an access token."""
    schemes: Node = document.get("components", {}).get("securitySchemes", {})
    named = (schemes[name] for requirement in security for name in requirement)
    return next((scheme["name"] for scheme in named if scheme.get("in") == COOKIE), None)


def roles_of(security: list[dict[str, list[str]]], at: str) -> tuple[str, ...] | None:
    """The roles beside `bearer`; None when the operation is public."""
    if not security or {} in security:
        return None
    found = [requirement[BEARER] for requirement in security if BEARER in requirement]
    if not found or not found[0]:
        raise Refused(child(at, "security"), "names no role beside `bearer`")
    return tuple(found[0])
