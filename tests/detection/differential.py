"""Presidio's own engine beside ours: the same recognizers, the same texts, every difference."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from analyzer import presidio_engine
from presidio_analyzer import (
    AnalyzerEngine,
    EntityRecognizer,
    RecognizerResult,
    predefined_recognizers,
)

from guardrail.detection.detector import RuleDetector, build_detector
from guardrail.detection.presidio import RECOGNIZERS
from guardrail.types import TextUnit

PROMPTS = Path(__file__).parent.parent / "data" / "prompts.txt"


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """One finding of either side.

    `context` is the word that raised Presidio's score; `base` the score our rule has without one.
    """

    start: int
    end: int
    entity: str
    score: float
    by: str = ""
    context: str = ""
    base: float = 0.0

    def covers(self, other: Found) -> bool:
        """Whether all of the other lies within this one."""
        return self.start <= other.start and other.end <= self.end

    def touches(self, other: Found) -> bool:
        """Whether the two share a character."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What one side found where the other found no such thing, or gave it another score.

    `theirs` is Presidio's finding, `ours` guardrail's; both are given where only scores differ.
    `all_theirs` and `all_ours` are what the sides found in the whole text; `weak` is what ours
    find at any score, the threshold apart.
    """

    text: str
    theirs: Found | None = None
    ours: Found | None = None
    all_theirs: Sequence[Found]
    all_ours: Sequence[Found]
    weak: Sequence[Found]

    @property
    def found(self) -> Found:
        """The finding in question."""
        found = self.theirs or self.ours
        assert found is not None
        return found

    @property
    def entity(self) -> str:
        """What the finding in question is."""
        return self.found.entity

    @property
    def value(self) -> str:
        """What was found."""
        return self.text[self.found.start : self.found.end]

    @property
    def left(self) -> str:
        """What stands to the left of it."""
        return self.text[: self.found.start]


@dataclass(frozen=True, slots=True)
class Sides:
    """Presidio's engine and ours, the second also with a threshold that lets everything through."""

    engine: AnalyzerEngine
    detector: RuleDetector
    lenient: RuleDetector
    entities: frozenset[str]

    def differences(self, text: str) -> tuple[list[Difference], int]:
        """Gives what differs in a text, and how many findings are the same on both sides."""
        theirs = {_place(found): found for found in self._theirs(text)}
        everything = _ours(self.detector, text)
        ours = {_place(found): found for found in self._distinct(everything)}
        same = {
            place
            for place in theirs.keys() & ours.keys()
            if theirs[place].score == ours[place].score
        }
        differing = sorted((theirs.keys() | ours.keys()) - same)
        weak = _ours(self.lenient, text) if differing else []
        return [
            Difference(
                text=text,
                theirs=theirs.get(place),
                ours=ours.get(place),
                all_theirs=tuple(theirs.values()),
                all_ours=everything,
                weak=weak,
            )
            for place in differing
        ], len(same)

    def _theirs(self, text: str) -> Iterator[Found]:
        for result in self.engine.analyze(
            text,
            language="en",
            score_threshold=self.detector.threshold,
            return_decision_process=True,
        ):
            yield Found(
                result.start,
                result.end,
                result.entity_type,
                round(result.score, 6),
                result.recognition_metadata["recognizer_name"],
                result.analysis_explanation.supportive_context_word,
            )

    def _distinct(self, everything: Sequence[Found]) -> Iterator[Found]:
        """Ours as Presidio gives its own: without those inside one of the same kind as sure."""
        results = EntityRecognizer.remove_duplicates(
            [
                RecognizerResult(found.entity, found.start, found.end, found.score)
                for found in everything
                if found.entity in self.entities
            ]
        )
        by_place = {(*_place(found), found.score): found for found in everything}
        for result in results:
            yield by_place[result.start, result.end, result.entity_type, result.score]


def both_sides() -> Sides:
    """Gives the two sides to compare: Presidio's recognizers, and every built-in rule of ours."""
    engine = presidio_engine()
    return Sides(
        engine=engine,
        detector=build_detector(names=["blank:en"]),
        lenient=build_detector(names=["blank:en"], threshold=1e-9),
        entities=frozenset(engine.get_supported_entities(language="en")),
    )


def _place(found: Found) -> tuple[int, int, str]:
    return found.start, found.end, found.entity


def _ours(detector: RuleDetector, text: str) -> list[Found]:
    base = {rule.name: rule.score for rule in detector.rules}
    return [
        Found(
            f.span.start,
            f.span.end,
            f.entity,
            round(f.score, 6),
            f.recognizer,
            base=base.get(f.recognizer, f.score),
        )
        for f in detector.find(TextUnit(pointer="", text=text))
    ]


# ── texts ────────────────────────────────────────────────────────────────────────────────────────


def prompts(*, seed: str) -> Iterator[str]:
    """Gives texts with identifiers of every kind that Presidio's recognizers know.

    The same seed gives the same texts. Each pattern of each recognizer has values that its
    recognizer takes for valid and values that it does not, with a context word and without.
    """
    templates = [
        part
        for part in PROMPTS.read_text("utf-8").strip().split("\n\n")
        if not part.startswith("#")
    ]
    kinds = [kind for name in RECOGNIZERS for kind in _kinds(name, Random(f"{seed}/{name}"))]
    kinds += [_Kind(words=words, values=values) for words, values in _OWN_VALUES]
    # What was added later stands beside the others' values, so that those keep their prompts.
    for number, kind in enumerate((*kinds, _ANY_SPELLING)):
        random = Random(f"{seed}/{number}")
        for template in templates:
            yield _fill(template, kind, random.choice(kinds), random)


@dataclass(frozen=True, slots=True)
class _Kind:
    words: Sequence[str]
    values: Sequence[str]


def _fill(template: str, kind: _Kind, other: _Kind, random: Random) -> str:
    places: Mapping[str, Any] = {
        "value": random.choice(kind.values),
        "word": random.choice(("reference", *kind.words, *kind.words)),
        "other": random.choice(other.values),
        "n": random.randrange(2, 60),
    }
    return re.sub(r"\{(value|word|other|n)\}", lambda match: str(places[match[1]]), template)


def _kinds(name: str, random: Random) -> Iterator[_Kind]:
    recognizer: Any = getattr(predefined_recognizers, name)()
    for pattern in recognizer.patterns:
        samples = [_sample(pattern.regex, random) for _ in range(150)]
        valid = [s for s in samples if recognizer.validate_result(s)][:3]
        yield _Kind(words=recognizer.context or (), values=[*samples[:3], *valid, *valid])


_OWN_VALUES: Sequence[tuple[Sequence[str], Sequence[str]]] = (
    (
        ("phone", "call", "mobile", "telephone"),
        (
            *(
                "212-555-5555",
                "(425) 882-9090",
                "+1 425 882 9090",
                "+49 30 1234567",
                "0049301234567",
            ),
            *("030 1234567", "020 7946 0958", "+44 20 7946 0958", "01 23 45 67 89", "+33123456789"),
            *("425.882.9090", "4258829090", "+972-50-1234567", "098765 43210", "(11) 98765-4321"),
            *("555-1234", "12345", "1.6890", "+1 555", "000-000-0000", "123-45-6789", "2024-03-01"),
        ),
    ),
    (
        ("email", "mail", "e-mail"),
        (
            *("ada@example.com", "ada.lovelace+x@mail.example.co.uk", "o'neil@example.org"),
            *(
                "a@b",
                "ada@localhost",
                "ada@intranet.corp",
                "img@2x.png",
                "@example.com",
                "ada@@x.io",
            ),
            *("ADA_L@EXAMPLE.COM", "ada@bücher.de", "ada@xn--bcher-kva.example", "a=b@example.com"),
            *("'ada@example.com'", "mailto:ada@example.com", "first-last@sub-domain.example.net"),
        ),
    ),
    (("pan",), ("037^9Y143a", "7332-0~a40", "Xc~97774^Z")),
    (("routing",), ("018102342X",)),
    (("mac", "ethernet"), ("96:7a:cf:d4:4E:72", "DC-7B-DC-3E-fa-f1")),
    (
        ("ip", "address"),
        ("2001:db8::8a2e:370:7334", "192.0.2.17", "::1", "127.0.0.1", "fe80::1%eth0", "::"),
    ),
    (("ip",), ("::ac", "cafe::babe", "1Ca:5fa:CFbD:Fc::5Fae:4d1:02.7.212.1")),
    (
        ("vat",),
        ("DE988444627",),
    ),
    (
        ("url", "website", "link"),
        (
            *("https://example.com/people/ada?id=7", "www.example.org", "http://10.0.0.1:8080/x"),
            *("example.co.uk/path", "self.app", "result.me", "'https://example.net'", "ftp://a.de"),
        ),
    ),
)

_ANY_SPELLING = _Kind(
    words=("card", "iban", "ssn"),
    values=(
        *("4111.1111.1111.1111", "4111 - 1111 - 1111 - 1111", "4111\t1111\t1111\t1112"),
        *("de89370400440532013000", "DE 89/3704/0044/0532/0130/00", "gb82 west 12345698765432"),
        *("536/90/4399", "536_90_4399", "536 - 90 - 4399"),
    ),
)


def _sample(pattern: str, random: Random) -> str:
    """A string of the form of a pattern; what the pattern looks around for is not minded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = re._parser.parse(pattern.replace("(?i)", ""), re.IGNORECASE)  # type: ignore[attr-defined]
    return "".join(_spell(parsed, random, {}))


def _spell(nodes: Iterable[Any], random: Random, groups: dict[int, str]) -> Iterator[str]:
    for kind, what in nodes:
        match str(kind):
            case "LITERAL":
                yield chr(what)
            case "IN":
                yield random.choice(_members(what))
            case "ANY" | "NOT_LITERAL":
                yield random.choice("a7")
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, inner = what
                for _ in range(random.randint(least, min(int(most), least + 6))):
                    yield from _spell(inner, random, groups)
            case "SUBPATTERN":
                number, _, _, inner = what
                groups[number] = "".join(_spell(inner, random, groups))
                yield groups[number]
            case "ATOMIC_GROUP":
                yield from _spell(what, random, groups)
            case "BRANCH":
                yield from _spell(random.choice(what[1]), random, groups)
            case "GROUPREF":
                yield groups.get(what, "")
            case "AT" | "ASSERT" | "ASSERT_NOT":
                pass
            case unknown:
                raise ValueError(f"a pattern holds {unknown}")


_CLASSES = {
    "CATEGORY_DIGIT": "0123456789",
    "CATEGORY_WORD": "abcXYZ0123456789",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": "x-",
    "CATEGORY_NOT_SPACE": "x7",
    "CATEGORY_NOT_WORD": "-. ",
}
_ORDINARY = "abcXYZ0123456789-_.:/ "


def _members(row: Sequence[tuple[Any, Any]]) -> str:
    members = ""
    for kind, what in row:
        match str(kind):
            case "LITERAL":
                members += chr(what)
            case "RANGE":
                members += "".join(map(chr, range(what[0], min(what[1], what[0] + 90) + 1)))
            case "CATEGORY":
                members += _CLASSES[str(what)]
    if str(row[0][0]) == "NEGATE":
        return "".join(sorted(set(_ORDINARY) - set(members))) or "x"
    return members
