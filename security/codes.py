"""The codes of a second factor: those of an authenticator app (TOTP, RFC 6238), and ten to recover by."""

import base64
import hmac
import re
import secrets
from datetime import datetime

import pyotp

ISSUER = "Docket"
DIGITS = re.compile(r"[0-9]{6}")
STEP = 30  # seconds
NEIGHBOURS = (-1, 0, 1)  # steps, for clocks that differ
RECOVERY_CODES = 10
RECOVERY_BYTES = 15  # 120 bits: a plain hash of so many can be kept
GROUP = 6  # letters between two hyphens


def make_seed() -> str:
    """A new seed of 160 bits, in base 32 as apps take it."""
    return pyotp.random_base32()


def write_uri(seed: str, account: str) -> str:
    """The URI of a seed, which apps read from a QR code."""
    return pyotp.TOTP(seed).provisioning_uri(name=account, issuer_name=ISSUER)


def find_step(seed: str, code: str, now: datetime) -> int | None:
    """The time step whose code this is: that of now, the one before or after."""
    step, totp = int(now.timestamp()) // STEP, pyotp.TOTP(seed)
    matching = [at for at in NEIGHBOURS if hmac.compare_digest(totp.generate_otp(step + at), code)]
    return step + matching[-1] if matching else None


def make_recovery_codes() -> list[str]:
    """Ten codes, each of which works once."""
    return [write_recovery_code(secrets.token_bytes(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]


def write_recovery_code(secret: bytes) -> str:
    text = base64.b32encode(secret).decode().lower()
    return "-".join(text[at : at + GROUP] for at in range(0, len(text), GROUP))


def read_code(typed: str) -> str:
    """A code as it is compared, however somebody typed it."""
    return re.sub(r"[\s-]", "", typed).lower()


def is_totp(code: str) -> bool:
    """Whether a code, as `read_code` reads it, is one of an app."""
    return DIGITS.fullmatch(code) is not None
