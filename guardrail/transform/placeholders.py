"""What a placeholder looks like, and how a model may have mangled it.

Canonical form: `[EMAIL_1]`. Inside identifiers, where brackets are not allowed, it is `EMAIL_1`.
A model escapes, re-cases and re-spaces what it copies, so reading is tolerant where writing is not:

    \\[EMAIL\\_1\\]   <EMAIL_1>   &lt;EMAIL_1&gt;   [email_1]   [Email 1]   [EMAIL-1]   EMAIL_1

One grammar serves both directions. Text of the user that the grammar would read as a placeholder is
itself replaced by `[LITERAL_n]`, so that nobody can type their way to another person's value.
A token never begins or ends inside a word, and its core (word, separator, number) is contiguous;
hence, since our own tokens start with `[` and end with `]`, no token can arise from the text on
either side of a replacement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_NUMBER = 9999
"""The largest number in one conversation's placeholders of one word."""

_OPEN_CLOSE = (
    (r"\[", r"\]"),
    (r"\\\[", r"\\\]"),
    (r"<", r">"),
    (r"&lt;", r"&gt;"),
    (r"\\u003c", r"\\u003e"),
    (r"［", r"］"),
    (r"\{", r"\}"),
)
"""Brackets a model may use in place of ours; the closing one must match the opening one."""

_SEPARATOR = r"(?:\\?_|[ \-\u00a0\u2011＿])"
_NUMBER = r"[1-9][0-9]{0,3}"
_LOOSE = rf"[A-Za-z][A-Za-z0-9]{{0,31}}(?:{_SEPARATOR}[A-Za-z0-9]{{1,31}}){{0,5}}?"
_EXACT = r"[A-Z][A-Z0-9]{0,31}(?:\\?_[A-Z0-9]{1,31}){0,5}?"

PATTERN = "|".join(
    (
        *(rf"{start}{_LOOSE}{_SEPARATOR}{_NUMBER}{end}" for start, end in _OPEN_CLOSE),
        rf"(?<![0-9A-Za-z_]){_EXACT}\\?_{_NUMBER}(?![0-9A-Za-z_])",
    )
)
"""Finds whatever may be a placeholder; of finite width and one code point of look-around, so that
it can be streamed. `Grammar.parse` decides whether it is one."""

_FIND = re.compile(PATTERN)
_CORE = re.compile(rf"({_LOOSE}){_SEPARATOR}({_NUMBER})")
_WRAPPING = re.compile(r"\\u003[ce]|&[lg]t;|^\\?[\[<{［]|\\?[\]>}］]$")


@dataclass(frozen=True, slots=True)
class Grammar:
    """The placeholders of one vocabulary of upper-case words, such as `EMAIL`.

    >>> Grammar(words=frozenset({"EMAIL"})).parse("\\\\[email\\\\_12\\\\]")
    ('EMAIL', 12)
    """

    words: frozenset[str]

    def parse(self, token: str) -> tuple[str, int] | None:
        """Word and number of a token that `PATTERN` matched; None if it is no placeholder."""
        match = _CORE.fullmatch(_WRAPPING.sub("", token))
        if match is None:
            return None
        word = re.sub(_SEPARATOR, "_", match[1]).upper()
        return (word, int(match[2])) if word in self.words else None

    def find(self, text: str) -> list[tuple[int, int]]:
        """Half-open ranges of every placeholder-like token in `text`, sorted and disjoint."""
        found = []
        match = _FIND.search(text)
        while match:
            is_token = self.parse(match[0]) is not None
            if is_token:
                found.append(match.span())
            match = _FIND.search(text, match.end() if is_token else match.start() + 1)
        return found


def placeholder(word: str, number: int | str) -> str:
    """The canonical token: `[EMAIL_1]`."""
    return f"[{word}_{number}]"


def bare_placeholder(word: str, number: int | str) -> str:
    """The token for places where only `[A-Za-z0-9_-]` may stand: `EMAIL_1`."""
    return f"{word}_{number}"
