"""Rules look only where they can match, and find what they would find everywhere."""

from __future__ import annotations

import pytest
from detection_world import DETECTOR
from differential import prompts
from hypothesis import given, settings
from hypothesis import strategies as st
from test_gates import FILLER, PIECES, VALUES

from guardrail.detection.patterns import CONTEXT, Rule, RuleSet, Scope, clues_in, find
from guardrail.detection.windows import UNKNOWN, Shape, Windows, look, shape
from guardrail.types import Finding, Span

SHAPES = {
    "literals": (Shape(3, 3, digits=1, run=1, unbroken=True), "ab1"),
    "a space": (Shape(3, 3, digits=2, run=1), "1 2"),
    "a class of space": (Shape(3, 3, digits=2, run=1), r"\d\s\d"),
    "a set with a space": (Shape(4, 2, digits=2, run=1), r"\d[ -]{0,2}\d"),
    "a set of digits": (Shape(3, 3, digits=3, run=3, unbroken=True), r"[0-4][\d][5]"),
    "a set of digits and letters": (Shape(2, 2, unbroken=True), r"[0-9A-F]{2}"),
    "what is no word": (Shape(1, 1), r"\W"),
    "what is neither space nor word": (Shape(1, 1, unbroken=True), r"[^\W_]"),
    "what is no comma": (Shape(1, 1), "[^,]"),
    "any character": (Shape(2, 2, digits=1, run=1), r".\d"),
    "the shorter branch": (Shape(4, 2, digits=1, run=1, unbroken=True), r"\d{4}|a\d"),
    "an option": (Shape(5, 2, digits=2, run=2, unbroken=True), r"\d{2}(?:-\d{2})?"),
    "a possessive repetition": (Shape(6, 1, digits=1, run=1, unbroken=True), r"\d{1,6}+"),
    "looking behind at a space": (Shape(2, 1, digits=1, run=1, unbroken=True), r"(?<!\s)\d"),
    "looking ahead at a space": (Shape(2, 1, digits=1, run=1), r"\d(?=\s)"),
    "digits that are looked at": (Shape(5, 1, unbroken=True), r"[a-z](?=\d{4})"),
    "boundaries": (Shape(3, 1, digits=1, run=1, unbroken=True), r"\b\d\b"),
    "letters of any script": (Shape(2, 2, unbroken=True), r"\p{Lu}\p{L}"),
    "runs of digits beside one another": (
        Shape(5, 5, digits=5, run=5, unbroken=True),
        r"\d{2}([0-4]\d){1}[5-9]",
    ),
    "runs that a sign may part": (
        Shape(9, 8, digits=8, run=5, unbroken=True),
        r"\d{5}-?\d{3}",
    ),
    "repeated runs": (Shape(6, 6, digits=6, run=6, unbroken=True), r"(?:\d{2}){3}"),
    "repeated runs apart": (Shape(8, 4, digits=4, run=1), r"(?:\d[ ]?){4}"),
    "the longest run of the shorter branch": (
        Shape(5, 4, digits=3, run=2, unbroken=True),
        r"\d{5}|\d{2}a\d",
    ),
    "signs": (Shape(3, 3, signs=frozenset("-/"), unbroken=True), "-a/"),
    "a sign of every branch": (Shape(3, 2, signs=frozenset("-"), unbroken=True), "a-|b/-"),
    "a sign that may not be there": (Shape(2, 1, unbroken=True), "a-?"),
    "a sign that is repeated": (
        Shape(4, 2, signs=frozenset("-"), unbroken=True),
        "(?:a-){1,2}",
    ),
    "a sign that must not follow": (Shape(2, 1, unbroken=True), "a(?!-)"),
    "no end": (UNKNOWN, r"\d$"),
    "a reference": (UNKNOWN, r"(-)\d\1"),
    "a property that is not of letters": (UNKNOWN, r"\p{Zs}\d"),
    "an error that is let pass": (UNKNOWN, r"(?:abc){e<=1}"),
    "a set within a set": (UNKNOWN, r"[[a-z]--[b]]\d"),
    "flags within": (UNKNOWN, r"a(?i)\d"),
    "a grapheme": (UNKNOWN, r"\X\d"),
    "a reset": (UNKNOWN, r"ab\K\d"),
}


@pytest.mark.parametrize(("expected", "pattern"), SHAPES.values(), ids=SHAPES.keys())
def test_a_pattern_tells_its_shape(expected: Shape, pattern: str) -> None:
    assert expected == shape(pattern, 0)


def test_the_shapes_of_most_rules_are_known() -> None:
    unknown = [rule.name for rule in DETECTOR.rules if shape(rule.pattern, rule.flags) is UNKNOWN]
    assert len(unknown) < len(DETECTOR.rules) / 10


@pytest.mark.parametrize(
    ("expected", "scope", "of", "text"),
    [
        (["12"], Scope.DIGITS, Shape(4, unbroken=True), "ab 12 cd"),
        (["ab 12 cd"], Scope.DIGITS, Shape(4), "ab 12 cd"),
        (["34567"], Scope.DIGITS, Shape(9, digits=5, unbroken=True), "ab 12 cd 34567"),
        ([], Scope.DIGITS, Shape(9, digits=3, unbroken=True), "ab 12 cd"),
        (["34567"], Scope.DIGITS, Shape(9, digits=5, run=5, unbroken=True), "1-2-3-4-5 ab 34567"),
        ([], Scope.DIGITS, Shape(9, digits=5, run=5, unbroken=True), "1-2-3-4-5 6-7"),
        (["a-1"], Scope.DIGITS, Shape(9, signs=frozenset("-"), unbroken=True), "a1 ab a-1 cd 2"),
        (["123456789"], Scope.DIGITS, Shape(9, 9, unbroken=True), "12 ab 123456789"),
        ([], Scope.AT_SIGN, Shape(9), "ab 12 cd"),
        ([], Scope.ANYWHERE, Shape(9), ""),
        (["ab@cd.ef"], Scope.AT_SIGN, Shape(99, unbroken=True), "to ab@cd.ef or not"),
    ],
)
def test_windows_are_as_narrow_as_the_shape_allows(
    expected: list[str], scope: Scope, of: Shape, text: str
) -> None:
    windows = Windows(text).of(look(scope, of))
    assert expected == [text[start:end].strip() for start, end in windows]


def everywhere(rules: RuleSet, text: str, threshold: float) -> list[Finding]:
    """What every rule finds in the whole text, without any shortcut."""
    found = []
    for rule in rules:
        at = 0
        while match := rule.compiled.search(text, at):
            value = match.group(rule.group)
            score = rule.judge(value, text[max(0, match.start() - CONTEXT) : match.start()])
            if value and score >= threshold:
                span = Span(*match.span(rule.group))
                found.append(
                    Finding(entity=rule.entity, span=span, score=score, recognizer=rule.name)
                )
                at = max(match.end(), match.start() + 1)
            else:
                at = match.start() + 1
    return found


RULES = RuleSet(DETECTOR.rules)


def same(text: str) -> bool:
    found = find(RULES, text, threshold=DETECTOR.threshold, timeout=30)
    return found == everywhere(RULES, text, DETECTOR.threshold)


def test_the_findings_in_prompts_are_those_of_every_rule_everywhere_and_in_order() -> None:
    texts = list(prompts(seed="windows"))[::7]
    assert [text for text in texts if not same(text)] == []


def test_the_findings_in_a_long_text_are_those_of_every_rule_everywhere() -> None:
    assert same(FILLER.join(VALUES))


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES | st.text(max_size=20), max_size=12).map("".join))
def test_the_findings_in_random_text_are_those_of_every_rule_everywhere(text: str) -> None:
    assert same(text)


def test_candidates_are_asked_for_by_word_string_and_context() -> None:
    def rule(name: str, **options: object) -> Rule:
        row: dict[str, object] = {"entity": "X", "pattern": r"\d+", "score": 0.5, **options}
        return Rule(name=name, **row)  # type: ignore[arg-type]  # one row, one set of options

    rules = RuleSet(
        [
            rule("free"),
            rule("word", words=frozenset({"key"})),
            rule("string", requires=("sk-", "pin code")),
            rule("context", score=0.1, context=("passport",)),
            rule("certain", score=0.1, certain=True),
            rule("word in context", score=0.1, words=frozenset({"key"}), context=("passport",)),
        ]
    )

    def names(text: str, threshold: float = 0.4) -> list[str]:
        return [rule.name for rule in rules.candidates(clues_in(text), threshold)]

    assert names("") == ["free", "certain"]
    assert names("a KEY") == ["free", "word", "certain"]
    assert names("risk-free") == ["free", "string", "certain"]
    assert names("key²") == ["free", "word", "certain"]
    assert names("Pin\nCode") == ["free", "string", "certain"]
    assert names("passports") == ["free", "context", "certain"]
    assert names("key_passport") == ["free", "word", "context", "certain", "word in context"]
    assert names("", threshold=0.05) == ["free", "context", "certain"]
    assert names("key", threshold=0.6) == ["certain"]
    assert names("key", threshold=1.1) == []
