"""Versions as entity tags: what `ETag` says of a resource, and which versions `If-Match` names."""

import re
from typing import Protocol

from pydantic import MISSING

from contract.types import EntityTags
from generated.operations import PreconditionFailed

VERSION = re.compile(r"([1-9][0-9]{0,17})(?:\.[0-9]{1,18})?")  # a bigint holds 18 digits for sure
"""As `etag` writes one: what follows a point is the version of what else the resource shows."""


class Versioned(Protocol):
    """A resource that counts its changes."""

    @property
    def version(self) -> int: ...


def etag(resource: Versioned) -> str:
    return f'"{resource.version}"'


def write_etag(version: int, shown_version: int | None) -> str:
    """The entity tag of a resource that shows another one, if it shows one."""
    return f'"{version}"' if shown_version is None else f'"{version}.{shown_version}"'


def versions(if_match: EntityTags | MISSING) -> list[int] | MISSING:
    """The versions named; a tag that is no version of ours names none."""
    if if_match is MISSING:
        return MISSING
    return [int(named[1]) for named in map(VERSION.fullmatch, if_match) if named]


def guard(if_match: EntityTags | MISSING, version: int, current: str) -> None:
    """Raises PreconditionFailed, with the current entity tag, when the version is none of those named."""
    wanted = versions(if_match)
    if wanted is not MISSING and version not in wanted:
        raise PreconditionFailed(etag=current)
