"""How well findings agree with texts that people have labelled: precision, recall, F1 and F2.

Three ways to count, each stricter about something else:

strict
    A finding counts if its span and its entity are the labelled ones to the code point.
token
    Each word counts by itself. A word is a run of letters, marks and digits; a character of a
    script that is written without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar) is a word of its
    own, while Hangul is counted by the word. Punctuation is not counted, so that a comma inside a
    span is neither a hit nor a miss. A word belongs to a span that covers any of it.
overlap
    A finding and a labelled span of the same entity are matched one to one if what they share is
    at least half of what they cover together (intersection over union, IoU).

`Report.any_*` ask only whether something was found, whatever it was called: what leaks or not.

Source: precision, recall and F-measure: van Rijsbergen, Information Retrieval, 2nd ed. 1979, ch. 7.
IoU of 0.9 without regard to the label is what presidio-research's SpanEvaluator counts:
https://github.com/microsoft/presidio-research
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import regex

from guardrail.types import Finding, Span

ALL = "ALL"
"""The name of the row that adds all entities up (micro average)."""


class Mention(NamedTuple):
    """A span and what it is: labelled by a person, or found."""

    start: int
    end: int
    entity: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A text and what people labelled in it: `(start, end, label)` in code points."""

    text: str = field(repr=False)
    spans: tuple[Mention, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Counts, and what follows from them in [0, 1]; 0 where there is nothing to divide by."""

    hits: int = 0
    alarms: int = 0
    misses: int = 0

    @property
    def precision(self) -> float:
        """Share of what was found that is right."""
        return _ratio(self.hits, self.hits + self.alarms)

    @property
    def recall(self) -> float:
        """Share of what is there that was found."""
        return _ratio(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return self.f(1)

    @property
    def f2(self) -> float:
        """Like `f1`, with recall worth twice as much: a miss leaks, an alarm annoys."""
        return self.f(2)

    def f(self, beta: float) -> float:
        """The F-measure that counts recall `beta` times as much as precision."""
        weight = beta * beta
        return _ratio(
            (1 + weight) * self.hits,
            (1 + weight) * self.hits + weight * self.misses + self.alarms,
        )

    def __add__(self, other: Score) -> Score:
        return Score(self.hits + other.hits, self.alarms + other.alarms, self.misses + other.misses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entity, counted in three ways. `labelled` and `found` are numbers of spans."""

    entity: str
    strict: Score
    token: Score
    overlap: Score
    labelled: int
    found: int


class Fault(StrEnum):
    """What is wrong with a span that is not a strict hit."""

    MISSED = "missed"
    ALARM = "false alarm"
    LABEL = "other entity"
    BOUNDS = "other bounds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One span that is not a strict hit; says where it is, never what it is.

    `sample` counts from 0. `labelled` or `found` is empty where there is no such thing; `span` is
    the labelled one where there is one.
    """

    sample: int
    fault: Fault
    span: Span
    labelled: str = ""
    found: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `evaluate` counted.

    `rows` has one row per entity in order of its name, `total` is their sum. `any_token`,
    `any_overlap` (IoU ≥ 0.5) and `any_exact` (IoU ≥ 0.9) count without regard to the entity.
    `ignored` are findings by entity that no label of the set could confirm, and which are
    therefore no alarms. `confusion` counts words by (labelled, found) entity.
    """

    rows: tuple[Row, ...]
    total: Row
    any_token: Score
    any_overlap: Score
    any_exact: Score
    samples: int
    tokens: int
    ignored: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    confusion: Mapping[tuple[str, str], int] = field(default_factory=lambda: MappingProxyType({}))
    mistakes: tuple[Mistake, ...] = field(default=(), repr=False)


_HALF, _NEARLY_ALL = 0.5, 0.9

_NAMES: Mapping[str, str] = {
    "PER": "PERSON",
    "NAME": "PERSON",
    "LOC": "LOCATION",
    "GPE": "LOCATION",
    "FAC": "LOCATION",
    "CITY": "LOCATION",
    "COUNTRY": "LOCATION",
    "ORG": "ORGANIZATION",
    "ORGANISATION": "ORGANIZATION",
    "NORP": "NRP",
    "EMAIL": "EMAIL_ADDRESS",
    "PHONE": "PHONE_NUMBER",
    "ADDRESS": "STREET_ADDRESS",
    "SSN": "US_SSN",
    "IBAN": "IBAN_CODE",
    "ZIP": "ZIP_CODE",
    "ZIPCODE": "ZIP_CODE",
    "POSTCODE": "ZIP_CODE",
}
"""Names that other sets give to what we have a name for: OntoNotes, WikiNER, presidio-research."""

_WIDER: Mapping[str, str] = {
    "CA_POSTAL_CODE": "ZIP_CODE",
    "DE_PLZ": "ZIP_CODE",
    "UK_POSTCODE": "ZIP_CODE",
    "ZIP_CODE": "STREET_ADDRESS",
    "STREET_ADDRESS": "LOCATION",
    "COORDINATES": "LOCATION",
    "DATE_OF_BIRTH": "DATE_TIME",
    "RACE": "NRP",
    "RELIGION": "NRP",
    "POLITICAL_OPINION": "NRP",
    "URL": "DOMAIN_NAME",
}
"""What a finding counts as where a set has no label of its own for it."""


def evaluate(
    samples: Iterable[Sample],
    found: Iterable[Sequence[Finding]],
    *,
    mapping: Mapping[str, str] = MappingProxyType({}),
    entities: Collection[str] = (),
    others: Literal["ignore", "count"] = "ignore",
) -> Report:
    """Counts findings against labels; `found` holds one sequence per sample, in their order.

    `mapping` renames labels and entities alike, before the defaults do: `GPE` is a `LOCATION`, and
    a `STREET_ADDRESS` is one in a set that has no label for addresses. `entities` restricts labels
    and findings to some, by their names after mapping. `others` says whether a finding of an
    entity that the set never labels is an alarm.

    Findings of one entity that overlap count as one, since they are treated as one.

    Raises:
        ValueError: there are not as many sequences as samples.

    >>> sample = Sample("Ann met Bob.", (Mention(0, 3, "PER"), Mention(8, 11, "PER")))
    >>> ann = Finding(entity="PERSON", span=Span(0, 3), score=0.9, recognizer="names")
    >>> evaluate([sample], [[ann]]).total.strict
    Score(hits=1, alarms=0, misses=1)
    """
    labelled = list(samples)
    given = {span.entity for sample in labelled for span in sample.spans}
    label = {name: _NAMES.get(mapping.get(name, name), mapping.get(name, name)) for name in given}
    known = frozenset(label.values())
    wanted = frozenset(entities) or None
    count = _Count()
    for index, (sample, findings) in enumerate(zip(labelled, found, strict=True)):
        gold = {
            Mention(start, end, label[name])
            for start, end, name in sample.spans
            if start < end and (wanted is None or label[name] in wanted)
        }
        named = [_renamed(finding, mapping, known) for finding in findings]
        judged = [
            one
            for one in named
            if (one.entity in wanted if wanted else others == "count" or one.entity in known)
        ]
        ignored = [one for one in named if one not in judged]
        count.add(index, sample.text, gold, _merged(judged), ignored)
    return count.report()


def _renamed(finding: Finding, mapping: Mapping[str, str], known: frozenset[str]) -> Mention:
    name = mapping.get(finding.entity, finding.entity)
    name = _NAMES.get(name, name)
    wider = name
    while wider not in known and wider in _WIDER:
        wider = _WIDER[wider]
    return Mention(finding.span.start, finding.span.end, wider if wider in known else name)


class _Count:
    """Adds samples up."""

    def __init__(self) -> None:
        self.strict: dict[str, Score] = {}
        self.token: dict[str, Score] = {}
        self.overlap: dict[str, Score] = {}
        self.labelled: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self.confusion: Counter[tuple[str, str]] = Counter()
        self.any_token, self.any_overlap, self.any_exact = Score(), Score(), Score()
        self.mistakes: list[Mistake] = []
        self.samples = 0
        self.tokens = 0

    def add(
        self,
        index: int,
        text: str,
        gold: set[Mention],
        found: set[Mention],
        ignored: Sequence[Mention],
    ) -> None:
        self.samples += 1
        self.labelled.update(one.entity for one in gold)
        self.found.update(one.entity for one in found)
        self.ignored.update(one.entity for one in ignored)
        _add(self.strict, gold & found, found - gold, gold - found)
        pairs = _matched(gold, found, _HALF)
        _add(
            self.overlap,
            (one for one, _ in pairs),
            found - {two for _, two in pairs},
            gold - {one for one, _ in pairs},
        )
        self._add_tokens(text, gold, found, ignored)
        self._add_any(gold, found, ignored)
        self.mistakes.extend(_mistakes(index, gold, found))

    def _add_tokens(
        self, text: str, gold: set[Mention], found: set[Mention], ignored: Sequence[Mention]
    ) -> None:
        words = tokens(text)
        self.tokens += len(words)
        there, said = _by_word(words, gold), _by_word(words, found)
        _add(self.token, there & said, said - there, there - said)
        at, seen = {one.start for one in there}, {one.start for one in said}
        # What no label could confirm protects where it stands on a label, and is else not judged.
        seen |= {one.start for one in _by_word(words, ignored)} & at
        self.any_token += Score(len(at & seen), len(seen - at), len(at - seen))
        labels: dict[int, list[str]] = {}
        for one in there:
            labels.setdefault(one.start, []).append(one.entity)
        for one in said:
            for entity in labels.get(one.start, [""]):
                self.confusion[entity, one.entity] += 1
        for position in at - {one.start for one in said}:
            self.confusion.update((entity, "") for entity in labels[position])

    def _add_any(self, gold: set[Mention], found: set[Mention], ignored: Sequence[Mention]) -> None:
        bare = {one._replace(entity="") for one in gold}
        judged = [one._replace(entity="") for one in found]
        helping = [
            one._replace(entity="") for one in ignored if any(_shared(one, two) for two in bare)
        ]
        covered = _merged([*judged, *helping])
        for name, least in (("any_overlap", _HALF), ("any_exact", _NEARLY_ALL)):
            hits = len(_matched(bare, covered, least))
            score = Score(hits, len(covered) - hits, len(bare) - hits)
            setattr(self, name, getattr(self, name) + score)

    def report(self) -> Report:
        names = sorted(self.labelled.keys() | self.found.keys())
        rows = tuple(
            Row(
                entity=name,
                strict=self.strict.get(name, Score()),
                token=self.token.get(name, Score()),
                overlap=self.overlap.get(name, Score()),
                labelled=self.labelled[name],
                found=self.found[name],
            )
            for name in names
        )
        return Report(
            rows=rows,
            total=Row(
                entity=ALL,
                strict=sum((row.strict for row in rows), Score()),
                token=sum((row.token for row in rows), Score()),
                overlap=sum((row.overlap for row in rows), Score()),
                labelled=self.labelled.total(),
                found=self.found.total(),
            ),
            any_token=self.any_token,
            any_overlap=self.any_overlap,
            any_exact=self.any_exact,
            samples=self.samples,
            tokens=self.tokens,
            ignored=MappingProxyType(dict(sorted(self.ignored.items()))),
            confusion=MappingProxyType(dict(sorted(self.confusion.items()))),
            mistakes=tuple(self.mistakes),
        )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _add(
    scores: dict[str, Score],
    hits: Iterable[Mention],
    alarms: Iterable[Mention],
    misses: Iterable[Mention],
) -> None:
    for mentions, one in ((hits, Score(1)), (alarms, Score(0, 1)), (misses, Score(0, 0, 1))):
        for mention in mentions:
            scores[mention.entity] = scores.get(mention.entity, Score()) + one


def _merged(mentions: Iterable[Mention]) -> set[Mention]:
    """The same spans, those of one entity that overlap as one."""
    merged: dict[str, list[Mention]] = {}
    for one in sorted(mention for mention in mentions if mention.start < mention.end):
        row = merged.setdefault(one.entity, [])
        if row and one.start < row[-1].end:
            row[-1] = row[-1]._replace(end=max(row[-1].end, one.end))
        else:
            row.append(one)
    return {one for row in merged.values() for one in row}


def _shared(one: Mention, two: Mention) -> int:
    return max(0, min(one.end, two.end) - max(one.start, two.start))


def _iou(one: Mention, two: Mention) -> float:
    shared = _shared(one, two)
    return _ratio(shared, one.end - one.start + two.end - two.start - shared)


def _matched(
    gold: Iterable[Mention], found: Collection[Mention], least: float
) -> list[tuple[Mention, Mention]]:
    """Pairs of one entity, each mention in at most one of them, the closest first."""
    candidates = sorted(
        (-_iou(one, two), one, two)
        for one in gold
        for two in found
        if one.entity == two.entity and _iou(one, two) >= least
    )
    pairs: list[tuple[Mention, Mention]] = []
    taken: set[tuple[str, Mention]] = set()
    for _, one, two in candidates:
        if taken.isdisjoint({("gold", one), ("found", two)}):
            taken |= {("gold", one), ("found", two)}
            pairs.append((one, two))
    return pairs


def _mistakes(index: int, gold: set[Mention], found: set[Mention]) -> Iterator[Mistake]:
    for one in sorted(gold - found):
        near = sorted(
            (two for two in found if _shared(one, two)),
            key=lambda two: (two.entity != one.entity, -_iou(one, two), two),
        )
        said = near[0].entity if near else ""
        fault = Fault.BOUNDS if said == one.entity else Fault.LABEL if said else Fault.MISSED
        yield Mistake(
            sample=index,
            fault=fault,
            span=Span(one.start, one.end),
            labelled=one.entity,
            found=said,
        )
    for two in sorted(found - gold):
        if not any(_shared(one, two) for one in gold):
            yield Mistake(
                sample=index, fault=Fault.ALARM, span=Span(two.start, two.end), found=two.entity
            )


# ── words ────────────────────────────────────────────────────────────────────────────────────────

_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(
    rf"(?V1)[[{_ALONE}]&&[\p{{L}}\p{{N}}]]\p{{M}}*+|[\p{{L}}\p{{M}}\p{{N}}--[{_ALONE}]]++"
)


def tokens(text: str) -> list[tuple[int, int]]:
    """Half-open ranges of the words of a text, as the `token` way counts them.

    >>> tokens("O'Neil, 東京")
    [(0, 1), (2, 6), (8, 9), (9, 10)]
    """
    return [match.span() for match in _WORD.finditer(text)]


def _by_word(words: Sequence[tuple[int, int]], mentions: Iterable[Mention]) -> set[Mention]:
    """Every word that a mention covers any of, as a mention of the same entity."""
    starts, ends = [word[0] for word in words], [word[1] for word in words]
    return {
        Mention(*words[at], mention.entity)
        for mention in mentions
        for at in range(bisect_right(ends, mention.start), bisect_left(starts, mention.end))
    }


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


def parse_samples(document: str) -> list[Sample]:
    """Gives the samples of a data set: JSON lines, or one JSON list.

    Each is `{"text": …, "spans": [[start, end, label], …]}`, or as presidio-research writes it:
    `{"full_text": …, "spans": [{"start_position": …, "end_position": …, "entity_type": …}, …]}`.

    Raises:
        ValueError: a sample is neither; says which one, and quotes nothing of it.
    """
    if document.lstrip()[:1] == "[":
        rows = _json(document, "the file")
    else:
        rows = [
            _json(line, f"line {number}")
            for number, line in enumerate(document.split("\n"), start=1)
            if line.strip()
        ]
    return [_sample(row, number) for number, row in enumerate(rows, start=1)]


def lowered(sample: Sample) -> Sample:
    """The same sample in lower case; a character that would become two stays as it is."""
    text = "".join(low if len(low := char.lower()) == 1 else char for char in sample.text)
    return Sample(text, sample.spans)


def _json(document: str, place: str) -> Any:
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        raise ValueError(f"{place} is not valid JSON") from None


def _sample(row: Any, number: int) -> Sample:
    try:
        text = row["full_text"] if "full_text" in row else row["text"]
        spans = tuple(_mention(span) for span in row.get("spans") or ())
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError(
            f'sample {number}: not of the form {{"text": "…", "spans": [[start, end, "LABEL"], …]}}'
        ) from None
    if not isinstance(text, str):
        raise ValueError(f"sample {number}: its text is not a string")
    if any(not 0 <= span.start <= span.end <= len(text) for span in spans):
        raise ValueError(f"sample {number}: a span lies outside its text")
    return Sample(text, spans)


def _mention(span: Any) -> Mention:
    if isinstance(span, Mapping):
        if "entity_type" in span:
            keys = ("start_position", "end_position", "entity_type")
        else:
            keys = ("start", "end", "label")
        start, end, label = (span[key] for key in keys)
    else:
        start, end, label = span
    return Mention(int(start), int(end), str(label))
