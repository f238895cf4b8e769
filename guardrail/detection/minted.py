"""Ids that programs draw at random, in which a number of somebody can only stand by chance.

Providers and SDKs make ids of 32 hexadecimal digits and more (`resp_…`, UUIDs). One in fifty holds
what looks like somebody's number with its check digit. It is taken for chance where all around it
is random, too: an id made of a number (`00000000-0000-0000-0000-199001011234`) is not.
"""

from __future__ import annotations

import re

from guardrail.types import Span

_ID = re.compile(
    r"(?:[a-z]{1,16}[_-])?"
    r"(?P<digits>[0-9a-f]{32,128}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"
)
_AROUND = 20
_DISTINCT = 8
_LETTERS = 4


def is_by_chance(text: str, span: Span) -> bool:
    """Whether a text is a random id of which a finding is a small part."""
    match = _ID.fullmatch(text)
    if match is None or span.start < match.start("digits"):
        return False
    around = (text[match.start("digits") : span.start] + text[span.end :]).replace("-", "")
    letters = sum(map(str.isalpha, around))
    return len(around) >= _AROUND and len(set(around)) >= _DISTINCT and letters >= _LETTERS
