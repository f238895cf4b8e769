"""Deciding: faults are denials, memory changes nothing, a forbid never loosens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policy_world import (
    AT,
    BLOCKED,
    CLEAR,
    LOCAL,
    REDACTED,
    REGIONS,
    STORE,
    WHO,
    at,
    context,
    copy_policies,
    found,
    load,
)

from guardrail.policy.cedar import Rule, Source, parse, validate
from guardrail.policy.ladder import decide, decide_output, may_process_unaudited, may_restore
from guardrail.policy.loader import PolicyStore, slices
from guardrail.policy.verdicts import Memory
from guardrail.policy.vocabulary import AGES
from guardrail.taxonomy import NONE
from guardrail.types import (
    Category,
    Endpoint,
    Evidence,
    Principal,
    Reason,
    RequestContext,
    Treatment,
)

PLANTED = "Jane Doe 078-05-1120"
CONTACT = Category("contact")
EVERYTHING = "none contact health card criminal national-id secret unknown uninspectable"


def rules(text: str) -> list[Rule]:
    parsed, problems = parse(Source(name="policies/extra.cedar", text=text))
    assert problems == []
    return parsed


def with_rules(text: str, *, store: PolicyStore = STORE) -> PolicyStore:
    """The store with rules added to every set, as an overlay adds them, unvalidated."""
    extra = rules(text)
    return replace(
        store,
        sets={law: slices([*known, *extra]) for law, known in store.rules.items()},
        reasons={
            **store.reasons,
            **{one.id: Reason(policy=one.id, effect=one.effect) for one in extra},
        },
        memo=Memory(64),
    )


def forbid(condition: str, action: str = 'action in Action::"process"') -> str:
    return f'@id("x") @title("t") forbid (principal, {action}, resource) when {{ {condition} }};'


FAULTS: list[tuple[str, RequestContext]] = [
    ("UnknownPrincipal", replace(context(), principal=Principal(id=PLANTED))),
    ("UnknownPrincipal", replace(context(), principal=replace(WHO["crm"], sector="public"))),
    ("UnknownPurpose", context(purpose=PLANTED)),
    ("UnknownPurpose", context(purpose="")),
    ("UnknownBasis", context(basis=PLANTED)),
    ("UnknownConsent", context(consents=frozenset({PLANTED}))),
    ("UnknownFiling", context(filings=frozenset({"TIA", PLANTED}))),
    ("InvalidFacts", context(age=-1)),
    ("InvalidFacts", context(age=2**70)),
    ("InvalidFacts", context(age=PLANTED)),
]


@pytest.mark.parametrize(("error", "asked"), FAULTS)
def test_context_that_does_not_fit_is_blocked_and_not_quoted(
    error: str, asked: RequestContext
) -> None:
    decision = decide(STORE, asked, found("contact none"), endpoint=AT["fr"], local=AT["home"])
    assert decision.treatment is BLOCKED
    assert decision.errors == (error,)
    assert decision.reasons == {CONTACT: (), NONE: ()}
    assert decide_output(STORE, asked, CONTACT, endpoint=AT["fr"]) == (BLOCKED, ())
    assert not may_restore(STORE, asked, CONTACT, endpoint=AT["fr"], sink="text")
    assert not may_process_unaudited(STORE, asked, {}, endpoint=AT["fr"])


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(count=0),
        Evidence(count=-1),
        Evidence(score=2.0),
        Evidence(score=-0.1),
        Evidence(score=float("nan")),
    ],
)
def test_evidence_that_makes_no_sense_is_blocked(evidence: Evidence) -> None:
    decision = decide(STORE, context(), {CONTACT: evidence}, endpoint=AT["fr"], local=AT["home"])
    assert decision.treatment is BLOCKED
    assert decision.errors == ("InvalidFacts",)


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        (Endpoint(id=PLANTED, provider="p", location="FR"), AT["home"]),
        (replace(AT["fr"], local=True), AT["home"]),
        (replace(AT["us"], agreements=frozenset({"DPA", "DPF"})), AT["home"]),
        (AT["fr"], Endpoint(id=PLANTED, provider="p", location="DE", local=True)),
        (AT["fr"], replace(AT["cn"], local=True)),
    ],
)
def test_endpoint_that_was_not_loaded_is_blocked(endpoint: Endpoint, local: Endpoint) -> None:
    decision = decide(STORE, context(), found("none"), endpoint=endpoint, local=local)
    assert decision.treatment is BLOCKED
    assert decision.errors == ("UnknownEndpoint",)


def test_a_cloud_endpoint_in_the_place_of_the_local_one_gets_nothing() -> None:
    decision = decide(STORE, context(), found("unknown"), endpoint=AT["fr"], local=AT["us"])
    assert decision.treatment is BLOCKED


@pytest.mark.parametrize(
    "condition",
    [
        "context.absent == 1",
        'context.count < "one"',
        "context.count * 9223372036854775807 * 2 > 3",
        'Endpoint::"gone".local',
    ],
    ids=["missing attribute", "type error", "overflow", "missing entity"],
)
def test_forbid_that_errors_denies(condition: str) -> None:
    store = with_rules(forbid(condition))
    decision = at(store, "fr", "contact")
    assert decision.treatment is BLOCKED
    assert decision.errors == ("PolicyEvaluation",)
    sending = with_rules(forbid(condition, 'action in Action::"send"'))
    assert at(sending, "fr", "contact none").treatment is LOCAL
    assert at(sending, "fr", "contact none").errors == ("PolicyEvaluation",)
    assert len(sending.memo.decisions) == 0


def test_forbid_that_errors_denies_answers_and_originals() -> None:
    output = with_rules(forbid("context.absent == 1", 'action == Action::"showClear"'))
    assert decide_output(output, context(), CONTACT, endpoint=AT["fr"])[0] is Treatment.REDACTED
    restore = with_rules(forbid("context.absent == 1", 'action == Action::"reidentify"'))
    assert not may_restore(restore, context(), CONTACT, endpoint=AT["fr"], sink="text")


def test_engine_that_cannot_decide_denies() -> None:
    """Without entities the engine takes no question."""
    store = replace(STORE, entities=None, memo=Memory(9))  # type: ignore[arg-type]  # what breaks it
    decision = at(store, "fr", "none")
    assert decision.treatment is BLOCKED
    assert decision.errors == ("EngineFailure",)


def test_a_rule_is_told_every_fact_that_it_reads() -> None:
    """Each fact alone may stop a request, though no other rule reads it."""
    facts = {
        "count": "context.count >= 10",
        "day": "context.day >= 20300101",
        "confidence": "context.confidence < 50",
        "origin": 'context.origin == Jurisdiction::"FR"',
        "injected": "context.injected",
    }
    usual = context(now=datetime(2026, 1, 1, tzinfo=UTC))
    for fact, condition in facts.items():
        store = with_rules(forbid(condition, 'action == Action::"sendClear"'))
        asked = replace(
            usual,
            origin="FR" if fact == "origin" else "DE",
            now=datetime(2030, 1, 1, tzinfo=UTC) if fact == "day" else usual.now,
        )
        proof = Evidence(
            count=57 if fact == "count" else 1, score=0.4 if fact == "confidence" else 1
        )
        for who, injected, evidence, clear in (
            (usual, False, Evidence(), True),
            (asked, fact == "injected", proof, False),
            (usual, False, Evidence(), True),
        ):
            decision = decide(
                store,
                who,
                {CONTACT: evidence},
                endpoint=AT["fr"],
                local=AT["home"],
                residual=0.0,
                injected=injected,
            )
            assert (decision.treatment is CLEAR) is clear, fact


def test_what_may_not_be_processed_locally_may_not_be_sent() -> None:
    store = with_rules(forbid("true", 'action == Action::"processLocally"'))
    for where in ("fr", "home"):
        decision = at(store, where, "none")
        assert decision.treatment is BLOCKED
        assert decision.policies == ("x",)
    decision = decide(store, context(), found("none"), endpoint=AT["fr"], local=None)
    assert decision.treatment is BLOCKED


def test_no_evidence_means_nothing_was_found() -> None:
    decision = decide(STORE, context(), {}, endpoint=AT["cn"], local=None)
    assert decision.treatments == {NONE: CLEAR}


def test_base_can_be_opened_for_a_local_model_without_a_log() -> None:
    text = (
        '@id("x") @title("t") permit (principal, action == Action::"processUnaudited", resource) '
        "when { resource.local };"
    )
    store = with_rules(text)
    assert may_process_unaudited(store, context(), found("health"), endpoint=AT["home"])
    assert not may_process_unaudited(store, context(), found("health"), endpoint=AT["fr"])


def test_decision_names_regions_endpoint_and_digest() -> None:
    decision = at(STORE, "fr", "none", context(origin="GB"))
    assert decision.regions == ("eu", "uk")
    assert (decision.endpoint, decision.digest) == ("fr", STORE.digest)


def test_rules_may_count() -> None:
    store = with_rules(forbid("context.count >= 100", 'action in Action::"send"'))
    for count, treatment in ((1, CLEAR), (99, CLEAR), (100, LOCAL), (5000, LOCAL)):
        decision = decide(
            store, context(), {CONTACT: Evidence(count=count)}, endpoint=AT["fr"], local=AT["home"]
        )
        assert decision.treatment is treatment


def test_rules_may_ask_how_sure_a_finding_is() -> None:
    store = with_rules(forbid("context.confidence >= 80", 'action in Action::"send"'))
    for score, treatment in ((0.0, CLEAR), (0.79, CLEAR), (0.8, LOCAL), (1.0, LOCAL)):
        decision = decide(
            store, context(), {CONTACT: Evidence(score=score)}, endpoint=AT["fr"], local=AT["home"]
        )
        assert decision.treatment is treatment


# ---- memory


def test_memory_does_not_change_answers() -> None:
    fresh = replace(STORE, memo=Memory(8192))
    for _ in range(2):
        for who in WHO:
            for where in AT:
                asked = context(who)
                forgetful = replace(STORE, memo=Memory(0))
                assert at(fresh, where, EVERYTHING, asked) == at(
                    forgetful, where, EVERYTHING, asked
                )
    assert len(fresh.memo.decisions) > 0


def test_questions_of_different_kinds_are_not_confused() -> None:
    store = replace(STORE, memo=Memory(8192))
    asked = (context(), Category("card"))
    for _ in range(2):
        assert not may_restore(store, *asked, endpoint=AT["fr"], sink="text")
        assert decide_output(store, *asked, endpoint=AT["fr"])[0] is Treatment.REDACTED
        assert at(store, "fr", "card").treatment is Treatment.PSEUDONYMISED
        assert not may_process_unaudited(store, context(), found("card"), endpoint=AT["fr"])
        assert (
            decide(store, context(), found("unknown"), endpoint=AT["fr"], local=None).treatment
            is BLOCKED
        )
        assert at(store, "fr", "unknown").treatment is LOCAL
        assert may_restore(
            store, context(), CONTACT, endpoint=AT["fr"], sink="tool", tool_declared=True
        )
        assert not may_restore(store, context(), CONTACT, endpoint=AT["fr"], sink="tool")


def test_memory_is_bounded_and_holds_no_content() -> None:
    store = replace(STORE, memo=Memory(4))
    for age, basis in product(AGES, sorted(STORE.vocabulary["basis"])):
        at(store, "fr", "contact", context(age=age, basis=basis, origin=PLANTED))
        at(store, "fr", PLANTED.replace(" ", "-"), context(age=age, basis=basis))
    assert (len(store.memo.decisions), len(store.memo.verdicts)) == (4, 4)
    assert "Jane" not in repr((store.memo.decisions._said, store.memo.verdicts._said))


# ---- a forbid never loosens

CONDITIONS = [
    "true",
    "resource.local",
    "!resource.local",
    "resource.trainsOnData",
    'resource in Jurisdiction::"EEA"',
    'resource in Adequacy::"EU"',
    'context.category in Category::"personal"',
    'context.category in Category::"eu/special"',
    'context.origin in Jurisdiction::"US"',
    'context.basis == Basis::"contract"',
    'principal.sector == Sector::"health"',
    "context has age && context.age < 18",
    "context.count * 9223372036854775807 * 2 > 3",
    'principal in Tenant::"default"',
]
ACTIONS = [
    "action",
    *(f'action in Action::"{group}"' for group in ("process", "send", "output")),
    *(
        f'action == Action::"{one}"'
        for one in (
            "sendClear",
            "sendPseudonymised",
            "sendRedacted",
            "processLocally",
            "showClear",
            "showMasked",
            "reidentify",
        )
    ),
]
BEFORE = {
    (who, where): at(STORE, where, EVERYTHING, context(who))
    for who in ("crm", "clinic", "tienda")
    for where in ("home", "fr", "us-dpf", "trains")
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    condition=st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=3).map(" && ".join),
    action=st.sampled_from(ACTIONS),
)
def test_adding_a_forbid_never_loosens(condition: str, action: str) -> None:
    store = with_rules(forbid(condition, action))
    for (who, where), before in BEFORE.items():
        after = at(store, where, EVERYTHING, context(who))
        for category, treatment in before.treatments.items():
            assert after.treatments[category] >= treatment
            shown = decide_output(store, context(who), category, endpoint=AT[where])[0]
            assert shown >= decide_output(STORE, context(who), category, endpoint=AT[where])[0]
            if may_restore(store, context(who), category, endpoint=AT[where], sink="text"):
                assert may_restore(STORE, context(who), category, endpoint=AT[where], sink="text")


def test_conditions_of_the_property_are_policies_that_could_be_written() -> None:
    for condition in CONDITIONS:
        for one in rules(forbid(condition)):
            assert validate(one, STORE.schema) == []


@pytest.mark.parametrize("law", REGIONS.ids)
def test_adding_a_law_never_loosens(law: str) -> None:
    """A second law, which comes with a second establishment, only makes treatments stricter."""
    origin = REGIONS.regions[law].jurisdictions[0]
    for who in ("crm", "shop", "store"):
        for where in AT:
            alone = at(STORE, where, EVERYTHING, context(who, origin="MX"))
            both = at(STORE, where, EVERYTHING, context(who, origin=origin))
            assert all(
                both.treatments[category] >= treatment
                for category, treatment in alone.treatments.items()
            )


EXPIRING = """
@id("acme.exception") @title("t") @approved("the DPO, LEGAL-12") @expires("2027-01-31")
permit (principal, action == Action::"sendClear", resource)
when { context.category == Category::"location" };
"""


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2027, 1, 30, 23, 59, tzinfo=UTC), CLEAR),
        (datetime(2027, 1, 31, tzinfo=UTC), REDACTED),
        (datetime(2027, 1, 31, 0, 30, tzinfo=timezone(timedelta(hours=1))), CLEAR),
    ],
)
def test_exception_holds_until_its_day(tmp_path: Path, now: datetime, expected: Treatment) -> None:
    store = load(copy_policies(tmp_path, {"acme.cedar": EXPIRING}))
    decision = at(store, "us", "location", context(now=now))
    assert decision.treatment is expected


SOVEREIGN = """
@id("acme.sovereign") @title("t")
forbid (principal, action in Action::"send", resource)
when { context.category in Category::"personal" }
unless { resource.controlledBy in Jurisdiction::"EEA" || resource.sovereignty >= 3 };
"""


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, LOCAL),
        ({"controlled_by": "US"}, LOCAL),
        ({"controlled_by": "FR"}, CLEAR),
        ({"controlled_by": "US", "sovereignty": 3}, CLEAR),
        ({"sovereignty": 2}, LOCAL),
    ],
)
def test_rules_may_ask_who_controls_a_provider(
    tmp_path: Path, facts: dict[str, Any], expected: Treatment
) -> None:
    endpoint = replace(AT["fr"], id="here", **facts)
    directory = copy_policies(tmp_path, {"acme.cedar": SOVEREIGN})
    store = load(directory, endpoints=[AT["home"], endpoint])
    decision = decide(store, context(), found("contact"), endpoint=endpoint, local=AT["home"])
    assert decision.treatment is expected
