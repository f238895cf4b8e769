"""One audit event as bytes: canonical, so that equal events have equal bytes, and closed to text.

Every field has a form (an identifier, a word, a count), and what does not have its form cannot be
encoded. So neither a prompt nor an engine's message can enter the log, whoever makes the event. A
form cannot tell a code from a surname: that a purpose is a purpose is for who reads it in to check.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from guardrail.types import AuditEvent, Treatment

VERSION = 1
"""Version of the encoding, first to change when a field changes its meaning."""

MAX_ITEMS = 1024
"""Entries that one list or mapping of an event may hold."""

_MAX_INT = 2**53 - 1  # what every JSON reader holds exactly (RFC 8785, 3.2.2.3)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Unrecordable(ValueError):
    """A field of an event does not have its form. Names the `field`, never its value."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"audit event: {field} cannot be recorded")


_Form = Callable[[object], bool]


def _matches(pattern: str, flags: re.RegexFlag = re.ASCII) -> _Form:
    match = re.compile(pattern, flags).fullmatch
    return lambda value: isinstance(value, str) and match(value) is not None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_INT


def _is_instant(value: object) -> bool:
    return (
        isinstance(value, datetime)
        and value.utcoffset() is not None
        and _is_count(_microseconds(value))
    )


def _each(form: _Form) -> _Form:
    return lambda value: (
        isinstance(value, tuple) and len(value) <= MAX_ITEMS and all(map(form, value))
    )


def _pairs(key: _Form, value: _Form) -> _Form:
    return lambda pairs: (
        isinstance(pairs, Mapping)
        and len(pairs) <= MAX_ITEMS
        and all(key(k) and value(v) for k, v in pairs.items())
    )


# An identifier holds a letter: a telephone, card or insurance number in its place is refused. The
# exchange is random, so it may be a UUID that happens to hold none.
_LETTER = r"(?=[^A-Za-z]{0,255}[A-Za-z])"
_IDENTIFIER = _matches(_LETTER + r"[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,255}")
_EXCHANGE = _matches(r"[0-9a-f-]{32,36}|" + _LETTER + r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_WORD = _matches(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")
_TREATMENT = _matches("|".join(t.name for t in Treatment), re.ASCII | re.IGNORECASE)

_FORMS: Mapping[str, _Form] = {
    "id": _matches(r"[0-9a-f]{32}"),
    "kind": _matches(r"[a-z]{1,32}(\.[a-z]{1,32}){1,3}"),
    "at": _is_instant,
    "exchange": _EXCHANGE,
    "principal": _IDENTIFIER,
    "tenant": _IDENTIFIER,
    "purpose": _WORD,
    "basis": _WORD,
    "origin": _WORD,
    "regions": _each(_WORD),
    "protocol": _IDENTIFIER,
    "endpoint": _IDENTIFIER,
    "location": _WORD,
    "treatment": _TREATMENT,
    "treatments": _pairs(_WORD, _TREATMENT),
    "counts": _pairs(_matches(r"[A-Z][A-Z0-9_]{0,63}"), _is_count),
    "residual": _is_count,
    "consents": _each(_WORD),
    "filings": _each(_WORD),
    "age": _is_count,
    "found": _pairs(_WORD, _is_count),
    "confidences": _pairs(_WORD, _is_count),
    "judged": _each(_IDENTIFIER),
    "local": _IDENTIFIER,
    "unalterable": _each(_WORD),
    "injected": lambda value: value is True,
    "shadow": _pairs(_WORD, _TREATMENT),
    "policies": _each(_IDENTIFIER),
    "policy_digest": _matches(r"([a-z0-9]{1,16}:)?[0-9a-f]{8,128}"),
    "code": _WORD,
    "status": _is_count,
    "bytes_in": _is_count,
    "bytes_out": _is_count,
    "errors": _each(_matches(r"[A-Za-z][A-Za-z0-9_]{0,63}")),
}

_REQUIRED = frozenset({"id", "kind", "at", "exchange"})
_BLANK = AuditEvent(id="", kind="", at=_EPOCH, exchange="")
# Taken from the type, so that a field without a form is an error and never a silent omission.
_FIELDS = tuple((f.name, _FORMS[f.name], getattr(_BLANK, f.name)) for f in fields(AuditEvent))


def encode(event: AuditEvent) -> bytes:
    """Gives the canonical JSON of an event: sorted keys, no spaces, empty fields left out.

    The time is in microseconds since 1970, UTC. Source: RFC 8785 (JSON Canonicalization Scheme),
    https://www.rfc-editor.org/rfc/rfc8785; all keys and strings here are ASCII.

    Raises:
        Unrecordable: a field does not have its form; a `ValueError` that names only the field.

    >>> at = datetime(2026, 11, 20, tzinfo=UTC)
    >>> encode(AuditEvent(id="00" * 16, kind="egress.decision", at=at, exchange="x1"))[:48]
    b'{"at":1795132800000000,"exchange":"x1","id":"000'
    """
    record: dict[str, Any] = {"v": VERSION}
    for name, has_form, empty in _FIELDS:
        value = getattr(event, name)
        if name not in _REQUIRED and value == empty:
            continue
        if not has_form(value):
            raise Unrecordable(name)
        record[name] = dict(value) if isinstance(value, Mapping) else value
    record["at"] = _microseconds(event.at)
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode("ascii")


def decode(data: bytes) -> AuditEvent:
    """Gives the event that was encoded.

    Raises:
        ValueError: `encode` gives these bytes for no event; the message quotes nothing of them.
    """
    try:
        record = json.loads(data)
        if record.pop("v") != VERSION:
            raise ValueError
        record["at"] = _EPOCH + record["at"] * _MICROSECOND
        event = AuditEvent(**{name: _frozen(value) for name, value in record.items()})
        canonical = encode(event) == data
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        canonical = False
    if not canonical:
        raise ValueError("not the bytes of an audit event of this version")
    return event


def event_id(now: datetime, random: bytes) -> str:
    """Gives a UUIDv7 in hexadecimal, so that ids sort by time to the millisecond.

    Takes the first ten bytes of `random`, which must be fresh for each id. Source: RFC 9562, 5.7,
    https://www.rfc-editor.org/rfc/rfc9562#section-5.7.

    Raises:
        ValueError: fewer than ten bytes, or a time without a zone or outside 1970 to 2255.

    >>> event_id(datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC), bytes(10))
    '017f22e279b070008000000000000000'
    """
    if len(random) < 10 or not _is_instant(now):
        raise ValueError("an event id needs ten random bytes and a time with a zone")
    head, tail = int.from_bytes(random[:2]) & 0xFFF, int.from_bytes(random[2:10]) & (2**62 - 1)
    milliseconds = _microseconds(now) // 1000
    return f"{milliseconds << 80 | 0x7 << 76 | head << 64 | 0b10 << 62 | tail:032x}"


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return MappingProxyType(value) if isinstance(value, dict) else value
