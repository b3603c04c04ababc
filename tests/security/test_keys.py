import secrets
from typing import get_args

import pytest

from security.keys import Keys, Label, UnusableKey, hkdf

OLD, NEW = "the key of last year, of 40 characters..", "the key of this year, of 40 characters.."

# RFC 5869, appendix A: secret, salt, info, length, output
VECTORS = {
    "A.1": (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    "A.2": (
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        82,
        (
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        ),
    ),
    "A.3": (
        "0b" * 22,
        "",
        "",
        42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
}


@pytest.mark.parametrize(("secret", "salt", "info", "length", "output"), VECTORS.values(), ids=VECTORS)
def test_hkdf_gives_what_rfc_5869_gives(secret: str, salt: str, info: str, length: int, output: str) -> None:
    drawn = hkdf(bytes.fromhex(secret), salt=bytes.fromhex(salt), info=bytes.fromhex(info), length=length)

    assert drawn.hex() == output


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
