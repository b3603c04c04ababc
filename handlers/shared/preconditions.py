"""Versions as entity tags: what `ETag` says of a resource, and which versions `If-Match` names."""

import re
from typing import Protocol

from pydantic import MISSING

from contract.types import EntityTags
from generated.operations import PreconditionFailed

VERSION = re.compile("[1-9][0-9]{0,17}")  # as `etag` writes one; a bigint holds 18 digits for sure


class Versioned(Protocol):
    """A resource that counts its changes."""

    @property
    def version(self) -> int: ...


def etag(resource: Versioned) -> str:
    return f'"{resource.version}"'


def versions(if_match: EntityTags | MISSING) -> list[int] | MISSING:
    """The versions named; a tag that is no version of ours names none."""
    if if_match is MISSING:
        return MISSING
    return [int(tag) for tag in if_match if VERSION.fullmatch(tag)]


def guard(if_match: EntityTags | MISSING, current: str) -> None:
    """Raises PreconditionFailed when the current entity tag is none of those named."""
    if if_match is not MISSING and current.strip('"') not in if_match:
        raise PreconditionFailed(etag=current)
