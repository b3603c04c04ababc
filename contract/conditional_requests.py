"""Conditional requests: entity tags compared as RFC 9110, 8.8.3 and 13.1 say."""

import re

from contract.types import EntityTags

TAG = re.compile(r'(W/)?"([^"]*)"')


def is_named(entity_tag: str, if_none_match: str) -> bool:
    """Whether `If-None-Match` names the tag, compared weakly (RFC 9110, 13.1.2)."""
    if if_none_match.strip() == "*":
        return True
    opaque = entity_tag.removeprefix("W/").strip('"')
    return any(found[2] == opaque for found in TAG.finditer(if_none_match))


def strong_tags(if_match: str) -> EntityTags | None:
    """The tags of `If-Match` that can match, compared strongly (RFC 9110, 13.1.1); None for `*`: any will do."""
    if if_match == "*":
        return None
    return tuple([found[2] for found in TAG.finditer(if_match) if not found[1]])
