"""What somebody with patience can read in bytes; it shares no code with what it judges."""

from __future__ import annotations

import base64
import gzip
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import unquote_plus

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\(.)", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_BETWEEN = re.compile(r"[\s._-]+")
_DEPTH = 4


def shows(value: str, *texts: bytes | str) -> bool:
    """Whether `value` can be read in any of the texts, however it is written there.

    Undone are escapes of JSON, HTML and addresses, base64 (of gzip and UTF-16, too), full-width and
    invisible characters, each over the other; case, blanks, dots and dashes do not count.
    """
    sought = _plain(value)
    return any(
        sought in _plain(reading)
        for text in texts
        for reading in readings(text.decode(errors="replace") if isinstance(text, bytes) else text)
    )


def readings(text: str) -> set[str]:
    """Gives `text` and whatever it may stand for."""
    found, new = {text}, {text}
    for _ in range(_DEPTH):
        new = {made for one in new for undo in _UNDO for made in undo(one)} - found
        found |= new
    return found


def _plain(text: str) -> str:
    return _BETWEEN.sub("", text).casefold()


def _unescaped(text: str) -> Iterator[str]:
    yield _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else m[2], text)


def _unquoted(text: str) -> Iterator[str]:
    yield unquote_plus(text)
    yield html.unescape(text)


def _decoded(text: str) -> Iterator[str]:
    for run in _BASE64.findall(text):
        padded = run.replace("-", "+").replace("_", "/")
        with suppress(ValueError):
            raw = base64.b64decode(padded + "=" * (-len(padded) % 4))
            yield from _spoken(raw)
            if raw[:2] == b"\x1f\x8b":
                with suppress(OSError, EOFError):
                    yield from _spoken(gzip.decompress(raw))


def _spoken(raw: bytes) -> Iterator[str]:
    with suppress(ValueError):
        yield raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")


def _visible(text: str) -> Iterator[str]:
    shown = "".join(c for c in text if unicodedata.category(c) != "Cf")
    yield unicodedata.normalize("NFKC", shown)


_UNDO: tuple[Callable[[str], Iterator[str]], ...] = (_unescaped, _unquoted, _decoded, _visible)
