from __future__ import annotations

import pytest

from guardrail.detection.patterns import CONTEXT, Rule, Scope, find


def rule(pattern: str, **options: object) -> Rule:
    settings: dict[str, object] = {"entity": "X", "name": "x", "score": 0.5, **options}
    return Rule(pattern=pattern, **settings)  # type: ignore[arg-type]  # one row, one set of options


def spans(each: Rule, text: str, *, threshold: float = 0.4) -> list[str]:
    findings = find([each], text, threshold=threshold, timeout=1)
    return [text[f.span.start : f.span.end] for f in findings]


def test_a_rejected_match_does_not_hide_a_valid_one_inside_it() -> None:
    even = rule(r"\d{2}", validate=lambda value: None if int(value) % 2 == 0 else False)
    assert spans(even, "3412 9") == ["34", "12"]
    assert spans(even, "9412") == ["94", "12"]
    assert spans(even, "5412") == ["54", "12"]
    assert spans(even, "1541") == ["54"]


@pytest.mark.parametrize(
    ("expected", "verdict", "threshold"),
    [(["12"], True, 1.0), ([], False, 0.0001), (["12"], None, 0.5), ([], None, 0.6)],
)
def test_a_verdict_overrules_the_score(
    expected: list[str], verdict: bool | None, threshold: float
) -> None:
    each = rule(r"\d+", validate=lambda value: verdict, certain=True)
    assert expected == spans(each, "no 12", threshold=threshold)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (["12"], "sin 12"),
        (["12"], "SIN: 12"),
        (["12"], "my sin\n12"),
        (["12"], "my_sin=12"),
        (["12"], "insurance 12"),
        (["12"], "insurances 12"),
        (["12"], "social security 12"),
        (["12"], "social\nsecurity 12"),
        (["12"], "social_security=12"),
        ([], "using 12"),
        ([], "sins 12"),
        ([], "basin 12"),
        ([], "12 sin"),
        (["12"], "sin that we have on file for him is 12"),
        (["12"], "sin a b c d e f g h i j k 12"),
        ([], "sin a b c d e f g h i j k l 12"),
        ([], "sin first second third fourth fifth sixth 12"),
        ([], "12"),
    ],
)
def test_context_raises_the_score(expected: list[str], text: str) -> None:
    each = rule(r"\d+", score=0.1, context=("sin", "insurance", "social security"))
    assert expected == spans(each, text)


def test_context_is_heard_as_it_is_written_and_as_normalised_text_spells_it() -> None:
    each = rule(r"\d+", score=0.1, context=("ประจำตัว",))
    assert spans(each, "ประจำตัว 12") == ["12"]
    assert spans(each, "ประจํา".replace("ํา", "\u0e4d\u0e32") + "ตัว 12") == ["12"]


def test_context_stands_near_what_it_is_about() -> None:
    each = rule(r"\d{2}", score=0.1, context=("ssn",))
    assert spans(each, "ssn 12") == ["12"]
    assert spans(each, "ssn " + "x" * CONTEXT + " 12") == []


_PLACE = (r"A\d 1AA 7 GA \d{5}", "A1 1AA 7 GA 30301", "A2 1AA 7 GA 30302")
_HELD = {
    Scope.ANYWHERE: (r"[A-Z]{2}:\d{2}:\d{7}\.\d\+@", "AB:12:3456789.0+@", "CD:98:7654321.0+@"),
    Scope.DOMAIN: (r"[a-z]\d\.com", "a1.com", "b2.com"),
    Scope.HOUSE_FIRST: _PLACE,
    Scope.POSTCODE: _PLACE,
    Scope.REGION_CODE: _PLACE,
}


@pytest.mark.parametrize("scope", list(Scope))
def test_a_scope_does_not_change_what_is_found(scope: Scope) -> None:
    pattern, first, second = _HELD.get(scope, _HELD[Scope.ANYWHERE])
    each = rule(rf"(?<!\w){pattern}(?!\w)", scope=scope)
    text = " ".join(["filler"] * 50 + [first] + ["filler"] * 50 + [second])
    assert spans(each, text) == [first, second]


def test_a_word_that_a_rule_requires_may_stand_anywhere() -> None:
    each = rule(r"\d+", requires=("key", "token"))
    assert spans(each, "12 KEY") == ["12"]
    assert spans(each, "12") == []


def test_an_empty_text_and_an_empty_match_are_no_findings() -> None:
    assert spans(rule(r"\d+"), "") == []
    assert spans(rule(r"a|(?=b)", scope=Scope.ANYWHERE), "bab") == ["a"]


def test_a_group_is_the_finding() -> None:
    assert spans(rule(r"no (\d+)", group=1), "no 12, no 34") == ["12", "34"]


def test_a_rule_that_takes_too_long_is_an_error() -> None:
    slow = rule(r"(?:a|aa|aaa)+(?=!)", scope=Scope.ANYWHERE)
    with pytest.raises(TimeoutError):
        find([slow], "a" * 5000, threshold=0.1, timeout=0.01)
