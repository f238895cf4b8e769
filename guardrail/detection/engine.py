"""Text units → findings: every rule and recognizer, over what a text reads like.

All units of a request are read together: each text once, within one time limit for all, in pieces
and batches of bounded size. What counts for whom is selected afterwards, from findings that are
kept for texts seen before.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from types import MappingProxyType
from typing import Protocol, TypeVar

from guardrail.detection.cache import FindingCache, Reading
from guardrail.detection.injection import ENTITIES, hidden
from guardrail.detection.names import Doubt
from guardrail.detection.normalize import View, loose_letters, readings
from guardrail.detection.patterns import Rule, RuleSet, find
from guardrail.detection.pieces import batches, pieces
from guardrail.detection.recognizer import (
    LIGHT,
    DoubtingRecognizer,
    Recognizer,
    examine_all,
    light,
    reads_sentences,
)
from guardrail.detection.selection import Selection
from guardrail.errors import DetectorUnavailable, NestedTooDeep
from guardrail.spans import resolve
from guardrail.types import Finding, Span, TextUnit

_Answer = TypeVar("_Answer")


Wanted = Callable[[str, str], bool]
"""Tells of an entity, and of the rule that finds it (empty where none does), whether it counts."""


class Detector(Protocol):
    """What the guard asks: everything that may be personal in the units of a request."""

    @property
    def rules(self) -> Sequence[Rule]:
        """The rules that also hold on a stream."""
        ...

    @property
    def entities(self) -> frozenset[str]:
        """Every entity that can be found."""
        ...

    @property
    def light(self) -> int:
        """Bytes of a request up to which `find_all` is quick enough for an event loop."""
        ...

    def selection(self, app: str) -> Selection:
        """What counts for an app."""
        ...

    def find_all(self, units: Sequence[TextUnit], *, app: str) -> list[tuple[Finding, ...]]:
        """Gives sorted findings of each unit, which may overlap, as far as they count for an app.

        Raises:
            DetectorUnavailable: they cannot be had, or not in time.
        """
        ...

    def beyond(self, wanted: Wanted, *, whole: bool) -> Detector | None:
        """Gives what else than `rules` finds what is wanted; None where nothing does.

        That is what reads sentences or, where `whole`, what needs whole texts.
        """
        ...

    def missed(self, units: Sequence[TextUnit], *, app: str) -> float | None:
        """The expected number of names in the units that no finding covers; None if unknown.

        Raises:
            DetectorUnavailable: as `find_all` does.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDetector:
    """Runs rules and recognizers over the normalised view of each unit.

    `whole` are rules that do not hold on a stream; `ignored` are entities of which the recognizers
    are not believed. `threshold` is the least score in [0, 1] that
    counts for anybody; `selections` say what counts for which app, `""` for one that is not among
    them. `timeout` is in seconds, for all units of one call, as `clock` tells them.
    """

    rules: Sequence[Rule] = field(repr=False)
    whole: Sequence[Rule] = field(default=(), repr=False)
    recognizers: Sequence[Recognizer] = ()
    ignored: frozenset[str] = frozenset()
    threshold: float = 0.4
    timeout: float = 10.0
    selections: Mapping[str, Selection] = field(default_factory=lambda: MappingProxyType({}))
    clock: Callable[[], float] = field(default=monotonic, repr=False)
    # Never handed on by `replace`: what another threshold found would be found again.
    cache: FindingCache = field(
        default_factory=lambda: FindingCache(4096), init=False, repr=False, compare=False
    )
    _beyond: dict[tuple[frozenset[int], bool], RuleDetector] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _applied: RuleSet = field(init=False, repr=False, compare=False)
    _doubting: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_applied", RuleSet((*self.rules, *self.whole)))
        doubting = any(isinstance(one, DoubtingRecognizer) for one in self.recognizers)
        object.__setattr__(self, "_doubting", doubting)

    @property
    def entities(self) -> frozenset[str]:
        """Every entity that can be found."""
        named = (recognizer.entities - self.ignored for recognizer in self.recognizers)
        return frozenset(rule.entity for rule in (*self.rules, *self.whole)).union(*named)

    @property
    def light(self) -> int:
        """Bytes of a request up to which `find_all` is quick enough for an event loop."""
        return min([LIGHT, *map(light, self.recognizers)])

    def selection(self, app: str) -> Selection:
        """What counts for an app; what counts for all, where it has no settings of its own."""
        for name in (app, ""):
            if name in self.selections:
                return self.selections[name]
        return Selection(threshold=self.threshold)

    def beyond(self, wanted: Wanted, *, whole: bool) -> RuleDetector | None:
        """Gives what else than `rules` finds what is wanted; None where nothing does.

        That is what reads sentences or, where `whole`, what needs whole texts.

        Raises:
            KnownListUnavailable: a list of known people cannot be read.
        """
        others = [one for one in self.recognizers if reads_sentences(one) is not whole]
        rules = self.whole if whole else ()
        finding = [any(wanted(e, "") for e in one.entities - self.ignored) for one in others]
        finding += [wanted(rule.entity, rule.name) for rule in rules]
        if not any(finding):
            return None
        numbers = frozenset(number for number, finds in enumerate(finding) if finds)
        part = self._beyond.get((numbers, whole))
        if part is None:
            part = replace(
                self,
                rules=(),
                whole=tuple(rule for n, rule in enumerate(rules, len(others)) if n in numbers),
                recognizers=tuple(one for n, one in enumerate(others) if n in numbers),
            )
            self._beyond[numbers, whole] = part
        return part

    def detect(self, unit: TextUnit, *, app: str = "") -> tuple[Finding, ...]:
        """Gives sorted, disjoint findings in offsets of `unit.text`; the surest win.

        Raises:
            DetectorUnavailable: as `find_all` does.
        """
        return resolve(self.find(unit, app=app))

    def find(self, unit: TextUnit, *, app: str = "") -> tuple[Finding, ...]:
        """Gives sorted findings in offsets of `unit.text`, overlapping ones included.

        Those that are only reviewed are not among them.

        Raises:
            DetectorUnavailable: as `find_all` does.
        """
        (found,) = self.find_all([unit], app=app)
        selection = self.selection(app)
        if not (found and selection.review):
            return found
        return tuple(finding for finding in found if not selection.reviews(finding))

    def find_all(self, units: Sequence[TextUnit], *, app: str = "") -> list[tuple[Finding, ...]]:
        """Gives sorted findings of each unit in offsets of its text, overlapping ones included.

        Which of two overlapping findings decides depends on what policy says of each: a password
        inside an address is not the lesser finding because the address is surer.

        Raises:
            DetectorUnavailable: a recognizer failed, or all took too long. The cause is dropped,
                since its message may hold the text.
            NestedTooDeep: a text is encoded within itself too often.
        """
        selection = self.selection(app)
        return self._each(units, lambda text, read: selection.keep(text, read.findings))

    def missed(self, units: Sequence[TextUnit], *, app: str = "") -> float | None:
        """The expected number of names of people and places in the units that were not found.

        It is the sum of the chances of `doubts`, and costs next to nothing for texts that
        `find_all` has just read. None where no recognizer can tell: nothing is known then.

        Raises:
            DetectorUnavailable: as `find_all` does.
        """
        if not self._doubting:
            return None
        chances = (one.chance for doubts in self.doubts(units, app=app) for one in doubts)
        return sum(chances, 0.0)

    def doubts(self, units: Sequence[TextUnit], *, app: str = "") -> list[tuple[Doubt, ...]]:
        """Gives where in each unit a name may begin that no finding covers, in order.

        What counts for the app covers, and what its allow list names. What is only reviewed does
        not: its text leaves.

        Raises:
            DetectorUnavailable: as `find_all` does.
        """
        selection = self.selection(app)
        return self._each(units, lambda text, read: _open(text, read, selection))

    def _each(
        self, units: Sequence[TextUnit], answer: Callable[[str, Reading], _Answer]
    ) -> list[_Answer]:
        try:
            read = self._read_all(units)
            return [answer(unit.text, one) for unit, one in zip(units, read, strict=True)]
        except Exception as error:
            failure = type(error).__name__
            kind = NestedTooDeep if isinstance(error, NestedTooDeep) else DetectorUnavailable
        # Raised out here, where no handled error becomes its `__context__`.
        raise kind(f"detection failed ({failure})")

    def _read_all(self, units: Sequence[TextUnit]) -> list[Reading]:
        deadline = self.clock() + self.timeout
        # What was found by an older list of known people is not what is known now.
        now = "".join(getattr(one, "generation", "") for one in self.recognizers)
        keys = [
            self.cache.key(u.kind, field_name(u.pointer), u.text, now, "!" if u.untrusted else "")
            for u in units
        ]
        found = {key: self.cache.get(key) for key in keys}
        new = {key: unit for key, unit in zip(keys, units, strict=True) if found[key] is None}
        for batch in batches(new.items(), size=lambda item: len(item[1].text)):
            read = self._read([unit for _, unit in batch], deadline)
            for (key, _), reading in zip(batch, read, strict=True):
                found[key] = reading
                self.cache.put(key, reading)
        done = [found[key] for key in keys]
        if None in done:
            raise LookupError("a text was not read")
        return [reading for reading in done if reading]

    def _read(self, units: Sequence[TextUnit], deadline: float) -> list[Reading]:
        found: list[list[Finding]] = [hidden(unit) for unit in units]
        doubts: list[dict[int, dict[_Place, float]]] = [{} for _ in units]
        seen = [(at, view) for at, unit in enumerate(units) for view in readings(unit.text)]
        loose = [loose_letters(unit.text) for unit in units]
        for at, view in seen:
            found[at] += self._match(units[at], view, deadline)
        # A recognizer gets pieces, so that a long text needs no more memory and is stopped in time.
        parts = [
            (at, view, offset, replace(units[at], text=text, pointer=_keyed(units[at].pointer)))
            for at, view in (seen if self.recognizers else ())
            if not view.rules_only
            for offset, text in pieces(view.text)
        ]
        for recognizer in self.recognizers:
            for batch in batches(parts, size=lambda part: len(part[3].text)):
                self._left(deadline)
                answers = examine_all(recognizer, [unit for _, _, _, unit in batch])
                for (at, view, offset, _), answer in zip(batch, answers, strict=True):
                    # One token may spell many names, and many readings the same one.
                    doubted = doubts[at].setdefault(id(view), {})
                    for doubt in answer[1]:
                        start, end = doubt.span.start + offset, doubt.span.end + offset
                        span = _tightened(view.original(Span(start, end)), loose[at])
                        place = (span.start, span.end, start)
                        doubted[place] = max(doubt.chance, doubted.get(place, 0.0))
                    for finding in answer[0]:
                        start, end = finding.span.start + offset, finding.span.end + offset
                        if not offset <= start < end <= len(view.text):
                            raise ValueError("a recognizer found what lies outside of the text")
                        if not 0 <= finding.score <= 1:  # nor is it, where it is no number
                            raise ValueError("a recognizer's score is not in [0, 1]")
                        if finding.score >= self.threshold and finding.entity not in self.ignored:
                            span = view.original(Span(start, end))
                            found[at].append(replace(finding, span=span))
        self._left(deadline)
        # What two pieces share, or two readings, is found twice.
        return [
            Reading(
                tuple(sorted(_untied(all_, letters), key=lambda f: f.span)),
                _summed(doubted.values()),
            )
            for all_, doubted, letters in zip(found, doubts, loose, strict=True)
        ]

    def _match(self, unit: TextUnit, view: View, deadline: float) -> Iterator[Finding]:
        # The name of the field stands where a label would: `{"ssn": …}` reads like `ssn: …`.
        name = field_name(unit.pointer)
        label = f"{name}:\n" if name else ""
        for finding in find(
            self._applied,
            label + view.text,
            threshold=max(self.threshold, view.least),
            timeout=self._left(deadline),
        ):
            start, end = finding.span.start - len(label), finding.span.end - len(label)
            if end > 0:
                yield replace(finding, span=view.original(Span(max(start, 0), end)))

    def _left(self, deadline: float) -> float:
        """Seconds that are left. Raises TimeoutError when none are."""
        left = deadline - self.clock()
        if left <= 0:
            raise TimeoutError
        return left


def _open(text: str, read: Reading, selection: Selection) -> tuple[Doubt, ...]:
    # A sentence that speaks to the model may name somebody, whom nothing has found by that.
    counted = (
        f
        for f in selection.keep(text, read.findings)
        if not selection.reviews(f) and f.entity not in ENTITIES
    )
    allowed = (f for f in read.findings if text[f.span.start : f.span.end] in selection.allow)
    starts: list[int] = []
    ends: list[int] = []
    for span in sorted(finding.span for finding in (*counted, *allowed)):
        if ends and span.start <= ends[-1]:
            ends[-1] = max(ends[-1], span.end)
        else:
            starts.append(span.start)
            ends.append(span.end)

    def covered(span: Span) -> bool:
        before = bisect_right(starts, span.start) - 1
        return before >= 0 and span.end <= ends[before]

    return tuple(doubt for doubt in read.doubts if not covered(doubt.span))


def _untied(found: Iterable[Finding], loose: frozenset[int]) -> Iterable[Finding]:
    """Each finding once, without the letter of an escape where another does without it."""
    if not loose:
        return dict.fromkeys(found)
    found = list(found)
    known = {(one.entity, one.span) for one in found}
    tight = (replace(one, span=_tightened(one.span, loose)) for one in found)
    return dict.fromkeys(
        less if (less.entity, less.span) in known else one
        for one, less in zip(found, tight, strict=True)
    )


def _tightened(span: Span, loose: frozenset[int]) -> Span:
    """The span without the letter of an escape that it begins with."""
    if span.start in loose and span.start + 1 < span.end:
        return Span(span.start + 1, span.end)
    return span


_Place = tuple[int, int, int]
"""Where a doubt stands: start and end in the original, and start in the view that was read."""


def _summed(readings: Iterable[Mapping[_Place, float]]) -> tuple[Doubt, ...]:
    """The doubts at each place of the original: all of one reading, the most of several."""
    most: dict[tuple[int, int], float] = {}
    for doubted in readings:
        here: dict[tuple[int, int], float] = {}
        for (start, end, _), chance in doubted.items():
            here[start, end] = here.get((start, end), 0.0) + chance
        for place, chance in here.items():
            most[place] = max(chance, most.get(place, 0.0))
    return tuple(Doubt(Span(*place), chance) for place, chance in sorted(most.items()))


def _keyed(pointer: str) -> str:
    """All that a recognizer is told of where a text stands: what its findings are kept under."""
    name = field_name(pointer)
    return f"/{name}" if name else ""


_WORD_BREAK = re.compile(r"[_-]|(?<=[a-z0-9])(?=[A-Z])")
_GENERIC = frozenset(
    "content text input prompt message messages value values arguments parts data body".split()
)
_DEPENDENT = frozenset("date number no nr code id".split())


def field_name(pointer: str) -> str:
    """The words of the field that holds a text: `/customer/phone_no` gives `phone no`.

    So do `/customer/phoneNo`, with a capital, and `/customer/phone/no`, where the last part says
    little by itself; `/phone/value` gives `phone`. Empty for fields that may hold anything.
    """
    words: list[str] = []
    for part in reversed(pointer.split("/")):
        word = part.rstrip("#")
        if not word or word.isdigit():
            continue
        if word not in _GENERIC:
            words.append(_WORD_BREAK.sub(" ", word))
        if words and (word.lower() not in _DEPENDENT or len(words) == 2):
            break
    return " ".join(reversed(words))[-64:]
