"""Many units at once: each read once, all within one time limit, in pieces of bounded size."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from guardrail.detection.engine import RuleDetector
from guardrail.detection.lists import AllowList
from guardrail.detection.names import Doubt
from guardrail.detection.patterns import Rule, Scope
from guardrail.detection.pieces import BATCH, PIECE
from guardrail.detection.recognizer import LIGHT
from guardrail.detection.selection import Selection
from guardrail.errors import DetectorUnavailable
from guardrail.types import Finding, Span, TextUnit

RULE = Rule(
    entity="EMAIL_ADDRESS", name="at", pattern=r"a@[a-z]{1,9}", score=0.9, scope=Scope.ANYWHERE
)


def units(*texts: str) -> list[TextUnit]:
    return [TextUnit(pointer="", text=text) for text in texts]


@dataclass(frozen=True)
class Names:
    """Finds `Ada`, keeps what it was shown in one go, and does something before it answers."""

    shown: list[list[str]] = field(default_factory=list)
    entities: frozenset[str] = frozenset({"PERSON"})
    before: Callable[[], object] = lambda: None

    def find(self, unit: TextUnit) -> Iterable[Finding]:
        return self.find_all([unit])[0]

    def find_all(self, units: Sequence[TextUnit]) -> list[list[Finding]]:
        self.before()
        self.shown.append([unit.text for unit in units])
        return [
            [
                Finding(entity="PERSON", span=Span(at, at + 3), score=0.6, recognizer="names")
                for at in range(len(unit.text))
                if unit.text.startswith("Ada", at)
            ]
            for unit in units
        ]


@dataclass
class Clock:
    """A clock that only work moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now

    def work(self) -> None:
        self.now += 1.0


def detector(*recognizers: Names, **settings: Any) -> RuleDetector:
    return replace(RuleDetector(rules=(RULE,), recognizers=recognizers), **settings)


def values(texts: Sequence[str], found: Sequence[Sequence[Finding]]) -> list[list[str]]:
    return [
        [text[f.span.start : f.span.end] for f in findings]
        for text, findings in zip(texts, found, strict=True)
    ]


def test_all_units_are_read_in_one_go_and_each_text_once() -> None:
    names = Names()
    texts = ["Ada a@x", "", "nobody", "Ada a@x"]
    one = detector(names)
    expected = [["Ada", "a@x"], [], [], ["Ada", "a@x"]]
    assert values(texts, one.find_all(units(*texts))) == expected
    assert names.shown == [["Ada a@x", "", "nobody"]]
    assert values(texts, one.find_all(units(*texts))) == expected
    assert len(names.shown) == 1


def test_what_many_units_give_is_what_each_gives_alone() -> None:
    texts = ["Ada", "\u200bＡda a@x", "a@x Ada", "x" * 3000 + " Ada"]
    together = detector(Names()).find_all(units(*texts))
    assert together == [detector(Names()).find(unit) for unit in units(*texts)]


def test_no_recognizer_is_shown_more_than_a_bounded_size_at_once() -> None:
    names = Names()
    texts = ["word " * 40_000 + "Ada", *(f"{n} Ada " + "x" * 900 for n in range(200))]
    found = detector(names).find_all(units(*texts))
    assert all(set(value) == {"Ada"} for value in values(texts, found))
    assert max(sum(map(len, batch)) for batch in names.shown) <= BATCH
    assert max(len(text) for batch in names.shown for text in batch) <= PIECE


def test_what_lies_on_the_edge_of_a_piece_is_found_where_it_stands() -> None:
    text = "Ada" * PIECE
    (found,) = detector(Names()).find_all(units(text))
    assert [f.span for f in found] == [Span(at, at + 3) for at in range(0, len(text), 3)]


def test_all_units_share_one_time_limit() -> None:
    clock = Clock()
    names = Names(before=clock.work)  # a second for each batch
    asked = units(*(str(number) * BATCH for number in range(3)))
    patient = detector(names, timeout=6.5, clock=clock)
    assert patient.find_all(asked) == [(), (), ()]
    assert clock.now == 106
    hasty = replace(patient, timeout=3.5)
    with pytest.raises(DetectorUnavailable, match="TimeoutError"):
        hasty.find_all(asked)
    assert clock.now == 110  # it stopped there


@pytest.mark.parametrize("span", [Span(-1, 2), Span(0, 99), Span(2, 2), Span(2, 1)], ids=str)
def test_what_lies_outside_of_the_text_makes_detection_unavailable(span: Span) -> None:
    @dataclass(frozen=True)
    class Wild:
        entities: frozenset[str] = frozenset({"PERSON"})

        def find(self, unit: TextUnit) -> list[Finding]:
            return [Finding(entity="PERSON", span=span, score=0.9, recognizer="wild")]

    with pytest.raises(DetectorUnavailable, match="ValueError"):
        RuleDetector(rules=(), recognizers=(Wild(),)).find(*units("Ada"))


@pytest.mark.parametrize("score", [float("nan"), -0.1, 1.1])
def test_a_score_that_is_none_makes_detection_unavailable(score: float) -> None:
    @dataclass(frozen=True)
    class Unsure:
        entities: frozenset[str] = frozenset({"PERSON"})

        def find(self, unit: TextUnit) -> list[Finding]:
            return [Finding(entity="PERSON", span=Span(0, 3), score=score, recognizer="unsure")]

    with pytest.raises(DetectorUnavailable, match="ValueError"):
        RuleDetector(rules=(), recognizers=(Unsure(),)).find(*units("Ada"))


def test_a_recognizer_is_told_of_a_place_only_what_its_findings_are_kept_under() -> None:
    told: list[str] = []

    @dataclass(frozen=True)
    class Curious:
        entities: frozenset[str] = frozenset({"PERSON"})

        def find(self, unit: TextUnit) -> list[Finding]:
            told.append(unit.pointer)
            return []

    one = RuleDetector(rules=(), recognizers=(Curious(),))
    for pointer in ("/customers/0/lastName", "/staff/7/lastName", "/messages/0/content"):
        one.find(TextUnit(pointer=pointer, text="Ada"))
    assert told == ["/last Name", ""]


def test_an_answer_for_other_units_makes_detection_unavailable() -> None:
    class Short(Names):
        def find_all(self, units: Sequence[TextUnit]) -> list[list[Finding]]:
            return super().find_all(units)[1:]

    with pytest.raises(DetectorUnavailable, match="ValueError"):
        detector(Short()).find_all(units("Ada", "Ada a@x"))


def test_a_recognizer_that_is_late_with_its_last_answer_is_too_late() -> None:
    clock = Clock()
    one = detector(Names(before=clock.work), timeout=0.5, clock=clock)
    with pytest.raises(DetectorUnavailable, match="TimeoutError"):
        one.find_all(units("Ada"))


def test_no_units_take_no_time() -> None:
    assert detector(Names(), timeout=1e-9).find_all([]) == []


def test_texts_seen_before_take_none_of_the_time() -> None:
    clock = Clock()
    one = detector(Names(before=clock.work), timeout=1.5, clock=clock)
    found = one.find_all(units("Ada"))
    assert one.find_all(units("Ada") * 9) == found * 9


def test_one_detection_serves_all_apps_and_each_sees_its_own_part() -> None:
    names = Names()
    one = detector(
        names,
        selections={
            "": Selection(threshold=0.4),
            "sure": Selection(threshold=0.4, thresholds={"PERSON": 0.7}),
            "only": Selection(threshold=0.4, only=frozenset({"PERSON"})),
        },
    )
    seen = {app: one.find(*units("Ada a@x"), app=app) for app in ("", "sure", "only", "stranger")}
    entities = {app: [f.entity for f in findings] for app, findings in seen.items()}
    both = ["PERSON", "EMAIL_ADDRESS"]
    assert entities == {"": both, "sure": both[1:], "only": both[:1], "stranger": both}
    assert len(names.shown) == 1


def test_what_a_recognizer_is_not_believed_is_not_found() -> None:
    one = detector(Names(), ignored=frozenset({"PERSON"}))
    assert [f.entity for f in one.find(*units("Ada a@x"))] == ["EMAIL_ADDRESS"]
    assert one.entities == {"EMAIL_ADDRESS"}


def test_what_can_be_found_is_what_rules_and_recognizers_say() -> None:
    whole = replace(RULE, entity="SECRET", name="whole")
    assert detector(Names(), whole=(whole,)).entities == {"EMAIL_ADDRESS", "PERSON", "SECRET"}


def test_rules_for_whole_texts_find_beside_the_others() -> None:
    whole = replace(RULE, entity="SECRET", name="whole", pattern="s-[a-z]+")
    found = detector(whole=(whole,)).find(*units("a@x s-abc"))
    assert [f.entity for f in found] == ["EMAIL_ADDRESS", "SECRET"]


def test_a_pattern_of_somebody_else_never_runs_without_a_time_limit() -> None:
    slow = replace(RULE, name="slow", pattern=r"(?:a|aa|a{1,9}){1,99}(?=!)", guarded=True)
    one = replace(detector(), rules=(slow,), timeout=0.01)
    with pytest.raises(DetectorUnavailable, match="TimeoutError"):
        one.find(*units("a" * 60))


def test_a_detector_is_as_light_as_its_heaviest_recognizer() -> None:
    class Heavy(Names):
        light = 10

    assert detector().light == LIGHT == detector(Names()).light
    assert detector(Names(), Heavy()).light == 10


# ── what may have been missed ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Doubting(Names):
    """Finds `Ada` at 0.6 and doubts each `Ada` at 0.75 and each `Bob` at 0.25."""

    def examine(self, unit: TextUnit) -> tuple[list[Finding], list[Doubt]]:
        doubts = [
            Doubt(Span(at, at + 3), {"Ada": 0.75, "Bob": 0.25}[unit.text[at : at + 3]])
            for at in range(len(unit.text))
            if unit.text[at : at + 3] in ("Ada", "Bob")
        ]
        return self.find_all([unit])[0], doubts


@pytest.mark.parametrize(
    ("text", "selection", "missed"),
    [
        ("nobody", {}, 0.0),
        ("Ada", {}, 0.0),
        ("Ada and Bob", {}, 0.25),
        ("Bob Bob Bob", {}, 0.75),
        ("Ada", {"threshold": 0.7}, 0.75),
        ("Ada", {"exclude": frozenset({"PERSON"})}, 0.75),
        ("Ada", {"review": frozenset({"PERSON"})}, 0.75),
        ("Ada and Bob", {"allow": AllowList.of(["Ada"])}, 0.25),
        ("Ａda \u200bＢ\u200bob", {}, 0.25),
        ("Ada Bob QWRhIEJvYiBBZGEgQm9i", {}, 0.25),
        ("read Qm9iIGFuZCBCb2I= now", {}, 0.5),
        ("x " * PIECE + "Bob " + "x " * PIECE, {}, 0.25),
    ],
)
def test_names_that_no_finding_covers_are_expected_to_be_missed(
    text: str, selection: dict[str, Any], missed: float
) -> None:
    chosen = {"": Selection(threshold=0.4), "crm": Selection(**{"threshold": 0.4, **selection})}
    one = detector(Doubting(), selections=chosen)
    assert one.missed(units(text), app="crm") == missed


def test_what_was_missed_in_several_texts_adds_up_and_is_told_from_the_cache() -> None:
    names = Doubting()
    one = detector(names)
    asked = units("Bob", "Ada", "Bob")
    one.find_all(asked)
    assert one.missed(asked) == 0.5
    assert len(names.shown) == 2  # one for each text that is new


def test_doubts_say_where_in_the_original_a_name_may_begin() -> None:
    (doubts,) = detector(Doubting()).doubts(units("\u200bＢ\u200bob, Ada"))
    assert [doubt.span for doubt in doubts] == [Span(1, 5)]


def test_without_a_recognizer_that_can_tell_nothing_is_known_of_what_was_missed() -> None:
    assert detector(Names()).missed(units("Ada and Bob")) is None
    assert detector(Names(), Doubting()).missed(units("Ada and Bob")) == 0.25


def test_a_failure_while_doubting_makes_detection_unavailable() -> None:
    one = detector(Doubting(before=lambda: 1 / 0))
    with pytest.raises(DetectorUnavailable, match="ZeroDivisionError"):
        one.missed(units("Bob"))


@dataclass(frozen=True)
class LowerCaseNames:
    """Finds `ada` and `nada` as whole words, and doubts them."""

    entities: frozenset[str] = frozenset({"PERSON"})

    def find(self, unit: TextUnit) -> list[Finding]:
        return self.examine(unit)[0]

    def examine(self, unit: TextUnit) -> tuple[list[Finding], list[Doubt]]:
        spans = [Span(*match.span()) for match in re.finditer(r"\bn?ada\b", unit.text)]
        found = [Finding(entity="PERSON", span=s, score=0.6, recognizer="names") for s in spans]
        return found, [Doubt(span, 0.5) for span in spans]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ada", r'"Hi,\nada, hello"'),
        ("ada", r'"Hi,\\nada, hello"'),
        ("ada", r"\tada"),
        ("nada", r"C:\Users\nada"),
        ("nada", r"ACME\nada"),
        ("nada", r"\\host\share\nada"),
        ("nada", r"\n nada"),
    ],
)
def test_a_name_behind_an_escape_is_found_without_the_letter_of_the_escape(
    value: str, text: str
) -> None:
    detector = RuleDetector(rules=[], recognizers=[LowerCaseNames()])
    found = detector.detect(units(text)[0])
    assert [value] == [text[finding.span.start : finding.span.end] for finding in found]
    assert detector.missed(units(text)) == 0
