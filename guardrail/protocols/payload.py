"""Strict JSON in, the same JSON out: nothing ambiguous gets in, no number changes its spelling.

Two parsers that disagree about one text are a way round a guard, so whatever parsers disagree
about is refused: duplicate keys, lone surrogates, NaN, encodings other than UTF-8, deep nesting.

Source: RFC 8259, sections 4, 8.1 and 9; RFC 7493 (I-JSON).
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn, TypeAlias

from guardrail.errors import Refusal

MAX_DEPTH = 64
"""Arrays and objects inside one another; `json` itself would recurse until the stack ends."""

MAX_DIGITS = 4300
"""Characters of a number: what `int` itself takes, and so the app behind."""


@dataclass(frozen=True, slots=True)
class JsonNumber:
    """A number as it was written: `1.0`, `1e400` and thirty digits survive unchanged."""

    lexeme: str = field(repr=False)


Json: TypeAlias = "bool | str | JsonNumber | list[Json] | dict[str, Json] | None"

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_json(body: bytes) -> Json:
    """Gives the value of one JSON text; a UTF-8 byte order mark is dropped.

    Raises:
        Refusal: 400 `invalid_json`, `ambiguous_json`, `invalid_unicode` or `json_too_deep`; 415
            `unsupported_charset` for UTF-16 and UTF-32. No message quotes the body.
    """
    if b"\x00" in body[:4]:
        raise Refusal(415, "unsupported_charset", "the body must be UTF-8")
    text = decode_utf8(body, charset="utf-8-sig")
    if _is_deep(body):
        raise Refusal(400, "json_too_deep", f"JSON nested deeper than {MAX_DEPTH} levels")
    value: Json | _Invalid
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        value = _Invalid()
    if isinstance(value, _Invalid):
        raise Refusal(400, "invalid_json", "the body is not valid JSON")
    if "\\u" in text and _has_surrogate(value):
        raise Refusal(400, "invalid_unicode", "a JSON string holds half a surrogate pair")
    return value


class _Invalid:
    """A text that is no JSON. The decoder's error quotes the text, so it must not be chained."""


def decode_utf8(raw: bytes, *, charset: str = "utf-8") -> str:
    """Gives the text of UTF-8 bytes.

    Raises:
        Refusal: 400 `invalid_unicode`, with no cause: Python's own error holds the bytes.
    """
    text = None
    with suppress(UnicodeDecodeError):
        text = raw.decode(charset)
    if text is None:
        raise Refusal(400, "invalid_unicode", "the body is not valid UTF-8")
    return text


def _is_deep(body: bytes) -> bool:
    brackets = _STRING.sub(b"", body).translate(None, _NOT_BRACKETS)
    if brackets.count(b"[") + brackets.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in brackets:
        if bracket not in b"[{":
            depth -= 1
        elif depth == MAX_DEPTH:
            return True
        else:
            depth += 1
    return False


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Refusal(400, "ambiguous_json", "a JSON object names one key twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise Refusal(400, "invalid_json", f"{name.lstrip('-')} is not JSON")


def _integer(lexeme: str) -> JsonNumber:
    return _small(lexeme) if len(lexeme) < 5 else _number(lexeme)


@lru_cache(maxsize=16_384)
def _small(lexeme: str) -> JsonNumber:
    """A number too short to identify anybody: a body of nothing else holds each once."""
    return JsonNumber(lexeme)


def _number(lexeme: str) -> JsonNumber:
    if len(lexeme) > MAX_DIGITS:
        raise Refusal(400, "invalid_json", f"a JSON number of more than {MAX_DIGITS} characters")
    return JsonNumber(lexeme)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_integer,
    parse_float=_number,
    parse_constant=_refuse_constant,
)


def _has_surrogate(value: Json) -> bool:
    if isinstance(value, str):
        return _SURROGATE.search(value) is not None
    if isinstance(value, list):
        return any(map(_has_surrogate, value))
    if isinstance(value, dict):
        return any(_has_surrogate(k) or _has_surrogate(v) for k, v in value.items())
    return False


def dump_json(value: Json) -> str:
    """Gives compact ASCII JSON; keys keep their order and numbers their spelling.

    >>> dump_json(parse_json(b'{"a": [1.0, 12345678901234567890], "b": "e"}'))
    '{"a":[1.0,12345678901234567890],"b":"e"}'
    """
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, JsonNumber):
        return value.lexeme
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{dump_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump_json, value)) + "]"
    return json.dumps(value)
