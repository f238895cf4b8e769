"""Rules that find by shape: a bounded pattern, a validator, and words that make it likelier.

A rule's verdict depends on its match and on the text to the left of it, never on what follows
beyond the pattern, so the same rule serves whole texts and streams.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from time import monotonic
from typing import Any

import regex

from guardrail.detection.windows import Look, Scope, Windows, look, shape
from guardrail.types import Finding, Span

__all__ = [
    "AFTER",
    "BEFORE",
    "CONTEXT",
    "Clues",
    "Rule",
    "RuleSet",
    "Scope",
    "Validator",
    "clues_in",
    "find",
]

_UNSPACED = (
    r"\u0e00-\u0e4f\u0e80-\u0ecf\u1000-\u103f\u1780-\u17d3\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
)
"""Letters of scripts that put no space beside a number: Thai, Lao, Burmese, Khmer, Japanese,
Chinese, Korean."""
BEFORE, AFTER = rf"(?<![^\W_{_UNSPACED}])", rf"(?![^\W_{_UNSPACED}])"
"""Where no letter or digit stands that would belong to a number or name."""

CONTEXT = 128
"""Code points to the left of a match in which context words are looked for."""
_CONTEXT_WORDS, _SHORT_WORD = 6, 4
_BOOST, _BOOSTED_MINIMUM = 0.35, 0.4
"""Presidio's LemmaContextAwareEnhancer: context_similarity_factor, min_score_with_context."""

Validator = Callable[[str], bool | None]
"""True: certain. False: not one. None: the rule's own score stands."""


@dataclass(frozen=True, slots=True)
class _Made:
    """What a rule runs, where it looks, and which words make it likelier."""

    compiled: regex.Pattern[str]
    look: Look
    near: regex.Pattern[str] | None


@lru_cache(maxsize=4096)
def _make(pattern: str, flags: int, scope: Scope, context: tuple[str, ...]) -> _Made:
    words = _folded(context)
    return _Made(
        compiled=regex.compile(pattern, flags),
        look=look(scope, shape(pattern, flags)),
        near=_context_pattern(words) if words else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One pattern for one entity.

    `pattern` is in mrab-regex syntax and of finite width. `group` is the part of the match that is
    the finding. `score` in [0, 1] stands where `validate` gives None; `context` words to the left
    raise it by 0.35. `words` and `requires` list lower-case words and strings of which a text must
    hold one, or the rule need not run; they never change what is found. `certain`
    says that `validate` may give True. The pattern is compiled when it is first asked for, since
    most rules never run. `guarded` is set for a pattern that somebody else wrote: it
    never runs without a time limit. `caseless` says that a value is the same in capitals, which
    is how check digits are told.
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
    caseless: bool = False
    _made: _Made | None = field(default=None, init=False, repr=False, compare=False)
    beginnings: frozenset[str] = field(init=False, repr=False, compare=False)
    strings: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        context = _folded(self.context)
        for name, value in (
            ("beginnings", _beginnings(_WORD.findall(word)[0] for word in context)),
            ("strings", tuple(_fold(string) for string in self.requires)),
        ):
            object.__setattr__(self, name, value)

    @property
    def made(self) -> _Made:
        """What runs. Raises regex.error when the pattern is none."""
        made = self._made
        if made is None:
            made = _make(self.pattern, self.flags, self.scope, self.context)
            object.__setattr__(self, "_made", made)
        return made

    @property
    def compiled(self) -> regex.Pattern[str]:
        """The pattern, compiled. Raises regex.error when it is none."""
        return self.made.compiled

    def judge(self, value: str, left: str, *, threshold: float = 0.0) -> float:
        """Score in [0, 1] of `value` standing right of `left`; 0 when it is not one.

        A score that cannot reach `threshold` may be given as 0.
        """
        if self.score < threshold and not self.certain and not self._has_context(left):
            return 0.0  # known without the validator, which takes longer
        shown = value.upper() if self.caseless else value
        verdict = self.validate(shown) if self.validate else None
        if verdict is not None:
            return 1.0 if verdict else 0.0
        if self._has_context(left):
            return min(1.0, max(self.score + _BOOST, _BOOSTED_MINIMUM))
        return self.score

    def _has_context(self, left: str) -> bool:
        near = self.made.near
        if near is None:
            return False
        if len(left) >= CONTEXT:
            left = _CUT.sub("", left)
        return near.search(" ".join(_nearest(_tokens(left)))) is not None


def _nearest(tokens: Sequence[str]) -> Sequence[str]:
    """The last words that may be context: short ones (`that we have on`) do not count fully."""
    weighty = 0
    for back, token in enumerate(reversed(tokens[-2 * _CONTEXT_WORDS :]), 1):
        weighty += len(token) > _SHORT_WORD
        if weighty == _CONTEXT_WORDS:
            return tokens[-back:]
    return tokens[-2 * _CONTEXT_WORDS :]


@lru_cache(maxsize=512)
def _context_pattern(words: tuple[str, ...]) -> regex.Pattern[str]:
    """Short words must stand alone (`sin` is not in `using`); longer ones may be inflected."""
    whole = "|".join(regex.escape(w) for w in words if len(w) <= 4)
    stems = "|".join(regex.escape(w) for w in words if len(w) > 4)
    branches = [rf"(?:{whole})(?!\w)"] if whole else []
    branches += [rf"(?:{stems})"] if stems else []
    return regex.compile(rf"(?<!\w)(?:{'|'.join(branches)})")


# In mrab-regex, as the patterns are: to the standard library `²` is a part of a word.
_WORD = regex.compile(r"[^\W_]+")
_LETTERS = regex.compile(r"[\p{L}\p{M}]+")
_CUT = regex.compile(r"\A[^\W_]+")


def _tokens(text: str) -> list[str]:
    """What white space and `_` keep apart, in lower case.

    `İ` and `ſ` match `i` and `s` in a pattern that ignores case.
    """
    return text.lower().replace("_", " ").replace("ſ", "s").replace("\u0307", "").split()


def _fold(text: str) -> str:
    """Lower case, words apart by `_` and white space by one space."""
    return " ".join(_tokens(text))


@lru_cache(maxsize=4096)
def _folded(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words as they are compared, in each spelling, once."""
    return tuple({_fold(said): None for word in words for said in _spelled(word)})


def _spelled(word: str) -> tuple[str, str]:
    """A word as it is, and as texts spell it once they are normalised, code point by code point."""
    return word, "".join(unicodedata.normalize("NFKC", character) for character in word)


def _beginnings(words: Iterable[str]) -> frozenset[str]:
    """The first four code points of each: equal for a word and for its inflected forms."""
    return frozenset(word[:4] for word in words)


@dataclass(frozen=True, slots=True)
class Clues:
    """What stands in a text, gathered once, so that most rules need not run on it.

    `folded` is the text in lower case, `unique` each of its words and what sticks to it once.
    """

    folded: str
    unique: str
    words: frozenset[str]
    beginnings: frozenset[str]


def clues_in(text: str) -> Clues:
    """Gives the clues of a text: its words in lower case, and it itself."""
    tokens = _tokens(text)
    unique = " ".join(set(tokens))
    words = frozenset(_WORD.findall(unique))
    # A number may follow its word at once: `電話03-1234-5678`, `ref811218`.
    mixed = " ".join(word for word in words if not word.isalpha())
    words |= frozenset(_LETTERS.findall(mixed))
    return Clues(" ".join(tokens), unique, words, _beginnings(words))


class RuleSet(Sequence[Rule]):
    """Rules, and what a text must hold for each of them to match; made once, never changed.

    Most rules cannot match in most texts. The set tells which ones can from the words of a text,
    without asking each rule.
    """

    __slots__ = (
        "_by_beginning",
        "_by_phrase",
        "_by_string",
        "_by_word",
        "_free",
        "_levels",
        "_rules",
        "_sure",
    )

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        numbered = tuple(enumerate(self._rules))
        self._free = frozenset(n for n, rule in numbered if not rule.words and not rule.strings)
        self._by_word = _index((word, n) for n, rule in numbered for word in rule.words)
        strings = _index((string, n) for n, rule in numbered for string in rule.strings)
        self._by_phrase = [
            (string, numbers) for string, numbers in strings.items() if " " in string
        ]
        self._by_string = [
            (string, numbers) for string, numbers in strings.items() if " " not in string
        ]
        self._by_beginning = _index((begun, n) for n, rule in numbered for begun in rule.beginnings)
        best = [1.0 if rule.certain else rule.score for rule in self._rules]
        self._levels = sorted(set(best))
        self._sure = [
            frozenset(n for n, score in enumerate(best) if score >= level)
            for level in (*self._levels, 2.0)
        ]

    def __len__(self) -> int:
        return len(self._rules)

    def __getitem__(self, index: Any) -> Any:
        return self._rules[index]

    def candidates(self, clues: Clues, threshold: float) -> list[Rule]:
        """The rules, in order, of which a match in the text can reach the threshold."""
        can_match = set(self._free)
        for word in self._by_word.keys() & clues.words:
            can_match.update(self._by_word[word])
        for strings, text in ((self._by_string, clues.unique), (self._by_phrase, clues.folded)):
            for string, numbers in strings:
                if string in text:
                    can_match.update(numbers)
        can_reach = set(self._sure[bisect_left(self._levels, threshold)])
        for begun in self._by_beginning.keys() & clues.beginnings:
            can_reach.update(self._by_beginning[begun])
        return [self._rules[number] for number in sorted(can_match & can_reach)]


def _index(pairs: Iterable[tuple[str, int]]) -> dict[str, tuple[int, ...]]:
    index: dict[str, tuple[int, ...]] = {}
    for key, number in pairs:
        index[key] = (*index.get(key, ()), number)
    return index


def find(rules: Iterable[Rule], text: str, *, threshold: float, timeout: float) -> list[Finding]:
    """Gives every match of every rule that scores at least `threshold`; they may overlap.

    Whoever asks often gives a `RuleSet`.

    Raises:
        TimeoutError: the rules together took longer than `timeout` seconds.
    """
    deadline = monotonic() + timeout
    rules = rules if isinstance(rules, RuleSet) else RuleSet(rules)
    windows = Windows(text)
    found: list[Finding] = []
    for rule in rules.candidates(clues_in(text), threshold):
        made = rule.made
        search = made.compiled.search
        for start, end in windows.of(made.look):
            short = end - start <= _SHORT and not rule.guarded and monotonic() < deadline
            if short and search(text, start, end) is None:
                continue  # as most often
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
