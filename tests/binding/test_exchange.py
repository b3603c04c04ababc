"""What is read of a request: its headers, and its body as it arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.exchange import ClientGone, Exchange, Message, TooLarge
from contract.parsing import LARGE_BODY
from tests.binding.conftest import Logged, Modules, answering, request


def exchange(*headers: tuple[bytes, bytes]) -> Exchange:
    async def receive() -> Message:
        raise NotImplementedError

    scope = {"method": "GET", "path": "/", "query_string": b"", "headers": list(headers)}
    return Exchange(scope, receive, "the-request", None)


def test_a_header_is_found_whatever_its_case() -> None:
    sent = exchange((b"if-match", b' "1"\t'))

    assert sent.header("If-Match") == sent.header("IF-MATCH") == '"1"'
    assert sent.header("If-None-Match") is None


def test_a_repeated_header_is_one_list() -> None:
    sent = exchange((b"if-match", b'"1"'), (b"accept", b"*/*"), (b"if-match", b'"2"'))

    assert sent.header("If-Match") == '"1", "2"'


def test_a_header_of_any_bytes_is_text() -> None:
    assert exchange((b"accept", bytes(range(256)))).header("accept") == bytes(range(256)).decode("latin-1")


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=8))
async def test_a_body_is_whole_however_it_arrives(chunks: list[bytes]) -> None:
    assert await request(chunks=chunks).body(LARGE_BODY) == b"".join(chunks)


@pytest.mark.parametrize("chunks", [[b"12345"], [b"123", b"45"], [b"1", b"2", b"3", b"4", b"5"], [b"", b"12345", b""]])
async def test_a_body_of_the_largest_size_is_taken_and_no_larger_one(chunks: list[bytes]) -> None:
    assert await request(chunks=chunks).body(5) == b"12345"
    with pytest.raises(TooLarge):
        await request(chunks=chunks).body(4)


async def test_a_body_that_tells_that_it_is_too_large_is_not_read() -> None:
    with pytest.raises(TooLarge):
        await exchange((b"content-length", b"6")).body(5)


async def test_a_body_that_lies_about_its_length_is_counted() -> None:
    with pytest.raises(TooLarge):
        await request(headers={"Content-Length": "1"}, chunks=[b"123", b"456"]).body(5)


async def test_a_client_that_leaves_is_no_error() -> None:
    gone = request(chunks=[b"half"])
    await gone.body(5)

    with pytest.raises(ClientGone):
        await gone.body(5)


async def test_nothing_is_sent_to_a_client_that_has_left(logged: Logged) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async with answering(Modules()) as api:
        transport = api.http._transport  # noqa: SLF001 - httpx does not leave in the middle of a request
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/v1/auth/login",
            "raw_path": b"/api/v1/auth/login",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }
        await vars(transport)["app"](scope, receive, send)

    [access] = logged()
    assert sent == []
    assert (access["status"], access["operation"], access["path"]) == (499, "login", "/api/v1/auth/login")
