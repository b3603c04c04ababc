"""Access tokens as texts: what is ours, and what only looks like it."""

import re
from hashlib import sha256
from uuid import uuid4

import pytest

from security.access_tokens import AccessTokens, hide_tokens
from security.keys import Keys
from security.tokens import InvalidToken

KEY, OTHER = "a-secret-of-the-tests-0123456789abcdef", "another-secret-of-tests-0123456789abcdef"


def make_token(key: str = KEY) -> str:
    return AccessTokens(Keys(key)).issue(uuid4(), uuid4())[0]


def test_a_token_says_which_one_it_is_and_whose() -> None:
    tokens, token_id, user_id = AccessTokens(Keys(KEY)), uuid4(), uuid4()

    token, secret_hash = tokens.issue(token_id, user_id)

    assert re.fullmatch(r"dkt_[A-Za-z0-9_-]{43}_[A-Za-z0-9_-]{86}", token)
    assert tokens.verify(token) == (token_id, user_id, secret_hash)
    assert tokens.verify(token) == (token_id, user_id, secret_hash)
    assert len(secret_hash) == sha256().digest_size


def test_no_two_tokens_have_one_secret() -> None:
    tokens, token_id, user_id = AccessTokens(Keys(KEY)), uuid4(), uuid4()

    assert len({tokens.issue(token_id, user_id) for _ in range(100)}) == 100


def test_the_key_before_counts_and_another_does_not() -> None:
    token = make_token(OTHER)

    assert AccessTokens(Keys(KEY, OTHER)).verify(token).secret_hash
    with pytest.raises(InvalidToken):
        AccessTokens(Keys(KEY)).verify(token)


def test_a_token_with_another_character_anywhere_is_not_ours() -> None:
    token, tokens = make_token(), AccessTokens(Keys(KEY))
    for place, character in enumerate(token):
        for other in ("A" if character != "A" else "B", "_", "-", "=", " ", "é"):
            if other != character and not (place < 4 and other == character):
                with pytest.raises(InvalidToken):
                    tokens.verify(token[:place] + other + token[place + 1 :])


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "A", lambda t: t.lower(), lambda _: "dkt_", str.upper]
)
def test_what_has_not_the_form_is_not_ours(change: object) -> None:
    assert callable(change)
    with pytest.raises(InvalidToken):
        AccessTokens(Keys(KEY)).verify(change(make_token()))


def test_a_path_is_told_without_the_tokens_in_it() -> None:
    token = make_token()

    assert hide_tokens(f"/api/v1/access-tokens/{token}/x") == "/api/v1/access-tokens/dkt_.../x"
    assert hide_tokens("/api/v1/tasks") == "/api/v1/tasks"


def test_only_so_many_are_remembered() -> None:
    tokens = AccessTokens(Keys(KEY), remembered=2)
    three = [tokens.issue(uuid4(), uuid4())[0] for _ in range(3)]

    found = [tokens.verify(token).token_id for token in (*three, *three)]

    assert found[:3] == found[3:]
    assert len(vars(tokens)["_verified"]) == 2
