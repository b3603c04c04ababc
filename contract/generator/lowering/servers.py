"""Where the servers of a document have its paths: the beginnings that stand before them."""

import re
from urllib.parse import urlsplit

from contract.generator.reading.document import Node, Refused, child

VARIABLE = re.compile(r"\{([^{}]*)\}")


def servers_of(document: Node, path_item: Node, operation: Node, path: str, at: str) -> tuple[str, ...]:
    """The beginnings of the paths of an operation, each once: those nearest to it count. Raises Refused."""
    for holder, place in ((operation, at), (path_item, child("#/paths", path)), (document, "#")):
        servers = holder.get("servers")
        if servers:
            each = [one for i, server in enumerate(servers) for one in beginnings(server, child(place, "servers", i))]
            return tuple(dict.fromkeys(each))
    return ("",)


def beginnings(server: Node, at: str) -> list[str]:
    """The paths of a server's URL, with every value that its variables may have; `{name}` stands for any."""
    url = str(server.get("url", ""))
    variables: Node = server.get("variables", {})
    for name in VARIABLE.findall(url):
        if name not in variables:
            raise Refused(
                child(at, "url"),
                f"has the variable {name}, which `variables` does not have: add it there, with a default",
            )
        options = variables[name].get("enum")
        if "default" not in variables[name] or (options is not None and variables[name]["default"] not in options):
            raise Refused(child(at, "variables", name), "needs a default, which is one of its `enum` if it has one")
    told = path_of(url)
    if told is None:  # the variable may be all that makes it whole
        told = path_of(VARIABLE.sub(lambda found: str(variables[found[1]]["default"]), url))
    if told is None:
        raise Refused(child(at, "url"), "is relative to where the document stands: begin it with a slash")
    if "?" in url or "#" in url:
        raise Refused(child(at, "url"), "has a query or a fragment, which stand behind every path: take it away")
    paths = [told.rstrip("/")]
    for name in VARIABLE.findall(told):
        options = variables[name].get("enum", [f"{{{name}={variables[name]['default']}}}"])
        paths = [path.replace(f"{{{name}}}", str(option)) for path in paths for option in options]
    return paths


def path_of(url: str) -> str | None:
    """The path of a URL; None where it is relative to another one."""
    if url.startswith("/") and not url.startswith("//"):
        return url
    masked = VARIABLE.sub(lambda found: "v" * len(found[0]), url)
    host = urlsplit(masked).netloc
    return url[masked.index(host) + len(host) :] if host else None
