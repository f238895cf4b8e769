"""Replaying: the same policies change nothing; others change what they say, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_world import AT, CLEAR, PSEUDONYMISED, REDACTED, STORE, WHO, copy_policies, load

from guardrail.policy.ladder import decide
from guardrail.policy.loader import PolicyStore
from guardrail.policy.replay import Change, Replay
from guardrail.policy.vocabulary import AGES, CONFIDENCES, COUNTS, RESIDUALS
from guardrail.taxonomy import CATEGORIES
from guardrail.types import AuditEvent, Category, Evidence, RequestContext

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
CLOUD = sorted(name for name in AT if name != "home")


def recorded(store: PolicyStore = STORE, **facts: Any) -> AuditEvent:
    """The event of a request as the policies of a store decided it."""
    asked: dict[str, Any] = {
        "principal": "crm",
        "purpose": "support",
        "basis": "contract",
        "origin": "DE",
        "consents": (),
        "filings": (),
        "age": None,
        "found": {"contact": 1},
        "confidences": {"contact": 80},
        "residual": 0,
        "judged": ("fr",),
        "local": "home",
        "unalterable": (),
        "injected": False,
        **facts,
    }
    context = RequestContext(
        exchange="e",
        principal=WHO[asked["principal"]],
        purpose=asked["purpose"],
        basis=asked["basis"],
        origin=asked["origin"],
        conversation="c",
        now=NOW,
        consents=frozenset(asked["consents"]),
        filings=frozenset(asked["filings"]),
        age=asked["age"],
    )
    decision = decide(
        store,
        context,
        {
            Category(name): Evidence(count=count, score=asked["confidences"].get(name, 80) / 100)
            for name, count in asked["found"].items()
        },
        endpoint=AT[asked["judged"][0]],
        local=AT["home"],
        residual=None if asked["residual"] is None else asked["residual"] / 100,
        unalterable=frozenset(asked["unalterable"]),
        injected=asked["injected"],
    )
    treatments = {str(category): one.name.lower() for category, one in decision.treatments.items()}
    return AuditEvent(
        id="0" * 32, kind="egress.decision", at=NOW, exchange="e", treatments=treatments, **asked
    )


CHOSEN = st.fixed_dictionaries(
    {
        "principal": st.sampled_from(sorted(WHO)),
        "purpose": st.sampled_from(sorted(STORE.vocabulary["purpose"])),
        "basis": st.sampled_from(sorted(STORE.vocabulary["basis"])),
        "origin": st.sampled_from(["DE", "GB", "US-CA", "BR", ""]),
        "consents": st.lists(st.sampled_from(sorted(STORE.vocabulary["consent"])), max_size=2).map(
            tuple
        ),
        "filings": st.lists(st.sampled_from(sorted(STORE.vocabulary["filing"])), max_size=2).map(
            tuple
        ),
        "age": st.none() | st.sampled_from(AGES),
        "found": st.dictionaries(
            st.sampled_from(CATEGORIES), st.sampled_from(COUNTS), min_size=1, max_size=3
        ),
        "confidences": st.fixed_dictionaries(
            {name: st.sampled_from(CONFIDENCES) for name in CATEGORIES}
        ),
        "residual": st.none() | st.sampled_from(RESIDUALS),
        "judged": st.sampled_from(CLOUD).map(lambda name: (name,)),
        "injected": st.booleans(),
    }
)


@settings(deadline=None, max_examples=200)
@given(CHOSEN)
def test_the_same_policies_decide_alike(facts: dict[str, Any]) -> None:
    again = Replay(STORE)
    again.put(recorded(**facts))
    assert (again.outcome.same, again.outcome.changed) == (1, 0)


def test_what_other_policies_change_is_counted_and_looser_comes_first(tmp_path: Path) -> None:
    changes: dict[str, str | None] = {
        "acme.cedar": """@id("acme.mail") @title("t")
        forbid (principal, action == Action::"sendClear", resource)
        when { context.category == Category::"contact" };""",
        "eu.cedar": (Path(__file__).parents[2] / "policies/eu.cedar")
        .read_text()
        .replace('context.category in Category::"eu/special"', "false", 1),
    }
    edited = Replay(load(copy_policies(tmp_path, changes)))
    for _ in range(3):
        edited.put(recorded())
    edited.put(recorded(found={"health": 1, "name": 1}))
    outcome = edited.outcome
    assert (outcome.events, outcome.changed, outcome.same, outcome.asked) == (4, 4, 0, 2)
    health, contact = outcome.sorted()
    assert (health[1], health[0].looser, contact[0].looser) == (1, True, False)
    assert health[0][:5] == ("crm", "fr", Category("health"), PSEUDONYMISED, CLEAR)
    assert contact == (
        Change("crm", "fr", Category("contact"), CLEAR, PSEUDONYMISED, ("acme.mail", "eu.home")),
        3,
    )


@pytest.mark.parametrize(
    ("why", "facts"),
    [
        ("undecided", {"treatments": {}}),
        ("unrecorded", {"found": {}}),
        ("unrecorded", {"judged": ()}),
        ("unknown", {"judged": ("gone",)}),
        ("unknown", {"principal": "gone"}),
        ("unknown", {"local": "gone"}),
    ],
)
def test_what_cannot_be_asked_again_is_counted(why: str, facts: dict[str, Any]) -> None:
    usual = recorded()
    values = {name: getattr(usual, name) for name in AuditEvent.__dataclass_fields__}
    again = Replay(STORE)
    again.put(AuditEvent(**{**values, **facts}))
    assert dict(again.outcome.skipped) == {why: 1}
    assert (again.outcome.same, again.outcome.changed) == (0, 0)


def test_the_strictest_of_several_endpoints_counts() -> None:
    usual = recorded(judged=("us",))
    assert usual.treatments == {"contact": REDACTED.name.lower()}
    values = {name: getattr(usual, name) for name in AuditEvent.__dataclass_fields__}
    again = Replay(STORE)
    again.put(AuditEvent(**{**values, "judged": ("fr", "us")}))
    assert again.outcome.same == 1


def test_events_of_other_kinds_are_passed_over() -> None:
    again = Replay(STORE)
    again.put(AuditEvent(id="0" * 32, kind="egress.outcome", at=NOW, exchange="e"))
    assert again.outcome.events == 0
