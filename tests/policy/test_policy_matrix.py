"""Sheets of the residency matrix, and what is put together because it is alike."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from policy_world import ENDPOINTS, HOME, STORE, WHO, copy_policies, load

from guardrail.policy.matrix import (
    NOWHERE,
    Posture,
    alike_columns,
    alike_rows,
    categories,
    exceptions,
    sheet,
)
from guardrail.types import Category, Principal, Treatment

WANDERING = Principal(id="anyone")


def test_an_application_without_a_place_is_where_the_people_are() -> None:
    made = sheet(STORE, "jp", Posture(app=WANDERING))
    assert (made.place, made.established, made.laws) == ("JP", "JP", ("jp",))
    assert [row.endpoint.location for row in made.rows if row.endpoint.local] == ["JP"]
    assert len(made.rows) == len(ENDPOINTS)
    assert made.rows[0].endpoint.local
    assert all(tuple(row.cells) == categories(STORE) for row in made.rows)


def test_an_application_with_a_place_brings_its_law() -> None:
    made = sheet(STORE, "us", Posture(app=WHO["crm"]))
    assert made.laws == ("eu", "us")
    assert made.rows[0].endpoint == HOME
    cell = next(row for row in made.rows if row.endpoint.id == "us").cells[Category("contact")]
    assert cell.treatment is Treatment.REDACTED
    assert "eu.removed" in {reason.policy for reason in cell.reasons}


def test_people_of_whom_the_place_is_not_known_have_what_holds_everywhere() -> None:
    made = sheet(STORE, NOWHERE, Posture(app=WANDERING))
    assert (made.place, made.laws) == ("", ())
    assert STORE.regions.applicable(origin=made.established, establishment=made.established) == ()
    treatments = {cells[Category("contact")].treatment for _, cells in made.rows}
    assert treatments == {Treatment.LOCAL}


def test_what_is_alike_goes_together_and_nothing_else() -> None:
    made = sheet(STORE, "eu", Posture(app=WHO["crm"]))
    names = categories(STORE)
    columns = alike_columns(made.rows, names)
    assert sorted(name for column in columns for name in column) == sorted(names)
    for column in columns:
        for row in made.rows:
            assert len({row.cells[name].treatment for name in column}) == 1
    rows = alike_rows(made.rows)
    assert sorted(row.endpoint.id for one in rows for row in one) == sorted(
        row.endpoint.id for row in made.rows
    )
    for one in rows:
        assert len({tuple(c.treatment for c in row.cells.values()) for row in one}) == 1


def test_exceptions_are_those_that_somebody_approved(tmp_path: Path) -> None:
    rule = (
        '@id("acme.one") @title("t") @approved("dpo, T-1") @expires("2027-01-31") permit '
        '(principal, action == Action::"sendClear", resource == Endpoint::"us") '
        'when { context.category in Category::"contact" };'
    )
    store = load(copy_policies(tmp_path, {"acme.cedar": rule}))
    (found,) = exceptions(store)
    assert (found.reason.policy, found.approved) == ("acme.one", "dpo, T-1")
    assert found.expires == date(2027, 1, 31)
    assert exceptions(STORE) == ()
