r"""Which of many patterns may match where, told by the characters that stand there.

A `Head` says of a pattern which characters its match may hold at its first `DEPTH` offsets, and
what must hold of the character before it. It is a superset: optional parts and alternatives are
joined, look-aheads and references are taken to allow everything. A `HeadTable` holds the heads of
many patterns as sets of bits, a bit a pattern, by character and offset. So the patterns that may
match at a position cost one intersection per character that still leaves some, however many there
are, and in plain text nearly none is left after two or three.

    pattern         before      offset 0    offset 1    offset 2
    \bAK[0-9]{2}    \b          A           K           [0-9]
    a(?:b|cd)e?                 a           b c         e d

The third offset of the second pattern is not asked for: a match may have ended there (`ab`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import regex

DEPTH = 12
"""Code points of a match that are looked at; more tell numbers of one length from another."""

_MOST = 1 << 16  # characters, and sets of patterns, that are remembered
_WORD, _OTHER = "a", " "  # a character of a word and one of none, under every flag


@dataclass(frozen=True, slots=True)
class Head:
    """How matches of a piece of a pattern begin.

    `widths` are the widths it may have, `DEPTH` for that and all above. `at[k]` holds the sources
    of the characters that may stand at offset k. `before` are assertions of which one holds where
    it begins, none if nothing is known; `over` are such assertions that hold one character
    earlier, of a piece without width.
    """

    widths: frozenset[int] = frozenset({0})
    at: tuple[frozenset[str], ...] = ()
    before: frozenset[str] = frozenset()
    over: frozenset[str] = frozenset()

    @property
    def first(self) -> frozenset[str]:
        """The sources of the characters it may begin with."""
        return self.at[0] if self.at else frozenset()

    @classmethod
    def character(cls, source: str) -> Head:
        """Of what takes exactly one code point."""
        return cls(frozenset({1}), (frozenset({source}),))

    @classmethod
    def unknown(cls, most: int) -> Head:
        """Of what takes any characters, `most` at most."""
        most = min(most, DEPTH)
        return cls(frozenset(range(most + 1)), (frozenset({"(?s:.)"}),) * most)

    def under(self, opener: str) -> Head:
        """The same within a group that sets flags."""
        return Head(
            self.widths,
            tuple(frozenset(f"{opener}{source})" for source in sources) for sources in self.at),
            frozenset(f"{opener}{assertion})" for assertion in self.before),
        )


def sequence(heads: Sequence[Head]) -> Head:
    """The head of pieces that follow each other."""
    at: list[set[str]] = [set() for _ in range(DEPTH)]
    ends = {0}
    for head in heads:
        ends = _follow(at, ends, head)
        if ends == {DEPTH}:
            break
    return Head(frozenset(ends), _trimmed(at), _before(heads))


def either(heads: Sequence[Head]) -> Head:
    """The head of alternatives."""
    at: list[set[str]] = [set() for _ in range(DEPTH)]
    widths: set[int] = set()
    for head in heads:
        widths |= _follow(at, {0}, head)
    known = all(head.before for head in heads)
    before = frozenset[str]().union(*(head.before for head in heads)) if known else frozenset()
    return Head(frozenset(widths), _trimmed(at), before)


def repeated(head: Head, least: int, most: int) -> Head:
    """The head of a piece that comes `least` to `most` times."""
    at: list[set[str]] = [set() for _ in range(DEPTH)]
    most = min(most, DEPTH + 1)  # from then on nothing new comes
    least = min(least, most)
    starts, ends = {0}, set[int]()
    for times in range(most):
        if times >= least:
            ends |= starts
        starts = _follow(at, starts, head)
    return Head(frozenset(ends | starts), _trimmed(at), head.before if least else frozenset())


def _follow(at: list[set[str]], starts: set[int], head: Head) -> set[int]:
    """Adds the characters of a piece that begins at one of `starts`; gives where it may end."""
    for start in starts:
        for here, sources in zip(at[start:], head.at, strict=False):
            here |= sources
    return {min(DEPTH, start + width) for start in starts for width in head.widths}


def _trimmed(at: list[set[str]]) -> tuple[frozenset[str], ...]:
    while at and not at[-1]:
        at.pop()
    return tuple(map(frozenset, at))


def _before(heads: Sequence[Head]) -> frozenset[str]:
    for head in heads:
        if head.before:
            return head.before
        if head.widths != {0}:
            break
    # `A(?<!\w.)`, unless `.` may refuse what stands where `A` does
    if len(heads) > 1 and heads[1].over and heads[0].widths == {1}:
        newline = any(regex.match(source, "\n", regex.S) for source in heads[0].first)
        return frozenset() if newline else heads[1].over
    return frozenset()


@dataclass(frozen=True, slots=True)
class _Kind:
    """What one character means to each pattern, a bit a pattern.

    `at[k]`: it may stand at offset k. `before_word`, `before_other`: it may stand before a match
    that begins with a character of a word, or with another one.
    """

    word: bool
    before_word: int
    before_other: int
    at: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Question:
    """A pattern for one character, and where it is asked of which patterns."""

    pattern: regex.Pattern[str]
    offsets: dict[int, int] = field(default_factory=dict)  # offset → patterns


class HeadTable(dict[str, _Kind]):
    """The heads of many patterns, by character; it fills itself as characters come."""

    def __init__(self, heads: Iterable[tuple[Head, int]]) -> None:
        """Takes the head and the flags of each pattern; their order numbers them."""
        super().__init__()
        self._free = [0] * DEPTH  # patterns that allow everything there
        self._unasked = 0  # patterns that allow everything before them
        self._questions: dict[tuple[frozenset[str], int], _Question] = {}
        self._before: dict[tuple[frozenset[str], int], _Question] = {}
        for number, (head, flags) in enumerate(heads):
            self._add(1 << number, head, flags)
        self._kinds: dict[_Kind, _Kind] = {}
        self._numbers: dict[int, tuple[int, ...]] = {}
        self._start = self._kind("")

    def _add(self, bit: int, head: Head, flags: int) -> None:
        for offset in range(DEPTH):
            if offset >= min(head.widths):  # a match may have ended
                self._free[offset] |= bit
            else:
                _ask(self._questions, head.at[offset], flags, offset, bit)
        if head.before and not flags & regex.A:
            _ask(self._before, head.before, flags, 0, bit)
        else:
            self._unasked |= bit

    def __missing__(self, character: str) -> _Kind:
        if len(self) >= _MOST:
            self.clear()
        kind = self._kind(character)
        kind = self[character] = self._kinds.setdefault(kind, kind)
        return kind

    def _kind(self, character: str) -> _Kind:
        at = list(self._free)
        for question in self._questions.values():
            if question.pattern.match(character):
                for offset, bits in question.offsets.items():
                    at[offset] |= bits
        return _Kind(
            word=regex.match(r"\w", character) is not None,
            before_word=self._after(character, _WORD),
            before_other=self._after(character, _OTHER),
            at=tuple(at),
        )

    def _after(self, character: str, following: str) -> int:
        """The patterns that may match after a character, if they begin like `following`."""
        bits = self._unasked
        for question in self._before.values():
            if question.pattern.match(character + following, len(character)):
                bits |= question.offsets[0]
        return bits

    def candidates(self, text: str, start: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Gives each position from `start` where some pattern may match, and the numbers of those.

        What the text does not hold yet allows everything.
        """
        kinds = [self[character] for character in text[start:]]
        last = self[text[start - 1]] if start else self._start
        size = len(kinds)
        for index, kind in enumerate(kinds):
            bits = (last.before_word if kind.word else last.before_other) & kind.at[0]
            last = kind
            if bits:
                for offset in range(1, min(DEPTH, size - index)):
                    bits &= kinds[index + offset].at[offset]
                    if not bits:
                        break
                else:
                    yield start + index, self._numbers.get(bits) or self._number(bits)

    def _number(self, bits: int) -> tuple[int, ...]:
        if len(self._numbers) >= _MOST:
            self._numbers.clear()
        numbers = tuple(number for number in range(bits.bit_length()) if bits >> number & 1)
        self._numbers[bits] = numbers
        return numbers


@lru_cache(maxsize=4096)
def _any_of(sources: frozenset[str], flags: int) -> regex.Pattern[str]:
    return regex.compile("|".join(sorted(sources)), flags)


def _ask(
    questions: dict[tuple[frozenset[str], int], _Question],
    sources: frozenset[str],
    flags: int,
    offset: int,
    bit: int,
) -> None:
    question = questions.get((sources, flags))
    if question is None:
        question = questions[sources, flags] = _Question(_any_of(sources, flags))
    question.offsets[offset] = question.offsets.get(offset, 0) | bit
