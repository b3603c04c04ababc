"""The contract as it is served: its documents, Swagger UI, ReDoc, and a page for each problem."""

import gzip
import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import file_digest, sha256
from html import escape
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contract.conditional_requests import is_named
from server.middleware.content_security_policy import CspMode, content_security_policy

FOLDER: Final = Path(__file__).parent / "assets"
ASSETS: Final = {
    "docs.css": "text/css",
    "docs.js": "text/javascript",
    "favicon.svg": "image/svg+xml",
    "problem.css": "text/css",
    "redoc.css": "text/css",
    "redoc.js": "text/javascript",
    "redoc.standalone.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
OF_PROBLEMS: Final = {"favicon.svg", "problem.css"}


@dataclass(frozen=True)
class File:
    """Bytes that are served as they are: those given, or those of a file, which is read when it is asked for."""

    source: bytes | Path
    media_type: str
    cache_control: str = "no-cache"
    policy: str | None = None

    @property
    def content(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    @cached_property
    def entity_tag(self) -> str:
        """Weak, because the compressed bytes bear it too."""
        return f'W/"{sha256(self.content).hexdigest()[:32]}"'

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.content, mtime=0)

    def answer(self, request: Request) -> Response:
        """What the request asks for. Not a coroutine, so that reading and compressing a bundle keep nobody waiting."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": "GET, HEAD, OPTIONS"})
        headers = {"Cache-Control": self.cache_control, "ETag": self.entity_tag, "Vary": "Accept-Encoding"}
        if self.policy is not None:
            headers["Content-Security-Policy"] = self.policy
        if is_named(self.entity_tag, ",".join(request.headers.getlist("if-none-match"))):
            return Response(status_code=304, headers=headers)
        if takes_gzip(",".join(request.headers.getlist("accept-encoding"))):
            headers["Content-Encoding"] = "gzip"
            return Response(self.compressed, headers=headers, media_type=self.media_type)
        return Response(self.content, headers=headers, media_type=self.media_type)


def documentation(
    contract: bytes, document: bytes, *, csp_mode: CspMode, docs: bool = True, password_grant: bool = True
) -> list[Route]:
    """The routes of the contract (YAML), the same document as JSON, the pages that show it, and what these load.

    Without `docs` only what the page of a problem loads.
    """
    files = described(contract, document, csp_mode, password_grant=password_grant) if docs else {}
    files["/favicon.ico"] = File(FOLDER / "favicon.svg", ASSETS["favicon.svg"])
    for name, media_type in ASSETS.items():
        if docs or name in OF_PROBLEMS:
            files[asset_path(name)] = File(FOLDER / name, media_type, "public, max-age=31536000, immutable")
    return [
        Route(path + slash, file.answer, methods=["GET", "OPTIONS"], include_in_schema=False)
        for path, file in files.items()
        for slash in ("", "/")
    ]


def described(contract: bytes, document: bytes, csp_mode: CspMode, *, password_grant: bool) -> dict[str, File]:
    """The contract by its paths."""
    title: str = json.loads(document)["info"]["title"]
    whole = File(document, "application/json")
    return {
        "/openapi.yaml": File(contract, "application/yaml"),
        "/openapi.json": whole,
        "/api/v1/openapi.json": whole,
        "/docs": File(
            docs_page(title, password_grant=password_grant),
            "text/html",
            policy=content_security_policy("docs", csp_mode),
        ),
        "/redoc": File(redoc_page(title), "text/html", policy=content_security_policy("redoc", csp_mode)),
    }


@cache
def asset_path(name: str) -> str:
    """Where an asset is served. Its path changes with the bytes of any of them, because some import others."""
    return f"/docs/assets/{digest()}/{name}"


@cache
def digest() -> str:
    return sha256(b"".join(map(digest_of, ASSETS))).hexdigest()[:16]


def digest_of(name: str) -> bytes:
    with (FOLDER / name).open("rb") as file:
        return file_digest(file, "sha256").digest()


def docs_page(title: str, *, password_grant: bool) -> bytes:
    """Swagger UI. Without the password grant its Authorize button asks for a token, and for no password."""
    head = stylesheet("swagger-ui.css") + stylesheet("docs.css") + script("swagger-ui-bundle.js") + script("docs.js")
    without = "" if password_grant else ' data-without="password"'
    return html(title, head, f'<div id="swagger-ui"{without}></div>{WITHOUT_SCRIPT}')


def redoc_page(title: str) -> bytes:
    head = stylesheet("redoc.css") + f'<script type="module" src="{asset_path("redoc.js")}"></script>\n'
    return html(f"{title} reference", head, f'<div id="redoc"></div>{WITHOUT_SCRIPT}')


def problem_page(code: str, title: str, status: int, description: str, *, docs: bool = True) -> bytes:
    """What a problem means, as HTML, with links to the `docs`. Text between backticks in the description is code."""
    more = '<nav>Docket API: <a href="/docs">try it</a>, <a href="/redoc">read about it</a></nav>\n' if docs else ""
    meaning = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(description))
    body = f"""<main>
<p class="status">{status} <code>{escape(code)}</code></p>
<h1>{escape(title)}</h1>
<p>{meaning}</p>
{more}</main>"""
    return html(title, stylesheet("problem.css"), body)


WITHOUT_SCRIPT: Final = """
<noscript><p>This page needs JavaScript. What it shows is <a href="/openapi.yaml">the contract</a>.</p></noscript>"""


def html(title: str, head: str, body: str) -> bytes:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="{asset_path("favicon.svg")}" type="image/svg+xml">
{head}</head>
<body>
{body}
</body>
</html>
""".encode()


def stylesheet(name: str) -> str:
    return f'<link rel="stylesheet" href="{asset_path(name)}">\n'


def script(name: str) -> str:
    return f'<script src="{asset_path(name)}" defer></script>\n'


def takes_gzip(accept_encoding: str) -> bool:
    """Whether `Accept-Encoding` takes gzip, by its name or by `*` (RFC 9110, 12.5.3)."""
    weights: dict[str, str] = {}
    for item in accept_encoding.lower().split(","):
        coding, _, parameter = item.partition(";")
        weights[coding.strip()] = parameter.partition("=")[2].strip() or "1"
    weight = weights.get("gzip", weights.get("*", "0"))
    return re.fullmatch(r"0(\.0*)?", weight) is None
