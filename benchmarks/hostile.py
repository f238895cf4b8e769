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


def units_for(pattern: str, seed: int = 1) -> dict[str, str]:
    """Texts that a pattern matches, matches but for their end, or begins to match."""
    units: dict[str, str] = {}
    for number in range(2):
        sample = _sample(pattern, Random(seed + number))
        if not sample:
            continue
        for name, unit in (
            ("matches", f"{sample} "),
            ("matches without a gap", sample),
            ("beginnings", f"{sample[: len(sample) // 2]} "),
            ("matches without their end", sample[:-1]),
            ("first and last", sample[0] + sample[-1]),
        ):
            if unit:
                units[f"{name} ({number + 1})"] = unit
    return units


def _sample(pattern: str, random: Random) -> str:
    """A text that roughly matches: look-arounds are ignored, and repeats kept short."""
    known = _PROPERTY.sub(lambda m: _SAMPLES.get(m[2], "a-z") if m[1] == "p" else "a-z", pattern)
    known = _REFERENCE.sub(" ", _GROUP_NAME.sub("(", known))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = re._parser.parse(known)  # type: ignore[attr-defined]  # no public parser gives it
    except (re.error, RecursionError, OverflowError):
        return " ".join(_LITERALS.findall(pattern))[:200]
    return "".join(_walk(tree, random))[:400]


def _walk(tree: Iterable[tuple[Any, Any]], random: Random) -> Iterator[str]:
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
                yield from _walk(random.choice(value[1]), random)
            case "SUBPATTERN":
                yield from _walk(value[-1], random)
            case "ATOMIC_GROUP":
                yield from _walk(value, random)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, inner = value
                for _ in range(min(int(most), max(int(least), 1) + random.randrange(3), 70)):
                    yield from _walk(inner, random)


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
