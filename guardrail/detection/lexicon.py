"""Words from lists, looked up rather than searched for: one pass, however long the lists.

A term counts by itself, or only where a person is spoken of: `she is catholic`, `my catholic faith`
and `Religion: catholic`, but not `Catholic University`. Unlike a rule it looks to the right of what
it finds, so it serves whole texts and not streams.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from guardrail.types import Finding, Kind, Span, TextUnit

SCORE = 0.6
_KEY = 4
"""Letters by which stems are filed; none is shorter."""
_GAP = 3
"""Words between a person's `is` and what the person is: `has always been a`."""

Phrase = tuple[str, ...]
"""Words in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """How one language speaks of a person.

    `subjects` are words for one (`she`, `patient`), `titles` stand before a name, `copulas` join
    a subject to what it is (`is`), `selves` do so without one (`soy`), `tails` stand after it
    (`vagyok`), `owners` are possessives, `after` may follow a predicate (`and`).
    """

    subjects: frozenset[str] = frozenset()
    titles: frozenset[str] = frozenset()
    copulas: frozenset[str] = frozenset()
    selves: frozenset[str] = frozenset()
    tails: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What makes the personal terms of one entity in one language count.

    `cues` stand at most `reach` words to the left, `labels` before a colon; `after` may follow a
    predicate besides what `people` lists.
    """

    cues: Mapping[str, tuple[Phrase, ...]]
    labels: Mapping[str, tuple[Phrase, ...]]
    after: frozenset[str]
    people: People
    reach: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One listed term. A word that ends in `*` stands for all that begin so.

    `setting` is None for a term that counts by itself.
    """

    entity: str
    words: Phrase
    setting: Setting | None = None

    @property
    def anchor(self) -> int:
        """Which of its words it is looked up by: the longest, as `pill` in `the pill`."""
        return max(range(len(self.words)), key=lambda n: len(self.words[n]))


_Anchored = tuple[Term, int]


class _Token(NamedTuple):
    word: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """Finds listed terms; `unspaced` holds those of scripts that set no spaces, by entity.

    `timeout` is in seconds, for one text.
    """

    terms: tuple[Term, ...]
    unspaced: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exclude: frozenset[str] = frozenset()
    name: str = "lexicon"
    timeout: float = 2.0
    by_sentence: ClassVar[bool] = True

    @cached_property
    def entities(self) -> frozenset[str]:
        """What it may find, the excluded ones included."""
        return frozenset(term.entity for term in self.terms) | frozenset(self.unspaced)

    @cached_property
    def _whole(self) -> Mapping[str, tuple[_Anchored, ...]]:
        return _filed((word, row) for word, row in self._anchored() if word[-1] != "*")

    @cached_property
    def _stems(self) -> Mapping[str, tuple[_Anchored, ...]]:
        return _filed((word[:_KEY], row) for word, row in self._anchored() if word[-1] == "*")

    @cached_property
    def _first_letters(self) -> frozenset[str]:
        return frozenset(self._stems)

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(self._whole)

    @cached_property
    def _characters(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        return tuple(
            (entity, re.compile("|".join(re.escape(t) for t in sorted(terms, key=len)[::-1])))
            for entity, terms in self.unspaced.items()
            if entity not in self.exclude
        )

    def _anchored(self) -> Iterator[tuple[str, _Anchored]]:
        for term in self.terms:
            if term.entity not in self.exclude:
                yield term.words[term.anchor], (term, term.anchor)

    def find(self, unit: TextUnit) -> list[Finding]:
        """Gives every term that counts, in offsets of the unit's text; they may overlap.

        Raises:
            TimeoutError: the text holds so many terms that it took longer than `timeout`.
        """
        if unit.kind is Kind.IDENTIFIER:
            return []
        text = unit.text
        found = [] if text.isascii() else self._in_characters(text)
        words = set(_WORD.findall(_fold(text)))
        hits = words & self._words
        if self._first_letters:
            hits.update(word for word in words if word[:_KEY] in self._first_letters)
        if hits:
            found += self._in_words(text, hits, _pointer_words(unit.pointer))
        return found

    def _in_characters(self, text: str) -> list[Finding]:
        if not _UNSPACED.search(text):
            return []
        return [
            self._finding(entity, *match.span())
            for entity, pattern in self._characters
            for match in pattern.finditer(text)
        ]

    def _in_words(self, text: str, hits: set[str], pointer: Phrase) -> list[Finding]:
        folded = _fold(text)
        if len(folded) == len(text):
            tokens = [_Token(m[0], *m.span()) for m in _WORD.finditer(folded)]
        else:
            tokens = [_Token(_fold(m[0]), *m.span()) for m in _WORD.finditer(text)]
        deadline = monotonic() + self.timeout
        found = []
        seen = set()
        for near, token in enumerate(tokens):
            if token.word not in hits:
                continue
            if monotonic() > deadline:
                raise TimeoutError
            for term, anchor in (
                *self._whole.get(token.word, ()),
                *self._stems.get(token.word[:_KEY], ()),
            ):
                at = near - anchor
                last = at + len(term.words) - 1
                span = (term.entity, at, last)
                if at < 0 or span in seen or not _stands(term.words, tokens, at, text):
                    continue
                if term.setting is None or _is_personal(
                    term.setting, _Place(text, tokens, at, last, pointer)
                ):
                    seen.add(span)
                    found.append(self._finding(term.entity, tokens[at].start, tokens[last].end))
        return found

    def _finding(self, entity: str, start: int, end: int) -> Finding:
        return Finding(entity=entity, span=Span(start, end), score=SCORE, recognizer=self.name)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a term stands: from the token `at` to the token `last`, in a field named `pointer`."""

    text: str
    tokens: Sequence[_Token]
    at: int
    last: int
    pointer: Phrase

    def gap(self, before: int) -> str:
        """What stands between the token before and the token `before`."""
        if before == 0:
            return "\n\n"
        return self.text[self.tokens[before - 1].end : self.tokens[before].start]

    def following(self) -> tuple[str, str]:
        """What separates the term from the next word, and that word."""
        end = self.tokens[self.last].end
        if self.last + 1 == len(self.tokens):
            return self.text[end : end + 2] + "\n", ""
        following = self.tokens[self.last + 1]
        return self.text[end : following.start], following.word


def _is_personal(setting: Setting, place: _Place) -> bool:
    people = setting.people
    between, following = place.following()
    if following in people.tails and between.isspace():
        return True
    if _is_labelled(setting, place) or _is_cued(setting, place):
        return True
    ends = (
        following in people.after or following in setting.after or _END.match(between) is not None
    )
    return ends and (_is_owned(people, place) or _is_predicate(people, place))


def _is_cued(setting: Setting, place: _Place) -> bool:
    tokens, at = place.tokens, place.at
    for near in range(at - 1, max(-1, at - 2 - setting.reach), -1):
        if _BREAK.search(place.gap(near + 1)):
            return False
        if _ends_with(setting.cues, tokens, near):
            return True
    return False


def _is_labelled(setting: Setting, place: _Place) -> bool:
    tokens, at = place.tokens, place.at
    if any(
        label == place.pointer[-len(label) :]
        for label in setting.labels.get(place.pointer[-1] if place.pointer else "", ())
    ):
        return True
    for near in range(at - 1, max(-1, at - 4), -1):
        gap = place.gap(near + 1)
        if _LABEL.fullmatch(gap):
            return _ends_with(setting.labels, tokens, near)
        if not _PLAIN.fullmatch(gap):
            return False
    return False


def _is_owned(people: People, place: _Place) -> bool:
    at = place.at
    return at > 0 and place.tokens[at - 1].word in people.owners and place.gap(at).isspace()


def _is_predicate(people: People, place: _Place) -> bool:
    tokens, at = place.tokens, place.at
    for near in range(at - 1, max(-1, at - 2 - _GAP), -1):
        if not _PLAIN.fullmatch(place.gap(near + 1)):
            return False
        word = tokens[near].word
        if word in people.selves:
            return True
        if word in people.copulas and near > 0 and _PLAIN.fullmatch(place.gap(near)):
            return _is_person(people, place, near - 1)
    return False


def _is_person(people: People, place: _Place, at: int) -> bool:
    """A word for a person, or a name: capitalised, after a title or another such word."""
    tokens = place.tokens
    if tokens[at].word in people.subjects:
        return True
    if at == 0 or not place.text[tokens[at].start].isupper():
        return False
    return tokens[at - 1].word in people.titles


def _stands(words: Phrase, tokens: Sequence[_Token], at: int, text: str) -> bool:
    if at + len(words) > len(tokens):
        return False
    for offset, word in enumerate(words):
        token = tokens[at + offset]
        if word[-1] == "*":
            if not token.word.startswith(word[:-1]):
                return False
        elif token.word != word:
            return False
        if offset and not _JOINT.fullmatch(text, tokens[at + offset - 1].end, token.start):
            return False
    return True


def _ends_with(
    phrases: Mapping[str, tuple[Phrase, ...]], tokens: Sequence[_Token], last: int
) -> bool:
    for phrase in phrases.get(tokens[last].word, ()):
        first = last - len(phrase) + 1
        if first >= 0 and all(tokens[first + n].word == word for n, word in enumerate(phrase)):
            return True
    return False


def by_last_word(phrases: Iterable[Phrase]) -> Mapping[str, tuple[Phrase, ...]]:
    """Files phrases under their last word, as a `Setting` holds them."""
    filed: dict[str, tuple[Phrase, ...]] = {}
    for phrase in phrases:
        filed[phrase[-1]] = (*filed.get(phrase[-1], ()), phrase)
    return MappingProxyType(filed)


def words_of(term: str) -> Phrase:
    """The words of a term in lower case; `*` stays at the end of a stem.

    >>> words_of("Crohn's katholi*")
    ('crohn', 's', 'katholi*')
    """
    return tuple(_LISTED.findall(_fold(term)))


def is_unspaced(term: str) -> bool:
    """Whether a term is written in a script that sets no spaces between words."""
    return _UNSPACED.search(term) is not None


def _filed(rows: Iterable[tuple[str, _Anchored]]) -> Mapping[str, tuple[_Anchored, ...]]:
    filed: dict[str, list[_Anchored]] = {}
    for key, row in rows:
        filed.setdefault(key, []).append(row)
    return MappingProxyType({key: tuple(found) for key, found in filed.items()})


def _pointer_words(pointer: str) -> Phrase:
    """The words of the field that holds a text: `/person/religion` gives `religion`."""
    for part in reversed(pointer.split("/")):
        if part and not part.isdigit():
            return tuple(_WORD.findall(_fold(_CAPITAL.sub(" ", part[:128]))))
    return ()


def _fold(text: str) -> str:
    lowered = text.lower()
    if lowered.isascii():
        return lowered
    # `İ` in lower case is `i` and a dot above; `ſ` is a long `s`.
    return lowered.replace("\u0307", "").replace("ſ", "s")


_WORD = re.compile(r"[^\W_]+")
_LISTED = re.compile(r"[^\W_]+\*?")
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_JOINT = re.compile(r"[\s'’‘.-]{1,3}|,\s")
_PLAIN = re.compile(r"[\s'’‘\"“„«-]{1,3}")
_LABEL = re.compile(r"[\"'*_)\s]{0,4}[:=|：][\"'*_|\s]{0,4}")
_BREAK = re.compile(r"[!?;{}=]|\.\s|\n\s*\n")
_END = re.compile(r"[\"'”’»)*\s]{0,3}(?:[,.;:!?)\n…]|\s[-–]\s)")
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Kana, Han and Hangul; the blocks of Unicode 16, which `re` finds faster than scripts."""
