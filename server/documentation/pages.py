"""The pages: the way in, the contract to try out and to read, and what each problem means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from generated.models import ApiInfo, ProblemType, ProblemTypeList
from server.documentation.files import asset_path
from server.documentation.remedies import REMEDIES

FIRST_CALLS = """DOCKET=https://…  # the address of this page
curl "$DOCKET/api/v1/auth/register" --json '{"email": "ada@example.com", "password": "nine lives of a lighthouse"}'
curl "$DOCKET/api/v1/auth/login" --json '{"email": "ada@example.com", "password": "nine lives of a lighthouse"}'
TOKEN=…           # the access_token of that answer
curl "$DOCKET/api/v1/tasks" --json '{"title": "Find the moth"}' --header "Authorization: Bearer $TOKEN"
curl "$DOCKET/api/v1/tasks" --header "Authorization: Bearer $TOKEN\""""


@dataclass(frozen=True)
class Pages:
    """Writes the pages of a server, all of whose paths begin with `root`.

    `docs`: whether the contract is served. `accounts`: whether one can sign in here.
    """

    title: str
    summary: str
    root: str = ""
    docs: bool = True
    accounts: bool = True

    def docs_page(self) -> bytes:
        """Swagger UI, below a form to sign in by where the server has accounts of its own."""
        head = self.stylesheet("swagger-ui.css") + self.stylesheet("docs.css")
        head += self.script("swagger-ui-bundle.js") + self.script("docs.js")
        links = f'<a href="{self.root}/redoc">What holds for all operations</a> · '
        links += f'<a href="{self.root}/problems">Problems</a> · <a href="{self.root}/openapi.yaml">openapi.yaml</a>'
        body = f"""<header class="top">
<h1>{escape(self.title)}</h1>
<p>{escape(self.summary)} {links}</p>
{SIGN_IN if self.accounts else ""}</header>
<div id="swagger-ui" data-root="{self.root}"></div>"""
        return self.html(self.title, head, body, scripted=True)

    def redoc_page(self) -> bytes:
        head = self.stylesheet("redoc.css")
        head += f'<script type="module" src="{self.root}{asset_path("redoc.js")}"></script>\n'
        return self.html(
            f"{self.title} reference", head, f'<div id="redoc" data-root="{self.root}"></div>', scripted=True
        )

    def home_page(self, info: ApiInfo) -> bytes:
        """What this is, where to read about it, and the first calls."""
        known: list[tuple[str, str, str]] = []
        if self.docs:
            known += [
                ("/docs", "Try it out", "sign in, and send requests from the page"),
                ("/redoc", "Read about it", "every operation, and what holds for all of them"),
                ("/openapi.yaml", "openapi.yaml", "the contract, for the generator of a client"),
            ]
        known += [
            ("/problems", "Problems", "what each error means, and what to do about it"),
            ("/health", "Health", "how the server is"),
        ]
        links = "".join(f'<li><a href="{self.root}{path}">{name}</a><br>{text}</li>\n' for path, name, text in known)
        calls = f"<h2>The first calls</h2>\n<pre><code>{escape(FIRST_CALLS)}</code></pre>\n" if self.accounts else ""
        return self.page(
            info.name,
            f"""<p class="status">version {escape(info.version)}</p>
<h1>{escape(info.name)}</h1>
<p>{escape(self.summary)}</p>
<ul class="links">
{links}</ul>
{calls}""",
        )

    def problem_page(self, kind: ProblemType) -> bytes:
        """What a problem means, and what to do, in words and in code."""
        remedy = REMEDIES[kind.code]
        more = f'<a href="{self.root}/problems">All problems</a>'
        more += (
            f' · <a href="{self.root}/docs">Try the API</a> · <a href="{self.root}/redoc">Read about it</a>' * self.docs
        )
        return self.page(
            kind.title,
            f"""<p class="status">{kind.status} <code>{escape(kind.code)}</code></p>
<h1>{escape(kind.title)}</h1>
<p>{with_code(kind.description)}</p>
<h2>What to do</h2>
<p>{with_code(remedy.words)}</p>
<pre><code>{escape(remedy.code)}</code></pre>
<nav>{more}</nav>
""",
        )

    def problems_page(self, kinds: ProblemTypeList) -> bytes:
        """All problems by status."""
        return self.page(
            "Problems",
            f"""<p class="status"><a href="{self.root}/">{escape(self.title)}</a></p>
<h1>Problems</h1>
<p>Every error is a document (<code>application/problem+json</code>). Its <code>code</code> is part of the API, and its
<code>type</code> leads to one of these pages.</p>
{self.sections(kinds.items)}""",
        )

    def sections(self, kinds: Sequence[ProblemType]) -> str:
        parts = []
        for status in dict.fromkeys(kind.status for kind in kinds):
            rows = "".join(
                f'<dt><a href="{self.root}/problems/{kind.code}"><code>{kind.code}</code></a></dt>\n'
                f"<dd>{with_code(kind.description)}</dd>\n"
                for kind in kinds
                if kind.status == status
            )
            parts.append(f"<h2>{status}</h2>\n<dl>\n{rows}</dl>\n")
        return "".join(parts)

    def page(self, title: str, body: str) -> bytes:
        """A page without script."""
        return self.html(title, self.stylesheet("page.css"), f"<main>\n{body}</main>", scripted=False)

    def html(self, title: str, head: str, body: str, *, scripted: bool) -> bytes:
        contract = f'<a href="{self.root}/openapi.yaml">the contract</a>'
        without = f"\n<noscript><p>This page needs JavaScript. What it shows is {contract}.</p></noscript>" * scripted
        return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="{self.root}{asset_path("favicon.svg")}" type="image/svg+xml">
{head}</head>
<body>
{body}{without}
</body>
</html>
""".encode()

    def stylesheet(self, name: str) -> str:
        return f'<link rel="stylesheet" href="{self.root}{asset_path(name)}">\n'

    def script(self, name: str) -> str:
        return f'<script src="{self.root}{asset_path(name)}" defer></script>\n'


SIGN_IN = """<form class="sign-in" method="post">
<fieldset>
<label>E-mail <input name="email" type="email" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button class="btn authorize">Sign in</button>
<button class="btn" value="register">Create an account</button>
</fieldset>
<output></output>
<button class="btn" value="out" hidden>Sign out</button>
</form>
"""


def with_code(text: str) -> str:
    """The text as HTML. What stands between backticks in it is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
