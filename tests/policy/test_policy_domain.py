"""What holds for every request that the shipped rules can tell from another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_world import POLICIES, copy_policies, load

from guardrail.errors import ConfigError
from guardrail.policy import domain
from guardrail.policy.domain import (
    TOPICS,
    Axis,
    Topic,
    Treatments,
    Value,
    World,
    axes,
    deciding,
    treatments,
)
from guardrail.policy.explain import Climb, Question, egress, output, restoring
from guardrail.policy.loader import EVERYWHERE, PolicyStore, populated
from guardrail.policy.obligations import retention
from guardrail.policy.scenarios import LOCAL, load_world
from guardrail.policy.vocabulary import DAYS
from guardrail.types import Category, Endpoint, Evidence, RequestContext, Treatment

BARE = load(endpoints=(), principals=())
LAWS = (*BARE.regions.ids, EVERYWHERE)
CLEAR, PSEUDONYMISED, REDACTED, LOCAL_ONLY, BLOCKED = Treatment


def peopled(store: PolicyStore, law: str, endpoints: Sequence[Endpoint] = ()) -> PolicyStore:
    """The applications of the scenarios where a law applies, and their endpoints or others."""
    known = load_world(POLICIES / "tests", BARE)
    home = store.regions.regions[law or "eu"].jurisdictions[0]
    local = Endpoint(id=LOCAL, provider="own", location=home, local=True)
    return populated(
        store,
        endpoints=[*(endpoints or known.endpoints.values()), local],
        principals=[replace(app, establishment=home) for app in known.apps.values()],
    )


@cache
def world(law: str) -> World:
    return World(peopled(BARE, law))


@cache
def whole(law: str, topic: Topic) -> tuple[tuple[Axis, ...], Treatments]:
    told = axes([world(law)], [law], topic)
    return told, treatments(world(law), law, topic, told)


def along(told: Sequence[Axis], result: Treatments, name: str) -> dict[Value, Treatments]:
    """The requests by the values of one fact."""
    number = [axis.name for axis in told].index(name)
    return {
        value: np.take(result, index, number)
        for index, members in enumerate(told[number].classes)
        for value in members
    }


# ---- that the domain answers as the ladder does


@pytest.mark.parametrize("law", LAWS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_request_is_treated_as_the_engine_says(law: str, data: st.DataObject) -> None:
    topics: tuple[Topic, ...] = ("send", "stay", "show", "restore")
    topic = data.draw(st.sampled_from(topics))
    told, result = whole(law, topic)
    picked: dict[str, Value] = {}
    place = []
    for axis in told:
        number = data.draw(st.integers(0, len(axis.classes) - 1))
        place.append(number)
        picked[axis.name] = data.draw(st.sampled_from(axis.classes[number]))
    if topic == "restore":
        picked["toolDeclared"] = picked["sink"] == "tool"
        place[-1] = axis_place(told[-1], picked["toolDeclared"])
    climb = asked(law, topic, picked)
    assert Treatment(result[tuple(place)]) is climb.treatment
    if topic != "restore":
        named = deciding(world(law), law, topic, told, place)
        assert set(named) <= climb.policies
        assert bool(named) == bool(climb.policies)


def axis_place(axis: Axis, value: Value) -> int:
    return next(number for number, one in enumerate(axis.classes) if value in one)


def asked(law: str, topic: Topic, picked: dict[str, Value]) -> Climb:
    """What the ladder's questions, asked one by one, come to."""
    store = world(law).store
    day = datetime.strptime(str(picked["day"]), "%Y%m%d").replace(tzinfo=UTC)
    residual = picked.get("residual")
    home = str(picked.get("home", LOCAL))
    question = Question(
        context=RequestContext(
            exchange="e",
            principal=store.principals[str(picked["app"])],
            purpose=str(picked["purpose"]),
            basis=str(picked["basis"]),
            origin=str(picked["origin"]),
            conversation="",
            now=day,
            consents=frozenset(picked["consents"]),  # type: ignore[arg-type]
            filings=frozenset(picked["filings"]),  # type: ignore[arg-type]
            age=picked["age"],  # type: ignore[arg-type]
        ),
        endpoint=store.endpoints[str(picked.get("source") or picked.get("endpoint") or home)],
        local=store.endpoints[home],
        residual=None if residual is None else int(residual) / 100,  # type: ignore[arg-type]
        injected=bool(picked["injected"]),
        evidence=Evidence(
            count=int(picked["count"]),  # type: ignore[arg-type]
            score=int(picked["confidence"]) / 100,  # type: ignore[arg-type]
        ),
    )
    category = Category(str(picked["category"]))
    if topic in ("send", "stay"):
        climbs = egress(store, question, category)
    elif topic == "show":
        climbs = output(store, question, category)
    else:
        climbs = restoring(store, question, category, picked["sink"])  # type: ignore[arg-type]
    found = [one for one in climbs if one.law == law]
    return found[0] if found else everywhere(store, question, category, topic, picked)


def everywhere(
    store: PolicyStore,
    question: Question,
    category: Category,
    topic: Topic,
    picked: dict[str, Value],
) -> Climb:
    """The rules that hold everywhere are asked alone of people whose place is not known."""
    assert "origin" not in store.sets[EVERYWHERE]["sendClear"].mentions
    lost = replace(question, context=replace(question.context, origin=""))
    ask: dict[str, Callable[..., tuple[Climb, ...]]] = {
        "send": egress,
        "stay": egress,
        "show": output,
    }
    climbs = (
        restoring(store, lost, category, picked["sink"])  # type: ignore[arg-type]
        if topic == "restore"
        else ask[topic](store, lost, category)
    )
    return next(one for one in climbs if one.law == EVERYWHERE)


@pytest.mark.parametrize("law", ["eu", "us", "cn"])
@pytest.mark.parametrize("kept", ["audit", "vault"])
@pytest.mark.parametrize("app", ["general", "clinic", "hiring"])
def test_what_is_kept_is_as_retention_says(law: str, kept: str, app: str) -> None:
    store = world(law).store
    said = retention(
        store,
        kept,  # type: ignore[arg-type]
        principal=app,
        origin=store.principals[app].establishment,
        purpose="general",
        basis="contract",
    )
    allowed = {}
    for topic in ("retain", "purge"):
        told, result = whole(law, topic)
        days = {}
        for step in DAYS:
            facts: dict[str, Value] = {
                "app": app,
                "store": kept,
                "purpose": "general",
                "basis": "contract",
                "days": step,
                "origin": store.principals[app].establishment,
            }
            place = tuple(axis_place(axis, facts[axis.name]) for axis in told)
            days[step] = result[place] == CLEAR
        allowed[topic] = days
    limits = [step for step in DAYS if all(allowed["retain"][one] for one in DAYS if one <= step)]
    assert said.limit == max(limits, default=-1)
    assert said.duty == next((step for step in DAYS if allowed["purge"][step]), None)


# ---- what holds everywhere


@pytest.mark.parametrize("law", LAWS)
def test_a_redacted_form_is_never_forbidden_where_a_pseudonymised_one_is_allowed(law: str) -> None:
    told = axes([world(law)], [law], "send")
    allowed = {
        action: domain.allowed(world(law), law, action, told)
        for action in ("sendPseudonymised", "sendRedacted")
    }
    assert allowed["sendPseudonymised"].any() or law == EVERYWHERE
    assert not (allowed["sendPseudonymised"] & ~allowed["sendRedacted"]).any()


@pytest.mark.parametrize("law", LAWS)
def test_an_unknown_category_never_leaves(law: str) -> None:
    told, result = whole(law, "send")
    assert (along(told, result, "category")["unknown"] >= LOCAL_ONLY).all()
    assert (result < LOCAL_ONLY).any()


@pytest.mark.parametrize("law", LAWS)
def test_secrets_are_safe_under_every_law(law: str) -> None:
    sent = along(*whole(law, "send"), "category")["secret"]
    assert (sent >= REDACTED).all()
    assert (along(*whole(law, "show"), "category")["secret"] >= REDACTED).all()
    assert (along(*whole(law, "restore"), "category")["secret"] == BLOCKED).all()


@pytest.mark.parametrize("law", LAWS)
def test_nothing_goes_on_unaudited_as_shipped(law: str) -> None:
    _, result = whole(law, "unaudited")
    assert (result == BLOCKED).all()


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", ["filings", "consents"])
def test_losing_a_filing_or_a_consent_never_loosens(law: str, name: str) -> None:
    told, result = whole(law, "send")
    by_set = along(told, result, name)
    for words, kept in by_set.items():
        assert isinstance(words, frozenset)
        for word in words:
            assert (by_set[words - {word}] >= kept).all(), f"{word} of {sorted(words)}"


PLACES = ("AE", "AU", "BR", "CN", "FR", "GB", "IN", "JP", "KR", "RU", "SA", "SG", "US", "VN")


def called(place: str, words: frozenset[str]) -> str:
    return f"{place} {'+'.join(sorted(words))}"


@pytest.mark.parametrize("law", LAWS)
def test_losing_an_agreement_never_loosens(law: str) -> None:
    named = {
        name
        for rule in BARE.rules[law]
        for kind, name in domain.named_entities(rule)
        if kind == "Agreement"
    }
    signed = [
        frozenset(words) for size in range(len(named) + 1) for words in combinations(named, size)
    ]
    endpoints = [
        Endpoint(id=called(place, words), provider="p", location=place, agreements=words)
        for place in PLACES
        for words in signed
    ]
    here = World(peopled(BARE, law, endpoints))
    told = axes([here], [law], "send")
    by_endpoint = along(told, treatments(here, law, "send", told), "endpoint")
    compared = 0
    for endpoint in endpoints:
        for word in endpoint.agreements:
            fewer = called(endpoint.location, endpoint.agreements - {word})
            compared += 1
            assert (by_endpoint[fewer] >= by_endpoint[endpoint.id]).all(), (endpoint.id, word)
    assert compared or not named


CONDITIONS = (
    'context.category in Category::"personal"',
    'context.category in Category::"eu/special"',
    'context.basis == Basis::"contract"',
    'context.consents.contains(Consent::"explicit")',
    'context.filings.contains(Filing::"TIA")',
    "context has age && context.age < 16",
    "context.count >= 10",
    "context has residual && context.residual > 25",
    "resource.trainsOnData",
    'resource in Jurisdiction::"US"',
    'resource.agreements.contains(Agreement::"DPA")',
    'principal.sector == Sector::"health"',
    'context.purpose == Purpose::"marketing"',
)
ACTIONS = (
    'action in Action::"send"',
    'action == Action::"sendClear"',
    'action in [Action::"sendClear", Action::"sendPseudonymised"]',
    'action == Action::"sendRedacted"',
    'action in Action::"process"',
)


@given(
    law=st.sampled_from(("eu", "us", "cn", "br", EVERYWHERE)),
    action=st.sampled_from(ACTIONS),
    conditions=st.lists(st.sampled_from(CONDITIONS), min_size=0, max_size=3, unique=True),
    exception=st.sampled_from((None, *CONDITIONS)),
)
@settings(max_examples=25, deadline=None)
def test_adding_a_forbid_never_loosens(
    tmp_path_factory: pytest.TempPathFactory,
    law: str,
    action: str,
    conditions: list[str],
    exception: str | None,
) -> None:
    when = " && ".join(f"({one})" for one in conditions) or "true"
    unless = f" unless {{ {exception} }}" if exception else ""
    rule = f'@id("acme.one") @title("t") forbid (principal, {action}, resource) when {{ {when} }}'
    folder = copy_policies(tmp_path_factory.mktemp("set"), {"acme.cedar": f"{rule}{unless};"})
    stricter = World(peopled(load(folder, endpoints=(), principals=()), law))
    told = axes([world(law), stricter], [law], "send")
    before = treatments(world(law), law, "send", told)
    after = treatments(stricter, law, "send", told)
    assert (after >= before).all()


# ---- what it refuses


def test_rules_that_name_too_many_words_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "MAX_REQUESTS", 1000)
    with pytest.raises(ConfigError, match=r"the rules of eu tell [\d,]+ requests apart \(endpoint"):
        axes([world("eu")], ["eu"], "send")


def test_a_rule_that_cannot_be_evaluated_denies(tmp_path: Path) -> None:
    extra = (
        '@id("acme.age") @title("t") permit (principal, action == Action::"sendClear", resource) '
        'when { context.category in Category::"name" };'
    )
    text = (POLICIES / "us.cedar").read_text("utf-8") + extra
    good = peopled(
        load(copy_policies(tmp_path, {"us.cedar": text}), endpoints=(), principals=()), "us"
    )
    rules = list(good.rules["us"])
    broken = rules[-1]
    missing = {".": {"left": {"Var": "context"}, "attr": "age"}}
    tree = {
        **broken.tree,
        "conditions": [{"kind": "when", "body": {"<": {"left": missing, "right": {"Value": 16}}}}],
    }
    rules[-1] = replace(broken, tree=tree)
    faulty = World(replace(good, rules={**good.rules, "us": tuple(rules)}))
    told = axes([faulty], ["us"], "send")
    result = treatments(faulty, "us", "send", told)
    by_age = along(told, result, "age")
    assert (by_age[None] != CLEAR).all()
    assert (by_age[21] == CLEAR).any()


@pytest.mark.parametrize("topic", TOPICS)
def test_every_value_is_of_exactly_one_class(topic: Topic) -> None:
    for axis in whole("eu", topic)[0]:
        values = [value for members in axis.classes for value in members]
        assert len(values) == len(set(values))
        assert axis.values == tuple(members[0] for members in axis.classes)
