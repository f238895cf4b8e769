"""Texts made to be slow to read: what they repeat, for any pattern and for a given one."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

UNITS = {
    "letters": "a",
    "capitals": "A",
    "words": "Aa ",
    "capitalised words": "Abcd Efgh ",
    "digits": "1234567890",
    "ones": "1",
    "zeros": "0",
    "hexadecimal": "0123456789abcdef",
    "letters and digits": "a1",
    "dots": "a.a.",
    "only dots": ".",
    "hyphens": "-",
    "digits and hyphens": "1-",
    "digits and dots": "1.",
    "spaces": " ",
    "lines": "\n",
    "lines of spaces": " \n",
    "tabs": "\t",
    "spaced digits": "1 1 ",
    "pairs": "00 ",
    "at signs": "@",
    "chained addresses": "a@b",
    "almost addresses": "a@b.",
    "underscores": "_",
    "slashes": "/",
    "backslashes": "\\",
    "brackets": "(",
    "braces": "{[<",
    "quotes": '"',
    "quoted": '"\\"',
    "equals": "=",
    "assignments": "password=",
    "colons": "a1:",
    "only colons": ":",
    "commas": "1,",
    "plus": "+1",
    "international": "+49 30 ",
    "almost telephone numbers": "030 12 ",
    "almost cards": "4111 1111 1111 1112 ",
    "almost IBANs": "DE89 3704 0044 0532 0130 01 ",
    "almost tokens": "eyJhbGciOiJIUzI1NiIs.",
    "keys without end": "-----BEGIN PRIVATE KEY-----\n" + "A" * 64 + "\n",
    "titles": "Dr. ",
    "names": "Dr. Anna-Maria von der Heide ",
    "marks": "a\u0301\u0327",
    "zero-width": "1\u200b",
    "percent": "%25",
    "references": "&amp;#64;",
    "escapes": "\\u0040",
    "overrides": "\u202ea\u202c",
    "base64": "YWxpY2VAZXhhbXBsZS5jb20",
    "number words": "one ",
    "bracketed words": "a (at) b (dot) ",
    "lookalikes": "aа1",
    "umlauts": "ü",
    "emoji": "1\ufe0f\u20e3",
    "long numbers": "9" * 40 + ", ",
    "long words": "a" * 40 + ", ",
    "long words in capitals": "A" * 40 + ", ",
    "long codes": "a1" * 20 + ", ",
    "long pairs": "9-" * 20 + ", ",
}
"""What hostile texts repeat, whatever pattern reads them."""


def stretched(unit: str, size: int) -> str:
    """A unit repeated up to a length in code points."""
    return (unit * (size // len(unit) + 1))[:size]


_PROPERTY = re.compile(r"\\([pP])\{(\w+)\}")
_SAMPLES = {"Lu": "A-Z", "L": "a-z", "M": "", "N": "0-9", "Nd": "0-9"}
_GROUP_NAME = re.compile(r"\(\?P<\w+>")
_REFERENCE = re.compile(r"\(\?P=\w+\)")
_LITERALS = re.compile(r"[A-Za-z0-9@]{2,}")


_SEPARATORS = re.compile(r"[\W_]+")
_BEGINNING = re.compile(r"\D{0,12}")


def units_for(pattern: str, seed: int = 1) -> dict[str, str]:
    """Texts that a pattern matches, matches but for their end, or begins to match.

    Those that are too long for it, by a character at which it must go back, are what an ambiguous
    pattern reads in every way there is.
    """
    tree = _tree(pattern)
    units: dict[str, str] = {}
    for number in range(2):
        sample = _sample(tree, Random(seed + number))
        if not sample:
            continue
        chosen = (
            ("matches", f"{sample} "),
            ("matches without their end", sample[:-1]),
            ("matches without a gap", sample),
            ("beginnings", f"{sample[: len(sample) // 2]} "),
            ("first and last", sample[0] + sample[-1]),
        )
        for name, unit in chosen[: 5 if number == 0 else 3]:
            if unit:
                units[f"{name} ({number + 1})"] = unit
    longest = max((_sample(tree, Random(seed + n), longest=True) for n in range(4)), key=len)
    solid = _SEPARATORS.sub("", longest)
    if solid:
        beginning = _BEGINNING.match(longest)
        begun = beginning[0] if beginning else ""
        units |= {
            "too long": f"{longest}{solid[-1] * 2}, ",
            "too long and solid": f"{solid}{solid[-1] * 2}, ",
            "too long and small": f"{solid.lower()}{solid[-1].lower() * 2}, ",
            "too long a number": f"{begun}{'9' * (len(solid) + 2)}, ",
            "its first again and again": f"{solid[0] * (len(solid) + 2)}, ",
        }
    return _distinct(units)


def _distinct(units: dict[str, str]) -> dict[str, str]:
    """Each unit once, by its first name."""
    first = {unit: name for name, unit in reversed(units.items())}
    return {name: unit for name, unit in units.items() if first[unit] == name}


_Tree = Sequence[tuple[Any, Any]]


def _tree(pattern: str) -> _Tree | str:
    """What the standard library reads in a pattern, or the words in one that it cannot read."""
    known = _PROPERTY.sub(lambda m: _SAMPLES.get(m[2], "a-z") if m[1] == "p" else "a-z", pattern)
    known = _REFERENCE.sub(" ", _GROUP_NAME.sub("(", known))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree: _Tree = re._parser.parse(known)  # type: ignore[attr-defined]  # none is public
    except (re.error, RecursionError, OverflowError):
        return " ".join(_LITERALS.findall(pattern))[:200]
    return tree


_SHORT, _LONG = 2, 40
"""How often at most something optional is repeated in a sample, above its least."""


def _sample(tree: _Tree | str, random: Random, *, longest: bool = False) -> str:
    """A text that roughly matches: look-arounds are ignored, and repeats short or at their most."""
    if isinstance(tree, str):
        return tree
    return "".join(_walk(tree, random, longest=longest))[: 160 if longest else 400]


def _walk(tree: Iterable[tuple[Any, Any]], random: Random, *, longest: bool) -> Iterator[str]:
    for code, value in tree:
        match str(code):
            case "LITERAL":
                yield chr(value)
            case "NOT_LITERAL":
                yield "a" if value != ord("a") else "b"
            case "ANY":
                yield "a"
            case "IN":
                yield _member(value, random)
            case "BRANCH":
                yield from _walk(random.choice(value[1]), random, longest=longest)
            case "SUBPATTERN":
                yield from _walk(value[-1], random, longest=longest)
            case "ATOMIC_GROUP":
                yield from _walk(value, random, longest=longest)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, inner = value
                more = _LONG if longest else random.randrange(_SHORT + 1)
                for _ in range(min(int(most), max(int(least), 1) + more, 70)):
                    yield from _walk(inner, random, longest=longest)


_CATEGORIES = {"DIGIT": "1", "WORD": "a", "SPACE": " "}


def _member(choices: Sequence[tuple[Any, Any]], random: Random) -> str:
    if str(choices[0][0]) == "NEGATE":
        refused = {chr(value) for code, value in choices if str(code) == "LITERAL"}
        return next(c for c in "a1.-é\x00" if c not in refused)
    code, value = random.choice(choices)
    match str(code):
        case "LITERAL":
            return chr(value)
        case "RANGE":
            return chr(random.randint(value[0], min(value[1], value[0] + 25)))
    name = str(value).rpartition("CATEGORY_")[2]
    return next((sign for word, sign in _CATEGORIES.items() if name == word), "-")
