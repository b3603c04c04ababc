import hmac
import secrets
from typing import get_args

import pytest

from security.keys import Keys, Label, UnusableKey

OLD, NEW = "the key of last year, of 40 characters..", "the key of this year, of 40 characters.."


@pytest.mark.proves("ASVS 5.0 11.4.1", "A key for each use is drawn from the secret key as RFC 5869 has it")
@pytest.mark.parametrize("label", get_args(Label))
def test_a_subkey_is_drawn_as_rfc_5869_has_it(label: Label) -> None:
    extracted = hmac.digest(bytes(32), NEW.encode(), "sha256")
    expanded = hmac.digest(extracted, f"docket {label}".encode() + b"\x01", "sha256")

    assert Keys(NEW).current.subkey(label) == expanded


def test_the_key_that_signs_comes_first_and_the_one_before_it_is_accepted() -> None:
    keys = Keys(NEW, OLD)

    assert keys.accepted[0] is keys.current
    assert [key.kid for key in keys.accepted] == [Keys(NEW).current.kid, Keys(OLD).current.kid]
    assert keys.subkeys("cursor") == (*Keys(NEW).subkeys("cursor"), *Keys(OLD).subkeys("cursor"))


def test_without_a_previous_key_only_one_is_accepted() -> None:
    assert len(Keys(NEW, None).accepted) == 1


def test_a_kid_is_short_and_the_same_at_each_start_and_another_for_each_key() -> None:
    assert Keys(NEW).current.kid == Keys(NEW).current.kid == "2t7YtTRiftVs"
    assert Keys(NEW).current.kid != Keys(OLD).current.kid


def test_each_use_of_each_key_has_a_subkey_of_its_own() -> None:
    keys = Keys(NEW, OLD)
    labels: tuple[Label, ...] = get_args(Label)

    subkeys = {subkey for label in labels for subkey in keys.subkeys(label)}

    assert len(subkeys) == 2 * len(labels)
    assert {len(subkey) for subkey in subkeys} == {32}
    assert subkeys.isdisjoint(key.secret for key in keys.accepted)


def test_a_key_is_not_shown_by_its_representation() -> None:
    keys = Keys(NEW, OLD)

    shown = f"{keys!r} {keys.current!r} {keys.current}"

    assert NEW not in shown


@pytest.mark.proves("RFC 7518 3.2", "A key shorter than 32 bytes is refused")
@pytest.mark.parametrize("short", ["", "x" * 31, "\u00e9" * 15])
def test_a_key_shorter_than_32_bytes_is_refused(short: str) -> None:
    with pytest.raises(UnusableKey, match="is shorter than 32 bytes: make one with `openssl rand -hex 32`"):
        Keys(short)
    with pytest.raises(UnusableKey, match="is shorter than 32 bytes"):
        Keys(NEW, short)


@pytest.mark.parametrize(
    "foreign",
    [
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJlbm5l docket@example",
        '{"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMko"}',
    ],
)
def test_a_key_of_another_sort_is_refused_without_being_told(foreign: str) -> None:
    with pytest.raises(UnusableKey, match="is a PEM, SSH or JSON Web Key") as refused:
        Keys(foreign)

    assert foreign not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_key_may_be_bytes_that_are_no_text() -> None:
    raw = b"\xff\xfe" + secrets.token_bytes(32)

    keys = Keys(raw.decode("utf-8", "surrogateescape"))

    assert keys.current.secret == raw
