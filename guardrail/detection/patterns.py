"""Rules that find by shape: a bounded pattern, a validator, and words that make it likelier.

A rule's verdict depends on its match and on the text to the left of it, never on what follows
beyond the pattern, so the same rule serves whole texts and streams.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Set
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
    """Where in a text a rule can match at all, so that most rules need not look at most text."""

    ANYWHERE = "anywhere"
    DIGITS = "digits"
    NUMBERS = "at least five digits, six other code points apart at the most"
    AT_SIGN = "at sign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One pattern for one entity.

    `pattern` is in mrab-regex syntax and of finite width. `group` is the part of the match that is
    the finding. `score` in [0, 1] stands where `validate` gives None; `context` words to the left
    raise it by 0.35. `words` and `requires` list lower-case words and strings of which a text must
    hold one, or the rule need not run; they never change what is found. `certain`
    says that `validate` may give True.
    """

    entity: str
    name: str
    pattern: str
    score: float
    flags: int = 0
    group: int = 0
    validate: Validator | None = None
    context: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    requires: tuple[str, ...] = ()
    certain: bool = False
    scope: Scope = Scope.DIGITS
    compiled: regex.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compiled", regex.compile(self.pattern, self.flags))

    def can_match(self, lowered: str, words: Set[str], threshold: float) -> bool:
        """False when no match of this rule in a text can reach the threshold; quick and safe."""
        if (self.words or self.requires) and not (
            not self.words.isdisjoint(words) or any(text in lowered for text in self.requires)
        ):
            return False
        if self.score >= threshold or self.certain:
            return True
        return any(
            (w in words) if len(w) <= 4 else (w in lowered) for w in map(str.lower, self.context)
        )

    def judge(self, value: str, left: str) -> float:
        """Score in [0, 1] of `value` standing right of `left`; 0 when it is not one."""
        verdict = self.validate(value) if self.validate else None
        if verdict is not None:
            return 1.0 if verdict else 0.0
        if self.context and _mentions(self.context, left):
            return min(1.0, max(self.score + _BOOST, _BOOSTED_MINIMUM))
        return self.score


@lru_cache(maxsize=512)
def _context_pattern(words: tuple[str, ...]) -> regex.Pattern[str]:
    """Short words must stand alone (`sin` is not in `using`); longer ones may be inflected."""
    whole = "|".join(regex.escape(w.lower()) for w in words if len(w) <= 4)
    stems = "|".join(regex.escape(w.lower()) for w in words if len(w) > 4)
    branches = [rf"(?:{whole})(?!\w)"] if whole else []
    branches += [rf"(?:{stems})"] if stems else []
    return regex.compile(rf"(?<!\p{{L}})(?:{'|'.join(branches)})")


def _mentions(words: tuple[str, ...], left: str) -> bool:
    near = " ".join(left.lower().replace("_", " ").split()[-_CONTEXT_WORDS:])
    return bool(near) and _context_pattern(words).search(near) is not None


def find(rules: Iterable[Rule], text: str, *, threshold: float, timeout: float) -> list[Finding]:
    """Gives every match of every rule that scores at least `threshold`; they may overlap.

    Raises:
        TimeoutError: the rules together took longer than `timeout` seconds.
    """
    deadline = monotonic() + timeout
    windows: dict[Scope, list[tuple[int, int]]] = {
        Scope.ANYWHERE: [(0, len(text))] if text else [],
        Scope.DIGITS: _windows(_DIGITS, text, _MARGIN[Scope.DIGITS]),
        Scope.NUMBERS: _windows(_FIVE_DIGITS, text, _MARGIN[Scope.NUMBERS]),
        Scope.AT_SIGN: _windows(_AT_SIGN, text, _MARGIN[Scope.AT_SIGN]),
    }
    lowered = text.lower().replace("_", " ")
    words = frozenset(_WORD.findall(lowered))
    found: list[Finding] = []
    for rule in rules:
        if windows[rule.scope] and rule.can_match(lowered, words, threshold):
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
    while True:
        left_over = deadline - monotonic()
        if left_over <= 0:
            raise TimeoutError
        match = search(text, start, end, timeout=left_over)
        if match is None:
            return
        begin = match.start()
        value = match.group(rule.group)
        score = rule.judge(value, text[max(0, begin - CONTEXT) : begin]) if value else 0.0
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


_RUN = re.compile(r"[^\W_]+")
_DIGITS = re.compile(r"\d+")
_FIVE_DIGITS = re.compile(r"\d(?:\D{0,6}\d){4}")
_AT_SIGN = re.compile(r"@+")
_WORD = re.compile(r"[^\W\d]+")
_SPACE = re.compile(r"\s")
_MARGIN = {Scope.DIGITS: 32, Scope.NUMBERS: 32, Scope.AT_SIGN: 128}
"""Code points on either side that may belong to what stands there (`GB82 WEST 1234`)."""


def _windows(core: re.Pattern[str], text: str, margin: int) -> list[tuple[int, int]]:
    """Sorted, disjoint ranges around what every match must contain, each ending at white space."""
    windows: list[tuple[int, int]] = []
    for match in core.finditer(text):
        if windows and match.end() + margin <= windows[-1][1]:
            continue
        start = max(0, match.start() - margin)
        if windows and start <= windows[-1][1]:
            start = windows.pop()[0]
        space = _SPACE.search(text, min(len(text), match.end() + margin))
        windows.append((start, space.start() if space else len(text)))
    return windows
