"""The key set of another issuer, whatever the issuer answers. The issuer is a real HTTP server."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security import jwks
from security.external_tokens import Issuer as Wanted
from security.external_tokens import KeysUnavailable, Outsider, Outsiders, Verifier
from security.jwks import LARGEST, LIFETIME, MOST_KEYS, PAUSE, KeySet
from security.tokens import InvalidToken
from tests.issuer import AUDIENCE, NAME, Issuer, public, publishing, send, sending

EMPTY = b'{"keys": []}'


class Clock:
    """Seconds, which pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """Somebody who verifies the issuer's tokens."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.keys = KeySet(url, self.clock)
        self.outsiders = Outsiders([Verifier(Wanted("there", ("sub",), NAME, AUDIENCE), self.keys)])

    async def verify(self, token: str) -> Outsider:
        return await self.outsiders.verify(token, datetime.now(UTC))

    async def verdict(self, token: str) -> str:
        """The subject, or what is raised."""
        try:
            return (await self.verify(token)).subject
        except (InvalidToken, KeysUnavailable) as error:
            return type(error).__name__

    async def await_fetch(self) -> None:
        """Wait for the fetch that is under way."""
        if self.keys.fetching is not None:
            await self.keys.fetching


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with publishing() as issuer:
        yield issuer


@pytest.fixture
async def desk(issuer: Issuer) -> AsyncIterator[Desk]:
    desk = Desk(issuer.url)
    yield desk
    await desk.outsiders.close()


async def test_the_keys_are_fetched_once_for_all_who_need_them(issuer: Issuer, desk: Desk) -> None:
    tokens = [issuer.token(f"person {i}") for i in range(20)]

    assert [await desk.verdict(token) for token in tokens[:2]] == ["person 0", "person 1"]
    assert len({outsider.subject for outsider in await asyncio.gather(*map(desk.verify, tokens))}) == 20
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    "key",
    [
        Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
    ids=["EdDSA", "ES256", "RS256"],
)
async def test_three_kinds_of_keys_will_do(issuer: Issuer, desk: Desk, key: Any) -> None:
    issuer.keys = {"first": key}

    assert await desk.verdict(issuer.token("grace")) == "grace"


@pytest.mark.proves("", "A thousand tokens with unknown keys make the issuer be asked twice at most")
async def test_a_storm_of_unknown_keys_is_two_fetches_at_most(issuer: Issuer, desk: Desk) -> None:
    await desk.verify(issuer.token("grace"))
    desk.clock.now += PAUSE
    good, forged = issuer.token("heidi"), []
    for i in range(1000):
        issuer.keys[str(i)] = issuer.keys["first"]
        forged.append(issuer.token("mallory", str(i)))
        del issuer.keys[str(i)]

    verdicts = await asyncio.gather(*[desk.verdict(token) for token in (*forged, good)])

    assert (verdicts[-1], set(verdicts[:-1])) == ("heidi", {"InvalidToken"})
    assert issuer.fetches == 2


async def test_a_new_key_is_fetched_when_it_is_needed(issuer: Issuer, desk: Desk) -> None:
    await desk.verify(issuer.token("grace"))
    issuer.keys["second"] = Ed25519PrivateKey.generate()

    assert await desk.verdict(issuer.token("heidi", "second")) == "InvalidToken"  # within the minute
    desk.clock.now += PAUSE

    assert await desk.verdict(issuer.token("heidi", "second")) == "heidi"
    assert await desk.verdict(issuer.token("grace")) == "grace"


@pytest.mark.proves("ASVS 5.0 9.1.3", "A key that its issuer withdrew verifies nothing any more")
async def test_a_key_that_was_withdrawn_verifies_nothing_from_the_next_fetch_on(issuer: Issuer, desk: Desk) -> None:
    token = issuer.token("grace")
    await desk.verify(token)
    issuer.keys = {"second": Ed25519PrivateKey.generate()}
    desk.clock.now += LIFETIME + 1

    assert await desk.verdict(token) == "grace"  # who has a known key does not wait
    await desk.await_fetch()

    assert await desk.verdict(token) == "InvalidToken"
    assert await desk.verdict(issuer.token("heidi", "second")) == "heidi"
    assert issuer.fetches == 2


async def test_a_key_of_the_same_name_replaces_the_one_before(issuer: Issuer, desk: Desk) -> None:
    old = issuer.token("grace")
    await desk.verify(old)
    issuer.keys = {"first": Ed25519PrivateKey.generate()}
    desk.clock.now += LIFETIME + 1
    await desk.verdict(old)
    await desk.await_fetch()

    assert [await desk.verdict(old), await desk.verdict(issuer.token("grace"))] == ["InvalidToken", "grace"]


REPLIES = {
    "nothing": sending(b""),
    "no JSON": sending(b"<html>"),
    "no UTF-8": sending(b'{"keys": "\xff"}'),
    "deep": sending(b"[" * 100_000),
    "an empty set": sending(EMPTY),
    "a list": sending(b"[]"),
    "null": sending(b"null"),
    "keys that are no list": sending(b'{"keys": {"kid": "first"}}'),
    "keys that are no objects": sending(b'{"keys": [1, null, "first", []]}'),
    "a key without members": sending(b'{"keys": [{}]}'),
    "an error": sending(b"", "500 Internal Server Error"),
    "a page that is not there": sending(b"", "404 Not Found"),
    "a redirect": sending(b"", "302 Found", "Location: https://attacker.example/jwks\r\n"),
    "half an answer": sending(b"", headers="Content-Length: 1000\r\n"),
}


@pytest.mark.proves("", "Whatever the issuer answers, the keys that we have go on")
@pytest.mark.parametrize("reply", REPLIES)
async def test_the_keys_go_on_through_an_outage(issuer: Issuer, desk: Desk, reply: str) -> None:
    await desk.verify(issuer.token("grace"))
    issuer.reply = REPLIES[reply]
    issuer.keys["second"] = Ed25519PrivateKey.generate()

    for _ in range(3):
        desk.clock.now += LIFETIME + 1
        assert await desk.verdict(issuer.token("heidi")) == "heidi"
        await desk.await_fetch()
        assert await desk.verdict(issuer.token("heidi", "second")) == "KeysUnavailable"

    issuer.reply = None
    desk.clock.now += PAUSE
    assert await desk.verdict(issuer.token("heidi", "second")) == "heidi"
    assert issuer.fetches == 5


@pytest.mark.parametrize("reply", REPLIES)
async def test_without_any_key_nothing_can_be_said(issuer: Issuer, desk: Desk, reply: str) -> None:
    issuer.reply = REPLIES[reply]

    assert await desk.verdict(issuer.token("grace")) == "KeysUnavailable"
    assert await desk.verdict(issuer.token("grace")) == "KeysUnavailable"
    assert issuer.fetches == 1


async def test_an_issuer_that_is_gone_is_asked_once_a_minute(issuer: Issuer) -> None:
    desk = Desk("http://127.0.0.1:1/jwks")

    verdicts = {await desk.verdict(issuer.token("grace")) for _ in range(3)}
    tried = desk.keys.tried
    desk.clock.now += PAUSE
    await desk.verdict(issuer.token("grace"))

    assert (verdicts, tried, desk.keys.tried) == ({"KeysUnavailable"}, 0.0, PAUSE)
    await desk.outsiders.close()


async def test_a_redirect_is_not_followed(issuer: Issuer) -> None:
    async with publishing() as attacker:
        issuer.reply = sending(b"", "307 Temporary Redirect", f"Location: {attacker.url}\r\n")
        desk = Desk(issuer.url)

        assert await desk.verdict(attacker.token("admin")) == "KeysUnavailable"
        assert attacker.fetches == 0
        await desk.outsiders.close()


async def test_an_issuer_that_is_slow_holds_up_nobody_who_has_a_known_key(issuer: Issuer, desk: Desk) -> None:
    await desk.verify(issuer.token("grace"))
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slowly(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await may_answer.wait()
        send(writer, issuer.document)

    issuer.reply = slowly
    issuer.keys["second"] = Ed25519PrivateKey.generate()
    desk.clock.now += LIFETIME + 1
    waiting = asyncio.create_task(desk.verdict(issuer.token("heidi", "second")))
    await asked.wait()

    assert [await desk.verdict(issuer.token(f"person {i}")) for i in range(100)][-1] == "person 99"
    assert not waiting.done()
    may_answer.set()

    assert (await waiting, issuer.fetches) == ("heidi", 2)


async def test_a_look_tells_how_long_the_last_fetch_took_and_fetches_only_what_is_old(
    issuer: Issuer, desk: Desk
) -> None:
    looks = [await desk.keys.look() for _ in range(2)]
    fetched = issuer.fetches
    issuer.reply = sending(b"", "500 Internal Server Error")
    desk.clock.now += LIFETIME + 1

    assert (looks, fetched) == ([0.0, 0.0], 1)
    assert (await desk.keys.look(), issuer.fetches) == (None, 2)


async def test_a_fetch_that_is_under_way_ends_with_the_server(issuer: Issuer, desk: Desk) -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slowly(_writer: asyncio.StreamWriter) -> None:
        asked.set()
        await may_answer.wait()

    issuer.reply = slowly
    looking = asyncio.create_task(desk.keys.look())
    await asked.wait()

    await desk.keys.close()
    may_answer.set()

    assert (await looking, desk.keys.fetching) == (None, None)


async def test_who_leaves_while_waiting_does_not_stop_the_fetch(issuer: Issuer, desk: Desk) -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slowly(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await may_answer.wait()
        send(writer, issuer.document)

    issuer.reply = slowly
    impatient, patient = (asyncio.create_task(desk.verdict(issuer.token("grace"))) for _ in range(2))
    await asked.wait()
    impatient.cancel()
    may_answer.set()

    assert (await patient, issuer.fetches) == ("grace", 1)


async def test_an_issuer_that_never_ends_is_left(issuer: Issuer, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    left = asyncio.Event()

    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            left.set()

    monkeypatch.setattr(jwks, "PATIENCE", 0.1)
    issuer.reply = trickle

    assert await desk.verdict(issuer.token("grace")) == "KeysUnavailable"
    await asyncio.wait_for(left.wait(), 5)


@pytest.mark.parametrize("told", [True, False])
async def test_a_huge_answer_is_left_at_once(issuer: Issuer, desk: Desk, told: bool) -> None:  # noqa: FBT001 - a row
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 1000000000\r\n" if told else b"") + b"\r\n")
        while sent < 1_000_000_000:
            writer.write(b" " * 65536)
            await writer.drain()
            sent += 65536

    issuer.reply = flood

    assert await desk.verdict(issuer.token("grace")) == "KeysUnavailable"
    assert sent < 100 * LARGEST


async def test_an_answer_is_never_unpacked(issuer: Issuer, desk: Desk) -> None:
    packed = gzip.compress(b" " * 100_000_000)
    issuer.reply = sending(packed, headers="Content-Encoding: gzip\r\n")

    assert await desk.verdict(issuer.token("grace")) == "KeysUnavailable"
    assert len(packed) < LARGEST


async def test_a_set_of_too_many_keys_is_none(issuer: Issuer, desk: Desk) -> None:
    key = public("first", issuer.keys["first"])
    issuer.reply = sending(json.dumps({"keys": [key] * (MOST_KEYS + 1)}).encode())

    assert await desk.verdict(issuer.token("grace")) == "KeysUnavailable"


UNUSABLE: dict[str, dict[str, Any]] = {
    "a symmetric key": {"kty": "oct", "k": "YSBzZWNyZXQgdGhhdCBpcyBwdWJsaXNoZWQgYnkgaXRzIGlzc3Vlcg", "crv": None},
    "another curve": {"crv": "Ed448"},
    "an unknown kind": {"kty": "LMS"},
    "kind a list": {"kty": ["OKP"]},
    "for encryption": {"use": "enc"},
    "for another algorithm": {"alg": "ES256"},
    "without a name": {"kid": None},
    "name a number": {"kid": 1},
    "cut short": {"x": "AAAA"},
    "no base64": {"x": "\u00e4"},
    "a number": {"x": 1},
    "a private key": {"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"},
}


@pytest.mark.parametrize("which", UNUSABLE)
async def test_a_key_that_is_of_no_use_is_passed_over(issuer: Issuer, desk: Desk, which: str) -> None:
    bad = public("first", issuer.keys["first"]) | UNUSABLE[which]
    second = Ed25519PrivateKey.generate()
    issuer.reply = sending(json.dumps({"keys": [bad, public("second", second)]}).encode())
    issuer.keys["second"] = second

    assert await desk.verdict(issuer.token("grace")) == "InvalidToken"
    assert await desk.verdict(issuer.token("grace", "second")) == "grace"


async def test_a_short_rsa_key_verifies_nothing(issuer: Issuer, desk: Desk) -> None:
    issuer.keys["short"] = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that is it

    with pytest.warns(match="1024"):
        token = issuer.token("grace", "short")

    assert await desk.verdict(token) == "InvalidToken"
