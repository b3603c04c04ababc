from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
import pytest

from security.keys import Keys
from security.tokens import Claims, ExpiredToken, InvalidToken, RefreshClaims, Tokens

OLD, NEW = "the key of last year, of 40 characters..", "the key of this year, of 40 characters.."
ADA, SESSION = UUID("0195f0a1-7c00-7000-8000-00000000000a"), UUID("5d0c1b1e-3f60-4c55-9d5e-1f1c2d3e4f50")
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
LEEWAY = timedelta(seconds=30)
LIFETIME = timedelta(minutes=15)


def issuer_of(keys: Keys, *, remembered: int = 4096) -> Tokens:
    return Tokens(keys, "https://docket.example", "docket", LIFETIME, remembered=remembered)


@pytest.fixture
def tokens() -> Tokens:
    return issuer_of(Keys(NEW, OLD))


def test_an_access_token_says_who_in_which_session_and_for_how_long(tokens: Tokens) -> None:
    token = tokens.issue_access(ADA, SESSION, NOW)

    assert tokens.verify_access(token, NOW) == Claims(ADA, SESSION, NOW, NOW + LIFETIME)


def test_an_access_token_is_a_jwt_that_any_library_reads(tokens: Tokens) -> None:
    token = tokens.issue_access(ADA, SESSION, NOW)

    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "at+jwt", "kid": Keys(NEW).current.kid}
    claims = jwt.decode(
        token, NEW, ["HS256"], {"verify_exp": False}, audience="docket", issuer="https://docket.example"
    )
    jti = claims.pop("jti")
    assert str(UUID(jti)) == jti
    assert claims == {
        "iss": "https://docket.example",
        "aud": "docket",
        "sub": str(ADA),
        "sid": str(SESSION),
        "iat": 1740830400,
        "exp": 1740831300,
        "type": "access",
    }


def test_two_access_tokens_of_one_moment_differ(tokens: Tokens) -> None:
    assert tokens.issue_access(ADA, SESSION, NOW) != tokens.issue_access(ADA, SESSION, NOW)


def test_an_access_token_is_accepted_up_to_30_seconds_outside_its_time(tokens: Tokens) -> None:
    token = tokens.issue_access(ADA, SESSION, NOW)

    assert tokens.verify_access(token, NOW - LEEWAY).user_id == ADA
    assert tokens.verify_access(token, NOW + LIFETIME + LEEWAY - SECOND).user_id == ADA


def test_an_access_token_from_the_future_is_invalid(tokens: Tokens) -> None:
    token = tokens.issue_access(ADA, SESSION, NOW)

    with pytest.raises(InvalidToken) as refused:
        tokens.verify_access(token, NOW - LEEWAY - SECOND)
    assert not isinstance(refused.value, ExpiredToken)


def test_an_access_token_expires_30_seconds_after_its_time(tokens: Tokens) -> None:
    token = tokens.issue_access(ADA, SESSION, NOW)

    with pytest.raises(ExpiredToken):
        tokens.verify_access(token, NOW + LIFETIME + LEEWAY)


def test_a_known_token_is_not_verified_again(tokens: Tokens) -> None:
    token = tokens.issue_access(ADA, SESSION, NOW)

    first = tokens.verify_access(token, NOW)

    assert tokens.verify_access(token, NOW + SECOND) is first


def test_a_known_token_expires_like_any_other(tokens: Tokens) -> None:
    token = tokens.issue_access(ADA, SESSION, NOW)
    tokens.verify_access(token, NOW)

    with pytest.raises(ExpiredToken):
        tokens.verify_access(token, NOW + LIFETIME + LEEWAY)
    with pytest.raises(InvalidToken):
        tokens.verify_access(token, NOW - LEEWAY - SECOND)


def test_of_many_tokens_the_oldest_is_forgotten_and_still_accepted() -> None:
    tokens = issuer_of(Keys(NEW), remembered=2)
    first, second, third = (tokens.issue_access(ADA, uuid4(), NOW) for _ in range(3))
    known = {token: tokens.verify_access(token, NOW) for token in (first, second, third)}

    assert tokens.verify_access(third, NOW) is known[third]
    assert tokens.verify_access(second, NOW) is known[second]
    again = tokens.verify_access(first, NOW)
    assert again == known[first]
    assert again is not known[first]


def test_a_token_that_is_refused_is_not_remembered() -> None:
    tokens = issuer_of(Keys(NEW), remembered=1)
    good, expired = tokens.issue_access(ADA, SESSION, NOW), tokens.issue_access(ADA, SESSION, NOW - WEEK)
    known = tokens.verify_access(good, NOW)

    with pytest.raises(ExpiredToken):
        tokens.verify_access(expired, NOW)

    assert tokens.verify_access(good, NOW) is known


def test_a_refresh_token_says_the_account_the_session_and_its_generation(tokens: Tokens) -> None:
    token = tokens.issue_refresh(ADA, SESSION, 7, NOW, NOW + WEEK)

    assert tokens.verify_refresh(token) == RefreshClaims(ADA, SESSION, 7)


def test_a_refresh_token_issued_again_is_the_same_to_the_byte() -> None:
    one, other = issuer_of(Keys(NEW)), issuer_of(Keys(NEW, OLD))

    assert one.issue_refresh(ADA, SESSION, 7, NOW, NOW + WEEK) == other.issue_refresh(ADA, SESSION, 7, NOW, NOW + WEEK)


def test_a_refresh_token_differs_with_everything_it_is_made_of(tokens: Tokens) -> None:
    issued = {
        tokens.issue_refresh(ADA, SESSION, 7, NOW, NOW + WEEK),
        tokens.issue_refresh(SESSION, SESSION, 7, NOW, NOW + WEEK),
        tokens.issue_refresh(ADA, ADA, 7, NOW, NOW + WEEK),
        tokens.issue_refresh(ADA, SESSION, 8, NOW, NOW + WEEK),
        tokens.issue_refresh(ADA, SESSION, 7, NOW + SECOND, NOW + WEEK),
        tokens.issue_refresh(ADA, SESSION, 7, NOW, NOW + WEEK + SECOND),
        issuer_of(Keys(OLD)).issue_refresh(ADA, SESSION, 7, NOW, NOW + WEEK),
    }

    assert len(issued) == 7


def test_tokens_issued_by_earlier_releases_are_accepted(tokens: Tokens) -> None:
    access = (
        "eyJhbGciOiJIUzI1NiIsImtpZCI6IjJ0N1l0VFJpZnRWcyIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL2RvY2tldC5"
        "leGFtcGxlIiwiYXVkIjoiZG9ja2V0Iiwic3ViIjoiMDE5NWYwYTEtN2MwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDBhIiwic2lkIjo"
        "iNWQwYzFiMWUtM2Y2MC00YzU1LTlkNWUtMWYxYzJkM2U0ZjUwIiwianRpIjoiZmFjNjhhMGYtMzVlYS00ZmZiLThlZmEtYjNhNmF"
        "jYTUyODYzIiwiaWF0IjoxNzQwODMwNDAwLCJleHAiOjE3NDA4MzEzMDAsInR5cGUiOiJhY2Nlc3MifQ.8XZGzy8tIlsZHbt6xxsU"
        "YdRClWiVQzr88DXkeTHPGAI"
    )
    refresh = (
        "eyJhbGciOiJIUzI1NiIsImtpZCI6IjJ0N1l0VFJpZnRWcyIsInR5cCI6InJlZnJlc2grand0In0.eyJzdWIiOiIwMTk1ZjBhMS03Y"
        "zAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMGEiLCJzaWQiOiI1ZDBjMWIxZS0zZjYwLTRjNTUtOWQ1ZS0xZjFjMmQzZTRmNTAiLCJnZW"
        "5lcmF0aW9uIjo3LCJpYXQiOjE3NDA4MzA0MDAsImV4cCI6MTc0MTQzNTIwMCwidHlwZSI6InJlZnJlc2gifQ.Kgnpe0sulmxIWa8C"
        "QWd0Lhieo1IZYHC7G59M0EKwHCI"
    )

    assert tokens.verify_access(access, NOW) == Claims(ADA, SESSION, NOW, NOW + LIFETIME)
    assert tokens.verify_refresh(refresh) == RefreshClaims(ADA, SESSION, 7)
    assert tokens.issue_refresh(ADA, SESSION, 7, NOW, NOW + WEEK) == refresh


@pytest.mark.proves("RFC 7515 4.1.4", "The key of a token is found by its kid")
def test_tokens_of_the_previous_key_are_accepted_until_that_key_is_dropped() -> None:
    before, during, after = issuer_of(Keys(OLD)), issuer_of(Keys(NEW, OLD)), issuer_of(Keys(NEW))
    access, refresh = before.issue_access(ADA, SESSION, NOW), before.issue_refresh(ADA, SESSION, 7, NOW, NOW + WEEK)

    assert during.verify_access(access, NOW).session_id == SESSION
    assert during.verify_refresh(refresh).session_id == SESSION
    with pytest.raises(InvalidToken):
        after.verify_access(access, NOW)
    with pytest.raises(InvalidToken):
        after.verify_refresh(refresh)


def test_new_tokens_are_signed_with_the_current_key() -> None:
    during, after = issuer_of(Keys(NEW, OLD)), issuer_of(Keys(NEW))

    assert after.verify_access(during.issue_access(ADA, SESSION, NOW), NOW).user_id == ADA
    assert after.verify_refresh(during.issue_refresh(ADA, SESSION, 7, NOW, NOW + WEEK)).generation == 7


def test_secrets_are_not_shown_by_a_representation(tokens: Tokens) -> None:
    assert NEW not in repr(vars(tokens))
