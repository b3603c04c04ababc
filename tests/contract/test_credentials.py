"""What a request says of its caller, by each kind of security scheme."""

from base64 import b64encode

import pytest

from contract.credentials import credentials_of
from contract.exchange import Exchange, Message
from contract.types import Scheme

BASIC = b64encode(b"ada:one:two").decode()
HEADER, QUERY = Scheme("apiKey", "X-Key", "header"), Scheme("apiKey", "key", "query")
COOKIE, TOKEN, NAMED = Scheme("apiKey", "sid", "cookie"), Scheme("http", "bearer"), Scheme("http", "basic")


@pytest.mark.parametrize(
    ("scheme", "headers", "query", "expected"),
    [
        (HEADER, {"x-key": "secret"}, "", "secret"),
        (HEADER, {"x-key": ""}, "", None),
        (HEADER, {}, "", None),
        (QUERY, {}, "a=1&key=s%20t", "s t"),
        (QUERY, {}, "key=one&key=two", None),
        (QUERY, {}, "", None),
        (COOKIE, {"cookie": "a=1; sid=abc=; b"}, "", "abc="),
        (COOKIE, {"cookie": "sid=a; sid=b"}, "", None),
        (COOKIE, {}, "", None),
        (TOKEN, {"authorization": "BEARER  abc"}, "", "abc"),
        (TOKEN, {"authorization": "Bearer "}, "", None),
        (TOKEN, {"authorization": f"Basic {BASIC}"}, "", None),
        (NAMED, {"authorization": f"basic {BASIC}"}, "", "ada:one:two"),
        (NAMED, {"authorization": "Basic !!!"}, "", None),
        (NAMED, {"authorization": f"Basic {b64encode(b'ada').decode()}"}, "", None),
        (NAMED, {"authorization": f"Basic {b64encode(bytes([255])).decode()}"}, "", None),
        (Scheme("oauth2"), {"authorization": "Bearer abc"}, "", "abc"),
        (Scheme("openIdConnect"), {"authorization": "Bearer abc"}, "", "abc"),
        (Scheme("mutualTLS"), {"authorization": "Bearer abc"}, "", None),
    ],
)
def test_what_a_request_says(scheme: Scheme, headers: dict[str, str], query: str, expected: str | None) -> None:
    async def receive() -> Message:
        raise NotImplementedError

    named = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"method": "GET", "path": "/", "query_string": query.encode(), "headers": named}

    assert credentials_of(Exchange(scope, receive, "", None), scheme) == expected
