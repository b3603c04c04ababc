"""Versions as entity tags: what `ETag` says of a resource, and which versions `If-Match` names."""

from typing import Protocol

from pydantic import MISSING

from contract.vocabulary import EntityTags

LONGEST_VERSION = 18  # digits that a bigint holds for sure


class Versioned(Protocol):
    """A resource that counts its changes."""

    version: int


def etag(resource: Versioned) -> str:
    return f'"{resource.version}"'


def versions(if_match: EntityTags | MISSING) -> list[int] | MISSING:
    """The versions named; a tag that is no version of ours names none."""
    if if_match is MISSING:
        return MISSING
    return [int(tag) for tag in if_match if tag.isascii() and tag.isdecimal() and len(tag) <= LONGEST_VERSION]
