"""A view of the text in which look-alike spellings of digits, spaces and dashes are plain.

`４１１１`, `4111` with zero-width joiners, Arabic-Indic digits and no-break spaces all read like
`4111` to a model, so they must to us. Detection runs on the view; findings are reported in the
offsets of the original.
"""

from __future__ import annotations

import unicodedata

import regex

_ODD = regex.compile(r"[\p{Cf}\p{Pd}\p{Zs}\p{Nd}--[ \-0-9]]", regex.V1)


def view(text: str) -> tuple[str, list[int] | None]:
    """Gives the view, and for each of its code points the offset it came from in `text`.

    The second value is None when the view is the text itself, as it is for most text.

    >>> view("４２\u200b7")
    ('427', [0, 1, 3])
    """
    if text.isascii() or (unicodedata.is_normalized("NFKC", text) and not _ODD.search(text)):
        return text, None
    folded: list[str] = []
    offsets: list[int] = []
    for offset, character in enumerate(text):
        plain = _fold(character)
        folded.append(plain)
        offsets.extend([offset] * len(plain))
    return "".join(folded), offsets


def _fold(character: str) -> str:
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    if category == "Pd":
        return "-"
    if category == "Zs":
        return " "
    if category == "Nd":
        return str(unicodedata.digit(character))
    return unicodedata.normalize("NFKC", character)
