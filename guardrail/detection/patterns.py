"""Rules that find by shape: a bounded pattern, a validator, and words that make it likelier.

A rule's verdict depends on its match and on the text to the left of it, never on what follows
beyond the pattern, so the same rule serves whole texts and streams.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from time import monotonic

import regex

from guardrail.types import Finding, Span

CONTEXT = 128
"""Code points to the left of a match in which context words are looked for."""
_CONTEXT_WORDS = 6
_BOOST, _BOOSTED_MINIMUM = 0.35, 0.4
"""Presidio's LemmaContextAwareEnhancer: context_similarity_factor, min_score_with_context."""

Validator = Callable[[str], bool | None]
"""True: certain. False: not one. None: the rule's own score stands."""


class Scope(Enum):
    """What every match of a rule holds, so that it need not look where that is not near.

    A pattern for it; matches begin and end within its margins, or in the same word.
    """

    ANYWHERE = ""
    DIGITS = r"\d+"
    FOUR_DIGITS = r"\d{4,}"
    SEVEN_DIGITS = r"\d{7,}"
    CODE = r"\d[^\W_]{4}|[^\W_]{8}\d"
    NUMBERS = r"\d(?:\D{0,6}\d){4}"
    DOTTED = r"\d\.\d"
    PREFIX = r"\+|00(?=[1-9])"
    PAIRS = r"[0-9A-Fa-f]{2}[:-](?=[0-9A-Fa-f]{2}[:-])"
    LABEL = r"[:=|]"
    AT_SIGN = r"@+"
    ADDRESS = r"\d{1,8}"
    HOUSE_FIRST = r"\d[A-Za-z]?(?:[ \t,;/|>\r\n-]|\\n){1,12}(?:[^\W\d_a-z]|\d{1,3}(?:st|nd|rd|th))"
    HOUSE_LAST = r"\d(?<=[^\d,/_].)(?<![^\W_].)"
    POSTCODE = r"[A-Z]\d[A-Z\d]{0,2}[ ][A-Z\d]{3,4}(?![^\W_])"
    REGION_CODE = r"[A-Z]{2},?[ ]\d{5}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One pattern for one entity.

    `pattern` is in mrab-regex syntax and of finite width. `group` is the part of the match that is
    the finding. `score` in [0, 1] stands where `validate` gives None; `context` words to the left
    raise it by 0.35. `words` and `requires` list lower-case words and strings of which a text must
    hold one, or the rule need not run; they never change what is found. `certain`
    says that `validate` may give True. `guarded` is set for a pattern that somebody else wrote: it
    never runs without a time limit.
    """

    entity: str
    name: str
    pattern: str = field(repr=False)
    score: float
    flags: int = 0
    group: int = 0
    validate: Validator | None = None
    context: tuple[str, ...] = ()
    words: frozenset[str] = field(default=frozenset(), repr=False)
    requires: tuple[str, ...] = ()
    certain: bool = False
    scope: Scope = Scope.DIGITS
    guarded: bool = False
    compiled: regex.Pattern[str] = field(init=False, repr=False, compare=False)
    _near: regex.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _beginnings: frozenset[str] = field(init=False, repr=False, compare=False)
    _strings: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        context = tuple(_fold(word) for word in self.context)
        for name, value in (
            ("compiled", regex.compile(self.pattern, self.flags)),
            ("_near", _context_pattern(context) if context else None),
            ("_beginnings", _beginnings(_WORD.findall(word)[0] for word in context)),
            ("_strings", tuple(_fold(string) for string in self.requires)),
        ):
            object.__setattr__(self, name, value)

    def can_match(self, clues: Clues, threshold: float) -> bool:
        """False when no match of this rule in a text can reach the threshold; quick and safe."""
        if self.words or self._strings:
            folded = clues.folded
            if self.words.isdisjoint(clues.words) and not any(s in folded for s in self._strings):
                return False
        if self.score >= threshold or self.certain:
            return True
        return not self._beginnings.isdisjoint(clues.beginnings)

    def judge(self, value: str, left: str, *, threshold: float = 0.0) -> float:
        """Score in [0, 1] of `value` standing right of `left`; 0 when it is not one.

        A score that cannot reach `threshold` may be given as 0.
        """
        if self.score < threshold and not self.certain and not self._has_context(left):
            return 0.0  # known without the validator, which takes longer
        verdict = self.validate(value) if self.validate else None
        if verdict is not None:
            return 1.0 if verdict else 0.0
        if self._has_context(left):
            return min(1.0, max(self.score + _BOOST, _BOOSTED_MINIMUM))
        return self.score

    def _has_context(self, left: str) -> bool:
        if self._near is None:
            return False
        if len(left) >= CONTEXT:
            left = _CUT.sub("", left)
        near = " ".join(_fold(left).split()[-_CONTEXT_WORDS:])
        return self._near.search(near) is not None


@lru_cache(maxsize=512)
def _context_pattern(words: tuple[str, ...]) -> regex.Pattern[str]:
    """Short words must stand alone (`sin` is not in `using`); longer ones may be inflected."""
    whole = "|".join(regex.escape(w) for w in words if len(w) <= 4)
    stems = "|".join(regex.escape(w) for w in words if len(w) > 4)
    branches = [rf"(?:{whole})(?!\w)"] if whole else []
    branches += [rf"(?:{stems})"] if stems else []
    return regex.compile(rf"(?<!\w)(?:{'|'.join(branches)})")


_WORD = regex.compile(r"[^\W_]+")
_CUT = regex.compile(r"\A[^\W_]+")
_LOWER = {ord("_"): " ", ord("ſ"): "s", 0x307: None}
"""`_` separates words; `İ` and `ſ` match `i` and `s` in a pattern that ignores case."""


def _fold(text: str) -> str:
    """Lower case, words apart by `_` and white space by one space."""
    return " ".join(text.lower().translate(_LOWER).split())


def _beginnings(words: Iterable[str]) -> frozenset[str]:
    """The first four code points of each: equal for a word and for its inflected forms."""
    return frozenset(word[:4] for word in words)


@dataclass(frozen=True, slots=True)
class Clues:
    """What stands in a text, gathered once, so that most rules need not run on it."""

    folded: str
    words: frozenset[str]
    beginnings: frozenset[str]


def clues_in(text: str) -> Clues:
    """Gives the clues of a text: its words in lower case, and it itself."""
    folded = _fold(text)
    words = frozenset(_WORD.findall(folded))
    return Clues(folded, words, _beginnings(words))


def find(rules: Iterable[Rule], text: str, *, threshold: float, timeout: float) -> list[Finding]:
    """Gives every match of every rule that scores at least `threshold`; they may overlap.

    Raises:
        TimeoutError: the rules together took longer than `timeout` seconds.
    """
    deadline = monotonic() + timeout
    windows: dict[Scope, list[tuple[int, int]]] = {}
    clues = clues_in(text)
    found: list[Finding] = []
    for rule in rules:
        if rule.can_match(clues, threshold):
            if rule.scope not in windows:
                windows[rule.scope] = _windows(rule.scope, text)
            for start, end in windows[rule.scope]:
                _find(rule, text, start, end, threshold, deadline, found)
    return found


def _find(
    rule: Rule,
    text: str,
    start: int,
    end: int,
    threshold: float,
    deadline: float,
    found: list[Finding],
) -> None:
    search = rule.compiled.search
    short = end - start <= _SHORT and not rule.guarded
    while True:
        left_over = deadline - monotonic()
        if left_over <= 0:
            raise TimeoutError
        # A timeout costs more than the search of a short range does.
        match = search(text, start, end) if short else search(text, start, end, timeout=left_over)
        if match is None:
            return
        begin = match.start()
        value = match.group(rule.group)
        left = text[max(0, begin - CONTEXT) : begin]
        score = rule.judge(value, left, threshold=threshold) if value else 0.0
        if score < threshold:
            # A refused match must not hide a valid one that begins inside it; but a number that is
            # refused is refused from its first digit to the end of that run of digits.
            run = _RUN.match(text, begin) if rule.scope is Scope.NUMBERS else None
            start = max(run.end() if run else 0, begin + 1)
            continue
        found.append(
            Finding(
                entity=rule.entity,
                span=Span(*match.span(rule.group)),
                score=score,
                recognizer=rule.name,
            )
        )
        start = max(match.end(), begin + 1)


_SHORT = 4096
"""Code points in which no pattern of finite width is slow enough to need a timeout."""
_RUN = re.compile(r"[^\W_]+")
_SPACE = re.compile(r"\s")
_CORES = {scope: re.compile(scope.value) for scope in Scope}
_MARGIN = (64, 64)
_MARGINS = {
    Scope.AT_SIGN: (128, 128),
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


def _windows(scope: Scope, text: str) -> list[tuple[int, int]]:
    """Sorted, disjoint ranges around what every match must contain, each ending at white space."""
    if scope is Scope.ANYWHERE:
        return [(0, len(text))] if text else []
    left, right = _MARGINS.get(scope, _MARGIN)
    windows: list[tuple[int, int]] = []
    for match in _CORES[scope].finditer(text):
        if windows and match.end() + right <= windows[-1][1]:
            continue
        start = max(0, match.start() - left)
        if windows and start <= windows[-1][1]:
            start = windows.pop()[0]
        space = _SPACE.search(text, min(len(text), match.end() + right))
        windows.append((start, space.start() if space else len(text)))
    return windows
