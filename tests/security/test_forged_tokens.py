import hmac
import json
import string
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.keys import Keys
from security.tokens import ExpiredToken, InvalidToken, Tokens

OLD, NEW = "the key of last year, of 40 characters..", "the key of this year, of 40 characters.."
KEYS = Keys(NEW, OLD)
KID, SECRET = KEYS.current.kid, KEYS.current.secret
OLD_KID, OLD_SECRET = KEYS.accepted[1].kid, KEYS.accepted[1].secret
REFRESH_SECRET = KEYS.current.subkey("refresh")
ADA, SESSION = UUID("0195f0a1-7c00-7000-8000-00000000000a"), UUID("5d0c1b1e-3f60-4c55-9d5e-1f1c2d3e4f50")
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
NOON = int(NOW.timestamp())
ALPHABET = string.ascii_letters + string.digits + "-_"

HEADER = {"alg": "HS256", "kid": KID, "typ": "at+jwt"}
CLAIMS: dict[str, Any] = {
    "iss": "https://docket.example",
    "aud": "docket",
    "sub": str(ADA),
    "sid": str(SESSION),
    "jti": "0195f0a1-7c00-7000-8000-0000000000ff",
    "iat": NOON,
    "exp": NOON + 900,
    "type": "access",
}
REFRESH_HEADER = HEADER | {"typ": "refresh+jwt"}
REFRESH_CLAIMS: dict[str, Any] = {
    "sub": str(ADA),
    "sid": str(SESSION),
    "generation": 7,
    "iat": NOON,
    "exp": NOON + 604800,
    "type": "refresh",
}

Part = bytes | dict[str, Any]

tokens = Tokens(KEYS, "https://docket.example", "docket", timedelta(minutes=15))
access = tokens.issue_access(ADA, SESSION, NOW)
refresh = tokens.issue_refresh(ADA, SESSION, 7, NOW, NOW + timedelta(days=7))


def segment(part: Part) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge_token(header: Part = HEADER, claims: Part = CLAIMS, secret: bytes = SECRET, digest: str = "sha256") -> str:
    """A token made by hand, of any header and claims, signed with any secret."""
    signed = f"{segment(header)}.{segment(claims)}"
    return f"{signed}.{segment(hmac.digest(secret, signed.encode(), digest))}"


def forge_header(**changes: Any) -> str:
    return forge_token(dict(sorted((HEADER | changes).items())))


def claiming(**changes: Any) -> str:
    return forge_token(claims=CLAIMS | changes)


def without(part: dict[str, Any], member: str) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != member}


def raw(part: dict[str, Any], member: str, value: str) -> bytes:
    """The part as JSON, with a value that is written as it is told here."""
    return json.dumps(part | {member: "VALUE"}, separators=(",", ":")).replace('"VALUE"', value).encode()


HEAD, BODY, SIGNATURE = access.split(".")
JWK = {"kty": "oct", "k": segment(b"an attacker's key, of 40 characters.....")}
TWICE = raw(HEADER, "alg", '"HS256","alg":"none"')
DEEP = b"[" * 700 + b"]" * 700

ALGORITHMS = {
    "alg none, unsigned": f"{segment(HEADER | {'alg': 'none'})}.{BODY}.",
    "alg none, signed": forge_header(alg="none"),
    "alg none, with the old signature": f"{segment(HEADER | {'alg': 'none'})}.{BODY}.{SIGNATURE}",
    "alg NONE": f"{segment(HEADER | {'alg': 'NONE'})}.{BODY}.",
    "alg nOnE": f"{segment(HEADER | {'alg': 'nOnE'})}.{BODY}.",
    "alg empty": forge_header(alg=""),
    "alg null": forge_header(alg=None),
    "alg a number": forge_header(alg=256),
    "alg a list": forge_header(alg=["HS256"]),
    "alg an object": forge_header(alg={"HS256": 1}),
    "alg missing": forge_token(without(HEADER, "alg")),
    "alg in lower case": forge_header(alg="hs256"),
    "alg with a space": forge_header(alg="HS256 "),
    "alg HS384": forge_token(HEADER | {"alg": "HS384"}, digest="sha384"),
    "alg HS512": forge_token(HEADER | {"alg": "HS512"}, digest="sha512"),
    "alg RS256 over an HMAC": forge_header(alg="RS256"),
    "alg ES256 over an HMAC": forge_header(alg="ES256"),
    "alg EdDSA over an HMAC": forge_header(alg="EdDSA"),
    "alg unheard of": forge_header(alg="HS257"),
    "alg HS256 over SHA-512": forge_token(digest="sha512"),
}
HEADERS = {
    "typ missing": forge_token(without(HEADER, "typ")),
    "typ JWT": forge_header(typ="JWT"),
    "typ with its media type": forge_header(typ="application/at+jwt"),
    "typ in upper case": forge_header(typ="AT+JWT"),
    "typ of a refresh token": forge_header(typ="refresh+jwt"),
    "typ a number": forge_header(typ=1),
    "typ null": forge_header(typ=None),
    "kid missing": forge_token(without(HEADER, "kid")),
    "kid empty": forge_header(kid=""),
    "kid null": forge_header(kid=None),
    "kid a number": forge_header(kid=1),
    "kid a list": forge_header(kid=[KID]),
    "kid unknown": forge_header(kid="AAAAAAAAAAAA"),
    "kid of the previous key": forge_header(kid=OLD_KID),
    "kid a path": forge_token(HEADER | {"kid": "../../../../../../dev/null"}, secret=b""),
    "kid a path with NUL": forge_token(HEADER | {"kid": f"{KID}\x00/etc/passwd"}, secret=b""),
    "kid SQL": forge_header(kid="' UNION SELECT 'x' --"),
    "kid a command": forge_header(kid="| sleep 10"),
    "kid a format": forge_header(kid="{0.__class__}%s%n"),
    "kid a surrogate": forge_header(kid="\ud800"),
    "kid very long": forge_header(kid="A" * 1200),
    "jku": forge_header(jku="https://attacker.example/keys"),
    "jku, signed with its key": forge_token(HEADER | {"jku": "https://attacker.example/keys"}, secret=b"attacker" * 4),
    "jwk": forge_header(jwk=JWK),
    "jwk, signed with it": forge_token(HEADER | {"jwk": JWK}, secret=b"an attacker's key, of 40 characters....."),
    "x5u": forge_header(x5u="https://attacker.example/chain.pem"),
    "x5c": forge_header(x5c=["MIIBszCCAVmgAwIBAgIU"]),
    "x5t": forge_header(x5t="AAAA"),
    "crit of exp": forge_header(crit=["exp"]),
    "crit empty": forge_header(crit=[]),
    "crit a string": forge_header(crit="exp"),
    "crit of numbers": forge_header(crit=[1]),
    "crit of b64": forge_header(crit=["b64"]),
    "b64 true": forge_header(b64=True),
    "b64 true and crit": forge_header(b64=True, crit=["b64"]),
    "b64 false, detached": f"{segment(HEADER | {'b64': False, 'crit': ['b64']})}..{SIGNATURE}",
    "b64 false": forge_header(b64=False, crit=["b64"]),
    "cty of a nested token": forge_header(cty="JWT"),
    "zip": forge_header(zip="DEF"),
    "enc": forge_header(enc="A256GCM"),
    "a further member": forge_header(x=1),
    "members in another order": forge_token(dict(reversed(HEADER.items()))),
    "white space in the header": forge_token(json.dumps(HEADER).encode()),
    "alg twice, none last": forge_token(TWICE),
    "alg twice, none first": forge_token(raw(HEADER, "alg", '"none","alg":"HS256"')),
    "alg twice, unsigned": f"{segment(TWICE)}.{BODY}.",
    "kid twice": forge_token(raw(HEADER, "kid", f'"x","kid":"{KID}"')),
    "a header of null": forge_token(b"null"),
    "a header that is a list": forge_token(b'["HS256"]'),
    "a header that is a string": forge_token(b'"HS256"'),
    "a header that is half": forge_token(b'{"alg":"HS256"'),
    "a header that is no JSON": forge_token(b"HS256"),
    "a header that is no UTF-8": forge_token(b'{"alg":"\xff"}'),
    "a header with a byte order mark": forge_token(b"\xef\xbb\xbf" + json.dumps(HEADER).encode()),
    "a header in UTF-16": forge_token(json.dumps(HEADER).encode("utf-16")),
    "a header of a huge number": forge_token(b'{"alg":' + b"9" * 1000 + b"}"),
    "a header that is deep": forge_token(DEEP),
    "a header that is empty": forge_token(b""),
}
SIGNATURES = {
    "signed with another key": forge_token(secret=b"another key, of just about 40 characters"),
    "signed with an empty key": forge_token(secret=b""),
    "signed with the kid": forge_token(secret=KID.encode()),
    "signed with the previous key": forge_token(secret=OLD_SECRET),
    "signed with the refresh subkey": forge_token(secret=REFRESH_SECRET),
    "signed with the cursor subkey": forge_token(secret=KEYS.current.subkey("cursor")),
    "no signature": f"{HEAD}.{BODY}.",
    "no signature nor point": f"{HEAD}.{BODY}",
    "half the signature": access[:-22],
    "the signature padded": access + "=",
    "the signature padded twice": access + "==",
    "the signature in hexadecimal": f"{HEAD}.{BODY}.{hmac.digest(SECRET, f'{HEAD}.{BODY}'.encode(), 'sha256').hex()}",
    "the signature of another token": f"{HEAD}.{segment(CLAIMS | {'sub': str(SESSION)})}.{SIGNATURE}",
    "the signature's idle bits set": access[:-1] + ALPHABET[ALPHABET.index(access[-1]) + 1],
    "the signature with a NUL": access + "\x00",
    "the signature twice": f"{access}.{SIGNATURE}",
    "the header padded": f"{HEAD}==.{BODY}.{SIGNATURE}",
}
TIMES = {
    f"{claim} {sort}": forge_token(claims=raw(CLAIMS, claim, value))
    for claim in ("exp", "iat")
    for sort, value in {
        "null": "null",
        "a string": f'"{NOON + 60}"',
        "an empty string": '""',
        "a fraction": f"{NOON + 60}.5",
        "a whole fraction": f"{NOON + 60}.0",
        "with an exponent": "17408304e2",
        "true": "true",
        "a list": f"[{NOON + 60}]",
        "an object": "{}",
        "negative": "-1",
        "very negative": "-99999999999999999999",
        "after the year 9999": "253402300800",
        "of 64 bits": str(2**63),
        "of 400 digits": "9" * 400,
        "of 1000 digits": "9" * 1000,
        "past all floats": "1e400",
        "NaN": "NaN",
        "Infinity": "Infinity",
        "-Infinity": "-Infinity",
    }.items()
} | {
    "exp before iat": claiming(exp=NOON - 1, iat=NOON),
    "exp at iat": claiming(exp=NOON),
    "iat in 31 seconds": claiming(iat=NOON + 31),
    "both negative": claiming(iat=-900, exp=-1),
    "nbf in the far future": claiming(nbf=32503680000),
    "nbf a word": claiming(nbf="now"),
}
MISSING = {f"without {claim}": forge_token(claims=without(CLAIMS, claim)) for claim in CLAIMS}
NULL = {f"{claim} null": claiming(**{claim: None}) for claim in CLAIMS}
CLAIMED = {
    "iss of another": claiming(iss="https://attacker.example"),
    "iss with a slash more": claiming(iss="https://docket.example/"),
    "iss a list": claiming(iss=["https://docket.example"]),
    "iss a number": claiming(iss=1),
    "aud of another": claiming(aud="other"),
    "aud in upper case": claiming(aud="DOCKET"),
    "aud a list with ours": claiming(aud=["docket", "other"]),
    "aud a list of ours": claiming(aud=["docket"]),
    "aud an object": claiming(aud={"docket": 1}),
    "aud empty": claiming(aud=""),
    "sub a name": claiming(sub="admin"),
    "sub empty": claiming(sub=""),
    "sub a number": claiming(sub=1),
    "sub a list": claiming(sub=[str(ADA)]),
    "sub in upper case": claiming(sub=str(ADA).upper()),
    "sub in braces": claiming(sub=f"{{{ADA}}}"),
    "sub as a URN": claiming(sub=ADA.urn),
    "sub without hyphens": claiming(sub=ADA.hex),
    "sub with a space": claiming(sub=f" {ADA}"),
    "sub with NUL": claiming(sub=f"{ADA}\x00"),
    "sub a surrogate": claiming(sub="\ud800"),
    "sub in other digits": claiming(sub=str(ADA).replace("0", "\u0660")),
    "sid a number": claiming(sid=1),
    "sid true": claiming(sid=True),
    "sid a list": claiming(sid=[str(SESSION)]),
    "sid an object": claiming(sid={}),
    "sid deep": forge_token(claims=raw(CLAIMS, "sid", "[" * 500 + "]" * 500)),
    "sid half": claiming(sid=str(SESSION)[:18]),
    "jti a number": claiming(jti=1),
    "jti a list": claiming(jti=[]),
    "type of a refresh token": claiming(type="refresh"),
    "type a list": claiming(type=["access"]),
    "sub twice": forge_token(claims=raw(CLAIMS, "sub", f'"{SESSION}","sub":"{ADA}"')),
    "exp twice": forge_token(claims=raw(CLAIMS, "exp", f'1,"exp":{NOON + 900}')),
    "white space in the claims": forge_token(claims=json.dumps(CLAIMS).encode()),
    "a letter of the claims escaped": forge_token(claims=raw(CLAIMS, "aud", '"d\\u006fcket"')),
    "claims of null": forge_token(claims=b"null"),
    "claims that are a list": forge_token(claims=b"[]"),
    "claims that are a string": forge_token(claims=b'"access"'),
    "claims that are a number": forge_token(claims=b"1"),
    "claims that are half": forge_token(claims=b'{"sub":'),
    "claims that are no JSON": forge_token(claims=b"sub=ada"),
    "claims that are no UTF-8": forge_token(claims=b'{"sub":"\xff"}'),
    "claims that are deep": forge_token(claims=DEEP),
    "claims that are empty": forge_token(claims=b""),
    "claims that are a token": forge_token(HEADER, access.encode()),
    "a token in the claims": forge_token(HEADER | {"cty": "JWT"}, segment(access.encode()).encode()),
}
TEXTS = {
    "empty": "",
    "one point": ".",
    "two points": "..",
    "three points": "...",
    "many points": "." * 2000,
    "one word": "token",
    "two words": "a.b",
    "three words": "a.b.c",
    "five parts, as if encrypted": f"{HEAD}.{BODY}.{SIGNATURE}.{BODY}.{SIGNATURE}",
    "a space before": f" {access}",
    "a space after": f"{access} ",
    "a line break after": f"{access}\n",
    "a line break within": f"{HEAD}.\n{BODY}.{SIGNATURE}",
    "a scheme before": f"Bearer {access}",
    "in quotes": f'"{access}"',
    "escaped for a URL": access.replace(".", "%2E"),
    "twice": access + access,
    "in upper case": access.upper(),
    "a surrogate after": f"{access}\ud800",
    "a surrogate alone": "\ud800",
    "a surrogate in each part": "\udcff.\udcff.\udcff",
    "letters of full width": access.translate({ord("e"): "\uff45"}),
    "points of full width": access.replace(".", "\uff0e"),
    "NUL": "\x00",
    "ten million characters": "A" * 10_000_000,
    "ten million characters in parts": f"{HEAD}.{'A' * 10_000_000}.{SIGNATURE}",
    "JSON": json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
}
FORGED = ALGORITHMS | HEADERS | SIGNATURES | TIMES | MISSING | NULL | CLAIMED | TEXTS


def is_refused(token: str) -> bool:
    with pytest.raises(InvalidToken) as invalid:
        tokens.verify_access(token, NOW)
    with pytest.raises(InvalidToken):
        tokens.verify_refresh(token)
    return not isinstance(invalid.value, ExpiredToken)


def test_what_is_forged_here_would_be_accepted_were_it_not_bent() -> None:
    assert tokens.verify_access(forge_token(), NOW).user_id == ADA
    assert tokens.verify_access(forge_header(), NOW).user_id == ADA
    assert tokens.verify_access(forge_token(HEADER | {"kid": OLD_KID}, secret=OLD_SECRET), NOW).user_id == ADA
    assert forge_token(REFRESH_HEADER, REFRESH_CLAIMS, REFRESH_SECRET) == refresh


def test_the_forged_tokens_are_all_different() -> None:
    assert len(set(FORGED.values())) == len(FORGED) > 200


@pytest.mark.proves("ASVS 5.0 9.1.1, ASVS 5.0 9.2.3", "More than 200 forged tokens are all refused")
@pytest.mark.proves("ASVS 5.0 9.1.2, RFC 8725 3.1", "Only HS256 is accepted, whatever algorithm a token names")
@pytest.mark.proves("ASVS 5.0 9.1.3", "A key that a token brings or points to is never used")
@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
def test_a_forged_access_token_is_invalid_and_nothing_else(token: str) -> None:
    assert is_refused(token)


REFRESH_VALUES: dict[str, tuple[Any, ...]] = {
    "generation": (None, "7", 7.0, True, -1, 2**31, 10**400, [7], {}, float("nan")),
    "sid": (None, "", 7, str(SESSION).upper(), [str(SESSION)], "\ud800"),
    "iat": (None, "1", 1.0, True, -1, 10**400, NOON + 604800),
    "exp": (None, "1", 1.0, True, -1, 10**400, NOON, 253402300800),
}
REFRESH_FORGED = (
    {
        "signed with the secret itself": forge_token(REFRESH_HEADER, REFRESH_CLAIMS),
        "signed with another subkey": forge_token(REFRESH_HEADER, REFRESH_CLAIMS, KEYS.current.subkey("cursor")),
        "typ of an access token": forge_token(HEADER, REFRESH_CLAIMS, REFRESH_SECRET),
        "typ missing": forge_token(without(REFRESH_HEADER, "typ"), REFRESH_CLAIMS, REFRESH_SECRET),
        "type of an access token": forge_token(REFRESH_HEADER, REFRESH_CLAIMS | {"type": "access"}, REFRESH_SECRET),
        "the claims of an access token": forge_token(REFRESH_HEADER, CLAIMS, REFRESH_SECRET),
        "an access token with the refresh subkey": forge_token(HEADER, CLAIMS, REFRESH_SECRET),
        "alg none": f"{segment(REFRESH_HEADER | {'alg': 'none'})}.{refresh.split('.')[1]}.",
        "padded": refresh + "=",
        "a claim more": forge_token(REFRESH_HEADER, {"iss": 1} | REFRESH_CLAIMS, REFRESH_SECRET),
        "for an audience": forge_token(REFRESH_HEADER, {"aud": "docket"} | REFRESH_CLAIMS, REFRESH_SECRET),
    }
    | {
        f"{claim} {value!r:.20}": forge_token(REFRESH_HEADER, REFRESH_CLAIMS | {claim: value}, REFRESH_SECRET)
        for claim, values in REFRESH_VALUES.items()
        for value in values
    }
    | {
        f"without {claim}": forge_token(REFRESH_HEADER, without(REFRESH_CLAIMS, claim), REFRESH_SECRET)
        for claim in REFRESH_CLAIMS
    }
)


@pytest.mark.parametrize("token", REFRESH_FORGED.values(), ids=REFRESH_FORGED)
def test_a_forged_refresh_token_is_invalid_and_nothing_else(token: str) -> None:
    assert is_refused(token)


@pytest.mark.proves("ASVS 5.0 9.2.2, RFC 8725 3.11", "Access and refresh tokens cannot stand for each other")
def test_a_refresh_token_is_no_access_token_and_back() -> None:
    with pytest.raises(InvalidToken):
        tokens.verify_access(refresh, NOW)
    with pytest.raises(InvalidToken):
        tokens.verify_refresh(access)


@pytest.mark.proves("ASVS 5.0 9.1.1", "A token with any character changed is refused")
def test_a_change_of_any_character_is_invalid() -> None:
    for token in (access, refresh):
        places = [place for place, character in enumerate(token) if character != "."]
        changed = [f"{token[:at]}{ALPHABET[ALPHABET.index(token[at]) ^ 1]}{token[at + 1 :]}" for at in places]

        assert all(is_refused(other) for other in changed)


def test_a_token_cut_short_anywhere_is_invalid() -> None:
    assert all(is_refused(token[:end]) for token in (access, refresh) for end in range(len(token)))


def test_an_expired_token_is_told_from_an_expired_forgery() -> None:
    past = {"iat": NOON - 1000, "exp": NOON - 100}

    with pytest.raises(ExpiredToken):
        tokens.verify_access(claiming(**past), NOW)
    assert is_refused(forge_token(claims=CLAIMS | past, secret=b"another key, of just about 40 characters"))
    assert is_refused(claiming(**past, aud="other"))


@pytest.mark.parametrize("year", [1970, 1900, 9999])
def test_no_clock_makes_a_token_more_than_invalid(year: int) -> None:
    with pytest.raises(InvalidToken):
        tokens.verify_access(access, datetime(year, 6, 1, tzinfo=UTC))


def test_a_token_that_never_expires_within_the_calendar_is_judged_without_overflow() -> None:
    assert tokens.verify_access(claiming(exp=253402300799), NOW).expires_at.year == 9999


def test_a_token_longer_than_ours_is_invalid_even_when_signed() -> None:
    assert is_refused(claiming(x="A" * 1600))


@given(st.text(max_size=300))
def test_any_text_is_invalid(token: str) -> None:
    assert is_refused(token)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_header_and_claims_are_invalid_even_when_signed(header: bytes, claims: bytes) -> None:
    assert is_refused(forge_token(header, claims))
    assert is_refused(forge_token(HEADER, claims))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(without(CLAIMS, "jti"))), JSON)
def test_any_other_value_of_a_claim_is_invalid_or_in_time(claim: str, value: object) -> None:
    try:
        accepted = tokens.verify_access(claiming(**{claim: value}), NOW)
    except InvalidToken:
        return
    assert type(value) is int if claim in {"exp", "iat"} else value == CLAIMS[claim]
    assert accepted.issued_at <= NOW < accepted.expires_at
