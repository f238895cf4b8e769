"""A view of the text in which other spellings of the same characters are plain.

`４１１１`, digits with zero-width joiners between them, Arabic-Indic digits, and the spellings
`alice\\u0040example.com`, `alice%40example.com` and `alice&#64;example.com` all read like the plain
text to a model or to the next program, so they must to us.
Detection runs on the view; findings are reported in the offsets of the original, and cover every
code point that spells them.

Source: Unicode Standard Annex 15 (NFKC) and 44 (Default_Ignorable_Code_Point); RFC 8259, section 7
(escapes); RFC 3986, section 2.1 (percent-encoding); HTML, section 13.5 (character references).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

import regex

from guardrail.types import Span

_ODD = regex.compile(
    r"[[\p{Cf}\p{Cc}\p{Pd}\p{Zs}\p{Nd}\p{Default_Ignorable_Code_Point}\u2212\u2800\u3002\uff61]"
    r"--[ \-0-9\t\n\r]]",
    regex.V1,
)
_ESCAPE = regex.compile(
    r"\\u(?P<json>[0-9A-Fa-f]{4})|(?P<percent>(?:%[0-9A-Fa-f]{2})++)|&#(?P<decimal>\d{1,7});|"
    r"&#[xX](?P<hex>[0-9A-Fa-f]{1,6});|&(?P<name>amp|lt|gt|quot|apos|commat|nbsp|plus|period|num);"
)
_NAMES = MappingProxyType(
    {
        "amp": "&",
        "lt": "<",
        "gt": ">",
        "quot": '"',
        "apos": "'",
        "commat": "@",
        "nbsp": " ",
        "plus": "+",
        "period": ".",
        "num": "#",
    }
)
_TAG = regex.compile(r"[\U000e0020-\U000e007e]")
_TAGS = MappingProxyType({0xE0000 + code: chr(code) for code in range(0x20, 0x7F)})
"""Invisible twins of ASCII that models read and people do not see."""
_SPELLED = MappingProxyType({"\u2212": "-", "\u2800": " ", "\u3002": ".", "\uff61": "."})


@dataclass(frozen=True, slots=True)
class View:
    """The view and, for each of its code points, the range of the original that spells it.

    `ranges` is None when the view is the text itself, as it is for most text.
    """

    text: str
    ranges: tuple[tuple[int, int], ...] | None = None

    def original(self, span: Span) -> Span:
        """The span of the original text behind a span of the view."""
        if self.ranges is None:
            return span
        return Span(self.ranges[span.start][0], self.ranges[span.end - 1][1])


def readings(text: str) -> Iterator[View]:
    """Gives every view in which a text can be read: a second one where it holds tag characters.

    They may be noise between the characters of a value, or spell one themselves.
    """
    yield view(text)
    if not text.isascii() and _TAG.search(text):
        yield view(text.translate(_TAGS))


def view(text: str) -> View:
    """Gives the view of a text.

    >>> seen = view("４２\\u200b7")
    >>> seen.text, seen.original(Span(0, 3))
    ('427', Span(start=0, end=4))
    """
    escaped = ("\\u" in text or "%" in text or "&" in text) and _ESCAPE.search(text) is not None
    odd = _ODD.search(text) is not None
    if not escaped and not odd and (text.isascii() or unicodedata.is_normalized("NFKC", text)):
        return View(text)
    folded: list[str] = []
    ranges: list[tuple[int, int]] = []
    at = 0
    for match in _ESCAPE.finditer(text) if escaped else ():
        _fold_all(text, at, match.start(), folded, ranges)
        _unescape(match, folded, ranges)
        at = match.end()
    _fold_all(text, at, len(text), folded, ranges)
    return View("".join(folded), tuple(ranges))


def _fold_all(
    text: str, start: int, end: int, folded: list[str], ranges: list[tuple[int, int]]
) -> None:
    for offset in range(start, end):
        plain = _fold(text[offset])
        folded.append(plain)
        ranges.extend([(offset, offset + 1)] * len(plain))


def _unescape(match: regex.Match[str], folded: list[str], ranges: list[tuple[int, int]]) -> None:
    if match["percent"]:
        start = match.start()
        # Bytes that are no UTF-8 become one surrogate each, so that widths remain known.
        escaped = bytes.fromhex(match["percent"].replace("%", ""))
        for character in escaped.decode(errors="surrogateescape"):
            end = start + 3 * len(character.encode(errors="surrogateescape"))
            plain = _fold(character)
            folded.append(plain)
            ranges.extend([(start, end)] * len(plain))
            start = end
        return
    if match["name"]:
        character = _NAMES[match["name"]]
    else:
        digits = match["json"] or match["hex"]
        code = int(digits, 16) if digits else int(match["decimal"])
        character = chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "\ufffd"
    plain = _fold(character)
    folded.append(plain)
    ranges.extend([match.span()] * len(plain))


def _fold(character: str) -> str:
    if " " <= character <= "~" or character in "\t\n\r":
        return character
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    if character in _SPELLED:
        return _SPELLED[character]
    category = unicodedata.category(character)
    if category == "Cc":
        return " "
    if category == "Cf" or _IGNORABLE.match(character):
        return ""
    if category == "Pd":
        return "-"
    if category == "Zs":
        return " "
    if category == "Nd":
        return str(unicodedata.digit(character))
    return unicodedata.normalize("NFKC", character)


_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")
