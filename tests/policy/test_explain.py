"""Explaining: what is shown is what the ladder decides, and what is said to help does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_world import (
    AT,
    BLOCKED,
    CLEAR,
    ENDPOINTS,
    HOME,
    LOCAL,
    PRINCIPALS,
    PSEUDONYMISED,
    REDACTED,
    STORE,
    WHO,
    context,
    copy_policies,
    load,
)

from guardrail.errors import ConfigError
from guardrail.policy.explain import Question, egress, explained, output, restoring
from guardrail.policy.ladder import decide, decide_output, may_restore
from guardrail.policy.loader import PolicyStore, populated
from guardrail.policy.scenarios import SINKS
from guardrail.policy.vocabulary import AGES, RESIDUALS
from guardrail.taxonomy import CATEGORIES
from guardrail.types import Category, Evidence, Treatment

HEALTH, CONTACT = Category("health"), Category("contact")
RULES = {
    "as shipped": "",
    "barred": """@id("acme.bar") @title("t")
        forbid (principal, action in Action::"process", resource)
        when {
          context.category == Category::"health" && context.origin in Jurisdiction::"EEA"
        };""",
    "not at home": """@id("acme.away") @title("t")
        forbid (principal, action == Action::"processLocally", resource)
        when { context.basis == Basis::"none" };""",
    "faulty": """@id("acme.fault") @title("t")
        forbid (principal, action in [Action::"sendPseudonymised", Action::"showClear"], resource)
        when {
          context.category == Category::"contact" && context.count * 9223372036854775807 * 2 > 3
        };
        @id("acme.fault.restore") @title("t")
        forbid (principal, action == Action::"reidentify", resource)
        when {
          context.category == Category::"contact" && context.count * 9223372036854775807 * 2 > 3
        };""",
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PolicyStore]:
    return {
        name: load(copy_policies(tmp_path_factory.mktemp("rules"), {"acme.cedar": text or None}))
        for name, text in RULES.items()
    }


def question(where: str = "us-scc", who: str = "crm", **facts: Any) -> Question:
    asked = context(who, **facts)
    return Question(context=asked, endpoint=AT[where], local=HOME, residual=0.0)


def chosen(words: str) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(sorted(STORE.vocabulary[words])), max_size=2)


QUESTIONS = st.builds(
    Question,
    context=st.builds(
        context,
        st.sampled_from(sorted(WHO)),
        purpose=st.sampled_from(sorted(STORE.vocabulary["purpose"])),
        basis=st.sampled_from(sorted(STORE.vocabulary["basis"])),
        origin=st.sampled_from(["DE", "GB", "US-CA", "BR", "", "nowhere"]),
        consents=chosen("consent"),
        filings=chosen("filing"),
        age=st.none() | st.sampled_from(AGES),
    ),
    endpoint=st.sampled_from(ENDPOINTS),
    local=st.sampled_from([HOME, None]),
    residual=st.none() | st.sampled_from([one / 100 for one in RESIDUALS]),
    injected=st.booleans(),
    evidence=st.builds(Evidence, count=st.integers(1, 2000), score=st.floats(0, 1)),
)


@settings(deadline=None, max_examples=150)
@given(
    asked=QUESTIONS,
    category=st.sampled_from([CONTACT, HEALTH])
    | st.sampled_from([*CATEGORIES, Category("astrology")]),
    rules=st.sampled_from(sorted(RULES)),
)
def test_what_is_shown_is_what_the_ladder_decides(
    stores: dict[str, PolicyStore], asked: Question, category: Category, rules: str
) -> None:
    store = stores[rules]
    decision = decide(
        store,
        asked.context,
        {category: asked.evidence},
        endpoint=asked.endpoint,
        local=asked.local,
        residual=asked.residual,
        injected=asked.injected,
    )
    climbs = egress(store, asked, category)
    strictest = max(one.treatment for one in climbs)
    assert strictest is decision.treatments[category]
    assert {fault for one in climbs for fault in one.faults} == set(decision.errors)
    deciding = [one for one in climbs if one.treatment is strictest]
    assert set(decision.policies) <= {name for one in deciding for name in one.policies}

    shown, _ = decide_output(
        store, asked.context, category, endpoint=asked.endpoint, injected=asked.injected
    )
    assert max(one.treatment for one in output(store, asked, category)) is shown
    for sink in SINKS:
        allowed = may_restore(
            store,
            asked.context,
            category,
            endpoint=asked.endpoint,
            sink=sink,
            tool_declared=sink == "tool",
            injected=asked.injected,
        )
        restored = restoring(store, asked, category, sink)
        assert allowed is (max(one.treatment for one in restored) is CLEAR)


def test_every_rung_says_whether_it_was_needed_and_why() -> None:
    (climb,) = egress(STORE, question("us-dpf"), HEALTH)
    assert (climb.law, climb.treatment) == ("eu", REDACTED)
    assert [(one.action, one.answer.allowed, one.reached) for one in climb.rungs] == [
        ("sendClear", False, True),
        ("sendPseudonymised", False, True),
        ("sendRedacted", True, True),
        ("processLocally", True, True),
    ]
    assert climb.rungs[0].answer.policies == ("eu.special", "eu.special.abroad")
    assert climb.rungs[3].endpoint == "home"


def test_rungs_above_the_one_that_is_allowed_are_shown_and_count_for_nothing() -> None:
    (climb,) = egress(STORE, question("fr"), CONTACT)
    assert [one.reached for one in climb.rungs] == [True, False, False, True]
    assert "eu.removed" in climb.rungs[2].answer.policies
    assert climb.policies == {"eu.home", "base.local"}


def test_each_law_is_shown_for_itself_and_the_strictest_named() -> None:
    (one,) = explained(STORE, question("us", origin="US-NY"), (CONTACT,))
    assert {climb.law: climb.treatment for climb in one.climbs} == {"eu": REDACTED, "us": CLEAR}
    assert one.strictest == ("eu",)


def test_where_no_law_applies_the_base_is_shown() -> None:
    (one,) = explained(STORE, question("fr", "tienda"), (CONTACT,))
    assert [climb.law for climb in one.climbs] == [""]
    assert (one.treatment, one.strictest) == (LOCAL, ("",))


def helps(asked: Question, category: Category = CONTACT) -> dict[tuple[str, str], Treatment]:
    (one,) = explained(STORE, asked, (category,))
    return {(help_.kind, help_.word): help_.treatment for help_ in one.help}


def test_single_changes_that_are_milder_are_listed_the_mildest_first() -> None:
    (one,) = explained(STORE, question("us-scc"), (CONTACT,))
    assert one.treatment is REDACTED
    found = [help_ for help_ in one.help if help_.kind != "endpoint"]
    assert [(help_.kind, help_.word, help_.treatment) for help_ in found] == [
        ("agreement", "DPF", CLEAR),
        ("filing", "TIA", PSEUDONYMISED),
    ]
    assert [help_.policies for help_ in found] == [("eu.dpf",), ("eu.safeguards",)]
    assert found[1].meaning.startswith("transfer impact assessment")
    assert [help_.treatment for help_ in one.help] == sorted(help_.treatment for help_ in one.help)


def test_other_endpoints_help_and_the_local_one_is_no_help_where_it_is_used_anyway() -> None:
    found = helps(question("us"))
    assert found["endpoint", "fr"] is CLEAR
    assert ("endpoint", "us-scc") not in found
    assert ("endpoint", "home") not in found


def test_consent_basis_and_what_the_provider_does_help() -> None:
    assert helps(question("fr"), HEALTH)["consent", "explicit"] is CLEAR
    assert helps(question("fr"), HEALTH)["basis", "vital"] is CLEAR
    assert helps(question("fr", basis="none"))["basis", "contract"] is CLEAR
    assert helps(question("trains-fr"))["provider", "no training"] is CLEAR
    asked = question("fr", purpose="social-scoring")
    assert explained(STORE, asked, (CONTACT,))[0].treatment is BLOCKED
    assert helps(asked)["purpose", "support"] is CLEAR


def test_what_is_sent_in_clear_needs_no_help() -> None:
    (one,) = explained(STORE, question("fr"), (CONTACT,))
    assert (one.treatment, one.help) == (CLEAR, ())


def test_an_endpoint_with_another_agreement_keeps_its_name(tmp_path: Path) -> None:
    rule = """@id("acme.us") @title("t")
    forbid (principal, action == Action::"sendClear", resource == Endpoint::"us-scc");"""
    store = load(copy_policies(tmp_path, {"acme.cedar": rule}))
    (one,) = explained(store, question("us-scc"), (CONTACT,))
    assert {help_.word: help_.treatment for help_ in one.help if help_.kind == "agreement"} == {
        "DPF": PSEUDONYMISED
    }


def test_a_fault_is_told() -> None:
    asked = question("fr", age=-1)
    with pytest.raises(ValueError, match="an age"):
        explained(STORE, asked, (CONTACT,))


def test_the_same_policies_are_asked_about_other_endpoints() -> None:
    there = replace(AT["us"], id="there", agreements=frozenset({"DPA", "DPF"}))
    store = populated(STORE, endpoints=[there, HOME], principals=PRINCIPALS)
    decision = decide(
        store, context(), {CONTACT: Evidence()}, endpoint=there, local=HOME, residual=0.0
    )
    assert (decision.treatment, decision.errors) == (CLEAR, ())
    gone = decide(store, context(), {CONTACT: Evidence()}, endpoint=AT["us"], local=HOME)
    assert gone.errors == ("UnknownEndpoint",)
    assert (store.digest, len(STORE.endpoints)) == (STORE.digest, len(ENDPOINTS))


def test_endpoints_and_apps_are_checked_when_they_are_changed() -> None:
    wrong = replace(AT["us"], location="XX", agreements=frozenset({"DAP"}))
    stranger = replace(PRINCIPALS[0], establishment="XX")
    with pytest.raises(ConfigError) as raised:
        populated(STORE, endpoints=[wrong], principals=[stranger])
    assert [one.partition(": ")[0] for one in raised.value.problems] == [
        "endpoints.us.location",
        "apps.crm.establishment",
        "endpoints.us.agreements",
    ]


def test_rules_that_have_expired_say_nothing(tmp_path: Path) -> None:
    rule = """@id("acme.until") @title("t") @expires("2026-06-01")
    forbid (principal, action == Action::"sendClear", resource)
    when { context.category == Category::"contact" };"""
    store = load(copy_policies(tmp_path, {"acme.cedar": rule}))
    for day, treatment in ((1, PSEUDONYMISED), (30, CLEAR)):
        at = datetime(2026, 5 if day == 1 else 6, day, tzinfo=UTC)
        (climb,) = egress(store, question("fr", now=at), CONTACT)
        assert climb.treatment is treatment
