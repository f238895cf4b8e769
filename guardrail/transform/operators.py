"""Irreversible treatment of a finding, by presidio-anonymizer's operators.

What an operator removes is gone: there is no vault entry, and the result carries no number, so
that it can neither be restored nor be told apart from another removed value of its kind.
"""

from __future__ import annotations

from presidio_anonymizer.operators import Operator, Replace

_REPLACE: Operator = Replace()


def redact(text: str, *, word: str) -> str:
    """The text that stands where a value was removed: `[EMAIL REDACTED]`.

    >>> redact("alice@example.com", word="EMAIL")
    '[EMAIL REDACTED]'
    """
    return str(_REPLACE.operate(text, {"new_value": f"[{word} REDACTED]"}))


def redact_identifier(text: str, *, word: str) -> str:
    """`redact` for places where only `[A-Za-z0-9_-]` may stand: `EMAIL_REDACTED`."""
    return str(_REPLACE.operate(text, {"new_value": f"{word}_REDACTED"}))
