"""Values already known, found again wherever they stand in a text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterable, Iterator, Mapping

from guardrail.taxonomy import LITERAL
from guardrail.types import Finding, Span

_BEGINNING = 4
"""Code points by which strings are looked up, hence the least that one may have."""
_FEW = 32
"""Beginnings up to which a text is searched for each, rather than each place looked up."""


def is_structured(value: str) -> bool:
    """Whether a value is unmistakable wherever it stands: six code points, a digit or `@` in it."""
    return len(value) >= 6 and any(c.isdigit() or c == "@" for c in value)


class Index:
    """Finds strings in texts, in a time that hardly grows with how many strings there are.

    Those of fewer than four code points are left out.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        by_beginning: dict[str, list[str]] = {}
        for string in sorted(set(strings)):
            if len(string) >= _BEGINNING:
                by_beginning.setdefault(string[:_BEGINNING], []).append(string)
        self._sorted = {
            beginning: (alike, _prefixes(alike), max(map(len, alike)))
            for beginning, alike in by_beginning.items()
        }

    def places(self, text: str) -> Iterator[tuple[int, str]]:
        """Gives each place where a string stands, with the string; the longest first at a place.

        Strings may overlap one another and themselves. Places are in no order.
        """
        for at in self._beginnings(text):
            alike, prefixes, longest = self._sorted[text[at : at + _BEGINNING]]
            # All strings that begin here are beginnings of the last one that is not beyond.
            nth = bisect_right(alike, text[at : at + longest]) - 1
            while nth >= 0:
                if text.startswith(alike[nth], at):
                    yield at, alike[nth]
                nth = prefixes[nth]

    def _beginnings(self, text: str) -> Iterator[int]:
        known = self._sorted
        if len(known) > _FEW:
            for at in range(len(text) - _BEGINNING + 1):
                if text[at : at + _BEGINNING] in known:
                    yield at
            return
        for beginning in known:
            at = text.find(beginning)
            while at >= 0:
                yield at
                at = text.find(beginning, at + 1)


def _prefixes(ordered: list[str]) -> list[int]:
    """For each of some sorted strings, which other one is its longest beginning; -1 if none is."""
    prefixes: list[int] = []
    for nth, string in enumerate(ordered):
        other = nth - 1
        while other >= 0 and not string.startswith(ordered[other]):
            other = prefixes[other]
        prefixes.append(other)
    return prefixes


class KnownValues:
    """Values already known (value → entity), found again wherever they stand.

    A value that context revealed once ("my phone is …") is protected wherever it is repeated
    without that context. Words count only as whole words; values shorter than four code points are
    left to the detectors.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._entities = {v: e for v, e in values.items() if e != LITERAL}
        self._structured = frozenset(filter(is_structured, self._entities))
        self._index = Index(self._entities)

    def places(self, text: str) -> Iterator[tuple[int, str]]:
        """Gives each place where a value stands, with the value; the longest first at a place."""
        for at, value in self._index.places(text):
            if value in self._structured or not (
                _in_word(text, at) or _in_word(text, at + len(value))
            ):
                yield at, value

    def find(self, text: str, *, among: Container[str] | None = None) -> list[Finding]:
        """Gives where values stand in a text, all or those among some; findings may overlap.

        Of values of one entity that begin at one place the longest alone is given.
        """
        found: list[Finding] = []
        last, entities = -1, set[str]()
        for at, value in self.places(text):
            entity = self._entities[value]
            if at != last:
                last, entities = at, set()
            if entity not in entities and (among is None or value in among):
                entities.add(entity)
                span = Span(at, at + len(value))
                found.append(Finding(entity=entity, span=span, score=1.0, recognizer="known-value"))
        return found


def _in_word(text: str, at: int) -> bool:
    """Whether a position has a letter or digit on either side."""
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()
