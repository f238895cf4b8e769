from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from detection_world import DETECTOR
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.detection.detector import RuleDetector, build_detector, field_name
from guardrail.detection.patterns import Rule, Scope
from guardrail.errors import ConfigError, DetectorUnavailable
from guardrail.types import Finding, TextUnit

SECRET = "canary-alice@example.com"


@pytest.mark.parametrize(
    ("expected", "pointer"),
    [
        ("", ""),
        ("", "/messages/0/content"),
        ("", "/0/1"),
        ("ssn", "/ssn"),
        ("phone no", "/customer/phone_no"),
        ("phone no", "/customer/phone-no/3"),
        ("ssn", "/function/arguments#/ssn"),
        ("x" * 64, "/" + "x" * 100),
    ],
)
def test_the_words_of_a_field(expected: str, pointer: str) -> None:
    assert expected == field_name(pointer)


def test_an_excluded_entity_is_not_found() -> None:
    unit = TextUnit(pointer="", text="8.8.8.8 a@example.com")
    detector = build_detector(exclude=["EMAIL_ADDRESS"])
    assert [f.entity for f in detector.detect(unit)] == ["IP_ADDRESS"]


def test_an_excluded_entity_that_nothing_finds_is_refused_by_its_setting() -> None:
    with pytest.raises(ConfigError, match=r"^detection\.exclude: nothing finds 'EMAIL'") as caught:
        build_detector(exclude=["EMAIL", "NONSENSE", "EMAIL_ADDRESS"])
    assert len(caught.value.problems) == 2


def test_the_threshold_is_the_least_score_that_counts() -> None:
    unit = TextUnit(pointer="", text="call 030 12345678, mail a@intranet.corp")
    entities = [
        [f.entity for f in build_detector(threshold=threshold).detect(unit)]
        for threshold in (0.4, 0.7, 1.0)
    ]
    assert entities == [["PHONE_NUMBER", "EMAIL_ADDRESS"], ["PHONE_NUMBER"], []]


@dataclass(frozen=True)
class Broken:
    """A recognizer whose error quotes what it read, as engines do."""

    error: type[BaseException]

    def find(self, unit: TextUnit) -> Iterable[Finding]:
        raise self.error(f"cannot read {unit.text}")


def chain(error: BaseException | None) -> str:
    """Every message that a logger could reach from an error."""
    said = ""
    while error is not None:
        said += f"{error!r} {error.args!r} {vars(error)!r}\n"
        error = error.__cause__ or error.__context__
    return said


@pytest.mark.parametrize("error", [ValueError, RuntimeError, MemoryError, RecursionError])
def test_a_recognizer_that_fails_makes_detection_unavailable(error: type[BaseException]) -> None:
    detector = RuleDetector(rules=(), recognizers=(Broken(error),))
    for _ in range(2):  # nothing of a failure is remembered
        with pytest.raises(DetectorUnavailable, match=error.__name__) as caught:
            detector.detect(TextUnit(pointer="/text", text=SECRET))
    assert SECRET not in chain(caught.value)


def test_a_rule_that_takes_too_long_makes_detection_unavailable() -> None:
    slow = Rule(
        entity="X", name="slow", pattern=r"(?:a|aa|aaa)+(?=!)", score=1.0, scope=Scope.ANYWHERE
    )
    detector = RuleDetector(rules=(slow,), timeout=0.01)
    text = SECRET + "a" * 5000
    with pytest.raises(DetectorUnavailable, match="TimeoutError") as caught:
        detector.detect(TextUnit(pointer="", text=text))
    assert SECRET not in chain(caught.value)


def test_a_repr_shows_no_text() -> None:
    detector = build_detector()
    unit = TextUnit(pointer="/text", text=SECRET)
    assert "alice" not in repr((detector.detect(unit), unit, detector))


PIECES = st.sampled_from(
    [
        "alice@example.com",
        "+49 30 1234567",
        "4111 1111 1111 1111",
        "536-90-4399",
        "DE89 3704 0044 0532 0130 00",
        "8.8.8.8",
        "Mr. John Smith",
        "password=hunter22",
        *" \n,;:|-/@.１\u200b–",
        "12",
        "ssn",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.characters(codec="utf-8"), max_size=12).map("".join))
def test_findings_are_sorted_disjoint_and_within_the_text(text: str) -> None:
    findings = DETECTOR.detect(TextUnit(pointer="", text=text))
    edges = [edge for f in findings for edge in (f.span.start, f.span.end)]
    assert edges == sorted(edges)
    assert all(f.span.start < f.span.end <= len(text) for f in findings)
    assert all(DETECTOR.threshold <= f.score <= 1.0 for f in findings)


@pytest.mark.parametrize(
    "around", ["{} ", " {}", "\n{}\n", "({})", "“{}”", "x: {}", "{}, and so on", "Ünï {} cödé"]
)
@pytest.mark.parametrize(
    "value", ["alice@example.com", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "8.8.8.8"]
)
def test_what_stands_around_a_value_does_not_hide_it(value: str, around: str) -> None:
    text = around.format(value)
    (finding,) = DETECTOR.detect(TextUnit(pointer="", text=text))
    assert value == text[finding.span.start : finding.span.end]
