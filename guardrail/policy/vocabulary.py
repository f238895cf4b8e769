"""The words that code and policies share: actions, closed vocabularies, quantised numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from guardrail.types import Treatment

SEND: Mapping[str, Treatment] = MappingProxyType(
    {
        "sendClear": Treatment.CLEAR,
        "sendPseudonymised": Treatment.PSEUDONYMISED,
        "sendRedacted": Treatment.REDACTED,
    }
)
"""The rungs of the ladder that leave, mildest first, and what each does to a category."""

SHOW: Mapping[str, Treatment] = MappingProxyType(
    {"showClear": Treatment.CLEAR, "showMasked": Treatment.REDACTED}
)
"""What an answer may do with a category, mildest first."""

PROCESS_LOCALLY = "processLocally"
REIDENTIFY = "reidentify"
PROCESS_UNAUDITED = "processUnaudited"

STAYING: frozenset[str] = frozenset(
    {*SHOW, "output", PROCESS_LOCALLY, REIDENTIFY, PROCESS_UNAUDITED}
)
"""Actions and groups by which nothing leaves. A permit of any other must name the category."""

VOCABULARIES: tuple[str, ...] = ("Purpose", "Basis", "Consent", "Filing", "Agreement", "Sector")
"""Entity types of the schema that enumerate their members."""

COUNTS: tuple[int, ...] = (1, 10, 100, 1000)
"""What `context.count` may be: at least so many findings."""

CONFIDENCES: tuple[int, ...] = tuple(range(0, 101, 10))
"""What `context.confidence` may be."""

RESIDUALS: tuple[int, ...] = (0, 5, 10, 25, 50, 100, 200, 500, 1000, 10_000, 100_000)
"""What `context.residual` may be, in hundredths of a name: at most so many are left."""

_ENUM = re.compile(r"\bentity\s+(\w{1,64})\s+enum\s*\[([^\]]*)\]")
_MEMBER = re.compile(r'"([^"\\]{1,64})"')
_COMMENT = re.compile(r"//[^\n\r]*")


def vocabulary(schema: str) -> dict[str, frozenset[str]]:
    """Members of each vocabulary that a schema enumerates, by its name in lower case.

    >>> vocabulary('entity Basis enum ["none", "consent"];')["basis"] == {"none", "consent"}
    True
    """
    return {
        name.lower(): frozenset(_MEMBER.findall(members))
        for name, members in _ENUM.findall(_COMMENT.sub("", schema))
        if name in VOCABULARIES
    }


def quantised_count(count: int) -> int:
    """The largest of `COUNTS` that a count reaches.

    Raises:
        ValueError: the count is below one.

    >>> quantised_count(57)
    10
    """
    return max(step for step in COUNTS if step <= count)


def quantised_confidence(score: float) -> int:
    """A score in [0, 1] as whole tens of per cent, rounded down.

    Raises:
        ValueError: the score is outside [0, 1], or not a number.

    >>> quantised_confidence(0.85)
    80
    """
    if not 0.0 <= score <= 1.0:
        raise ValueError("a score is in [0, 1]")
    return round(score * 1000) // 100 * 10


def quantised_residual(missed: float) -> int:
    """The least of `RESIDUALS` that an expected number of names does not exceed; or the last.

    Raises:
        ValueError: the number is below 0, or not a number.

    >>> quantised_residual(0.12), quantised_residual(0.0), quantised_residual(1e9)
    (25, 0, 100000)
    """
    if not missed >= 0.0:
        raise ValueError("an expected number of names is not below 0")
    return next((step for step in RESIDUALS if missed * 100 <= step), RESIDUALS[-1])
