import subprocess
import sys
from pathlib import Path

import pytest

from contract.generator.__main__ import generate
from contract.generator.lowering.parser import APART
from contract.generator.reading.document import InvalidContract
from contract.generator.reading.references import BUNDLE
from scripts.rules import HOUSE, MOST, TAKEN
from tests.contract.generator.conftest import ROOT

LIST, GET = "#/paths/~1books/get", "#/paths/~1books~1{book_id}/get"
EXAMPLE = "the example does not say what x-problems says of this code"
LISTS = "write a list of alternatives, like [{bearer: []}, {}]"
NO_CLASS = "names no other class of x-rate-limits that counts users"
TAG = "needs exactly one tag, declared in the document's tags"
STATUS = "is no status: ranges and `default` are too vague to generate from"
PATCH = "#/paths/~1books~1{book_id}/patch"
AN = "#/paths/~1a/get"
UNAUTHORIZED = "#/components/responses/Unauthorized/content/application~1problem+json"
ANOTHER_PATH = """
  {path}:
    get:
      tags: [books]
      operationId: another
      summary: Another
      description: Another.
      x-rate-limit: default
      {more}
      responses: {{'204': {{description: Nothing.}}, '404': {{$ref: '#/components/responses/NotFound'}}}}
components:
  securitySchemes:"""


def clash(name: str) -> str:
    return f"the name would be {name!r} in Python, which clashes: choose another"


def nowhere(reference: str, near: str) -> str:
    return f"the $ref {reference} leads nowhere in this document; did you mean {near}?"


def elsewhere(reference: str) -> str:
    return f"the $ref {reference} leads to another file: bundle them into one ({BUNDLE})"


def unchecked_reason(name: str) -> str:
    return f"demands {name}, which the server does not check: {TAKEN}"


def same(name: str, other: str) -> str:
    return f"is called {name!r} in Python, as {other} is: choose another name"


def path(path: str, more: str = "security: []") -> tuple[str, str]:
    """The change that adds a path."""
    return "\ncomponents:\n  securitySchemes:", ANOTHER_PATH.format(path=path, more=more)


def parameter(name: str, place: str = "query") -> str:
    return f"parameters: [{{name: {name}, in: {place}, required: true, schema: {{type: string}}}}]"


REFUSED: dict[str, tuple[tuple[str, str], str, str]] = {
    # what an operation needs
    "no operationId": (("operationId: listBooks", "x-nothing: 1"), LIST, "has no operationId"),
    "a bulkhead with no such parameter": (
        ("operationId: listBooks", "operationId: listBooks\n      x-bulkhead: sometimes"),
        f"{LIST}/x-bulkhead",
        "is neither `always` nor a boolean parameter of the query",
    ),
    "a wait with no such parameter": (
        ("operationId: listBooks", "operationId: listBooks\n      x-waits: sometimes"),
        f"{LIST}/x-waits",
        "is neither `always` nor an integer parameter of the query",
    ),
    "counted by a member that the body does not have": (
        ("operationId: updateBook", "operationId: updateBook\n      x-rate-limit-when: {colour: default}"),
        f"{PATCH}/x-rate-limit-when/colour",
        "is no member of the body",
    ),
    "counted by a member where there is no body": (
        ("operationId: listBooks", "operationId: listBooks\n      x-rate-limit-when: {title: default}"),
        f"{LIST}/x-rate-limit-when/title",
        "is no member of the body",
    ),
    "counted as a class that there is not": (
        ("operationId: updateBook", "operationId: updateBook\n      x-rate-limit-when: {title: sensitive}"),
        f"{PATCH}/x-rate-limit-when/title",
        NO_CLASS,
    ),
    "counted as a class that counts no users": (
        ("operationId: updateBook", "operationId: updateBook\n      x-rate-limit-when: {title: exempt}"),
        f"{PATCH}/x-rate-limit-when/title",
        NO_CLASS,
    ),
    "counted twice as the same": (
        ("operationId: updateBook", "operationId: updateBook\n      x-rate-limit-when: {title: default}"),
        f"{PATCH}/x-rate-limit-when/title",
        NO_CLASS,
    ),
    "tells of others and does not count it": (
        ("stale: {status: 412, title: Stale", "stale: {status: 412, taken: title, title: Stale"),
        PATCH,
        "declares stale, which tells of others: count title in x-rate-limit-when",
    ),
    "about what is not local": (
        ("operationId: listBooks", "operationId: listBooks\n      x-local: books"),
        f"{LIST}/x-local",
        "is none of accounts, session",
    ),
    "no tag": (("tags: [books]\n      operationId: listBooks", "operationId: listBooks"), LIST, TAG),
    "two tags": (
        ("tags: [books]\n      operationId: listB", "tags: [books, sign-in]\n      operationId: listB"),
        LIST,
        TAG,
    ),
    "an undeclared tag": (("- name: sign-in", "- name: sign-out"), "#/paths/~1sign-in/post", TAG),
    "no summary": (("summary: List books", "x-nothing: 1"), LIST, "has no summary"),
    "an empty summary": (("summary: List books", "summary: ''"), LIST, "has no summary"),
    "no description": (("description: All of them, as JSON or as a page.", "x-nothing: 1"), LIST, "has no description"),
    "a class without addresses": (
        ("exempt: {}", "exempt: {user: {limit: 1, window: 60}}"),
        f"{LIST}/x-rate-limit",
        "counts no address, where anybody may call",
    ),
    "an undeclared rate class": (
        ("x-rate-limit: exempt", "x-rate-limit: generous"),
        f"{LIST}/x-rate-limit",
        "names no class of x-rate-limits",
    ),
    "no role": (
        ("bearer: [owner, admin]", "bearer: []"),
        "#/paths/~1books~1{book_id}/patch/security",
        "names no role beside `bearer`",
    ),
    "no role by default": (("bearer: [user]", "bearer: []"), f"{GET}/security", "names no role beside `bearer`"),
    # what the server would not hold callers to
    "two schemes at once": (
        path("/a", "security: [{bearer: [user], password: []}]"),
        f"{AN}/security/0",
        "demands bearer and password at once, of which the server would check one: make them alternatives",
    ),
    "an undeclared scheme": (
        path("/a", "security: [{bearer: [user]}, {key: []}]"),
        f"{AN}/security/1",
        "names key, which is no scheme of components/securitySchemes: declare it there, or name one that is",
    ),
    "a bearer that is optional": (
        path("/a", "security: [{}, {bearer: [user]}]"),
        f"{AN}/security/1",
        unchecked_reason("bearer"),
    ),
    "scopes of a password": (
        path("/a", "security: [{bearer: [user]}, {password: [read]}]"),
        f"{AN}/security/1",
        unchecked_reason("password"),
    ),
    "bearer twice": (
        path("/a", "security: [{bearer: [user]}, {bearer: [owner]}]"),
        f"{AN}/security",
        "has `bearer` twice: name all roles at once",
    ),
    "a scheme that is no list": (
        path("/a", "security: {bearer: [user]}"),
        f"{AN}/security",
        f"is an object, not a list: {LISTS}",
    ),
    "a scheme that is a text": (path("/a", "security: bearer"), f"{AN}/security", f"is a text, not a list: {LISTS}"),
    "a scheme without scopes": (
        path("/a", "security: [{bearer: user}]"),
        f"{AN}/security/0/bearer",
        "is a text, not a list",
    ),
    "a scheme of the whole document": (
        ("security:\n  - bearer: [user]", "security:\n  - bearer: [user]\n    password: []"),
        "#/security/0",
        "demands bearer and password at once, of which the server would check one: make them alternatives",
    ),
    "two request media types": (
        ("application/x-www-form", "application/json: {schema: {type: string}}\n          application/x-www-form"),
        "#/paths/~1sign-in/post/requestBody",
        "takes more than one kind of body: make an operation of each, or share one schema",
    ),
    "a body that is larger than ours": (
        ("username: {type: string, format: email}", "username: {type: string, maxLength: 100000}"),
        "#/paths/~1sign-in/post/requestBody/content/application~1x-www-form-urlencoded/schema",
        f"allows more than {MOST}: bound its texts and lists",
    ),
    "a bound that is larger than ours": (
        ("x-rate-limit: exempt", "x-rate-limit: exempt\n      x-max-body: 1048577"),
        f"{LIST}/x-max-body",
        "is more than 1048576, which is what a body of ours may have",
    ),
    "problems only": (
        ("'204':\n          description: Gone.", "'412': {$ref: '#/components/responses/Stale'}"),
        "#/paths/~1books~1{book_id}/delete/responses",
        "declares problems only",
    ),
    # places that are missing, or are not what they should be
    "an unknown $ref": (
        ("schema: {$ref: '#/components/schemas/Shelf'}", "schema: {$ref: '#/components/schemas/Shelves'}"),
        f"{LIST}/responses/200/content/application~1json/schema",
        nowhere("#/components/schemas/Shelves", "#/components/schemas/Shelf"),
    ),
    "an unknown $ref deep in a schema": (
        ("items: {$ref: '#/components/schemas/Book'}", "items: {$ref: '#/components/schemas/Novel'}"),
        "#/components/schemas/Shelf/properties/items/items",
        nowhere("#/components/schemas/Novel", "#/components/schemas/Token"),
    ),
    "a $ref to another file": (
        ("schema: {$ref: '#/components/schemas/Shelf'}", "schema: {$ref: 'shelf.yaml#/Shelf'}"),
        f"{LIST}/responses/200/content/application~1json/schema",
        elsewhere("shelf.yaml#/Shelf"),
    ),
    "a $ref to another host": (
        ("- $ref: '#/components/parameters/Limit'", "- $ref: https://docket.example/limit.yaml"),
        f"{LIST}/parameters/0",
        elsewhere("https://docket.example/limit.yaml"),
    ),
    "a $ref cycle": (
        ("    NotModified:\n", "    Round: {$ref: '#/components/responses/Round'}\n    NotModified:\n"),
        "#/components/responses/Round",
        "the $ref #/components/responses/Round refers to itself: write out at one place what is meant",
    ),
    "a parameter without schema": (
        ("in: query\n      schema: {type: integer, minimum: 1, maximum: 100, default: 20}", "in: query"),
        "#/components/parameters/Limit",
        "needs one of schema, content",
    ),
    "an empty member": (
        ("description: Sessions.", "description:"),
        "#/tags/1/description",
        "is empty: fill it, or take it away",
    ),
    "a problem type without title": (
        ("title: Stale, description", "description"),
        "#/x-problems/stale/title",
        "is required",
    ),
    "an example without a member of its problem": (
        ("status: 503, code: busy, queue: 3}}", "status: 503, code: busy}}"),
        "#/components/responses/Busy/content/application~1problem+json/examples/busy",
        EXAMPLE,
    ),
    "a rate without window": (
        ("user: {limit: 1000, window: 60}", "user: {limit: 1000}"),
        "#/x-rate-limits/default/user/window",
        "is required",
    ),
    "problems that are none": (
        ("  stale: {status: 412, title: Stale, description: The book has changed.}", "  stale: 412"),
        "#/x-problems/stale",
        "must be object",
    ),
    "a rate class that is no text": (
        ("x-rate-limit: exempt", "x-rate-limit: [exempt]"),
        f"{LIST}/x-rate-limit",
        "must be string",
    ),
    "counted members that are a list": (
        ("x-rate-limit: exempt", "x-rate-limit: exempt\n      x-rate-limit-when: [title]"),
        f"{LIST}/x-rate-limit-when",
        "must be object",
    ),
    "a tag without name": (("- name: sign-in", "- x-title: sign-in"), "#/tags/1", "has no name: add it"),
    "no title": (("title: A lending", "x-title: A lending"), "#/info", "has no title: add it"),
    # names that clash in Python
    "an operation named by a keyword": (("operationId: listBooks", "operationId: import"), LIST, clash("import")),
    "an operation named by a number": (("operationId: listBooks", "operationId: 2books"), LIST, clash("2books")),
    "an operation named by no letter": (("operationId: listBooks", "operationId: --"), LIST, clash("")),
    "two operations alike": (
        ("operationId: updateBook", "operationId: list-books"),
        "#/paths/~1books~1{book_id}/patch",
        same("list_books", LIST),
    ),
    "two parameters alike": (
        ("- name: Accept-Language", "- name: Limit"),
        f"{LIST}/parameters/3/schema",
        same("limit", "#/components/parameters/Limit/schema"),
    ),
    "two headers alike": (
        ("            X-Total:", "            LINK:"),
        f"{LIST}/responses/200/headers/LINK",
        same("link", f"{LIST}/responses/200/headers/Link"),
    ),
    # paths and statuses
    "two paths alike": (
        path("/books/{number}", parameter("number", "path")),
        "#/paths/~1books~1{number}",
        f"matches the same requests as /books/{{book_id}}: {APART}",
    ),
    "two paths that differ by a slash": (
        path("/books/"),
        "#/paths/~1books~1",
        f"matches the same requests as /books: {APART}",
    ),
    "two paths that overlap within a segment": (
        path("/books/v{book_id}: {}\n  /books/{book_id}.csv"),
        "#/paths/~1books~1{book_id}.csv",
        f"matches the same requests as /books/v{{book_id}}: {APART}",
    ),
    "a path whose braces are not balanced": (
        path("/books/{book_id"),
        "#/paths/~1books~1{book_id",
        "is no template of paths: the braces of {book_id are not balanced",
    ),
    "two parameters with nothing between them": (
        path("/books/{a}{b}"),
        "#/paths/~1books~1{a}{b}",
        "is no template of paths: nothing tells where the first of the parameters of {a}{b} ends",
    ),
    "a path without its parameter": (
        path("/a/{b}"),
        "#/paths/~1a~1{b}/get",
        "lacks the parameter b of its path: add it, `in: path`",
    ),
    "a path parameter of no path": (
        path("/a", parameter("b", "path")),
        "#/paths/~1a/get",
        "has the parameter b of the path, which /a does not name: name it there",
    ),
    "a range of statuses": (("'404':", "4XX:"), f"{GET}/responses/4XX", STATUS),
    "any other status": (("'404':", "default:"), f"{GET}/responses/default", STATUS),
    "a status of its own": (
        ("'304':", "'099':"),
        f"{GET}/responses/099",
        "is no member of responses in OpenAPI 3.1: correct it, or take it away",
    ),
    # problems
    "an example of another code": (
        ("status: 401, code: missing_token", "status: 401, code: expired_token"),
        f"{UNAUTHORIZED}/examples/missing_token",
        EXAMPLE,
    ),
    "an example of another status": (
        ("status: 401, code: missing_token", "status: 403, code: missing_token"),
        f"{UNAUTHORIZED}/examples/missing_token",
        EXAMPLE,
    ),
    "an example of another title": (
        ("title: Missing token, status: 401, code", "title: Missing, status: 401, code"),
        f"{UNAUTHORIZED}/examples/missing_token",
        EXAMPLE,
    ),
    "a code of another status": (
        ("expired_token: {status: 401", "expired_token: {status: 403"),
        f"{UNAUTHORIZED}/examples/expired_token",
        EXAMPLE,
    ),
    "an undeclared code": (
        ("  expired_token: {status: 401", "  spoilt_token: {status: 401"),
        f"{UNAUTHORIZED}/examples/expired_token",
        "is no code of x-problems",
    ),
    "a problem without example": (
        ("examples:\n            stale:", "x-nothing:\n            stale:"),
        "#/components/responses/Stale",
        "a shared response from 400 on needs a problem with an example for each of its codes",
    ),
    "an OAuth error of another name": (
        ("invalid_grant: {value: {error: invalid_grant}}", "invalid_grant: {value: {error: invalid_request}}"),
        "#/components/responses/GrantRefused/content/application~1json/examples/invalid_grant",
        "the example is not named by its error",
    ),
}


@pytest.mark.parametrize(
    "scheme",
    [
        "{type: apiKey, in: header, name: X-API-Key}",
        "{type: apiKey, in: query, name: key}",
        "{type: http, scheme: basic}",
        "{type: http, scheme: bearer}",
        "{type: mutualTLS}",
        "{type: openIdConnect, openIdConnectUrl: 'https://docket.example'}",
        "{type: oauth2, flows: {clientCredentials: {tokenUrl: /token, scopes: {}}}}",
        "{type: oauth2, flows: {password: {tokenUrl: /t, scopes: {}}, implicit: {authorizationUrl: /a, scopes: {}}}}",
    ],
)
def test_a_scheme_that_the_server_does_not_check_is_refused(golden: str, tmp_path: Path, scheme: str) -> None:
    changed = golden.replace(*path("/a", "security: [{bearer: [user]}, {other: []}]"))
    changed = changed.replace("securitySchemes:", f"securitySchemes:\n    other: {scheme}")

    with pytest.raises(InvalidContract) as invalid:
        generate(write(tmp_path / "openapi.yaml", changed), tmp_path / "generated", *HOUSE)

    assert places(invalid.value) == [(f"{AN}/security/1", unchecked_reason("other"))]


@pytest.mark.parametrize(("change", "place", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_contract_is_refused_by_place_and_reason(
    golden: str, tmp_path: Path, change: tuple[str, str], place: str, reason: str
) -> None:
    source = write(tmp_path / "openapi.yaml", golden.replace(*change))
    assert change[0] in golden

    with pytest.raises(InvalidContract) as invalid:
        generate(source, tmp_path / "generated", *HOUSE)

    assert (place, reason) in places(invalid.value)
    assert {told for _, told in places(invalid.value)} == {reason}
    assert not (tmp_path / "generated").exists()


def test_the_command_tells_every_place_by_its_line_and_leaves_what_was_there(golden: str, tmp_path: Path) -> None:
    source, out = tmp_path / "openapi.yaml", tmp_path / "generated"
    generate(write(source, golden), out, *HOUSE)
    before = (out / "operations.py").read_bytes()
    changed = golden.replace("operationId: updateBook", "operationId: import").replace("'404':", "4XX:", 1)
    write(source, changed.replace("Total: {schema: {type: integer}}", "Total: {schema: {type: 'null'}}"))

    command = [sys.executable, "-m", "scripts.rules", str(source), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    lines = changed.splitlines()
    told = [("      4XX:", f"{GET}/responses/4XX", STATUS), ("    patch:", PATCH, clash("import"))]
    told.append(
        (
            "    Total:",
            "#/components/headers/Total/schema",
            "no text is a value of this schema: let it be a text, or leave the parameter out",
        )
    )
    numbers = [next(n for n, line in enumerate(lines, 1) if text in line) for text, *_ in told]
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"openapi.yaml:{number}: {place}: {reason}" for number, (_, place, reason) in zip(numbers, told, strict=True)
    ]
    assert (out / "operations.py").read_bytes() == before


@pytest.mark.parametrize(
    "template", ["/{{{}}}/new", "/books/v{{{}}}", "/books/{{{}}}:lend", "/books/{{{}}}/history", "/{{{}}}/old/editions"]
)
def test_a_path_may_call_what_it_shares_with_another_one_differently(
    golden: str, tmp_path: Path, template: str
) -> None:
    another = template.format("number")
    changed = golden.replace(*path(another, parameter("number", "path")))

    generate(write(tmp_path / "openapi.yaml", changed), tmp_path / "generated", *HOUSE)

    assert f'"{another}"' in (tmp_path / "generated/operations.py").read_text(encoding="utf-8")


def test_a_path_with_a_literal_where_another_has_a_parameter_is_no_clash(golden: str, tmp_path: Path) -> None:
    generate(write(tmp_path / "openapi.yaml", golden.replace(*path("/books/new"))), tmp_path / "generated", *HOUSE)

    assert '"/books/new"' in (tmp_path / "generated/operations.py").read_text(encoding="utf-8")


def places(invalid: InvalidContract) -> list[tuple[str, str]]:
    return [(refused.place, refused.reason) for refused in invalid.found]


def write(source: Path, contract: str) -> Path:
    source.write_text(contract, encoding="utf-8")
    return source
