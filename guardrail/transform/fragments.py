r"""Strings inside streamed JSON rewritten, without waiting for the whole JSON.

A model streams the arguments of a tool call as fragments of one JSON text, cut anywhere. What a
filter or a restorer must see is the text the tool will see, so the value of each string is decoded
(`\u0062ob` is `bob`), goes through a transformer of its own, and is escaped again: a restored value
with quotes or newlines cannot break out of its string. Keys, literals, whitespace and
structure pass byte for byte, and so do numbers, except that a long one which must change becomes a
string.

A string that its transformer leaves as it is keeps its own escapes, byte for byte. In one that
changes, the part before the first change keeps them, the rest is escaped as RFC 8259 requires and
no further. So the values are the same for every way of cutting a text, and so is their spelling
unless a replacement begins like the text it replaces.

What is not JSON never passes unseen. A text that does not begin with `{`, `[` or `"` is plain text
for one transformer, and so is all that follows the first breach of the grammar; a scalar is held
until what comes after it is known to be legal. An invalid escape `\q` is judged as `q`, which is
what a lenient reader makes of it.
Source: RFC 8259, https://www.rfc-editor.org/rfc/rfc8259.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Protocol

import regex

from guardrail.errors import Unavailable

MAX_DEPTH = 512
"""Nested containers beyond which a text is refused; no tool reads such arguments."""

_LONG_NUMBER = 5  # digits from which a number may identify somebody
_LONGEST_SCALAR = 256  # code points with the space after it; what is longer is held to be no scalar

# What may come next, by its first character.
_TOP = '{["'
_SCALAR_STARTS = "-0123456789tfn"
_VALUE = _TOP + _SCALAR_STARTS
_KEY = '"'
_COLON = ":"
_OPENED = {"{": _KEY + "}", "[": _VALUE + "]"}
_CONTINUED = {"{": _KEY, "[": _VALUE}  # after a comma
_AFTER_VALUE = {"{": ",}", "[": ",]"}

_SPACE = regex.compile(r"[ \t\n\r]*+")
_SCALAR = regex.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_SCALAR_RUN = regex.compile(r"([-+.0-9A-Za-z]++)[ \t\n\r]*+")
_TEXT_RUN = regex.compile(r'[^"\\]*+')
_HEX = regex.compile(r"[0-9A-Fa-f]{0,4}+")
_LOW_SURROGATE = regex.compile(r"\\u([dD][c-fC-F][0-9A-Fa-f]{2})")
_SURROGATE = regex.compile("[\ud800-\udfff]")
_HIGH = range(0xD800, 0xDC00)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}  # any other stands for itself


class TextTransformer(Protocol):
    """Rewrites one stream of text; `StreamTransformer` is one."""

    def feed(self, chunk: str, /) -> str:
        """Takes the next chunk and gives the text that is safe to release."""
        ...

    def flush(self) -> str:
        """Ends the stream and gives the rest."""
        ...

    @property
    def held(self) -> int:
        """How many code points wait to be decided."""
        ...


class JsonFragments:
    """Rewrites the string values of one JSON text that arrives in fragments.

    `make` gives a fresh transformer for each string. With `keys`, keys are rewritten as well.
    When a transformer raises, or containers are nested deeper than `MAX_DEPTH` (ValueError), the
    exception propagates, and from then on every call raises `Unavailable`.

    >>> class Upper:
    ...     held = 0
    ...     feed = staticmethod(str.upper)
    ...     flush = staticmethod(str)
    >>> stream = JsonFragments(Upper)
    >>> [stream.feed(piece) for piece in ('{"to": "b', 'ob", "n": ', "1}")]
    ['{"to": "B', 'OB", "n": ', '1}']
    """

    def __init__(self, make: Callable[[], TextTransformer], *, keys: bool = False) -> None:
        self._make = make
        self._keys = keys
        self._stopped = False
        self._begin()

    def _begin(self) -> None:
        self._pending = ""  # input that cannot be judged yet: part of an escape, or a scalar
        self._open: list[str] = []  # brackets
        self._legal = _TOP
        self._in_string = False
        self._value: _Value | None = None  # the string being rewritten; None inside a plain key
        # Until the first mark tells whether this is JSON, space goes through what would be the
        # transformer of plain text, so that the text keeps its beginning.
        self._lead: TextTransformer | None = self._make()
        self._plain: TextTransformer | None = None

    @property
    def held(self) -> int:
        """How many code points wait to be decided, undecoded ones included."""
        waiting = (self._lead, self._plain, self._value)
        return len(self._pending) + sum(each.held for each in waiting if each is not None)

    def feed(self, fragment: str) -> str:
        """Takes the next fragment and gives the JSON text that is safe to release."""
        text, self._pending = self._pending + fragment, ""
        return self._run(self._read(text))

    def flush(self) -> str:
        """Ends the text, whole or cut, and gives the rest of it; the next one starts anew.

        A string that was cut stays unterminated, so that the reader sees that it was.
        """
        rest = self._run(self._finish())
        self._begin()
        return rest

    def _run(self, pieces: Iterator[str]) -> str:
        if self._stopped:
            raise Unavailable("an earlier fragment of this text failed")
        try:
            return "".join(pieces)
        except BaseException:
            self._stopped = True
            raise

    def _read(self, text: str) -> Iterator[str]:
        at = 0
        while at < len(text):
            if self._plain is not None:
                yield self._plain.feed(text[at:])
                return
            at = yield from (self._string if self._in_string else self._structure)(text, at)

    def _finish(self) -> Iterator[str]:
        rest = self._pending
        if self._in_string:
            if self._value is None:
                yield rest
                return
            if len(rest) >= 6:  # a high surrogate that waited for its low one
                self._value.take(chr(int(rest[2:6], 16)), rest[:6])
                rest = rest[6:]
            yield self._value.feed()
            yield self._value.flush()
            yield rest
        elif rest and not _SCALAR.fullmatch(rest.rstrip()):
            plain = self._make()
            yield plain.feed(rest) + plain.flush()
        else:
            yield rest
            for each in (self._lead, self._plain):
                yield each.flush() if each is not None else ""

    def _structure(self, text: str, at: int) -> Generator[str, None, int]:
        """Reads space and one mark or scalar; gives where to go on."""
        space = _SPACE.match(text, at)[0]  # type: ignore[index]  # it matches the empty text, too
        at += len(space)
        yield self._lead.feed(space) if self._lead is not None else space
        if at == len(text):
            return at
        mark = text[at]
        if self._lead is not None:
            lead, self._lead = self._lead, None
            if mark not in _TOP:
                self._plain = lead
                return at
            yield lead.flush()
        if mark not in self._legal:
            self._plain = self._make()
            return at
        if mark in _SCALAR_STARTS:
            return (yield from self._scalar(text, at))
        yield mark
        self._mark(mark)
        return at + 1

    def _mark(self, mark: str) -> None:
        if mark == '"':
            is_key = self._legal in (_KEY, _OPENED["{"])
            self._in_string = True
            self._value = _Value(self._make()) if self._keys or not is_key else None
            self._legal = _COLON if is_key else self._after_value()
        elif mark in "{[":
            if len(self._open) == MAX_DEPTH:
                raise ValueError(f"containers are nested deeper than {MAX_DEPTH}")
            self._open.append(mark)
            self._legal = _OPENED[mark]
        elif mark in "}]":
            self._open.pop()
            self._legal = self._after_value()
        else:
            self._legal = _VALUE if mark == _COLON else _CONTINUED[self._open[-1]]

    def _after_value(self) -> str:
        return _AFTER_VALUE[self._open[-1]] if self._open else _TOP

    def _scalar(self, text: str, at: int) -> Generator[str, None, int]:
        """Reads a scalar, when what comes after it is known to be legal; gives where to go on."""
        match = _SCALAR_RUN.match(text, at)
        assert match, "a scalar starts here"
        end = match.end()
        if end - at <= _LONGEST_SCALAR:
            if end == len(text):
                self._pending = text[at:]
                return end
            if _SCALAR.fullmatch(match[1]) and text[end] in self._after_value():
                yield self._judged(match[1]) + match[0][len(match[1]) :]
                self._legal = self._after_value()
                return end
        self._plain = self._make()
        return at

    def _judged(self, scalar: str) -> str:
        """A scalar as it may be released; a number that must change becomes a string."""
        if sum(map(str.isdigit, scalar)) < _LONG_NUMBER:
            return scalar
        transformer = self._make()
        judged = transformer.feed(scalar) + transformer.flush()
        return scalar if judged == scalar else f'"{_escape(judged)}"'

    def _string(self, text: str, at: int) -> Generator[str, None, int]:
        """Reads to the end of a string, or as far as it is known; gives where to go on."""
        value, start = self._value, at
        while True:
            run = _TEXT_RUN.match(text, at)[0]  # type: ignore[index]  # matches the empty text, too
            at += len(run)
            if value and run:
                value.take(run, run)
            escape = _unescape(text, at) if text[at : at + 1] == "\\" else None
            if escape is None:
                break
            character, end = escape
            if value:
                value.take(character, text[at:end])
            at = end
        yield value.feed() if value else text[start:at]
        if text[at : at + 1] != '"':
            self._pending = text[at:]
            return len(text)
        yield value.flush() if value else ""
        yield '"'
        self._in_string, self._value = False, None
        return at + 1


def transform_json_text(text: str, transform: Callable[[str], str], keys: bool = False) -> str:
    """Gives a whole JSON text with its string values, and with `keys` its keys, transformed.

    Gives the same object when nothing changes. What is not JSON is transformed as `JsonFragments`
    does it. Raises: ValueError when containers are nested deeper than `MAX_DEPTH`.

    >>> transform_json_text('{"to": "b\\u006fb"}', str.upper)
    '{"to": "BOB"}'
    """
    fragments = JsonFragments(lambda: _Whole(transform), keys=keys)
    result = fragments.feed(text) + fragments.flush()
    return text if result == text else result


class _Whole:
    """A transformer that holds everything, for what must be seen whole."""

    held = 0  # nobody asks a text that is there whole

    def __init__(self, transform: Callable[[str], str]) -> None:
        self._transform = transform
        self._chunks: list[str] = []

    def feed(self, chunk: str) -> str:
        self._chunks.append(chunk)
        return ""

    def flush(self) -> str:
        text = "".join(self._chunks)
        self._chunks.clear()
        return self._transform(text) if text else ""


class _Value:
    """One string value: decoded text goes in, escaped text comes out."""

    def __init__(self, transformer: TextTransformer) -> None:
        self._transformer = transformer
        self._taken: list[str] = []  # decoded, to be fed
        # Decoded text with its escapes that has not come out yet, while all that came out is as
        # it went in. None from the first change on.
        self._originals: deque[tuple[str, str]] | None = deque()

    @property
    def held(self) -> int:
        return self._transformer.held

    def take(self, decoded: str, raw: str) -> None:
        """Takes a run of plain text, or one character and its escape."""
        self._taken.append(decoded)
        if self._originals is not None:
            self._originals.append((decoded, raw))

    def feed(self) -> str:
        """Feeds what was taken and gives what is safe to release."""
        decoded = "".join(self._taken)
        self._taken.clear()
        return self._released(self._transformer.feed(decoded))

    def flush(self) -> str:
        return self._released(self._transformer.flush())

    def _released(self, text: str) -> str:
        pieces: list[str] = []
        while text and self._originals:
            decoded, raw = self._originals.popleft()
            same = _common(decoded, text)
            pieces.append(raw if same == len(decoded) else raw[:same])
            text = text[same:]
            if same < len(decoded):
                if text:
                    self._originals = None
                else:
                    self._originals.appendleft((decoded[same:], raw[same:]))
        if text:
            self._originals = None
            pieces.append(_escape(text))
        return "".join(pieces)


def _common(first: str, second: str) -> int:
    """How many code points both begin with."""
    length = min(len(first), len(second))
    if first[:length] == second[:length]:
        return length
    return next(at for at in range(length) if first[at] != second[at])


def _escape(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)[1:-1]
    # A lone surrogate has no UTF-8 form; its escape is the only way to write it (RFC 8259, 8.2).
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def _unescape(text: str, at: int) -> tuple[str, int] | None:
    """The character of the escape at `at` and where the escape ends; None when it is cut."""
    if at + 1 >= len(text):
        return None
    letter = text[at + 1]
    if letter != "u":
        return _ESCAPED.get(letter, letter), at + 2
    digits = _HEX.match(text, at + 2)[0]  # type: ignore[index]  # it matches the empty text, too
    end = at + 2 + len(digits)
    if len(digits) < 4:
        return None if end == len(text) else ("u", at + 2)
    code = int(digits, 16)
    if code in _HIGH:
        low = _LOW_SURROGATE.fullmatch(text[end : end + 6], partial=True)
        if low and low.partial:
            return None
        if low:
            return chr(0x10000 + (code - 0xD800 << 10) + int(low[1], 16) - 0xDC00), end + 6
    return chr(code), end
