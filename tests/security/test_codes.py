"""Codes of second factors: their seeds, their steps, and those to recover by."""

import base64
from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from security import codes

NOW = datetime(2026, 1, 31, 9, 30, 15, tzinfo=UTC)
RFC_SEED = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.proves("ASVS 5.0 6.5.4", "A seed has 160 bits of the system's generator, and is another each time")
def test_a_seed_has_160_bits() -> None:
    seeds = {codes.make_seed() for _ in range(100)}

    assert len(seeds) == 100
    assert {len(base64.b32decode(seed)) for seed in seeds} == {20}


@pytest.mark.parametrize(("seconds", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    assert codes.find_step(RFC_SEED, code, datetime.fromtimestamp(seconds, UTC)) == seconds // codes.STEP


@pytest.mark.parametrize("steps", range(-2, 3))
def test_a_step_is_that_of_now_or_next_to_it(steps: int) -> None:
    seed = codes.make_seed()
    code = pyotp.TOTP(seed).at(NOW + timedelta(seconds=steps * codes.STEP))

    found = codes.find_step(seed, code, NOW)

    assert found == (int(NOW.timestamp()) // codes.STEP + steps if abs(steps) < 2 else None)


@pytest.mark.proves("ASVS 5.0 6.5.2, ASVS 5.0 6.5.3", "Codes to recover by have 120 bits of the system's generator")
def test_codes_to_recover_by_have_120_bits() -> None:
    made = [code for _ in range(100) for code in codes.make_recovery_codes()]

    assert len(set(made)) == 1000
    assert {len(base64.b32decode(codes.read_code(code).upper())) for code in made} == {15}
    assert {tuple(map(len, code.split("-"))) for code in made} == {(6, 6, 6, 6)}


@pytest.mark.parametrize(
    ("typed", "read", "is_totp"),
    [
        ("492 039", "492039", True),
        ("492039", "492039", True),
        ("ABCDEF-ghijkl", "abcdefghijkl", False),
        ("12345", "12345", False),
    ],
)
def test_a_code_is_read_however_it_is_typed(typed: str, read: str, *, is_totp: bool) -> None:
    assert (codes.read_code(typed), codes.is_totp(codes.read_code(typed))) == (read, is_totp)
