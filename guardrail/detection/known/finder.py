"""Finds who of a list is named in a text, and every number and address of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import ClassVar

import regex

from guardrail.detection.known.file import KnownListUnavailable, Snapshot, Watch, open_list
from guardrail.detection.known.keys import key_of
from guardrail.detection.known.spelling import PERSON, PHONE, Shape, fold_email, joined, words_of
from guardrail.errors import ConfigError
from guardrail.types import Finding, Span, TextUnit

_WORD_GAP = regex.compile(r"""[\s,.;:|/&()"'’‘`´_·\-]{0,16}""")
"""What may stand between two words of one name: `Lovelace, Ada`, `"Lovelace";"Ada"`."""
_CODE_GAP = regex.compile(r"[ \-./_:()+#*|]{0,3}")
_MOST_PARTS = 16
_LOCAL_ENDS = frozenset(' \t\n\r\f\v<>()[],;:"\\@')
_LOCAL_MARKS = regex.compile(r"[^\w.+%-]")
_DOMAIN = regex.compile(r"[^\W_][\w-]{0,62}(?:\.[\w-]{1,63}){0,8}")
_LONGEST_LOCAL = 64
_MOST_BEGINNINGS = 4
_CODE_LEAD = 3
"""Words without a digit that may precede the first one with a digit: `KD-NR-12345`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPeople:
    """Finds whoever and whatever is in one list; safe to use from several threads.

    The file is looked at before and after each text: a list that is replaced holds from the next
    text on, and one that is gone or damaged stops detection. `timeout` is in seconds, for one text.
    """

    name: str
    exclude: frozenset[str] = frozenset()
    timeout: float = 2.0
    by_sentence: ClassVar[bool] = True
    _watch: Watch = field(repr=False)

    @property
    def entities(self) -> frozenset[str]:
        """What the list holds now. Raises KnownListUnavailable: there is none."""
        return frozenset(self._watch.current().header.entities) - self.exclude

    @property
    def generation(self) -> str:
        """Another one for each content of the list, so that findings of an older one are not kept.

        Raises:
            KnownListUnavailable: there is no list that can be used.
        """
        return self._watch.current().version

    def find(self, unit: TextUnit) -> list[Finding]:
        """Gives each entry of the list that stands in the text, at score 1; they may overlap.

        Raises:
            KnownListUnavailable: the list is gone, damaged, or changes all the time.
            TimeoutError: it took too long.
        """
        for _ in range(3):
            snapshot = self._watch.current()
            try:
                found = list(self._find(snapshot, unit.text, monotonic() + self.timeout))
            except TimeoutError:  # which is an OSError
                raise
            except (OSError, ValueError):
                continue  # cut short under our hands: look at what is there now
            if self._watch.current() is snapshot:
                return found
        raise KnownListUnavailable(f"{self.name}: the list changes while it is read")

    def _find(self, snapshot: Snapshot, text: str, deadline: float) -> Iterator[Finding]:
        reader = _Reader(snapshot, text, deadline)
        entities = snapshot.header.entities
        for start, end, mask in chain(reader.names(), reader.codes(), reader.emails()):
            for bit, entity in enumerate(entities):
                if mask >> bit & 1 and entity not in self.exclude:
                    yield Finding(
                        entity=entity,
                        span=Span(start, end),
                        score=1.0,
                        recognizer=f"known:{self.name}",
                    )


Hit = tuple[int, int, int]
"""Start, end, and one bit for each entity."""


class _Reader:
    """Reads one text by one list."""

    def __init__(self, snapshot: Snapshot, text: str, deadline: float) -> None:
        self._list = snapshot
        self._text = text
        self._deadline = deadline
        self._words = words_of(text)
        self._codes: dict[str, int] = {}
        entities = snapshot.header.entities
        self._person, self._phone = (
            1 << entities.index(entity) if entity in entities else 0 for entity in (PERSON, PHONE)
        )

    def _in_time(self) -> None:
        if monotonic() > self._deadline:
            raise TimeoutError

    def names(self) -> Iterator[Hit]:
        """Entries of words: the longest one from each word on."""
        lengths = self._list.header.words
        if not lengths:
            return
        may_hold = self._list.may_hold
        start = self._list.start
        begins: dict[str, bool] = {}
        for at, (_, _, word) in enumerate(self._words):
            known = begins.get(word)
            if known is None:
                if not at & 255:
                    self._in_time()
                known = begins[word] = may_hold(start(word))
            if known:
                yield from self._longest_name(at)

    def _longest_name(self, at: int) -> Iterator[Hit]:
        lengths, words, text = self._list.header.words, self._words, self._text
        self._in_time()
        reach = 1
        longest = min(lengths[-1], len(words) - at)
        while reach < longest:
            end, start = words[at + reach - 1][1], words[at + reach][0]
            if text[end:start] != " " and not _WORD_GAP.fullmatch(text, end, start):
                break
            reach += 1
        hashed = self._list.hashers[Shape.WORDS]
        for count in reversed(lengths):
            if count > reach:
                continue
            parts = [word for _, _, word in words[at : at + count]]
            mask = self._list.entities_of(hashed(joined(parts)))
            if not mask and count > 1 and len(parts[-1]) > 2 and parts[-1][-1] == "s":
                parts[-1] = parts[-1][:-1]  # Lovelaces Brief
                mask = self._list.entities_of(hashed(joined(parts))) & self._person
            if mask & self._person and not self._is_name(at, count):
                mask &= ~self._person
            if mask:
                yield words[at][0], words[at + count - 1][1], mask
                return

    def _is_name(self, at: int, count: int) -> bool:
        """Not `will` by itself, nor the `a` or `s` of another word for an initial."""
        text = self._text
        for start, end, _ in self._words[at : at + count]:
            alone = count == 1 or end - start == 1
            if alone and text[start:end].islower() and text[end : end + 1] not in ("'", "’"):
                return False
        return True

    def codes(self) -> Iterator[Hit]:
        """Entries of letters and digits: the longest one from each word on."""
        lengths = frozenset(self._list.header.codes)
        if not lengths:
            return
        words, lead = self._words, self._list.header.lead
        numeric = [at for at, (_, _, word) in enumerate(words) if not word.isalpha()]
        hashed = self._list.hashers[Shape.CODE]
        longest = max(lengths) + 2  # the 00 before a country's code
        begun = 0
        for at in numeric:
            self._in_time()
            first, letters = at, 0
            while first > begun and at - first < _CODE_LEAD:
                letters += len(words[first - 1][2])
                if letters > lead:
                    break
                first -= 1
            for start in range(first, at + 1):
                yield from self._longest_code(start, longest, lengths, hashed)
            begun = at + 1

    def _longest_code(
        self, first: int, longest: int, lengths: frozenset[int], hashed: Callable[[str], int]
    ) -> Iterator[Hit]:
        text, words = self._text, self._words
        found: Hit | None = None
        seen = self._codes
        code, end = "", words[first][0]
        for start, stop, word in words[first : first + _MOST_PARTS]:
            if len(code) + len(word) > longest:
                break
            if code and not _CODE_GAP.fullmatch(text, end, start):
                break
            code, end = code + word, stop
            if code.isalpha():
                continue
            mask = seen.get(code)
            if mask is None:
                mask = self._list.entities_of(hashed(code)) if len(code) in lengths else 0
                if not mask and code.startswith("00") and len(code) - 2 in lengths:
                    mask = self._list.entities_of(hashed(code[2:])) & self._phone
                seen[code] = mask
            if mask:
                begin = words[first][0]
                begin -= text[max(0, begin - 1) : begin] == "+"
                found = (begin, end, mask)
        if found:
            yield found

    def emails(self) -> Iterator[Hit]:
        """Entries that are e-mail addresses."""
        text = self._text
        hashed = self._list.hashers[Shape.EMAIL]
        at = text.find("@")
        while at >= 0:
            self._in_time()
            begin = at
            while begin > 0 and at - begin < _LONGEST_LOCAL and text[begin - 1] not in _LOCAL_ENDS:
                begin -= 1
            domain = _DOMAIN.match(text, at + 1)
            if domain and begin < at:
                yield from self._email(begin, at, domain.group(), hashed)
            at = text.find("@", at + 1)

    def _email(
        self, begin: int, at: int, domain: str, hashed: Callable[[str], int]
    ) -> Iterator[Hit]:
        text = self._text
        marks = [begin + m.end() for m in _LOCAL_MARKS.finditer(text[begin:at])]
        labels = domain.rstrip("-").split(".")
        domains = [
            ".".join(labels[:count])
            for count in range(len(labels), 0, -1)
            if count == len(labels) or labels[count][:1].isupper()  # `…@example.com.Then`
        ]
        for start in (begin, *marks[-_MOST_BEGINNINGS:]):
            for name in domains:
                if start < at:
                    mask = self._list.entities_of(hashed(fold_email(f"{text[start:at]}@{name}")))
                    if mask:
                        yield start, at + 1 + len(name), mask
                        return


def load_known(
    paths: Iterable[Path], secret: str, *, exclude: frozenset[str] = frozenset()
) -> tuple[KnownPeople, ...]:
    """Gives a recognizer for each list, named like its file.

    `secret` is what the lists were built with; `exclude` names entities that are not to be found.

    Raises:
        ConfigError: the secret is too short; each list that cannot be read, is damaged, empty, or
            was built with another key.
    """
    key = key_of(secret)
    problems: list[str] = []
    found: list[KnownPeople] = []
    for path in paths:
        try:
            snapshot = open_list(path, key)
        except ConfigError as error:
            problems += [f"detection.known: {problem}" for problem in error.problems]
        else:
            watch = Watch(path, key, snapshot)
            found.append(KnownPeople(name=path.stem, exclude=exclude, _watch=watch))
    if problems:
        raise ConfigError(problems)
    return tuple(found)
