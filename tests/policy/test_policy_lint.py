from __future__ import annotations

import pytest

from guardrail.policy.cedar import Rule, Source, parse
from guardrail.policy.lint import lint

KNOWN = {"Category": frozenset({"personal", "health", "none"}), "App": frozenset({"crm"})}


def rule(text: str) -> Rule:
    (one,), problems = parse(Source(name="policies/eu.cedar", text=text))
    assert problems == []
    return one


def permit(condition: str, *, action: str = 'action in Action::"send"', notes: str = "") -> Rule:
    return rule(
        f'@id("r") @title("t") {notes} permit (principal, {action}, resource) '
        f"when {{ {condition} }};"
    )


HEALTH = 'context.category in Category::"health"'


@pytest.mark.parametrize(
    "condition",
    [
        HEALTH,
        'context.category == Category::"health"',
        'context.category in [Category::"health", Category::"none"]',
        '[Category::"health"].contains(context.category)',
        f'{HEALTH} || context.category in Category::"none"',
        f"context.basis == 1 && ({HEALTH} && true)",
    ],
)
def test_permit_to_send_that_names_the_category_is_sound(condition: str) -> None:
    assert lint(permit(condition), known=KNOWN, overlay=False) == []


@pytest.mark.parametrize(
    "condition",
    [
        "true",
        "resource.local",
        f"!({HEALTH})",
        f"{HEALTH} || resource.local",
        'context.category != Category::"health"',
        'Category::"health" in context.category',
        f"if {HEALTH} then true else true",
        "context.category in resource",
        "[context.category].contains(context.category)",
    ],
)
def test_permit_to_send_what_it_does_not_name_is_refused(condition: str) -> None:
    (problem,) = lint(permit(condition), known=KNOWN, overlay=False)
    assert str(problem).startswith("policies/eu.cedar:1:1: [r] lets out data of any kind")


@pytest.mark.parametrize(
    "action",
    [
        'action == Action::"sendClear"',
        'action in Action::"process"',
        'action in [Action::"showClear", Action::"sendRedacted"]',
        'action in Action::"a-group-added-later"',
    ],
)
def test_every_way_to_leave_must_name_the_category(action: str) -> None:
    assert lint(permit("true", action=action), known=KNOWN, overlay=False)


@pytest.mark.parametrize(
    "action", ['action == Action::"processLocally"', 'action in Action::"output"']
)
def test_what_stays_need_not_name_the_category(action: str) -> None:
    assert lint(permit("true", action=action), known=KNOWN, overlay=False) == []


def test_unless_does_not_count_as_naming_the_category() -> None:
    text = (
        '@id("r") @title("t") permit (principal, action in Action::"send", resource) '
        f"unless {{ {HEALTH} }};"
    )
    assert lint(rule(text), known=KNOWN, overlay=False)


def forbid(condition: str) -> str:
    return f'@id("r") @title("t") forbid (principal, action, resource) when {{ {condition} }};'


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        ("1:1: [?] no @id; add one", '@title("t") forbid (principal, action, resource);'),
        ("1:1: [r] no @title; say", '@id("r") forbid (principal, action, resource);'),
        ("1:10: [r] no @title; say", '@id("r") @title forbid (principal, action, resource);'),
        (
            "1:1: [a b] an @id is made",
            '@id("a b") @title("t") forbid (principal, action, resource);',
        ),
        (
            "1:1: [r] a permit for every action",
            f'@id("r") @title("t") permit (principal, action, resource) when {{ {HEALTH} }};',
        ),
        (
            '2:36: [r] no Category::"haelth" in the data',
            '@id("r") @title("t") forbid (principal, action, resource)\n'
            'when { true && context.category in Category::"haelth" };',
        ),
        (
            '1:43: [r] no App::"crn" in the data',
            '@id("r") @title("t") forbid (principal == App::"crn", action, resource);',
        ),
        (
            "1:78: [r] `like` cannot be analysed",
            forbid('context.day like "a*"'),
        ),
        (
            "1:116: [r] `like` cannot be analysed",
            forbid('context.purpose == Purpose::"like" && context.day like "a*"'),
        ),
        (
            "1:66: [r] context.count is one of 1, 10, 100, 1000",
            forbid("context.count >= 50"),
        ),
        (
            "1:66: [r] context.count is one of",
            forbid("context.count > 10"),
        ),
        (
            "1:66: [r] context.confidence is one of",
            forbid("55 > context.confidence"),
        ),
    ],
)
def test_lint_finds(problem: str, text: str) -> None:
    assert [
        str(one).removeprefix("policies/eu.cedar:")[: len(problem)]
        for one in lint(rule(text), known=KNOWN, overlay=False)
    ] == [problem]


@pytest.mark.parametrize(
    "condition", ["context.count >= 100", "10 > context.count", "context.confidence < 50"]
)
def test_comparison_at_a_step_is_exact(condition: str) -> None:
    assert lint(rule(forbid(condition)), known=KNOWN, overlay=False) == []


def test_annotations_are_not_mistaken_for_entities() -> None:
    text = '@id("r") @title("t") @type("Category") @like("x") forbid (principal, action, resource);'
    assert lint(rule(text), known=KNOWN, overlay=False) == []


def test_overlay_permits_only_what_somebody_approved() -> None:
    (problem,) = lint(permit(HEALTH), known=KNOWN, overlay=True)
    assert "may only forbid" in problem.message
    approved = permit(HEALTH, notes='@approved("the DPO, LEGAL-12") @expires("2027-01-31")')
    assert lint(approved, known=KNOWN, overlay=True) == []
    for lacking in ('@approved(" ") @expires("2027-01-31")', '@approved("the DPO")'):
        assert lint(permit(HEALTH, notes=lacking), known=KNOWN, overlay=True)
    undated = permit(HEALTH, notes='@approved("the DPO") @expires("next year")')
    assert [
        one.message.rpartition("the @expires ")[2]
        for one in lint(undated, known=KNOWN, overlay=True)
    ] == ['is no date; write one such as @expires("2027-01-31")']


def test_a_context_read_as_a_whole_is_refused() -> None:
    (problem,) = lint(rule(forbid("context == context")), known=KNOWN, overlay=False)
    assert problem.code == "whole-context"
