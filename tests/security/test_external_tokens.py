"""Tokens of other issuers, forged and confused."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from security.external_tokens import Issuer as Wanted
from security.external_tokens import Outsider, Outsiders, SharedSecret, Verifier
from security.jwks import KeySet
from security.tokens import ExpiredToken, InvalidToken
from tests.issuer import AUDIENCE, NAME, SECRET, Issuer, claims, public, publishing, sign_shared
from tests.security.test_forged_tokens import forge_token, segment

NOW = int(datetime.now(UTC).timestamp())
BY_SECRET = Wanted("better-auth", ("sub", "user.id"))
BY_KEYS = Wanted(NAME, ("sub",), NAME, AUDIENCE)
Verify = Callable[[str], Any]


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with publishing() as issuer:
        yield issuer


@pytest.fixture
async def outsiders(issuer: Issuer) -> AsyncIterator[Outsiders]:
    outsiders = Outsiders([Verifier(BY_SECRET, SharedSecret(SECRET)), Verifier(BY_KEYS, KeySet(issuer.url))])
    yield outsiders
    await outsiders.close()


async def read(outsiders: Outsiders, token: str) -> Outsider:
    return await outsiders.verify(token, datetime.now(UTC))


async def refuse(outsiders: Outsiders, token: str) -> None:
    with pytest.raises(InvalidToken):
        await read(outsiders, token)


def write_token(issuer: Issuer, said: dict[str, Any]) -> str:
    """A token that says just this."""
    return jwt.encode(said, issuer.keys["first"], "EdDSA", {"kid": "first"})


async def test_a_good_token_says_who_it_is(issuer: Issuer, outsiders: Outsiders) -> None:
    outsider = await read(outsiders, issuer.token("grace", auth_time=NOW - 60))

    assert (outsider.namespace, outsider.subject) == (NAME, "grace")
    assert outsider.authenticated_at == datetime.fromtimestamp(NOW - 60, UTC)
    assert (await read(outsiders, sign_shared("grace"))).namespace == "better-auth"


@pytest.mark.proves(
    "ASVS 5.0 9.1.2", "Each issuer's tokens are verified by one kind of key: HS256 over a public key is none"
)
async def test_a_public_key_is_no_secret(issuer: Issuer, outsiders: Outsiders) -> None:
    key = issuer.keys["first"].public_key()
    raws = [key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)]
    raws += (
        [key.public_bytes(Encoding.Raw, PublicFormat.Raw)]
        if isinstance(issuer.keys["first"], Ed25519PrivateKey)
        else []
    )
    raws += [json.dumps(public("first", issuer.keys["first"])).encode(), issuer.document]
    for raw in raws:
        for algorithm in ("HS256", "EdDSA", "RS256", "none", "HS512"):
            header = {"alg": algorithm, "kid": "first", "typ": "JWT"}
            await refuse(outsiders, forge_token(header, claims("admin"), raw))


@pytest.mark.proves("", "A token of one issuer is none of another's")
async def test_a_token_of_one_issuer_is_none_of_the_other(issuer: Issuer, outsiders: Outsiders) -> None:
    async with publishing() as another:
        await refuse(outsiders, another.token("grace"))
        await refuse(outsiders, another.token("grace", iss="https://another.example"))
        await refuse(outsiders, issuer.token("grace", iss="https://another.example"))
    await refuse(outsiders, sign_shared("grace", "another secret of more than 32 characters"))
    only_keys = Outsiders([Verifier(BY_KEYS, KeySet(issuer.url))])
    only_secret = Outsiders([Verifier(BY_SECRET, SharedSecret(SECRET))])
    await refuse(only_keys, sign_shared("grace"))
    await refuse(only_secret, issuer.token("grace"))
    await only_keys.close()


async def test_the_algorithm_is_that_of_the_key(issuer: Issuer, outsiders: Outsiders) -> None:
    issuer.keys |= {"ec": ec.generate_private_key(ec.SECP256R1()), "rsa": rsa.generate_private_key(65537, 2048)}
    said = claims("grace")
    for kid, algorithm in (("first", "EdDSA"), ("ec", "ES256"), ("rsa", "RS256")):
        for named in issuer.keys:
            token = jwt.encode(said, issuer.keys[kid], algorithm, {"kid": named})
            if named == kid:
                assert (await read(outsiders, token)).subject == "grace"
            else:
                await refuse(outsiders, token)
    for algorithm in ("RS384", "RS512", "PS256"):
        await refuse(outsiders, jwt.encode(said, issuer.keys["rsa"], algorithm, {"kid": "rsa"}))


HEADERS: dict[str, Any] = {
    "alg none": {"alg": "none"},
    "alg missing": {"alg": None},
    "alg a list": {"alg": ["HS256"]},
    "alg a number": {"alg": 1},
    "alg HS384": {"alg": "HS384"},
    "typ of an ID token": {"typ": "id_token+jwt"},
    "typ of a refresh token": {"typ": "refresh+jwt"},
    "typ a number": {"typ": 1},
    "typ a list": {"typ": ["JWT"]},
    "crit": {"crit": ["exp"], "exp": 1},
}


@pytest.mark.parametrize("which", HEADERS)
async def test_a_header_that_is_not_usual_is_refused(outsiders: Outsiders, which: str) -> None:
    header = {"alg": "HS256", "typ": "JWT"} | HEADERS[which]

    await refuse(outsiders, forge_token(header, claims("grace"), SECRET.encode()))


@pytest.mark.parametrize("typ", [{}, {"typ": "JWT"}, {"typ": "jwt"}, {"typ": "at+jwt"}])
async def test_these_types_will_do(outsiders: Outsiders, typ: dict[str, str]) -> None:
    token = forge_token({"alg": "HS256"} | typ, claims("grace"), SECRET.encode())

    assert (await read(outsiders, token)).subject == "grace"


@pytest.mark.parametrize(
    "named", [{}, *({"kid": kid} for kid in (None, 1, ["first"], "", "../first", "first\0"))], ids=str
)
async def test_a_key_that_is_not_named_is_not_guessed(
    issuer: Issuer, outsiders: Outsiders, named: dict[str, Any]
) -> None:
    head, body, _ = issuer.token("grace").split(".")
    signed = f"{segment({'alg': 'EdDSA'} | named)}.{body}"
    key = issuer.keys["first"]
    assert head
    assert isinstance(key, Ed25519PrivateKey)

    await refuse(outsiders, f"{signed}.{segment(key.sign(signed.encode()))}")


@pytest.mark.proves("", "A subject is a text of 1 to 255 characters without NUL")
@pytest.mark.parametrize(
    "subject",
    ["x" * 10_000, "x" * 256, "", "a\0b", "\0", "\ud800", 1, 1.5, True, None, [], ["grace"], {}, {"id": "grace"}],
    ids=lambda subject: repr(subject)[:20],
)
async def test_a_subject_that_is_none_is_refused(issuer: Issuer, outsiders: Outsiders, subject: Any) -> None:
    said = claims("grace") | {"sub": subject}
    raw = json.dumps({"alg": "HS256"}).encode()

    await refuse(outsiders, forge_token(raw, said, SECRET.encode()))
    await refuse(outsiders, forge_token(raw, said | {"user": {"id": subject}}, SECRET.encode()))


@pytest.mark.parametrize("subject", ["x" * 255, "\U0001f389" * 255, " ", "' OR 1=1 --", "../../etc", "a\nb"])
async def test_a_subject_is_taken_as_it_is(issuer: Issuer, outsiders: Outsiders, subject: str) -> None:
    assert (await read(outsiders, issuer.token(subject))).subject == subject


CLAIMS: dict[str, dict[str, Any]] = {
    "exp missing": {"exp": ...},
    "iat missing": {"iat": ...},
    "exp a text": {"exp": str(NOW + 900)},
    "iat a text": {"iat": str(NOW)},
    "exp true": {"exp": True},
    "exp null": {"exp": None},
    "exp without end": {"exp": float("inf")},
    "exp no number": {"exp": float("nan")},
    "exp after the year 9999": {"exp": 10**18},
    "exp of 5,000 digits": {"exp": 10**4000},
    "iat negative": {"iat": -1},
    "iat in the future": {"iat": NOW + 86_400},
    "nbf in the future": {"nbf": NOW + 86_400},
    "nbf a text": {"nbf": "now"},
    "auth_time in the future": {"auth_time": NOW + 86_400},
    "auth_time a text": {"auth_time": "now"},
    "iss missing": {"iss": ...},
    "iss a list": {"iss": [NAME]},
    "iss with a slash": {"iss": f"{NAME}/"},
    "aud missing": {"aud": ...},
    "aud another": {"aud": "https://another.example"},
    "aud a number": {"aud": 1},
    "aud a list of others": {"aud": ["https://another.example"]},
}


@pytest.mark.parametrize("which", CLAIMS)
async def test_claims_that_are_wrong_are_refused(issuer: Issuer, outsiders: Outsiders, which: str) -> None:
    said = {name: value for name, value in (claims("grace") | CLAIMS[which]).items() if value is not ...}
    signed = f"{segment({'alg': 'EdDSA', 'kid': 'first'})}.{segment(said)}"
    key = issuer.keys["first"]
    assert isinstance(key, Ed25519PrivateKey)

    await refuse(outsiders, f"{signed}.{segment(key.sign(signed.encode()))}")


async def test_an_audience_may_be_one_of_several(issuer: Issuer, outsiders: Outsiders) -> None:
    assert (await read(outsiders, issuer.token("grace", aud=["another", AUDIENCE]))).subject == "grace"


@pytest.mark.parametrize("make", ["token", "shared"])
async def test_clocks_may_differ_by_half_a_minute(issuer: Issuer, outsiders: Outsiders, make: str) -> None:
    times: dict[str, Any] = {"iat": NOW, "exp": NOW + 900}
    token = issuer.token("grace", **times) if make == "token" else sign_shared("grace", **times)

    async def read_at(seconds: int) -> Outsider:
        return await outsiders.verify(token, datetime.fromtimestamp(NOW + seconds, UTC))

    for _ in range(2):  # verified anew, then remembered
        assert (await read_at(929)).subject == "grace"
        assert (await read_at(-30)).subject == "grace"
        with pytest.raises(ExpiredToken):
            await read_at(930)
        with pytest.raises(InvalidToken):
            await read_at(-31)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "x" * 9000, "\ud800", "e30.e30.", "bnVsbA.e30.", "W10.e30."])
async def test_what_is_no_token_is_refused(outsiders: Outsiders, token: str) -> None:
    await refuse(outsiders, token)


async def test_a_token_that_was_changed_is_refused(issuer: Issuer, outsiders: Outsiders) -> None:
    for token in (issuer.token("grace"), sign_shared("grace")):
        await read(outsiders, token)
        head, _, signature = token.split(".")
        await refuse(outsiders, f"{head}.{segment(claims('admin'))}.{signature}")


async def test_what_better_auth_signs_for_verifying_an_email_is_no_access_token(outsiders: Outsiders) -> None:
    said = {"email": "grace@example.com", "requestType": "change-email-verification", "iat": NOW, "exp": NOW + 3600}

    await refuse(outsiders, jwt.encode(said, SECRET, "HS256"))


async def test_remembered_tokens_take_bounded_room(issuer: Issuer) -> None:
    outsiders = Outsiders([Verifier(BY_KEYS, KeySet(issuer.url))], remembered=3)
    tokens = [issuer.token(f"person {i}") for i in range(10)]

    subjects = [(await read(outsiders, token)).subject for token in tokens * 2]

    assert subjects == [f"person {i}" for i in range(10)] * 2
    assert [outsiders.remembers(token) for token in tokens] == [False] * 7 + [True] * 3
    await outsiders.close()


async def test_a_claim_by_path_says_who_it_is(issuer: Issuer) -> None:
    outsiders = Outsiders([Verifier(Wanted("there", ("person.id",)), KeySet(issuer.url))])

    nested, flat = {"person": {"id": "grace"}}, {"person.id": "heidi"}
    assert (await read(outsiders, write_token(issuer, claims(None, **nested)))).subject == "grace"
    assert (await read(outsiders, write_token(issuer, claims(None, **flat)))).subject == "heidi"
    await refuse(outsiders, issuer.token("grace"))
    await refuse(outsiders, write_token(issuer, claims(None, person="grace")))
    await outsiders.close()
