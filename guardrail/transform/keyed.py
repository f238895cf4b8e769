"""Pseudonyms by key: a value has the same one wherever the key is, without a vault to share.

A numbered placeholder depends on what was seen before it, so two machines that share the work would
number one value twice. Here the number is a keyed digest: `[PERSON_gkbzrvdwqhnt]`. Nobody can go
back from it without the key; whoever holds the key can tell whether a value they guess is the one,
so the result is still personal data (GDPR art. 4(5)). No grammar reads it as a numbered
placeholder, which has four digits at most.
Source: RFC 2104, https://www.rfc-editor.org/rfc/rfc2104.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

LETTERS = 12
"""Letters of a pseudonym, of sixteen: digits could be read as somebody's number. That any two of a
million values share one has a chance of 0.2 %."""
LEAST_KEY = 16
"""Bytes of the shortest key that nobody finds by trying."""


@dataclass(frozen=True, slots=True)
class KeyedPseudonym:
    """The word and the digest that make `[PERSON_gkbzrvdwqhnt]`."""

    word: str
    number: str


@dataclass(frozen=True, slots=True)
class KeyedPseudonyms:
    """Gives pseudonyms by a secret key; its repr does not show the key.

    Raises:
        ValueError: the key is shorter than `LEAST_KEY` bytes.

    >>> KeyedPseudonyms(bytes(16)).allocate(entity="PERSON", word="PERSON", original="Ann")
    KeyedPseudonym(word='PERSON', number='ctqhqwmcwwkm')
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < LEAST_KEY:
            raise ValueError(f"a key has {LEAST_KEY} bytes at least")

    def allocate(self, *, entity: str, word: str, original: str) -> KeyedPseudonym:
        """Gives the pseudonym of a value: the same for the same word, value and key."""
        message = f"{word}\0{original}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self.key, message, hashlib.sha256).hex()
        return KeyedPseudonym(word, digest[:LETTERS].translate(_LETTERS))


_LETTERS = str.maketrans("0123456789abcdef", "bcdghkmnpqrstvwz")
