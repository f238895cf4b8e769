"""A text as it reads once something is undone in it, and where in the original each part stands.

Detection runs on a view; what it finds is reported in offsets of the original, and covers every
code point that spells it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import regex

from guardrail.types import Span

Piece = tuple[int, int, int, int]
"""Offset in the view, start and end in the text under it, and step: 1 reads them one by one, -1
does so backwards, 0 takes them as a whole."""


@dataclass(frozen=True, slots=True)
class View:
    """One way in which a text reads.

    Without `pieces` it is the text itself. `under` is the view it was made from, None for the
    original. `rules_only` says that it holds guesses (a joined word, a lookalike undone) that would
    mislead a model of language. Of what rules find in it counts what scores `least` or more.
    """

    text: str = field(repr=False)
    pieces: tuple[Piece, ...] = field(default=(), repr=False)
    under: View | None = field(default=None, repr=False)
    rules_only: bool = False
    least: float = 0.0

    def original(self, span: Span) -> Span:
        """The span of the original text behind a span of the view that is not empty."""
        if not self.pieces:
            return span
        low, high = -1, -1
        first = bisect_right(self.pieces, span.start, key=_offset) - 1
        for index in range(first, len(self.pieces)):
            at, start, end, step = self.pieces[index]
            if at >= span.end:
                break
            if step:
                length = end - start
                begin, stop = max(0, span.start - at), min(length, span.end - at)
                start, end = (
                    (start + begin, start + stop) if step > 0 else (end - stop, end - begin)
                )
            low, high = start if low < 0 else min(low, start), max(high, end)
        behind = Span(low, high)
        return behind if self.under is None else self.under.original(behind)

    def for_rules(self, *, least: float = 0.0) -> View:
        """The same view, for rules only, and for what they are that sure of."""
        return replace(self, rules_only=True, least=least)


def _offset(piece: Piece) -> int:
    return piece[0]


class Writer:
    """Writes a view of `source` from left to right; what is not written is left out of it."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._parts: list[str] = []
        self._pieces: list[Piece] = []
        self._length = 0

    def keep(self, start: int, end: int) -> None:
        """Writes a range of the source as it is."""
        if start < end:
            self._add(self._source[start:end], start, end, 1)

    def turn(self, start: int, end: int) -> None:
        """Writes a range of the source from its end to its start."""
        if start < end:
            self._add(self._source[start:end][::-1], start, end, -1)

    def put(self, plain: str, start: int, end: int) -> None:
        """Writes `plain` for a range of the source."""
        if plain:
            self._add(plain, start, end, 1 if len(plain) == 1 == end - start else 0)

    def view(self, under: View) -> View:
        """What was written, as a view of `under`, whose text is the source."""
        return View("".join(self._parts), tuple(self._pieces), under if under.pieces else None)

    def _add(self, plain: str, start: int, end: int, step: int) -> None:
        self._parts.append(plain)
        if step == 1 and self._pieces:
            at, begin, stop, last = self._pieces[-1]
            if last == 1 and stop == start:
                self._pieces[-1] = (at, begin, end, 1)
                self._length += len(plain)
                return
        self._pieces.append((self._length, start, end, step))
        self._length += len(plain)


def rewritten(
    seen: View,
    matches: Iterable[regex.Match[str]],
    write: Callable[[regex.Match[str], Writer], bool],
) -> View:
    """A view of `seen` in which `write` has written each of the sorted, disjoint matches.

    `write` gives False to leave a match as it is, having written nothing. Gives `seen` itself when
    all are left.
    """
    writer = Writer(seen.text)
    at, changed = 0, False
    for match in matches:
        start = match.start()
        writer.keep(at, start)
        at = match.end()
        if write(match, writer):
            changed = True
        else:
            writer.keep(start, at)
    if not changed:
        return seen
    writer.keep(at, len(seen.text))
    return writer.view(seen)
