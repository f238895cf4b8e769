"""How long things are kept: the shortest limit, the longest duty, and nothing on a fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from policy_world import PRINCIPALS, REGIONS, STORE, copy_policies, load

from guardrail.errors import PolicyUnavailable
from guardrail.policy.loader import slices
from guardrail.policy.obligations import Keeping, retention
from guardrail.types import Principal

USUAL: dict[str, Any] = {"origin": "DE", "purpose": "support", "basis": "contract"}
RISKY = Principal(id="risky", establishment="DE", high_risk=True)
BETWEEN = Principal(id="between", establishment="US", sector="health")


@pytest.mark.parametrize(
    ("principal", "origin", "kept", "limit", "duty"),
    [
        ("crm", "DE", "audit", 731, 0),
        ("crm", "DE", "vault", 30, 0),
        ("risky", "DE", "audit", 731, 183),
        ("risky", "DE", "vault", 30, 0),
        ("store", "US-NY", "audit", 3653, 0),
        ("clinic", "US-NY", "audit", 3653, 2192),
        ("between", "FR", "audit", 731, 2192),
        ("shop", "GB", "audit", 3653, 0),
        ("crm", "nowhere", "audit", 731, 0),
    ],
)
def test_each_law_says_how_long(
    principal: str, origin: str, kept: Any, limit: int, duty: int
) -> None:
    store = load(principals=[*PRINCIPALS, RISKY, BETWEEN])
    found = retention(store, kept, principal=principal, **{**USUAL, "origin": origin})
    assert (found.limit, found.duty) == (limit, duty)
    assert found.days == max(limit, duty)


def test_rules_that_decided_are_named() -> None:
    found = retention(STORE, "audit", principal="clinic", **{**USUAL, "origin": "US"})
    assert {"base.keep.audit", "base.purge", "us.hipaa.keep"} <= set(found.policies)


def test_what_may_never_be_destroyed_has_no_end(tmp_path: Path) -> None:
    rule = '@id("acme.hold") @title("t") forbid (principal, action == Action::"purge", resource);'
    store = load(copy_policies(tmp_path, {"acme.cedar": rule}))
    found = retention(store, "audit", principal="crm", **USUAL)
    assert (found.duty, found.days) == (None, None)


def test_what_may_not_be_kept_is_destroyed_at_once(tmp_path: Path) -> None:
    rule = '@id("acme.no") @title("t") forbid (principal, action == Action::"retain", resource);'
    store = load(copy_policies(tmp_path, {"acme.cedar": rule}))
    found = retention(store, "vault", principal="crm", **USUAL)
    assert (found.limit, found.days) == (-1, 0)
    assert Keeping(-1, 183, ()).days == 183


@pytest.mark.parametrize("facts", [{"purpose": "no"}, {"basis": "no"}, {"principal": "nobody"}])
def test_unknown_words_are_no_answer(facts: dict[str, str]) -> None:
    with pytest.raises(PolicyUnavailable, match="not known"):
        retention(STORE, "audit", **{"principal": "crm", **USUAL, **facts})


def test_a_fault_is_no_answer() -> None:
    rules = [one for one in STORE.rules["eu"] if one.id == "eu.keep.limit"]
    tree = rules[0].tree
    body = {".": {"left": {"Var": "context"}, "attr": "gone"}}
    broken = replace(rules[0], tree={**tree, "conditions": [{"kind": "when", "body": body}]})
    store = replace(STORE, sets={**STORE.sets, "eu": slices([broken])})
    with pytest.raises(PolicyUnavailable, match=r"PolicyEvaluation|NoDecision"):
        retention(store, "audit", principal="crm", **USUAL)


def test_profiles_and_rules_name_the_same_duty() -> None:
    for law, region in REGIONS.regions.items():
        place = region.jurisdictions[0]
        strictest = Principal(
            id="a", establishment=place, sector="health", high_risk=True, tenant="t"
        )
        store = load(principals=[strictest])
        duty = retention(store, "audit", principal="a", **{**USUAL, "origin": place}).duty
        assert duty == region.min_log_days, law
