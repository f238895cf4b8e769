from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from guardrail import types
from guardrail.types import AuditEvent, Category, Decision, Reason, TextUnit, Treatment

VALUES = [kind for kind in vars(types).values() if dataclasses.is_dataclass(kind)]


@pytest.mark.parametrize("kind", VALUES, ids=[getattr(kind, "__name__", "") for kind in VALUES])
def test_every_value_is_frozen_and_has_slots(kind: type) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]  # dataclasses set it
    assert "__slots__" in vars(kind)


def test_the_stricter_treatment_is_the_greater() -> None:
    assert sorted(Treatment) == [
        Treatment.CLEAR,
        Treatment.PSEUDONYMISED,
        Treatment.REDACTED,
        Treatment.LOCAL,
        Treatment.BLOCKED,
    ]


def test_a_decision_is_as_strict_as_its_strictest_category() -> None:
    one, two = Category("name"), Category("health")
    decision = Decision(
        endpoint="e",
        treatments={one: Treatment.CLEAR, two: Treatment.REDACTED},
        reasons={
            one: (Reason(policy="b", effect="permit"), Reason(policy="a", effect="permit")),
            two: (Reason(policy="a", effect="forbid"),),
        },
    )
    assert decision.treatment is Treatment.REDACTED
    assert decision.policies == ("a", "b")


def test_where_nothing_was_decided_nothing_goes() -> None:
    assert Decision(endpoint="e").treatment is Treatment.BLOCKED
    assert Decision(endpoint="e").policies == ()


def test_a_default_cannot_be_changed_for_everybody() -> None:
    event = AuditEvent(id="1", kind="k", at=datetime(2026, 1, 1, tzinfo=UTC), exchange="x")
    for mapping in (Decision(endpoint="e").treatments, event.counts, event.treatments):
        assert isinstance(mapping, MappingProxyType)


def test_a_unit_does_not_show_its_text() -> None:
    assert "canary" not in repr(TextUnit(pointer="/a", text="canary"))
