"""The time zones that people live in: those of the IANA data in the package tzdata, whatever the machine has."""

from datetime import UTC, tzinfo
from functools import cache
from importlib.resources import files
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import MISSING

from contract.types import Fault
from generated.operations import ValidationFailed

DATA = files("tzdata")
NAMES = frozenset(DATA.joinpath("zones").read_text(encoding="ascii").split())
WANTED = "Must be the name of a time zone, like Europe/Berlin"


def demand_zone(name: str | MISSING | None, where: Literal["body", "query"]) -> None:
    """Raises ValidationFailed when no zone has the name."""
    if isinstance(name, str) and name not in NAMES:
        raise ValidationFailed(errors=[Fault(where, "/time_zone", "format", WANTED, allowed=("time-zone",))])


@cache
def read_zone(name: str | None) -> tzinfo:
    """The zone of a name; UTC without one, and where the data have it no more."""
    if name not in NAMES:
        return UTC
    with DATA.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
