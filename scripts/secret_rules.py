"""Docket's rules for its contract about secrets: which access tokens an operation takes, and what is told once."""

from collections.abc import Iterator

from contract.generator.reading.document import Node, Refused, child, resolve
from scripts.contract_parts import beside, codes, is_open, is_problem, operations, parameters

BEARER, TOKEN, SUPERUSER, ADMIN = "bearer", "accessToken", "superuser", "admin"
LACKING, UNENROLLED = "insufficient_scope", "mfa_enrolment_required"
READING = ("get", "head", "options", "trace")
KEY = "Idempotency-Key"
SECRETS = {"token", "url", "secret", "access_token", "refresh_token"}
"""Members of answers that are told once, or to their owner alone."""


def name_scopes(document: Node) -> Iterator[Refused]:
    """An operation names the scopes of access tokens, or takes none, where the document has such tokens at all."""
    tags = [tag.get("name") for tag in document.get("tags", [])]
    if TOKEN not in document.get("components", {}).get("securitySchemes", {}):
        return
    for operation, _, at in operations(document):
        if is_open(document, operation):
            continue
        named, place = beside(document, operation, TOKEN), child(at, "security")
        if bool(named) == bool(operation.get("x-signed-in-only")):
            yield Refused(at, f"needs either scopes beside `{TOKEN}` or `x-signed-in-only: true`")
        elif named:
            allowed = [f"{tag}:{'read' if at.rpartition('/')[2] in READING else 'write'}" for tag in tags]
            more = [ADMIN] if beside(document, operation, BEARER) == [SUPERUSER] else []
            if named[0] not in allowed or named[1:] != more:
                wanted = f"a tag with `{allowed[0].partition(':')[2]}`" + (f", then `{ADMIN}`" if more else " alone")
                yield Refused(place, f"has other scopes beside `{TOKEN}` than {wanted}")
        known = document["components"].get("schemas", {}).get("AccessTokenScope", {}).get("enum", named)
        if missing := [scope for scope in named if scope not in known]:
            yield Refused(place, f"names {', '.join(missing)}, which AccessTokenScope does not have")
        for code in (LACKING, UNENROLLED):
            if code not in codes(document, operation):
                yield Refused(at, f"does not declare {code}")


def tell_secrets_once(document: Node) -> Iterator[Refused]:
    """An answer that has a secret is `no-store`, and none is kept for an `Idempotency-Key`, to be told again."""
    if TOKEN not in document.get("components", {}).get("securitySchemes", {}):
        return
    for operation, item, at in operations(document):
        has_key = any(one.get("name") == KEY for one in parameters(document, item, operation))
        for status, raw in operation.get("responses", {}).items():
            here = child(at, "responses", status)
            answer, _ = resolve(document, raw, here)
            schemas = [one.get("schema", {}) for one in answer.get("content", {}).values()]
            told = SECRETS & {name for schema in schemas for name in members_in(document, schema, here, ())}
            if is_problem(status) or not told:
                continue
            if has_key:
                yield Refused(here, f"tells {', '.join(sorted(told))}, which is not kept: take no `{KEY}`")
            if not is_kept_by_none(document, answer):
                yield Refused(here, f"tells {', '.join(sorted(told))}: say `Cache-Control: no-store`")


def members_in(document: Node, schema: Node, at: str, seen: tuple[str, ...]) -> Iterator[str]:
    """The names of the members that a schema has, at any depth."""
    node, pointer = resolve(document, schema, at)
    if pointer in seen:
        return
    inner = [*node.get("properties", {}).values(), *[node[name] for name in ("items",) if name in node]]
    yield from node.get("properties", {})
    for one in (*inner, *[one for name in ("allOf", "anyOf", "oneOf") for one in node.get(name, [])]):
        yield from members_in(document, one, pointer, (*seen, pointer) if pointer != at else seen)


def is_kept_by_none(document: Node, answer: Node) -> bool:
    header, _ = resolve(document, answer.get("headers", {}).get("Cache-Control", {}), "#")
    return bool(header.get("schema", {}).get("const") == "no-store")
