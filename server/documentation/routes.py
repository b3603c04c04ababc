"""The routes of the contract's documents, of the pages that show it, and of what these load."""

import json
import re

from starlette.routing import Route

from server.documentation.files import ASSETS, FOLDER, WITHOUT_DOCS, File, asset_path
from server.documentation.pages import Pages
from server.middleware.content_security_policy import CspMode, content_security_policy

PATH_OF_OURS = re.compile(rb"^(\s*(?:- url|tokenUrl): )/", re.MULTILINE)
"""What in the contract refers to a path of ours: its server, and where the password flow has its tokens."""


def documentation(contract: bytes, document: bytes, pages: Pages, csp_mode: CspMode) -> list[Route]:
    """The routes of the contract (YAML), the same document as JSON, the pages that show it, and what these load.

    Where the operator has switched the pages off only what the page of a problem loads.
    """
    files = contract_files(contract, document, pages, csp_mode) if pages.docs else {}
    files["/favicon.ico"] = File(FOLDER / "favicon.svg", ASSETS["favicon.svg"])
    for name, media_type in ASSETS.items():
        if pages.docs or name in WITHOUT_DOCS:
            files[asset_path(name)] = File(FOLDER / name, media_type, "public, max-age=31536000, immutable")
    return [
        Route(path + slash, file.answer, methods=["GET", "OPTIONS"], include_in_schema=False)
        for path, file in files.items()
        for slash in ("", "/")
    ]


def contract_files(contract: bytes, document: bytes, pages: Pages, csp_mode: CspMode) -> dict[str, File]:
    """The contract by its paths."""
    docs, redoc = (content_security_policy(page, csp_mode) for page in ("docs", "redoc"))
    if pages.root:
        contract = PATH_OF_OURS.sub(rb"\g<1>%b/" % pages.root.encode(), contract)
        document = json_below(pages.root, document)
    whole = File(document, "application/json")
    return {
        "/openapi.yaml": File(contract, "application/yaml"),
        "/openapi.json": whole,
        "/api/v1/openapi.json": whole,
        "/docs": File(pages.docs_page(), "text/html", policy=docs),
        "/redoc": File(pages.redoc_page(), "text/html", policy=redoc),
    }


def json_below(root: str, document: bytes) -> bytes:
    """The document of a server whose paths a proxy has below this one."""
    told = json.loads(document)
    for server in told["servers"]:
        server["url"] = root + server["url"]
    for scheme in told["components"]["securitySchemes"].values():
        for flow in scheme.get("flows", {}).values():
            flow["tokenUrl"] = root + flow["tokenUrl"]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
