"""The parts of a contract that its rules ask for: operations, and what they take and answer."""

from collections.abc import Iterator

from contract.generator.reading.document import Node, child, resolve

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
FIRST_ERROR = 400


def operations(document: Node) -> Iterator[tuple[Node, Node, str]]:
    """Every operation, its path, and where it stands."""
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if isinstance(item, dict) and method in item:
                yield item[method], item, child("#/paths", path, method)


def parameters(document: Node, item: Node, operation: Node) -> list[Node]:
    """The parameters of an operation."""
    named = [resolve(document, one, "#")[0] for node in (item, operation) for one in node.get("parameters", [])]
    return list({(one.get("in"), one.get("name")): one for one in named}.values())


def body_members(document: Node, operation: Node) -> Node:
    """The members of the JSON that an operation takes."""
    body, _ = resolve(document, operation.get("requestBody", {}), "#")
    content: list[Node] = list(body.get("content", {}).values())
    schema: Node = content[0].get("schema", {}) if content else {}
    members: Node = resolve(document, schema, "#")[0].get("properties", {})
    return members


def codes(document: Node, operation: Node) -> dict[str, None]:
    """The codes of the problems that an operation declares."""
    shared = [resolve(document, raw, "#")[0] for raw in operation.get("responses", {}).values()]
    examples = [one.get("examples", {}) for node in shared for one in node.get("content", {}).values()]
    return dict.fromkeys(code for each in examples for code in each)


def is_problem(status: str) -> bool:
    return status.isdecimal() and int(status) >= FIRST_ERROR


def is_open(document: Node, operation: Node) -> bool:
    """Whether anybody may call."""
    security = operation.get("security", document.get("security", []))
    return isinstance(security, list) and (not security or {} in security)


def beside(document: Node, operation: Node, scheme: str) -> list[str]:
    """What stands beside a scheme in the first alternative that has it."""
    security = operation.get("security", document.get("security", []))
    alternatives = [one for one in security if isinstance(one, dict)] if isinstance(security, list) else []
    found: list[str] = next((one[scheme] for one in alternatives if scheme in one), [])
    return found
