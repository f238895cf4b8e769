"""Files and data → a store, or every reason why not."""

from __future__ import annotations

import re
import threading
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from policy_world import (
    AT,
    CLEAR,
    ENDPOINTS,
    LOCAL,
    POLICIES,
    PRINCIPALS,
    REGIONS,
    STORE,
    at,
    context,
    copy_policies,
    found,
    load,
)

from guardrail.errors import ConfigError, PolicyUnavailable
from guardrail.policy.cedar import Source, parse
from guardrail.policy.ladder import decide
from guardrail.policy.loader import EVERYWHERE, selftest, slices
from guardrail.regions import load_regions
from guardrail.types import Endpoint, Principal, Treatment

FORBID = '@id("acme.stop") @title("t") forbid (principal, action in Action::"send", resource);'


def problems(directory: Path, **data: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(directory, **data)  # type: ignore[arg-type]  # a table of data is untyped
    return caught.value.problems


def test_shipped_policies_load() -> None:
    assert set(STORE.sets) == {EVERYWHERE, *REGIONS.ids}
    assert {one.partition(".")[0] for one in STORE.reasons} == {"base", *REGIONS.ids}
    reason = STORE.reasons["eu.home"]
    assert (reason.effect, reason.citation) == ("permit", "GDPR Art. 6, 28")
    assert re.fullmatch(r"policies/eu\.cedar:\d+", reason.place)


def test_vocabulary_is_closed_and_whole() -> None:
    assert set(STORE.vocabulary) == {
        "purpose",
        "basis",
        "consent",
        "filing",
        "agreement",
        "sector",
    }
    assert STORE.vocabulary["purpose"] == set(
        "general support clinical hr marketing credit research security social-scoring "
        "emotion-at-work biometric-categorisation".split()
    )


def test_store_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        STORE.digest = ""  # type: ignore[misc]  # the test is that it cannot


def test_digest_follows_policies_and_regions(tmp_path: Path) -> None:
    assert load().digest == STORE.digest
    changed = copy_policies(tmp_path, {"eu.cedar": (POLICIES / "eu.cedar").read_text() + "\n"})
    assert load(changed).digest != STORE.digest
    assert load(regions=replace(REGIONS, digest="other")).digest != STORE.digest


def test_laws_are_not_put_into_one_set() -> None:
    for law, rules in STORE.rules.items():
        assert {rule.id.partition(".")[0] for rule in rules} == {"base", law} - {EVERYWHERE}


def test_overlay_tightens_every_law(tmp_path: Path) -> None:
    store = load(copy_policies(tmp_path, {"acme.cedar": FORBID}))
    for who in ("crm", "shop", "store", "tienda"):
        decision = at(store, "fr", "contact none", context(who))
        assert set(decision.treatments.values()) == {LOCAL}
        assert "acme.stop" in decision.policies


@pytest.mark.parametrize(
    ("problem", "changes"),
    [
        (r"policies/00-base\.cedar: cannot be read; add it, for every", {"00-base.cedar": None}),
        (r"policies/eu\.cedar: cannot be read; add it, for every", {"eu.cedar": None}),
        (r"policies/schema\.cedarschema: cannot be read", {"schema.cedarschema": None}),
        (r"policies/eu\.cedar: holds no rule", {"eu.cedar": "// nothing yet\n"}),
        (r"policies/00-base\.cedar: holds no rule", {"00-base.cedar": ""}),
        (r"policies/schema\.cedarschema: error parsing schema", {"schema.cedarschema": "entity"}),
        (r"policies/vocabulary\.toml: cannot be read", {"vocabulary.toml": None}),
        (r"policies/vocabulary\.toml: no \[purpose\]; add", {"vocabulary.toml": ""}),
        (
            r"policies/vocabulary\.toml:1:10: not a TOML file: ",
            {"vocabulary.toml": "[purpose]]"},
        ),
        (r"policies/vocabulary\.toml:1:2: \[purposes\]: no voc", {"vocabulary.toml": "[purposes]"}),
        (
            r"policies/vocabulary\.toml:2:1: basis: 'legal ground': a word is made of",
            {"vocabulary.toml": "[basis]\n'legal ground' = 'x'"},
        ),
        (
            r"policies/vocabulary\.toml:2:1: basis\.a: no meaning; say in",
            {"vocabulary.toml": "[basis]\na = ' '"},
        ),
        (r"policies/acme\.cedar:1:8: unexpected token", {"acme.cedar": "forbid principal;"}),
        (
            r"policies/acme\.cedar:2:1: \[acme\.stop\] the @id is taken by policies/acme\.cedar:1",
            {"acme.cedar": f"{FORBID}\n{FORBID}"},
        ),
        (
            r"policies/acme\.cedar:1:1: \[eu\.home\] the @id is taken by policies/eu\.cedar:\d+;",
            {"acme.cedar": FORBID.replace("acme.stop", "eu.home")},
        ),
        (
            r"policies/acme\.cedar:1:1: \[acme\.stop\] a file that is not named after a loaded",
            {
                "acme.cedar": FORBID.replace("forbid", "permit").replace(
                    ");", ') when { context.category in Category::"personal" };'
                )
            },
        ),
        (
            r"policies/acme\.cedar:1:\d+: \[acme\.stop\] unrecognized action",
            {"acme.cedar": FORBID.replace('"send"', '"sned"')},
        ),
        (
            r'policies/acme\.cedar:2:27: \[acme\.stop\] entity `Purpose::"suport"` is of an enum',
            {
                "acme.cedar": FORBID.replace(
                    ");", ')\nwhen { context.purpose == Purpose::"suport" };'
                )
            },
        ),
        (
            r"policies/acme\.cedar:2:17: \[acme\.stop\] nothing supplies resource\.locl",
            {"acme.cedar": FORBID.replace(");", ")\nwhen { resource.locl };")},
        ),
        (
            r"policies/acme\.cedar:2:\d+: \[acme\.stop\] unable to guarantee safety of access to",
            {"acme.cedar": FORBID.replace(");", ")\nwhen { context.age < 3 };")},
        ),
        (
            r'policies/acme\.cedar:2:28: \[acme\.stop\] no Category::"eu/specail" in the data',
            {
                "acme.cedar": FORBID.replace(
                    ");", ')\nwhen { context.category in Category::"eu/specail" };'
                )
            },
        ),
        (
            r'policies/acme\.cedar:1:\d+: \[acme\.stop\] no Jurisdiction::"UK" in the data',
            {"acme.cedar": FORBID.replace("resource)", 'resource in Jurisdiction::"UK")')},
        ),
        (
            r'policies/acme\.cedar:1:\d+: \[acme\.stop\] no Adequacy::"US2" in the data',
            {"acme.cedar": FORBID.replace("resource)", 'resource in Adequacy::"US2")')},
        ),
        (
            r'policies/acme\.cedar:1:\d+: \[acme\.stop\] no Provider::"Anyone" in the data',
            {"acme.cedar": FORBID.replace("resource)", 'resource in Provider::"Anyone")')},
        ),
        (r"policies/acme\.cedar: larger than 1 MiB", {"acme.cedar": "//" + "x" * (1 << 20)}),
        (
            r"policies/acme\.cedar:1:\d+: brackets nest deeper than 64",
            {
                "acme.cedar": FORBID.replace(
                    ");", ") when { " + "(" * 9999 + "1" + ")" * 9999 + "};"
                )
            },
        ),
        (
            r"policies/acme\.cedar:1:1: \[acme\.stop\] nests too deep",
            {"acme.cedar": FORBID.replace(");", ") when { context" + ".a" * 100 + " };")},
        ),
        (r"policies/schema\.cedarschema:1:\d+: brackets nest", {"schema.cedarschema": "(" * 9999}),
    ],
)
def test_problem_of_a_file(tmp_path: Path, problem: str, changes: dict[str, str | None]) -> None:
    faults = problems(copy_policies(tmp_path, changes))
    assert any(re.match(problem, one) for one in faults), faults


def test_bytes_that_are_not_text_are_a_problem(tmp_path: Path) -> None:
    directory = copy_policies(tmp_path, {})
    (directory / "acme.cedar").write_bytes(b"\xff\xfe")
    assert problems(directory) == ("policies/acme.cedar: not UTF-8; save it as UTF-8",)


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    directory = copy_policies(
        tmp_path, {"acme.cedar": "forbid (x);", "zeta.cedar": "forbid (y);", "us.cedar": None}
    )
    assert len(problems(directory)) == 3


@pytest.mark.parametrize(
    ("problem", "data"),
    [
        (
            "endpoints.x.agreements: no agreement 'DPAA'; use one of AE-DPA, ASEAN-MCC,",
            {"endpoints": [replace(AT["fr"], id="x", agreements=frozenset({"DPAA"}))]},
        ),
        (
            "endpoints.x.location: no place 'UK'",
            {"endpoints": [replace(AT["fr"], id="x", location="UK")]},
        ),
        (
            "endpoints.x.location: an endpoint processes in exactly one place",
            {"endpoints": [replace(AT["fr"], id="x", location="DE, US")]},
        ),
        ("endpoints.fr.id: used twice", {"endpoints": [AT["fr"], AT["fr"]]}),
        (
            "apps.x.sector: no sector 'Health'; use one of",
            {"principals": [Principal(id="x", sector="Health", establishment="DE")]},
        ),
        ("apps.x.establishment: no place ''", {"principals": [Principal(id="x")]}),
        (
            "apps.x.establishment: no place 'UK'; write GB",
            {"principals": [Principal(id="x", establishment="UK")]},
        ),
        ("apps.crm: used twice", {"principals": [PRINCIPALS[0], PRINCIPALS[0]]}),
        ("apps: an id is empty", {"principals": [replace(PRINCIPALS[0], id="")]}),
    ],
)
def test_problem_of_the_data(problem: str, data: dict[str, object]) -> None:
    (fault,) = problems(POLICIES, **data)
    assert fault.startswith(problem)


def test_class_of_a_category_that_does_not_exist_is_a_problem(tmp_path: Path) -> None:
    directory = tmp_path / "regions"
    directory.mkdir()
    for file in (POLICIES.parent / "regions").iterdir():
        text = file.read_text().replace('"health", "genetic", "bio', '"helth", "genetic", "bio')
        (directory / file.name).write_text(text)
    faults = problems(POLICIES, regions=load_regions(directory))
    assert any(
        re.match(r"regions/eu\.toml:\d+:3: classes\.special: no category 'helth'; use one of", one)
        for one in faults
    )


def test_files_of_regions_that_are_not_loaded_may_not_permit(tmp_path: Path) -> None:
    directory = tmp_path / "regions"
    directory.mkdir()
    (directory / "eu.toml").write_text((POLICIES.parent / "regions" / "eu.toml").read_text())
    faults = problems(POLICIES, regions=load_regions(directory))
    assert any("may only forbid" in one and "policies/uk.cedar" in one for one in faults)


def test_store_without_a_permit_denies(tmp_path: Path) -> None:
    changes: dict[str, str | None] = {
        "00-base.cedar": FORBID,
        **{f"{law}.cedar": FORBID.replace("acme", law) for law in REGIONS.ids},
    }
    store = load(copy_policies(tmp_path, changes))
    assert at(store, "fr", "none contact").treatment is Treatment.BLOCKED
    assert at(store, "home", "none contact").treatment is Treatment.BLOCKED


def test_rule_that_overflows_is_found_by_the_selftest(tmp_path: Path) -> None:
    overflow = FORBID.replace(");", ") when { context.count * 9223372036854775807 * 2 > 3 };")
    with pytest.raises(PolicyUnavailable, match="cannot be asked: PolicyEvaluation"):
        load(copy_policies(tmp_path, {"acme.cedar": overflow}))


def test_selftest_passes_on_another_thread() -> None:
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            selftest(STORE)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert failures == []


def test_selftest_refuses_sets_that_fail() -> None:
    broken = slices(
        parse(
            Source(
                name="x",
                text='@id("x") forbid (principal, action, resource) when { context.no };',
            )
        )[0]
    )
    with pytest.raises(PolicyUnavailable):
        selftest(replace(STORE, sets={**STORE.sets, "eu": broken}))


def test_selftest_refuses_an_engine_that_fails() -> None:
    with pytest.raises(PolicyUnavailable, match="fails its self-test"):
        selftest(replace(STORE, entities=None))  # type: ignore[arg-type]  # what breaks it


def test_identifiers_in_the_data_do_not_reach_the_error_of_the_engine(tmp_path: Path) -> None:
    planted = "Jane Doe 078-05-1120"
    schema = (POLICIES / "schema.cedarschema").read_text()
    directory = copy_policies(
        tmp_path,
        {"schema.cedarschema": schema.replace("zeroRetention: Bool", "zeroRetention: Long")},
    )
    faults = problems(directory, principals=[Principal(id=planted, establishment="DE")])
    assert faults == (
        "policies/schema.cedarschema: the schema does not fit guardrail's entities; restore the "
        "schema that guardrail ships",
    )


def test_nobody_and_nowhere_is_a_store_that_answers_nothing() -> None:
    store = load(endpoints=(), principals=())
    assert at(store, "fr", "none").treatment is Treatment.BLOCKED


def test_locations_may_be_groups() -> None:
    anywhere = Endpoint(id="eu-zone", provider="p", location="EU", agreements=frozenset({"DPA"}))
    store = load(endpoints=[*ENDPOINTS, anywhere])
    decision = decide(store, context("shop"), found("contact"), endpoint=anywhere, local=AT["home"])
    assert decision.treatment is CLEAR
