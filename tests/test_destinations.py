"""What may leave for a place, asked of the shipped policies."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from guardrail.config import load_config
from guardrail.destinations import Journey, configured_destination, destination
from guardrail.errors import ConfigError, Refusal
from guardrail.taxonomy import load_taxonomy
from guardrail.types import Category, Evidence, Treatment

AT = datetime(2026, 11, 25, tzinfo=UTC)
CONTACT = {Category("contact"): Evidence()}


def treatment(journey: Journey) -> Treatment:
    judge = destination(journey, taxonomy=load_taxonomy(), at=AT)
    return judge(CONTACT)[Category("contact")]


@pytest.mark.parametrize("origin", ["EU", "eu", "DE"])
def test_without_a_ground_contacts_leave_the_union_redacted(origin: str) -> None:
    assert treatment(Journey(origin=origin, location="US")) is Treatment.REDACTED


def test_within_the_union_by_contract_contacts_leave_in_clear() -> None:
    journey = Journey(origin="EU", location="DE", basis="contract", agreements=frozenset({"DPA"}))
    assert treatment(journey) is Treatment.CLEAR


def test_what_no_policy_permits_is_withheld_by_name() -> None:
    judge = destination(Journey(origin="EU", location="US"), taxonomy=load_taxonomy(), at=AT)
    with pytest.raises(Refusal, match=r"destination \(US\): unknown .*") as caught:
        judge({Category("unknown"): Evidence()})
    assert (caught.value.status, caught.value.code) == (403, "withheld")


@pytest.mark.parametrize(
    ("journey", "problem"),
    [
        (Journey(origin="EU", location="Mars"), "no place 'Mars'"),
        (Journey(origin="Mars", location="US"), "Mars"),
        (Journey(origin="EU", location="US", basis="whim"), "basis: 'whim' is not one of"),
        (Journey(origin="EU", location="US", agreements=frozenset({"NDA"})), "NDA"),
    ],
)
def test_a_word_that_no_policy_knows_is_refused(journey: Journey, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        destination(journey, taxonomy=load_taxonomy(), at=AT)


def test_a_folder_without_policies_is_refused(tmp_path: Path) -> None:
    journey = Journey(origin="EU", location="US")
    with pytest.raises(ConfigError, match="no region files"):
        destination(journey, taxonomy=load_taxonomy(), at=AT, directory=tmp_path)


SETTINGS = {
    "apps": {"crm": {"establishment": "DE", "origin": "DE"}},
    "endpoints": {
        "local": {"provider": "ollama", "location": "DE", "local": True, "models": ["l"],
                  "model": "l"},
        "cloud": {"provider": "openai", "location": "US", "models": ["gpt-*"]},
    },
}  # fmt: skip


def test_a_configuration_judges_by_its_own_endpoints() -> None:
    judge = configured_destination(load_config(SETTINGS), endpoint="cloud", at=AT)
    assert judge(CONTACT) == {Category("contact"): Treatment.REDACTED}
    assert not Path("guardrail-audit.db").exists()
    local = configured_destination(load_config(SETTINGS), endpoint="local", app="crm", at=AT)
    with pytest.raises(Refusal, match="contact may be processed locally only"):
        local(CONTACT)


@pytest.mark.parametrize(
    ("app", "endpoint", "problem"),
    [("", "moon", "there is none; use local, cloud"), ("hr", "cloud", "which app sends: crm")],
)
def test_what_a_configuration_lacks_is_named(app: str, endpoint: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        configured_destination(load_config(SETTINGS), endpoint=endpoint, app=app, at=AT)
