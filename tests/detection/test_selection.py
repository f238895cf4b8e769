from __future__ import annotations

import pytest

from guardrail.detection.lists import AllowList
from guardrail.detection.selection import Preferences, Selection, select
from guardrail.types import Finding, Span

TEXT = "Ada a@x Falcon"


def finding(entity: str, start: int, end: int, score: float, recognizer: str = "r") -> Finding:
    return Finding(entity=entity, span=Span(start, end), score=score, recognizer=recognizer)


NAME = finding("PERSON", 0, 3, 0.6)
MAIL = finding("EMAIL_ADDRESS", 4, 7, 0.9, "mail")
FIRM = finding("ORGANIZATION", 8, 14, 0.8, "model")
ALL = (NAME, MAIL, FIRM)


@pytest.mark.parametrize(
    ("selection", "kept"),
    [
        pytest.param(Selection(), ALL, id="everything"),
        pytest.param(Selection(threshold=0.6), ALL, id="as sure as asked"),
        pytest.param(Selection(threshold=0.7), (MAIL, FIRM), id="surer"),
        pytest.param(
            Selection(threshold=0.85, thresholds={"PERSON": 0.5}), (NAME, MAIL), id="single"
        ),
        pytest.param(Selection(exclude=frozenset({"PERSON"})), (MAIL, FIRM), id="excluded"),
        pytest.param(Selection(only=frozenset({"PERSON"})), (NAME,), id="only"),
        pytest.param(
            Selection(only=frozenset({"PERSON"}), exclude=frozenset({"PERSON"})), (), id="both"
        ),
        pytest.param(Selection(foreign=frozenset({"mail"})), (NAME, FIRM), id="another app's"),
        pytest.param(Selection(allow=AllowList.of(["ADA"])), (MAIL, FIRM), id="allowed"),
        pytest.param(Selection(allow=AllowList.of(["Ada a@x"])), ALL, id="allowed with more"),
        pytest.param(Selection(review=frozenset({"ORGANIZATION"})), ALL, id="reviewed"),
    ],
)
def test_what_counts_is_kept_in_order(selection: Selection, kept: tuple[Finding, ...]) -> None:
    assert selection.keep(TEXT, ALL) == kept


def test_a_model_s_finding_is_reviewed_and_a_rule_s_is_not() -> None:
    selection = Selection(review=frozenset({"ORGANIZATION"}), certain=frozenset({"deny"}))
    denied = finding("ORGANIZATION", 8, 14, 1.0, "deny")
    assert [selection.reviews(one) for one in (NAME, FIRM, denied)] == [False, True, False]


def test_the_floor_is_the_least_score_of_any_entity() -> None:
    assert Selection(threshold=0.4).floor == 0.4
    assert Selection(threshold=0.4, thresholds={"PERSON": 0.2, "MAIL": 0.9}).floor == 0.2
    assert Selection(threshold=0.4, thresholds={"PERSON": 0.9}).floor == 0.4


def test_an_app_s_settings_go_on_top_of_those_for_all() -> None:
    general = Preferences(
        thresholds={"A": 0.1, "B": 0.2}, exclude=frozenset({"X"}), only=frozenset({"O"})
    )
    own = Preferences(threshold=0.9, thresholds={"B": 0.3}, exclude=frozenset({"Y"}))
    selection = select(general, own, threshold=0.5, allow=AllowList())
    assert (selection.least("A"), selection.least("B"), selection.least("C")) == (0.1, 0.3, 0.9)
    assert selection.exclude == {"X", "Y"}
    assert selection.only == {"O"}
    assert select(general, Preferences(), threshold=0.5, allow=AllowList()).least("C") == 0.5
    only = Preferences(only=frozenset({"P"}))
    assert select(general, only, threshold=0.5, allow=AllowList()).only == {"P"}
