"""Text → tokens and their features, one way for every language; what the names model reads.

Words break at apostrophes and hyphens, so that any name can be a run of whole tokens (`First'ün`,
`O'Brien`). Scripts without spaces break at each character; katakana, which spells foreign names,
stays together. A line break is a token, since names end there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b

import regex

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_TOKEN = regex.compile(
    rf"[[\p{{L}}\p{{M}}]--[{_UNSPACED}\p{{Katakana}}ー]]+|[\p{{Katakana}}ー]+|\p{{Nd}}+"
    r"|\S|(?<!\s)\s*\n\s*",
    regex.V1,
)
_ASCII_TOKEN = re.compile(r"[A-Za-z]+|[0-9]+|\S|(?<!\s)\s*\n\s*")
_DIGIT = regex.compile(r"\p{Nd}")

FEATURES = ("norm", "prefix", "suffix", "ending", "shape")
"""The features of a token, in the order in which `features` gives them."""
RARE = "\0rare"
"""The norm of every word outside the model's list; such words lean on their other traits."""


def tokens(text: str) -> Iterator[tuple[str, int]]:
    """Gives each token with the offset at which it starts, in code points; white space is none.

    >>> [token for token, _ in tokens("Zoë O'Brien, 山田")]
    ['Zoë', 'O', "'", 'Brien', ',', '山', '田']
    """
    pattern = _ASCII_TOKEN if text.isascii() else _TOKEN
    for match in pattern.finditer(text):
        token: str = match[0]
        yield ("\n" if token.isspace() else token), match.start()


def norm(token: str) -> str:
    """The form under which a token is counted: lower case, every digit 0.

    >>> norm("Flat"), norm("12B")
    ('flat', '00b')
    """
    lowered = token.lower()
    return lowered if lowered.isalpha() else _DIGIT.sub("0", lowered)


def features(token: str, spaced: bool, known: bool) -> tuple[str, ...]:
    """Gives one string for each of `FEATURES`.

    `spaced` says whether white space or nothing precedes the token, `known` whether its norm is in
    the model's list.
    """
    form = norm(token)
    return (
        form if known else RARE,
        form[:3],
        form[-3:],
        f"{form[-5:]}{min(len(form), 6)}",
        shape(token) + ("_" if spaced else ""),
    )


_CLASSES = tuple(
    (regex.compile(rf"\p{{{script}}}"), letter)
    for script, letter in (("Han", "h"), ("Hiragana", "i"), ("Katakana", "k"), ("Hangul", "g"))
)


def shape(token: str) -> str:
    """The classes of a token's characters, repetitions cut at three.

    >>> shape("McDonald"), shape("2026"), shape("木")
    ('XxXxxx', 'ddd', 'h')
    """
    out: list[str] = []
    for character in token[:12]:
        letter = _class(character)
        if out[-3:] != [letter] * 3:
            out.append(letter)
    return "".join(out)


def _class(character: str) -> str:
    if character.isupper():
        return "X"
    if character.islower():
        return "x"
    if character.isdigit():
        return "d"
    for pattern, letter in _CLASSES:
        if pattern.match(character):
            return letter
    return "w" if character.isalpha() else character


def rows(feature: str, table: int, size: int) -> tuple[int, int]:
    """The two rows of a hash table of `size` rows whose sum stands for a feature."""
    digest = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8, salt=bytes([table]))
    value = digest.digest()
    return (
        int.from_bytes(value[:4], "little") % size,
        int.from_bytes(value[4:], "little") % size,
    )


@lru_cache(maxsize=32_768)
def kept_rows(feature: str, table: int, size: int) -> tuple[int, int]:
    """What `rows` gives, from memory; not for an ending, which may be the whole of a name."""
    return rows(feature, table, size)
