"""Closed lists of words as patterns that fail fast on all other words."""

from __future__ import annotations

from collections.abc import Iterable

import regex


def alternatives(words: Iterable[str], *, any_case: bool = True) -> str:
    """Gives a group that matches one of the words, the longest first.

    They are grouped by first letter, so that most words of a text fail at once. A space stands for
    any one white space, an apostrophe for either form of it.

    >>> alternatives(["june", "july"])
    '(?:[jJ](?i:uly|une))'
    """
    groups: dict[str, list[str]] = {}
    for word in sorted(set(words), key=lambda word: (-len(word), word)):
        groups.setdefault(word[0], []).append(
            _spelled(word[1:] if any_case and word[0].isalpha() else word)
        )
    branches = (
        f"[{first}{first.upper()}](?i:{'|'.join(rest)})"
        if any_case and first.isalpha()
        else f"(?={regex.escape(first)})(?:{'|'.join(rest)})"
        for first, rest in groups.items()
    )
    return f"(?:{'|'.join(branches)})"


def _spelled(word: str) -> str:
    return regex.escape(word).replace(r"\ ", r"\s").replace("'", "['’]").replace(" ", r"\s")


def one_of(words: Iterable[str], *, any_case: bool = True, dotted: bool = False) -> str:
    """Gives a pattern that takes one word and then looks back whether it is one of these.

    A stream waits for the end of one word instead of for each letter of each, so the pattern stays
    small. `dotted` words may hold dots, hyphens and apostrophes.

    >>> one_of(["ulm", "rom"])
    '(?:\\\\p{L}{3,3}+(?<=(?<![\\\\p{L}\\\\p{M}])(?i:rom|ulm)))'
    """
    listed = sorted(set(words), key=lambda word: (-len(word), word))
    letters = r"[\p{L}.'’-]" if dotted else r"\p{L}"
    case = "(?i:" if any_case else "(?:"
    joined = "|".join(_spelled(word) for word in listed)
    end, spare = (r")\.?", 1) if dotted else (")", 0)
    return (
        rf"(?:{letters}{{{len(listed[-1])},{len(listed[0]) + spare}}}+"
        rf"(?<=(?<![\p{{L}}\p{{M}}]){case}{joined}{end}))"
    )
