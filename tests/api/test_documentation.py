"""The contract's documents and pages: bytes, headers, caching."""

import gzip
import hashlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import httpx
import pytest
from fastapi import FastAPI

from generated.models import ProblemType
from server.documentation import pages as pages_module
from server.documentation.files import ASSETS, FOLDER, asset_path
from server.documentation.pages import Pages
from server.documentation.remedies import REMEDIES, Remedy
from server.documentation.routes import documentation
from server.middleware.content_security_policy import CspMode, content_security_policy
from server.settings.loading import load
from tests.api.conftest import SECRET, serving
from tests.conftest import Bench

ROOT = Path(__file__).parents[2]
CONTRACT = (ROOT / "openapi.yaml").read_bytes()
DOCUMENT = (ROOT / "generated/openapi.json").read_bytes()
PAGES = ["/docs", "/redoc"]
REVALIDATED = ["/openapi.yaml", "/openapi.json", "/api/v1/openapi.json", "/favicon.ico", *PAGES]
ASSET_PATHS = [asset_path(name) for name in ASSETS]
OF_BROWSERS = {"application/json", "application/yaml", "image/svg+xml", "text/css", "text/html", "text/javascript"}


def client(csp_mode: CspMode = "strict") -> httpx.AsyncClient:
    app = FastAPI(openapi_url=None)
    app.router.routes.extend(documentation(CONTRACT, DOCUMENT, Pages("Docket API", "Tasks."), csp_mode))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://docket", headers={"Accept-Encoding": "identity"}
    )


@pytest.fixture
async def pages() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "media_type", "content"),
    [
        ("/openapi.yaml", "application/yaml", CONTRACT),
        ("/openapi.json", "application/json", DOCUMENT),
        ("/api/v1/openapi.json", "application/json", DOCUMENT),
    ],
)
async def test_the_contract_is_served_byte_by_byte(
    pages: httpx.AsyncClient, path: str, media_type: str, content: bytes
) -> None:
    answer = await pages.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.content == content


@pytest.mark.parametrize("path", REVALIDATED)
async def test_a_page_or_document_is_revalidated(pages: httpx.AsyncClient, path: str) -> None:
    first = await pages.get(path)
    second = await pages.get(path, headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["cache-control"] == "no-cache"
    assert second.status_code == 304
    assert second.content == b""
    assert second.headers["etag"] == first.headers["etag"]
    assert second.headers.get("content-security-policy") == first.headers.get("content-security-policy")


@pytest.mark.parametrize("path", ASSET_PATHS)
async def test_an_asset_never_changes(pages: httpx.AsyncClient, path: str) -> None:
    answer = await pages.get(path)

    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.content == (FOLDER / path.rpartition("/")[2]).read_bytes()


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("*", 304),
        ('"other", {tag}', 304),
        ("{strong}", 304),
        ('"other"', 200),
        ('W/"other"', 200),
        ("", 200),
        ("garbage", 200),
    ],
)
async def test_if_none_match_is_compared_weakly(pages: httpx.AsyncClient, condition: str, status: int) -> None:
    tag = (await pages.get("/docs")).headers["etag"]

    answer = await pages.get(
        "/docs", headers={"If-None-Match": condition.format(tag=tag, strong=tag.removeprefix("W/"))}
    )

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("br;q=1.0, GZIP;q=0.5", "gzip"),
        ("*", "gzip"),
        ("gzip, *;q=0", "gzip"),
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip;q=0", None),
        ("gzip; q=0.000, *", None),
    ],
)
async def test_compression_is_negotiated(pages: httpx.AsyncClient, accepted: str, encoding: str | None) -> None:
    answer = await pages.get("/openapi.yaml", headers={"Accept-Encoding": accepted})

    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.content == CONTRACT


@pytest.mark.parametrize("path", [*REVALIDATED, *ASSET_PATHS])
async def test_what_is_compressed_is_the_same(pages: httpx.AsyncClient, path: str) -> None:
    plain = await pages.get(path)
    async with pages.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
        compressed = b"".join([chunk async for chunk in answer.aiter_raw()])

    assert gzip.decompress(compressed) == plain.content
    assert answer.headers["content-length"] == str(len(compressed))


@pytest.mark.parametrize("path", [*REVALIDATED, ASSET_PATHS[0]])
async def test_head_answers_the_headers_of_get(pages: httpx.AsyncClient, path: str) -> None:
    got = await pages.get(path)
    head = await pages.head(path)

    assert head.status_code == 200
    assert head.headers == got.headers
    assert head.headers["content-length"] == str(len(got.content))


@pytest.mark.parametrize("path", REVALIDATED)
async def test_a_trailing_slash_names_the_same_page(pages: httpx.AsyncClient, path: str) -> None:
    assert (await pages.get(f"{path}/")).content == (await pages.get(path)).content


@pytest.mark.parametrize("path", REVALIDATED)
async def test_a_page_has_no_other_methods(pages: httpx.AsyncClient, path: str) -> None:
    options = await pages.options(path)
    post = await pages.post(path)

    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert post.status_code == 405
    assert set(post.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", PAGES)
async def test_what_a_page_loads_is_served(pages: httpx.AsyncClient, path: str) -> None:
    page = (await pages.get(path)).text
    loaded = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', page)

    assert loaded
    assert 'href="/openapi.yaml"' in page
    assert [(await pages.get(each)).status_code for each in loaded] == [200] * len(loaded)


@pytest.mark.parametrize("path", ["/docs/assets/0000000000000000/docs.js", f"{ASSET_PATHS[0]}/../../README.md"])
async def test_nothing_but_the_table_of_files_is_served(pages: httpx.AsyncClient, path: str) -> None:
    assert (await pages.get(path)).status_code == 404


@pytest.mark.parametrize("path", PAGES)
async def test_the_strict_policy_takes_nothing_inline_and_no_other_host(pages: httpx.AsyncClient, path: str) -> None:
    policy = directives((await pages.get(path)).headers["content-security-policy"])

    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == {"'none'"}
    assert policy["form-action"] == {"'none'"}
    assert policy["script-src"] == policy["connect-src"] == {"'self'"}
    assert policy["img-src"] == {"'self'", "data:"}


async def test_only_redoc_may_insert_a_style_and_only_an_empty_one(pages: httpx.AsyncClient) -> None:
    docs, redoc = [directives((await pages.get(path)).headers["content-security-policy"]) for path in PAGES]

    assert docs["style-src"] == {"'self'"}
    assert redoc["style-src"] == {"'self'", "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"}


async def test_the_relaxed_policy_lets_styles_and_pictures_in_but_no_script() -> None:
    async with client("relaxed") as pages:
        for path in PAGES:
            policy = directives((await pages.get(path)).headers["content-security-policy"])

            assert policy["style-src"] == {"'self'", "'unsafe-inline'"}
            assert policy["img-src"] == {"'self'", "data:", "https:"}
            assert policy["script-src"] == policy["connect-src"] == {"'self'"}


async def test_a_disabled_policy_is_not_sent() -> None:
    async with client("disabled") as pages:
        for path in PAGES:
            assert "content-security-policy" not in (await pages.get(path)).headers


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_has_no_inline_script_or_style(pages: httpx.AsyncClient, path: str) -> None:
    page = (await pages.get(path)).text

    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", page) == []


def test_the_page_of_a_problem_escapes_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "REMEDIES", {"odd": Remedy("Not `<b>`.", "a && b < c")})
    kind = ProblemType.model_construct(
        code="odd", status=418, title='<title> & "more"', description="`<Allow>` & <script>alert(1)</script>"
    )
    page = Pages("Docket API", "Tasks.").problem_page(kind).decode()

    assert "<h1>&lt;title&gt; &amp; &quot;more&quot;</h1>" in page
    assert "<title>&lt;title&gt; &amp; &quot;more&quot;</title>" in page
    assert "<p><code>&lt;Allow&gt;</code> &amp; &lt;script&gt;alert(1)&lt;/script&gt;</p>" in page
    assert "<p>Not <code>&lt;b&gt;</code>.</p>" in page
    assert "<pre><code>a &amp;&amp; b &lt; c</code></pre>" in page


def test_what_to_do_is_told_of_every_problem_and_of_no_other() -> None:
    assert REMEDIES.keys() == json.loads(DOCUMENT)["x-problems"].keys()


def test_what_to_do_calls_operations_that_there_are() -> None:
    known = {re.sub(r"{\w+}", "x", path) for path in json.loads(DOCUMENT)["paths"]}
    called = {
        re.sub(r"\${\w+}", "x", path)
        for remedy in REMEDIES.values()
        for path in re.findall(r"""["`](/api/[^"`]*)["`]""", remedy.code)
    }

    assert called
    assert called <= known


@pytest.mark.parametrize("mode", get_args(CspMode))
def test_the_page_of_a_problem_needs_no_script(mode: CspMode) -> None:
    kind = ProblemType(code="not_found", title="Not found", status=404, description="There is no such resource.")
    page = Pages("Docket API", "Tasks.").problem_page(kind).decode()
    policy = content_security_policy("problem", mode)

    assert "<script" not in page
    assert (policy is None) == (mode == "disabled")
    assert policy is None or directives(policy)["default-src"] == {"'none'"}
    assert policy is None or not {"script-src", "connect-src"} & set(directives(policy))


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js"])
def test_a_vendored_file_is_the_one_that_the_readme_names(name: str) -> None:
    row = re.search(
        rf"^\| `{re.escape(name)}` \|.*`([0-9a-f]{{64}})` \|$", (FOLDER / "README.md").read_text(), re.MULTILINE
    )

    assert row is not None
    assert row[1] == hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()


def directives(policy: str) -> dict[str, set[str]]:
    return {name: set(sources) for name, *sources in (directive.split() for directive in policy.split(";"))}


async def test_switched_off_there_are_no_pages_but_those_of_problems(db: Bench) -> None:
    chosen = load(environment="staging", secret_key=SECRET, docs=False)
    async with serving(chosen, db) as api:
        http = api.http
        for path in (*REVALIDATED, *ASSET_PATHS):
            status = 200 if path in ("/favicon.ico", asset_path("page.css"), asset_path("favicon.svg")) else 404
            assert (await http.get(path)).status_code == status, path
        page = await http.get("/problems/not_found", headers={"Accept": "text/html"})
        info = await api.get("//")

    assert info.body.keys() == {"name", "version", "health"}
    assert '/docs"' not in page.text
    assert "page.css" in page.text


@pytest.mark.usefixtures("still_window")
async def test_pages_count_as_operations_of_class_default(db: Bench) -> None:
    chosen = load(environment="staging", secret_key=SECRET, rate_limit_default=3)
    async with serving(chosen, db) as api:
        await api.get("//", expect=200)
        seen = [await api.http.get(path) for path in ("/docs", "/openapi.json", "/redoc", asset_path("docs.css"))]
        preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
        asked = await api.http.options("/docs", headers=preflight)

    assert [answer.status_code for answer in seen] == [200, 200, 429, 429]
    assert seen[1].headers["ratelimit"].startswith('"default";r=0;t=')
    assert (seen[2].json()["code"], "retry-after" in seen[2].headers) == ("rate_limit_exceeded", True)
    assert asked.status_code == 204


@pytest.mark.proves("ASVS 5.0 3.7.1", "Pages are HTML, CSS, JavaScript, SVG and JSON; no plug-in can be loaded")
@pytest.mark.parametrize("path", [*REVALIDATED, *ASSET_PATHS])
async def test_pages_use_what_browsers_themselves_have(pages: httpx.AsyncClient, path: str) -> None:
    answer = await pages.get(path)

    assert answer.headers["content-type"].partition(";")[0] in OF_BROWSERS
    if answer.headers["content-type"].startswith("text/html"):
        policy = answer.headers["content-security-policy"].split("; ")
        assert "default-src 'none'" in policy
        assert [each for each in policy if each.startswith(("object-src", "frame-src", "child-src"))] == []
        assert re.search(r"<(object|embed|applet|param|frame|iframe)\b", answer.text, re.IGNORECASE) is None
