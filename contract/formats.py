"""The formats that a value of the model can hold less than their standards allow, judged by what it can hold."""

import re
from collections.abc import Callable
from datetime import date, datetime

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[-+][0-9]{2}:[0-9]{2})", re.ASCII
)
BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)


def is_date(text: str) -> bool:
    """Whether it is a date (RFC 3339) of the years 1 to 9999."""
    return DAY.fullmatch(text) is not None and can_be_read(date.fromisoformat, text)


def is_instant(text: str) -> bool:
    """Whether it is a date-time (RFC 3339) of the years 1 to 9999, and no leap second; nanoseconds are cut off."""
    return INSTANT.fullmatch(text) is not None and can_be_read(datetime.fromisoformat, text.upper())


def is_base64(text: str) -> bool:
    """Whether it is octets in Base64 (RFC 4648, 4), padded."""
    return BASE64.fullmatch(text) is not None


def can_be_read(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


FORMATS: dict[str, Callable[[str], bool]] = {"date": is_date, "date-time": is_instant, "byte": is_base64}
