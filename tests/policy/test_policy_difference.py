"""What changes between the shipped policies and edited ones, in sentences."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from policy_world import POLICIES, ROOT, load

from guardrail.policy.cedar import reformat, split
from guardrail.policy.difference import (
    Comparison,
    Condition,
    Difference,
    boxes,
    cases,
    conditions,
    headline,
    laws_of,
    phrase_of,
)
from guardrail.policy.domain import Axis, Value
from guardrail.policy.ladder import decide
from guardrail.policy.loader import PolicyStore, populated
from guardrail.policy.scenarios import LOCAL, load_world
from guardrail.regions import load_regions
from guardrail.types import (
    Category,
    Endpoint,
    Evidence,
    Principal,
    RequestContext,
    Treatment,
)

BARE = load(endpoints=(), principals=())
WORLD = load_world(POLICIES / "tests", BARE)
Edit = Callable[[Path], None]


def peopled(store: PolicyStore) -> PolicyStore:
    local = Endpoint(id=LOCAL, provider="own", location="DE", local=True)
    return populated(
        store,
        endpoints=[*WORLD.endpoints.values(), local],
        principals=[replace(app, establishment="DE") for app in WORLD.apps.values()],
    )


SHIPPED = peopled(BARE)


def edited(target: Path, *edits: Edit) -> PolicyStore:
    """The shipped policies and regions, with edits."""
    for name in ("policies", "regions"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("tests"))
    for edit in edits:
        edit(target)
    regions = load_regions(target / "regions")
    return peopled(load(target / "policies", regions=regions, endpoints=(), principals=()))


def instead(file: str, old: str, new: str) -> Edit:
    """Replaces what stands once in a file."""

    def edit(target: Path) -> None:
        text = (target / file).read_text("utf-8")
        assert text.count(old) == 1
        (target / file).write_text(text.replace(old, new), "utf-8")

    return edit


def without(file: str, rule: str) -> Edit:
    """Removes a rule."""

    def edit(target: Path) -> None:
        text = (target / file).read_text("utf-8")
        kept = [one.text for one in split(text) if f'@id("{rule}")' not in one.text]
        (target / file).write_text("\n\n".join(kept) + "\n", "utf-8")

    return edit


def added(file: str, rule: str) -> Edit:
    def edit(target: Path) -> None:
        with (target / file).open("a", encoding="utf-8") as opened:
            opened.write(rule)

    return edit


def compared(old: PolicyStore, new: PolicyStore, *laws: str) -> Difference:
    comparison = Comparison(old, new)
    for law in laws or laws_of(old, new):
        comparison.compare(law)
    return comparison.difference()


def said(found: Difference) -> list[str]:
    """Each change in one line, as people read it."""
    return [
        f"{'LOOSER' if one.looser else 'stricter'} {','.join(one.laws)}: {headline(one)}"
        + "".join(f" & {condition}" for condition in conditions(one))
        for one in found.changes
    ]


# ---- three edited sets


def test_a_looser_set(tmp_path: Path) -> None:
    found = compared(SHIPPED, edited(tmp_path, without("policies/us.cedar", "us.identity-number")))
    assert said(found) == [
        "LOOSER us: national-id to every endpoint but cn, fr-bare, fr-trains, hk, ru, sg-cn, "
        "us-trains: pseudonymised → clear & app is not bank",
        "LOOSER us: national-id in answers from every endpoint: masked → clear",
    ]
    first = found.changes[0]
    assert first.was == ("us.identity-number", "us.contract")
    assert first.now == ("us.contract",)
    assert found.removed == ("us.identity-number",)
    assert found.looser


def test_a_stricter_set(tmp_path: Path) -> None:
    older = instead("policies/us.cedar", "context.age < 13", "context.age < 14")
    found = compared(SHIPPED, edited(tmp_path, older))
    assert not found.looser
    assert found.edited == ("us.child",)
    assert said(found)[0] == (
        "stricter us: document to every endpoint but fr-trains, us-trains: clear → local "
        "& consents without parental & age is 13 or more and below 14"
    )
    assert {"age is 13 or more and below 14"} == {
        condition for one in found.changes for condition in conditions(one) if "age" in condition
    }


def test_an_equal_set_that_is_reordered_and_reformatted(tmp_path: Path) -> None:
    def shuffle(target: Path) -> None:
        for file in (target / "policies").glob("*.cedar"):
            rules = [one.text for one in split(file.read_text("utf-8"))]
            again = reformat("\n".join(reversed(rules)), width=60)
            file.write_text(re.sub(r'@title\("', '@title("Said otherwise: ', again), "utf-8")

    new = edited(tmp_path, shuffle)
    found = compared(SHIPPED, new)
    assert new.digest != SHIPPED.digest
    assert (found.empty, found.edited, found.added, found.removed) == (True, (), (), ())
    assert found.compared > 2_000_000


# ---- each kind of change


def test_a_condition_that_is_dropped_says_where_it_mattered(tmp_path: Path) -> None:
    easier = instead(
        "policies/eu.cedar", ' &&\n  context.filings.contains(Filing::"TIA")\n}', "\n}"
    )
    found = compared(SHIPPED, edited(tmp_path, easier), "eu")
    (sentence,) = said(found)
    assert sentence.endswith(
        " to us-clauses, us-rules: redacted → pseudonymised"
        " & basis is not none & filings without TIA"
    )
    (change,) = found.changes
    assert sum(1 for _ in cases(change)) == len(change.cases) > 1


def test_a_country_that_becomes_adequate(tmp_path: Path) -> None:
    more = instead("regions/eu.toml", '"AD", "AR", ', '"AD", "AR", "AU", ')
    found = compared(SHIPPED, edited(tmp_path, more), "eu")
    assert found.edited == found.added == found.removed == ()
    assert all(" to au: " in one and one.startswith("LOOSER eu") for one in said(found))
    assert any("redacted → clear" in one for one in said(found))


def test_a_class_that_loses_a_category(tmp_path: Path) -> None:
    fewer = instead("regions/eu.toml", '"health", "genetic"', '"genetic"')
    found = compared(SHIPPED, edited(tmp_path, fewer), "eu")
    assert all(one.startswith("LOOSER eu: health to ") for one in said(found))
    assert found.changes


def test_a_change_of_what_holds_everywhere_is_said_once_for_all_laws(tmp_path: Path) -> None:
    new = edited(tmp_path, without("policies/00-base.cedar", "base.show"))
    changes = compared(SHIPPED, new).changes
    assert {law for one in changes for law in one.laws} == {*SHIPPED.regions.ids, ""}
    most = max(changes, key=lambda one: len(one.laws))
    assert len(most.laws) > 8
    assert "in answers from every endpoint: clear → masked" in headline(most)


def test_a_rule_that_mattered_to_nobody_is_named_and_changes_nothing(tmp_path: Path) -> None:
    found = compared(SHIPPED, edited(tmp_path, without("policies/00-base.cedar", "base.secret")))
    assert found.empty
    assert found.removed == ("base.secret",)


def test_what_is_kept(tmp_path: Path) -> None:
    shorter = instead("policies/eu.cedar", "context.days > 731", "context.days > 183")
    assert said(compared(SHIPPED, edited(tmp_path, shorter), "eu")) == [
        "stricter eu: keeping audit for 365 to 731 days: allowed → not allowed"
    ]


def test_the_local_model_and_a_tenant_of_an_overlay(tmp_path: Path) -> None:
    stop = (
        '@id("acme.stop") @title("t") forbid (principal == App::"hiring", '
        'action in Action::"process", resource) when { context.category in Category::"health" };'
    )
    found = compared(SHIPPED, edited(tmp_path, added("policies/acme.cedar", stop)), "eu")
    lines = said(found)
    assert "stricter eu: health on the local model: allowed → blocked & app is hiring" in lines
    assert all("app is hiring" in line and "health" in line for line in lines)


def test_a_day_from_which_an_exception_no_longer_holds(tmp_path: Path) -> None:
    exception = (
        '@id("acme.trial") @title("t") @approved("dpo, T-1") @expires("2027-01-31") permit '
        '(principal, action == Action::"sendClear", resource == Endpoint::"fr-bare") '
        'when { context.category in Category::"contact" };'
    )
    found = compared(SHIPPED, edited(tmp_path, added("policies/acme.cedar", exception)), "eu")
    assert {"day is up to 20270130"} == {
        condition for one in found.changes for condition in conditions(one) if "day" in condition
    }
    assert found.looser


def test_words_and_laws_that_come_and_go(tmp_path: Path) -> None:
    def drop_law(target: Path) -> None:
        (target / "policies/vn.cedar").unlink()
        (target / "regions/vn.toml").unlink()

    new = edited(
        tmp_path,
        drop_law,
        instead("policies/vocabulary.toml", 'research = "', 'outreach = "'),
        instead("regions/jp.toml", 'jurisdictions = ["JP"]', 'jurisdictions = ["JP", "KR"]'),
    )
    notes = compared(SHIPPED, new, "eu").notes
    assert [(one.text.partition(":")[0], one.looser) for one in notes] == [
        ("the law vn is gone", True),
        ("jp now applies in KR, too", False),
        ("purpose", False),
        ("purpose", True),
    ]
    back = compared(new, SHIPPED, "eu").notes
    assert [(one.text.partition(":")[0], one.looser) for one in back][:3] == [
        ("the law vn is new", False),
        ("jp no longer applies in KR", True),
        ("a law now applies in VN, where none did", True),
    ]


def test_a_law_where_none_applied_is_looser(tmp_path: Path) -> None:
    wider = instead("regions/jp.toml", 'jurisdictions = ["JP"]', 'jurisdictions = ["JP", "MX"]')
    new = edited(tmp_path, wider)
    found = compared(SHIPPED, new, "jp")
    assert found.looser
    assert [(one.text.partition(":")[0], one.looser) for one in found.notes] == [
        ("jp now applies in MX, too", False),
        ("a law now applies in MX, where none did", True),
    ]
    # So it is: what stayed local may leave.
    for store, treatment in ((SHIPPED, Treatment.LOCAL), (new, Treatment.CLEAR)):
        here = populated(
            store,
            endpoints=[*store.endpoints.values()],
            principals=[Principal(id="app", establishment="MX")],
        )
        context = RequestContext(
            exchange="e",
            principal=here.principals["app"],
            purpose="general",
            basis="contract",
            origin="MX",
            conversation="",
            now=datetime(2026, 12, 1, tzinfo=UTC),
        )
        decision = decide(
            here,
            context,
            {Category("contact"): Evidence()},
            endpoint=here.endpoints["jp"],
            local=here.endpoints[LOCAL],
            residual=0.0,
        )
        assert decision.treatments[Category("contact")] is treatment


def test_cases_are_exactly_the_requests(tmp_path: Path) -> None:
    older = instead("policies/us.cedar", "context.age < 13", "context.age < 16")
    for change in compared(SHIPPED, edited(tmp_path, older), "us").changes:
        assert change.requests > 0
        assert len(set(change.cases)) == len(change.cases)
        # What all requests have in common is in each case.
        for condition in change.where:
            for case in change.cases:
                (there,) = [one for one in case if one.name == condition.name]
                assert set(there.values) <= set(condition.values)


def test_pairs_of_values_that_change_become_products_that_make_them_up() -> None:
    where = np.zeros((3, 4), np.bool_)
    where[0] = where[1] = (True, False, True, False)
    where[2, 3] = True
    told = (Axis("category", ((0,), (1,), (2,))), Axis("endpoint", ((0,), (1,), (2,), (3,))))
    assert boxes(where, told) == [((0, 1), (0, 2)), ((2,), (3,))]


@pytest.mark.parametrize(
    ("name", "values", "among", "phrase"),
    [
        ("age", (0, 7, 12), (None, 0, 7, 12, 13), "age is below 13"),
        ("age", (None, 13), (None, 0, 7, 12, 13), "age is not known or 13 or more"),
        ("age", (0, 12), (None, 0, 7, 12, 13), "age is below 7 or 12 or more and below 13"),
        ("residual", (0, 5), (None, 0, 5, 10), "residual is up to 5"),
        ("residual", (5,), (0, 5, 10), "residual is over 0 up to 5"),
        ("residual", (5, 10), (0, 5, 10), "residual is over 0"),
        ("basis", ("none",), ("none", "consent", "contract"), "basis is none"),
        ("basis", ("consent", "contract"), ("none", "consent", "contract"), "basis is not none"),
        ("injected", (True,), (False, True), "a text from outside speaks to the model"),
        ("origin", ("",), ("", "FR"), "origin is an unknown place"),
    ],
)
def test_conditions_are_said_in_words(
    name: str, values: tuple[Value, ...], among: tuple[Value, ...], phrase: str
) -> None:
    assert phrase_of(Condition(name, values, among)) == phrase


A, B, NOTHING, BOTH = map(frozenset, ("a", "b", "", "ab"))


@pytest.mark.parametrize(
    ("sets", "phrase"),
    [
        ((A, BOTH), "filings with a"),
        ((NOTHING, B), "filings without a"),
        ((BOTH,), "filings with a and b"),
        ((NOTHING,), "filings without a or b"),
        ((A,), "filings with a, without b"),
        ((A, B, BOTH), "filings with a or b"),
        ((A, B), "filings are a; or b"),
        ((NOTHING, BOTH), "filings are none; or a and b"),
    ],
)
def test_sets_are_said_by_the_words_that_matter(sets: tuple[Value, ...], phrase: str) -> None:
    assert phrase_of(Condition("filings", sets, (NOTHING, A, B, BOTH))) == phrase
