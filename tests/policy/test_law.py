"""What the shipped policies say, law by law."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
from policy_world import (
    AT,
    BLOCKED,
    CLEAR,
    LOCAL,
    POLICIES,
    PRINCIPALS,
    PSEUDONYMISED,
    REDACTED,
    REGIONS,
    STORE,
    at,
    context,
    found,
)

from guardrail.policy.cedar import ask
from guardrail.policy.ladder import decide, decide_output, may_process_unaudited, may_restore
from guardrail.policy.questions import case, facts, request
from guardrail.policy.vocabulary import SEND
from guardrail.taxonomy import NONE, PERSONAL, SECRET
from guardrail.types import Category, Evidence, Treatment

SEVERITIES = ("low", "medium", "high", "critical")
EXPLICIT: dict[str, object] = {"consents": frozenset({"explicit"})}


@pytest.mark.parametrize("origin", ["Jane Doe", ""])
def test_of_somebody_from_nowhere_personal_data_stays(origin: str) -> None:
    decision = at(STORE, "fr", "contact", context(origin=origin))
    assert (decision.treatment, decision.errors) == (LOCAL, ())


def test_a_prohibited_practice_is_blocked_wherever_somebody_is() -> None:
    asked = context(purpose="social-scoring", origin="nowhere")
    assert at(STORE, "fr", "none", asked).treatment is BLOCKED


RESIDUAL: list[tuple[str, str, str, dict[str, object], Treatment, Treatment, str]] = [
    # who, endpoint, category, facts, treatment with few names left, where nothing tells, why
    ("crm", "fr", "health", {}, PSEUDONYMISED, LOCAL, "eu.special.residual"),
    ("crm", "fr", "health", EXPLICIT, CLEAR, CLEAR, "eu.home"),
    ("shop", "us-dpf", "union", {}, REDACTED, LOCAL, "uk.special.residual"),
    ("clinic", "us", "name", {}, REDACTED, LOCAL, "us.hipaa.residual"),
    ("clinic", "us-dpf", "health", {}, PSEUDONYMISED, PSEUDONYMISED, "us.contract"),
]


@pytest.mark.parametrize(
    ("who", "where", "category", "facts", "few", "unknown", "why"),
    RESIDUAL,
    ids=[f"{who} {category} to {where}" for who, where, category, *_ in RESIDUAL],
)
def test_where_nothing_tells_whether_names_are_left_they_count_as_left(
    who: str,
    where: str,
    category: str,
    facts: dict[str, object],
    few: Treatment,
    unknown: Treatment,
    why: str,
) -> None:
    asked = context(who, **facts)
    for residual in (0.0, 0.05, 0.25):
        assert at(STORE, where, category, asked, residual=residual).treatment is few
    for left in (0.2501, 1.0, 1e9, None):
        decision = at(STORE, where, category, asked, residual=left)
        assert decision.treatment is unknown
        assert why in decision.policies
        assert decision.errors == ()


@pytest.mark.parametrize("residual", [-0.1, float("nan")])
def test_a_residual_that_is_none_blocks(residual: float) -> None:
    decision = at(STORE, "fr", "contact", residual=residual)
    assert (decision.treatment, decision.errors) == (BLOCKED, ("InvalidFacts",))


def test_residuals_alike_to_policy_are_asked_about_once() -> None:
    few, more = (
        case(context(), Category("health"), Evidence(), origin="DE", residual=left)
        for left in (0.11, 0.24)
    )
    assert few == more


def test_each_category_is_treated_for_itself() -> None:
    decision = at(STORE, "fr", "health contact")
    assert decision.treatments == {"health": PSEUDONYMISED, "contact": CLEAR}
    assert decision.treatment is PSEUDONYMISED


def test_reasons_are_the_forbids_of_milder_rungs_and_then_the_permit() -> None:
    reasons = at(STORE, "us-dpf", "health").reasons[Category("health")]
    assert [(one.effect, one.policy) for one in reasons] == [
        ("forbid", "eu.special"),
        ("forbid", "eu.special.abroad"),
        ("permit", "eu.dpf"),
        ("permit", "eu.removed"),
    ]
    assert reasons[0].citation == "GDPR Art. 9(1), 9(2)(a), 9(2)(c)"
    assert reasons[0].place.startswith("policies/eu.cedar:")


def test_reasons_name_the_law_that_was_strictest() -> None:
    decision = at(STORE, "us", "contact", context(origin="US-NY"))
    assert decision.regions == ("eu", "us")
    assert decision.policies == ("eu.removed",)


@pytest.mark.parametrize("region", REGIONS.ids)
def test_policy_and_profile_agree_on_the_age_of_a_child(region: str) -> None:
    ages = {
        int(age)
        for rule in STORE.rules[region]
        for age in re.findall(r"context\.age < (\d+)", rule.statement.text)
    }
    assert ages == {REGIONS.regions[region].child_age}


@pytest.mark.parametrize("region", REGIONS.ids)
def test_policy_and_profile_agree_on_how_long_logs_are_kept(region: str) -> None:
    days = [
        int(days)
        for rule in STORE.rules[region]
        for days in re.findall(r"context\.days < (\d+)", rule.statement.text)
    ]
    assert max(days, default=0) == REGIONS.regions[region].min_log_days


@pytest.mark.parametrize("region", REGIONS.ids)
def test_classes_of_the_profile_are_those_that_rules_speak_of(region: str) -> None:
    named = {
        name
        for rule in STORE.rules[region]
        for name in re.findall(rf'Category::"{region}/([a-z-]+)"', rule.statement.text)
    }
    assert named == set(REGIONS.regions[region].classes)


@pytest.mark.parametrize("region", REGIONS.ids)
def test_a_list_of_adequate_places_and_its_rule_exist_together(region: str) -> None:
    named = any(
        f'Adequacy::"{region.upper()}"' in rule.statement.text for rule in STORE.rules[region]
    )
    assert named is bool(REGIONS.regions[region].adequacy)


@pytest.mark.parametrize("who", [one.id for one in PRINCIPALS])
@pytest.mark.parametrize("where", sorted(AT))
def test_guards_of_the_base_hold_with_every_law(who: str, where: str) -> None:
    for basis in ("none", "consent", "vital"):
        asked = context(who, basis=basis, consents=frozenset({"explicit", "transfer", "parental"}))
        decision = at(STORE, where, "secret card uninspectable unknown astrology", asked)
        told = decision.treatments
        assert told[Category("secret")] >= REDACTED
        assert told[Category("card")] >= PSEUDONYMISED
        assert told[Category("uninspectable")] is LOCAL
        assert told[Category("unknown")] is LOCAL
        assert told[Category("astrology")] is LOCAL
        assert decide_output(STORE, asked, Category("secret"), endpoint=AT[where])[0] >= REDACTED


def test_an_answer_shows_what_nobody_knows_masked() -> None:
    shown, reasons = decide_output(STORE, context(), Category("astrology"), endpoint=AT["fr"])
    assert shown is REDACTED
    assert reasons[-1].effect == "permit"


@pytest.mark.parametrize(
    ("allowed", "category", "sink", "declared"),
    [
        (True, "contact", "tool", True),
        (False, "contact", "tool", False),
        (False, "contact", "url", False),
        (False, "astrology", "text", False),
        (False, "contact", "e-mail", True),
    ],
)
def test_originals_are_restored(allowed: bool, category: str, sink: str, declared: bool) -> None:
    assert allowed is may_restore(
        STORE,
        context(),
        Category(category),
        endpoint=AT["fr"],
        sink=sink,  # type: ignore[arg-type]  # a sink that does not exist is one of the rows
        tool_declared=declared,
    )


@pytest.mark.parametrize("who", [one.id for one in PRINCIPALS])
def test_nothing_runs_unrecorded(who: str) -> None:
    for where in AT.values():
        for category in ("none", "contact"):
            evidence = found(category)
            assert not may_process_unaudited(STORE, context(who), evidence, endpoint=where)
        assert not may_process_unaudited(STORE, context(who), {}, endpoint=where)


def test_without_a_local_model_what_may_not_be_sent_is_blocked() -> None:
    decision = decide(STORE, context(), found("unknown"), endpoint=AT["fr"], local=None)
    assert decision.treatment is BLOCKED
    assert decision.policies == ("base.unknown",)


@pytest.mark.parametrize("residual", [0.0, None])
@pytest.mark.parametrize("who", ["crm", "clinic", "bank", "court"])
def test_no_rung_is_denied_where_a_milder_one_is_allowed(who: str, residual: float | None) -> None:
    for category in (*PERSONAL, SECRET, NONE):
        this = case(
            context(who), category, Evidence(), origin=context(who).origin, residual=residual
        )
        for law, where in product(STORE.sets, ("fr", "us-dpf", "us-scc", "jp", "cn", "trains")):
            allowed = [
                ask(
                    request(principal=who, action=action, endpoint=where, context=facts(this)),
                    policies=STORE.sets[law][action].policies,
                    entities=STORE.entities,
                    schema=STORE.schema,
                ).allowed
                for action in SEND
            ]
            assert allowed == sorted(allowed), (law, where, category)


def test_every_shipped_rule_cites_its_source_and_says_why() -> None:
    for rules in STORE.rules.values():
        for rule in rules:
            assert rule.annotations.get("reason"), rule.line
            assert rule.annotations.get("citation"), rule.line
            assert rule.annotations.get("severity") in SEVERITIES, rule.line
            assert rule.id.partition(".")[0] in rule.source.name, rule.line


def test_a_condition_of_a_shipped_rule_joins_at_most_four() -> None:
    for rules in STORE.rules.values():
        for rule in rules:
            for condition in rule.tree["conditions"]:
                assert _joined(condition["body"]) <= 4, rule.line


def _joined(body: Mapping[str, Any]) -> int:
    """How many conditions `&&` joins at the top."""
    both = body.get("&&")
    return _joined(both["left"]) + _joined(both["right"]) if both else 1


def test_each_law_stands_in_a_file_of_its_own() -> None:
    assert {file.stem for file in POLICIES.glob("*.cedar")} == {"00-base", *REGIONS.ids}
