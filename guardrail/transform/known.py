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

    def places(self, text: str) -> Iterator[tuple[int, Iterator[str]]]:
        """Gives each place where strings stand, in no order, with those strings, longest first.

        Strings may overlap one another and themselves. Each is a beginning of the one before it.
        """
        for at in self._beginnings(text):
            alike, prefixes, longest = self._sorted[text[at : at + _BEGINNING]]
            # All strings that begin here are beginnings of the last one that is not beyond.
            nth = bisect_right(alike, text[at : at + longest]) - 1
            while nth >= 0 and not text.startswith(alike[nth], at):
                nth = prefixes[nth]
            if nth >= 0:
                yield at, _chain(alike, prefixes, nth)

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        """Gives each string with the longest other one that it begins with, which comes first."""
        for alike, prefixes, _ in self._sorted.values():
            for string, other in zip(alike, prefixes, strict=True):
                yield string, alike[other] if other >= 0 else None

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


def _chain(alike: list[str], prefixes: list[int], nth: int) -> Iterator[str]:
    while nth >= 0:
        yield alike[nth]
        nth = prefixes[nth]


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
        # The entities of a value and of all values that it begins with.
        self._below: dict[str, frozenset[str]] = {}
        for value, other in self._index:
            below = self._below[other] if other else frozenset()
            entity = self._entities[value]
            self._below[value] = below if entity in below else below | {entity}

    def find(self, text: str, *, among: Container[str] | None = None) -> list[Finding]:
        """Gives where values stand in a text, all or those among some; findings may overlap.

        Of values of one entity that begin at one place the longest alone is given.
        """
        found: list[Finding] = []
        for at, values in self._index.places(text):
            given: set[str] = set()
            for value in values:
                if self._below[value] <= given:
                    break
                entity = self._entities[value]
                if entity in given or not (among is None or value in among):
                    continue
                if self._stands(value, text, at):
                    given.add(entity)
                    span = Span(at, at + len(value))
                    found.append(
                        Finding(entity=entity, span=span, score=1.0, recognizer="known-value")
                    )
        return found

    def present(self, text: str) -> set[str]:
        """Gives the values that stand somewhere in a text."""
        found: set[str] = set()
        looked_at: dict[bool, set[str]] = {False: set(), True: set()}
        for at, values in self._index.places(text):
            # Where one value stood, those that it begins with did, if it began like here.
            before = looked_at[_in_word(text, at)]
            for value in values:
                if self._stands(value, text, at):
                    found.add(value)
                if value in before:
                    break
                before.add(value)
        return found

    def _stands(self, value: str, text: str, at: int) -> bool:
        return value in self._structured or not (
            _in_word(text, at) or _in_word(text, at + len(value))
        )


def _in_word(text: str, at: int) -> bool:
    """Whether a position has a letter or digit on either side, and not that of an escape."""
    escape = at > 1 and text[at - 2] == "\\" and text[at - 1] in "nrtfbv"
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum() and not escape
