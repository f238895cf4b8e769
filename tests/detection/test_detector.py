from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from detection_world import DETECTOR
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.detection.detector import RuleDetector, build_detector, field_name
from guardrail.detection.patterns import Rule, Scope
from guardrail.detection.selection import Preferences
from guardrail.errors import ConfigError, DetectorUnavailable
from guardrail.taxonomy import load_taxonomy
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
        ("", "/messages/0/content#/0/value"),
        ("ssn", "/messages/0/content#/meta/ssn/value"),
        ("phone", "/customers/3/phone/values/0"),
        ("birth date", "/birth/date"),
        ("passport No", "/person/passport/No"),
        ("id", "/id"),
        ("x" * 60 + " ssn", "/" + "x" * 100 + "_ssn"),
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


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"exclude": ["Email_Adress"]},
            "detection.exclude: nothing finds 'Email_Adress' (did you mean 'EMAIL_ADDRESS'?); "
            "known entities: ",
        ),
        ({"thresholds": {"PERSN": 0.6}}, "detection.thresholds: nothing finds 'PERSN' (did you"),
        ({"deny": {"PERSN": ("Jo",)}}, "detection.entities: 'PERSN' can be found and has no categ"),
        ({"deny": {"PERSON": ("Jo", "!")}}, "detection.deny.PERSON: entry 2 is longer than 128"),
        ({"allow": ("Acme", "re:(")}, "detection.allow: entry 2 is not a regular expression"),
        (
            {"apps": {"crm": Preferences(exclude=frozenset({"X"}))}},
            "apps.crm.detection.exclude: nothing finds 'X'; known entities: ",
        ),
        (
            {"apps": {"crm": Preferences(only=frozenset({"CARD"}))}},
            "apps.crm.detection.only: nothing finds 'CARD'",
        ),
        (
            {"apps": {"crm": Preferences(thresholds={"CARD": 0.5})}},
            "apps.crm.detection.thresholds: nothing finds 'CARD'",
        ),
        (
            {"apps": {"crm": Preferences(deny={"CARD": ("x",)})}},
            "detection.entities: 'CARD' can be found and has no category",
        ),
        ({"apps": {"crm": Preferences(allow=("re:.*",))}}, "apps.crm.detection.allow: entry 1 all"),
        ({"apps": {"a": Preferences(deny={"PERSON": ("",)})}}, "apps.a.detection.deny.PERSON: ent"),
    ],
    ids=lambda value: value.partition(" ")[0] if isinstance(value, str) else "",
)
def test_a_setting_that_protects_nobody_is_refused_by_its_path(
    settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build_detector(**settings)
    (line,) = caught.value.problems
    assert line.startswith(problem)


def test_what_can_be_found_is_known_at_once() -> None:
    assert {"PERSON", "EMAIL_ADDRESS", "IBAN_CODE"} < build_detector(names=["blank:en"]).entities
    assert "ORGANIZATION" not in build_detector(names=["blank:en"]).entities
    assert "IBAN_CODE" not in build_detector(exclude=["IBAN_CODE"]).entities
    assert build_detector(names=["blank:en"]).entities <= load_taxonomy().categories.keys()


def test_single_entities_and_apps_have_thresholds_of_their_own() -> None:
    unit = TextUnit(pointer="", text="call 030 12345678, mail a@intranet.corp")
    detector = build_detector(
        names=["blank:en"],
        threshold=0.7,
        thresholds={"PHONE_NUMBER": 0.99},
        apps={
            "low": Preferences(threshold=0.4),
            "own": Preferences(thresholds={"PHONE_NUMBER": 0.5, "EMAIL_ADDRESS": 0.4}),
        },
    )
    found = {app: [f.entity for f in detector.detect(unit, app=app)] for app in ("", "low", "own")}
    assert found == {
        "": [],
        "low": ["EMAIL_ADDRESS"],  # the threshold of a single entity goes before the app's own
        "own": ["PHONE_NUMBER", "EMAIL_ADDRESS"],
    }


def test_lists_for_all_and_for_one_app_add_up() -> None:
    text = "Jo Doe and Zoe Roe of Falcon write to a@example.com, b@example.com"
    detector = build_detector(
        names=["blank:en"],
        allow=("a@example.com",),
        deny={"PERSON": ("Jo Doe",)},
        apps={
            "crm": Preferences(allow=("B@EXAMPLE.COM",), deny={"PERSON": ("Zoe Roe",)}),
            "hr": Preferences(deny={"PERSON": ("Falcon",)}, exclude=frozenset({"EMAIL_ADDRESS"})),
        },
    )
    unit = TextUnit(pointer="", text=text)
    found = {
        app: [text[f.span.start : f.span.end] for f in detector.detect(unit, app=app)]
        for app in ("", "crm", "hr", "stranger")
    }
    assert found == {
        "": ["Jo Doe", "b@example.com"],
        "crm": ["Jo Doe", "Zoe Roe"],
        "hr": ["Jo Doe", "Falcon"],
        "stranger": ["Jo Doe", "b@example.com"],
    }


def test_an_allowed_word_hides_no_part_of_a_longer_finding() -> None:
    text = "Ask Mr. John Acme, see acme@example.com"
    detector = build_detector(allow=("Acme", "acme@example", "example.com"))
    unit = TextUnit(pointer="", text=text)
    assert [text[f.span.start : f.span.end] for f in detector.detect(unit)] == [
        "John Acme",
        "acme@example.com",
    ]


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
    entities: frozenset[str] = frozenset()

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
    detector = build_detector(names=["blank:en"])
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
