"""Where in a text a pattern can match at all, so that it need not look anywhere else.

A rule says what every match holds: its scope. Its pattern says how far a match reaches, how many
digits it has at least, and whether it may hold white space: its shape. Both only spare work; a
pattern whose shape is not known is looked for wherever its scope allows.
"""

from __future__ import annotations

import re
import string
import warnings
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from re import _parser as parser  # type: ignore[attr-defined]  # as the public one once was
from typing import Any


class Scope(Enum):
    """What every match of a rule holds, so that it need not look where that is not near.

    A pattern for it; matches begin and end within its margins, or in the same word.
    """

    ANYWHERE = ""
    DIGITS = r"\d+"
    FOUR_DIGITS = r"\d{4,}"
    SEVEN_DIGITS = r"\d{7,}"
    CODE = r"\d(?:[^\W_]{4}|(?<=[^\W_]{8}\d))"
    NUMBERS = r"\d(?:\D{0,6}\d){4}"
    DOTTED = r"\d\.\d"
    PREFIX = r"\+|00(?=[1-9])"
    PAIRS = r"[0-9A-Fa-f]{2}[:-](?=[0-9A-Fa-f]{2}[:-])"
    LABEL = r"[:=|]"
    DOMAIN = r"\.(?=[^\W\d_]{2})"
    AT_SIGN = r"@+"
    ADDRESS = r"\d{1,8}"
    HOUSE_FIRST = r"\d[A-Za-z]?(?:[ \t,;/|>\r\n-]|\\n){1,12}(?:[^\W\d_a-z]|\d{1,3}(?:st|nd|rd|th))"
    HOUSE_LAST = r"\d(?<=[^\d,/_].)(?<![^\W_].)"
    POSTCODE = r"[A-Z]\d[A-Z\d]{0,2}[ ][A-Z\d]{3,4}(?![^\W_])"
    REGION_CODE = r"[A-Z]{2},?[ ]\d{5}"


_CORES = {
    plain: {scope: re.compile(scope.value, re.ASCII if plain else 0) for scope in Scope}
    for plain in (False, True)
}
"""By whether a text is ASCII: what a digit is takes twice as long to tell in any other."""
_DIGIT = re.compile(r"\d")
_SPACE = re.compile(r"\s")
_MARGIN = (64, 64)
_MARGINS = {
    Scope.AT_SIGN: (128, 128),
    Scope.DOMAIN: (576, 0),
    Scope.ADDRESS: (256, 200),
    Scope.HOUSE_FIRST: (64, 256),
    Scope.HOUSE_LAST: (112, 128),
    Scope.POSTCODE: (320, 160),
    Scope.REGION_CODE: (200, 64),
    Scope.NUMBERS: (16, 48),
    Scope.FOUR_DIGITS: (24, 24),
    Scope.SEVEN_DIGITS: (16, 16),
    Scope.CODE: (24, 24),
    Scope.PREFIX: (24, 40),
}
"""Code points to the left and right that may belong to what stands there (`GB82 WEST 1234`)."""


# ── the shape of a pattern ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Shape:
    """What holds of every match of a pattern.

    `reach` bounds its width and how far it looks around, in code points; `least` is its smallest
    width, `digits` how many it has at least, `run` of how many at least one stands after another,
    `signs` what punctuation it always has. `unbroken`: neither the match nor what it looks ahead at
    may hold white space.
    """

    reach: int
    least: int = 0
    digits: int = 0
    run: int = 0
    signs: frozenset[str] = frozenset()
    unbroken: bool = False


UNKNOWN = Shape(reach=1 << 16)
"""The shape of a pattern that tells nothing of itself."""
_LETTER = re.compile(r"\\p\{(?:L|Lu|Ll|M)\}")
_FUZZY = re.compile(r"[)\]]\{[a-z]|\\[LKGRX]|\(\?[&|R]|\(\?P>|\(\?b")
"""What only mrab-regex knows and the standard library reads as something else."""


def shape(pattern: str, flags: int) -> Shape:
    r"""Gives the shape of a pattern in mrab-regex syntax; `UNKNOWN` where it is not plain to see.

    >>> shape(r"(?<!\w)[A-Z]{2}\d{6}(?!\w)", 0)
    Shape(reach=10, least=8, digits=6, run=6, signs=frozenset(), unbroken=True)
    """
    if _FUZZY.search(pattern):
        return UNKNOWN
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # sets within sets
            nodes = parser.parse(_LETTER.sub(r"\\w", pattern), flags & (re.I | re.M | re.S | re.X))
        return _sequence(nodes)
    except (re.error, Warning, KeyError, OverflowError, RecursionError):
        return UNKNOWN


def _sequence(nodes: Iterable[tuple[Any, Any]]) -> Shape:
    shapes = [_NODES[str(kind)](what) for kind, what in nodes]
    return Shape(
        reach=min(UNKNOWN.reach, sum(each.reach for each in shapes)),
        least=sum(each.least for each in shapes),
        digits=sum(each.digits for each in shapes),
        run=_run(shapes),
        signs=frozenset().union(*(each.signs for each in shapes)),
        unbroken=all(each.unbroken for each in shapes),
    )


def _run(shapes: Sequence[Shape]) -> int:
    longest = current = 0
    for each in shapes:
        # Of what is digits and nothing else, one run goes on in the next.
        current = current + each.digits if each.reach == each.digits else 0
        longest = max(longest, current, each.run)
    return longest


def _branches(branches: Iterable[Any]) -> Shape:
    shapes = [_sequence(branch) for branch in branches]
    return Shape(
        reach=max(each.reach for each in shapes),
        least=min(each.least for each in shapes),
        digits=min(each.digits for each in shapes),
        run=min(each.run for each in shapes),
        signs=frozenset.intersection(*(each.signs for each in shapes)),
        unbroken=all(each.unbroken for each in shapes),
    )


def _repeated(least: int, most: int, inner: Any) -> Shape:
    once = _sequence(inner)
    return Shape(
        reach=min(UNKNOWN.reach, once.reach * int(most)),
        least=once.least * int(least),
        digits=once.digits * int(least),
        run=once.run * (int(least) if once.run == once.reach else bool(least)),
        signs=once.signs if least else frozenset(),
        unbroken=once.unbroken,
    )


def _look(direction: int, inner: Any) -> Shape:
    seen = _sequence(inner)
    # What stands to the left of a window is seen, what stands to the right of it is not.
    return Shape(reach=seen.reach, unbroken=direction < 0 or seen.unbroken)


def _literal(code: int) -> Shape:
    character = chr(code)
    signs = frozenset(character if character in _SIGNS else "")
    digits = int(character.isdecimal())
    return Shape(1, 1, digits, digits, signs, unbroken=not character.isspace())


def _set(members: Sequence[tuple[Any, Any]]) -> Shape:
    negated = str(members[0][0]) == "NEGATE"
    names = {str(what) for kind, what in members if str(kind) == "CATEGORY"}
    if negated:
        return Shape(1, 1, unbroken=bool(names & {"CATEGORY_SPACE", "CATEGORY_NOT_WORD"}))
    ends = [
        (what, what) if str(kind) == "LITERAL" else what
        for kind, what in members
        if str(kind) != "CATEGORY"
    ]
    spaces = names - _UNBROKEN or any(
        chr(code).isspace() for low, high in ends for code in range(low, min(high, 0x3000) + 1)
    )
    digits = names <= {"CATEGORY_DIGIT"} and all(
        chr(low).isdecimal() and chr(high).isdecimal() and high - low < 10 for low, high in ends
    )
    return Shape(1, 1, digits, digits, unbroken=not spaces)


_SIGNS = frozenset(string.punctuation)
_UNBROKEN = {"CATEGORY_DIGIT", "CATEGORY_WORD", "CATEGORY_NOT_SPACE"}
_ENDS = {"AT_BOUNDARY", "AT_NON_BOUNDARY", "AT_BEGINNING", "AT_BEGINNING_STRING"}
_NODES: Mapping[str, Callable[[Any], Shape]] = {
    "LITERAL": _literal,
    "NOT_LITERAL": lambda _: Shape(1, 1),
    "ANY": lambda _: Shape(1, 1),
    "IN": _set,
    "BRANCH": lambda what: _branches(what[1]),
    "SUBPATTERN": lambda what: _sequence(what[3]),
    "ATOMIC_GROUP": _sequence,
    "MAX_REPEAT": lambda what: _repeated(*what),
    "MIN_REPEAT": lambda what: _repeated(*what),
    "POSSESSIVE_REPEAT": lambda what: _repeated(*what),
    "ASSERT": lambda what: _look(*what),
    "ASSERT_NOT": lambda what: _look(*what),
    # The end of a window is none of the text's, so a pattern that asks for one has no shape.
    "AT": lambda what: Shape(1, unbroken=True) if str(what) in _ENDS else {}[what],
}
"""By kind of node; a kind that is not here (a reference to a group) has no shape."""


# ── windows ──────────────────────────────────────────────────────────────────────────────────────

_Ranges = list[tuple[int, int]]
_STEPS = (16, 32, 64, 128)
"""Reaches are rounded up to these, so that rules share their windows."""


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """Around what a scope names, so many code points to its left and right, or in one word with it.

    There is one of each, and of each `Look`, so that they are quick to tell apart.
    """

    scope: Scope
    left: int
    right: int
    unbroken: bool


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Where a rule looks: near what its scope names, where a match can be by its shape.

    `digits` pairs how many digits stand one behind the other with in how many places they do.
    """

    near: Near
    least: int
    digits: tuple[tuple[int, int], ...]
    signs: frozenset[str]


_one_near = lru_cache(maxsize=None)(Near)
_one_look = lru_cache(maxsize=None)(Look)


def look(scope: Scope, shape: Shape) -> Look:
    """Gives where a pattern of that shape looks; a little wider, where rules then share it."""
    left, right = _MARGINS.get(scope, _MARGIN)
    run, count = (number if number < 3 else number // 3 * 3 for number in (shape.run, shape.digits))
    digits: tuple[tuple[int, int], ...] = ((run, 1),) if run else ()
    if count > run:
        digits += ((1, count),)
    if shape.unbroken:
        least = shape.least // 8 * 8
        return _one_look(_one_near(scope, left, 0, True), least, digits, shape.signs)
    reach = next((step for step in _STEPS if shape.reach <= step), shape.reach)
    near = _one_near(scope, min(left, reach), min(right, reach), False)
    return _one_look(near, 0, digits, frozenset())


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of one text, worked out when first asked for."""

    text: str
    _cores: dict[Scope, _Ranges] = field(default_factory=dict)
    _known: dict[Near | Look, _Ranges] = field(default_factory=dict)
    _runs: dict[int, list[int]] = field(default_factory=dict)

    def of(self, look: Look) -> _Ranges:
        """Sorted, disjoint ranges that hold every match, each ending at white space."""
        known = self._known.get(look)
        if known is None:
            known = self._known[look] = self._enough(look)
        return known

    def _enough(self, look: Look) -> _Ranges:
        for length, count in look.digits:
            if len(self._digits(length)) < count:
                return []
        ranges = self._known.get(look.near)
        if ranges is None:
            ranges = self._known[look.near] = self._around(look.near)
        return [each for each in ranges if self._can_hold(look, *each)]

    def _can_hold(self, look: Look, start: int, end: int) -> bool:
        if end - start < look.least:
            return False
        for length, count in look.digits:
            places = self._digits(length)
            if bisect_left(places, end) - bisect_left(places, start) < count:
                return False
        return not look.signs or all(self.text.find(sign, start, end) >= 0 for sign in look.signs)

    def _digits(self, length: int) -> list[int]:
        """Where so many digits stand, one behind the other."""
        known = self._runs.get(length)
        if known is None:
            if length == 1:
                known = [match.start() for match in _DIGIT.finditer(self.text)]
            else:
                single = self._digits(1)
                last = single[length - 1 :]
                known = [a for a, b in zip(single, last, strict=False) if b - a == length - 1]
            self._runs[length] = known
        return known

    def _around(self, near: Near) -> _Ranges:
        text, scope, size = self.text, near.scope, len(self.text)
        if scope is Scope.ANYWHERE:
            return [(0, size)] if text else []
        cores = self._cores.get(scope)
        if cores is None:
            found = _CORES[text.isascii()][scope].finditer(text)
            cores = self._cores[scope] = [match.span() for match in found]
        left, right = near.left, near.right
        ranges: _Ranges = []
        last = -1
        for begin, stop in cores:
            if stop + right <= last:
                continue
            start = begin - left if begin > left else 0
            if near.unbroken:
                start = max(start, text.rfind(" ", start, begin), text.rfind("\n", start, begin))
            if start <= last:
                start = ranges.pop()[0]
            space = _SPACE.search(text, min(size, stop + right))
            last = space.start() if space else size
            ranges.append((start, last))
        return ranges
