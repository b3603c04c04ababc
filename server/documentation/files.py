"""Bytes that are served as they are: what the pages are made of, compressed and revalidated."""

import gzip
import re
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from contract.conditional_requests import is_named

FOLDER: Final = Path(__file__).parents[1] / "assets"
ASSETS: Final = {
    "docs.css": "text/css",
    "docs.js": "text/javascript",
    "favicon.svg": "image/svg+xml",
    "page.css": "text/css",
    "redoc.css": "text/css",
    "redoc.js": "text/javascript",
    "redoc.standalone.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
WITHOUT_DOCS: Final = {"favicon.svg", "page.css"}
"""What is served, too, where the operator has switched the pages of the contract off."""


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
    def gzip_content(self) -> bytes:
        return gzip.compress(self.content, mtime=0)

    def answer(self, request: Request) -> Response:
        """What the request asks for. Not a coroutine: other requests go on while a bundle is read and compressed."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": "GET, HEAD, OPTIONS"})
        headers = {"Cache-Control": self.cache_control, "ETag": self.entity_tag, "Vary": "Accept-Encoding"}
        if self.policy is not None:
            headers["Content-Security-Policy"] = self.policy
        if is_named(self.entity_tag, ",".join(request.headers.getlist("if-none-match"))):
            return Response(status_code=304, headers=headers)
        if takes_gzip(",".join(request.headers.getlist("accept-encoding"))):
            headers["Content-Encoding"] = "gzip"
            return Response(self.gzip_content, headers=headers, media_type=self.media_type)
        return Response(self.content, headers=headers, media_type=self.media_type)


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


def takes_gzip(accept_encoding: str) -> bool:
    """Whether `Accept-Encoding` takes gzip, by its name or by `*` (RFC 9110, 12.5.3)."""
    weights: dict[str, str] = {}
    for item in accept_encoding.lower().split(","):
        coding, _, parameter = item.partition(";")
        weights[coding.strip()] = parameter.partition("=")[2].strip() or "1"
    weight = weights.get("gzip", weights.get("*", "0"))
    return re.fullmatch(r"0(\.0*)?", weight) is None
