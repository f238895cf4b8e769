"""Long texts in pieces and many texts in batches, so that what is read at once stays small."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

PIECE = 16 * 1024
"""Code points that a recognizer reads at once."""
OVERLAP = 256
"""Code points that two pieces share: what stands on an edge is whole in one of them."""
BATCH = 64 * 1024
"""Code points of the texts that are read together."""

_T = TypeVar("_T")
_SPACE = re.compile(r"\s")
_LAST_SPACE = re.compile(r"\s(?=\S*\Z)")


def pieces(text: str, *, size: int = PIECE, overlap: int = OVERLAP) -> Iterator[tuple[int, str]]:
    """Gives (offset, piece) pairs that cover a text and begin and end at white space where it can.

    `size` must be more than twice `overlap`.

    >>> list(pieces("one two three four", size=13, overlap=6))
    [(0, 'one two '), (3, ' two three '), (8, 'three four')]
    """
    start = 0
    while len(text) - start > size:
        end = start + size
        space = _LAST_SPACE.search(text, end - overlap, end)
        end = space.end() if space else end
        yield start, text[start:end]
        space = _SPACE.search(text, end - overlap, end - 1)
        start = space.start() if space else end - overlap
    yield start, text[start:]


def batches(
    items: Iterable[_T], *, size: Callable[[_T], int], limit: int = BATCH
) -> Iterator[list[_T]]:
    """Gives the items in lists whose sizes add up to the limit at most; or of one item.

    >>> list(batches(["a", "bb", "ccccc", "d"], size=len, limit=3))
    [['a', 'bb'], ['ccccc'], ['d']]
    """
    batch: list[_T] = []
    total = 0
    for item in items:
        if batch and total + size(item) > limit:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size(item)
    if batch:
        yield batch
