"""Scenarios: what files may say, what comes of them, and which rules they exercise."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from policy_world import BLOCKED, CLEAR, PSEUDONYMISED, ROOT, copy_policies, load

from guardrail.errors import ConfigError
from guardrail.policy.loader import PolicyStore
from guardrail.policy.scenarios import Scenario, World, load_scenarios
from guardrail.policy.trials import Stage, Trial, coverage

STORE = load(endpoints=(), principals=())
WORLD = """
apps:
  general: {}
  clinic: {sector: health}
  hiring: {high_risk: true}
endpoints:
  fr: {location: FR, agreements: [DPA]}
  us: {location: US, agreements: [DPA, BAA]}
  "no": {location: NO, agreements: [DPA], controlled_by: US, sovereignty: 3}
"""
ONE = """
- title: To France
  endpoint: fr
  expect: {contact: clear}
"""


def written(folder: Path, scenarios: str, name: str = "eu.yaml", world: str | None = WORLD) -> Path:
    tests = folder / "policies" / "tests"
    tests.mkdir(parents=True)
    (tests / name).write_text(scenarios, "utf-8")
    if world is not None:
        (tests / "world.yaml").write_text(world, "utf-8")
    return tests


def read(
    folder: Path, scenarios: str, name: str = "eu.yaml", *, store: PolicyStore = STORE
) -> tuple[World, tuple[Scenario, ...]]:
    return load_scenarios(written(folder, scenarios, name), store)


def problems(folder: Path, scenarios: str, name: str = "eu.yaml") -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        read(folder, scenarios, name)
    return raised.value.problems


def tried(
    folder: Path, scenarios: str, name: str = "eu.yaml", *, store: PolicyStore = STORE
) -> list[Trial]:
    world, found = read(folder, scenarios, name, store=store)
    stage = Stage(store, world)
    return [stage.trial(one) for one in found]


# ---- reading


def test_a_scenario_need_not_say_what_is_usual(tmp_path: Path) -> None:
    _, (one,) = read(tmp_path, ONE)
    assert one == Scenario(
        title="To France",
        place="policies/tests/eu.yaml:2",
        app="general",
        origin="EEA",
        established="EEA",
        endpoint="fr",
        expect={"contact": CLEAR},  # type: ignore[dict-item]  # a category is a string
    )


def test_everything_may_be_said(tmp_path: Path) -> None:
    told = """
    - title: All
      app: clinic
      origin: US-CA
      established: GB
      endpoint: "no"
      purpose: support
      basis: none
      consents: [explicit, transfer]
      filings: [TIA]
      age: 12
      residual: 0.1
      injected: true
      on: 2027-01-31
      expect: {contact: clear, health: pseudonymised, none: blocked}
      show: {card: masked}
      restore: {contact: [text, tool], card: []}
      retain: {audit: 731, vault: never}
      purge: {audit: never}
      because: {contact: [eu.home, base.local]}
    """
    world, (one,) = read(tmp_path, told, "together.yaml")
    assert (one.app, one.origin, one.established, one.endpoint) == ("clinic", "US-CA", "GB", "no")
    assert one.consents == {"explicit", "transfer"}
    assert one.filings == {"TIA"}
    assert (one.age, one.residual, one.injected, one.on) == (12, 0.1, True, date(2027, 1, 31))
    assert list(one.expect.values()) == [CLEAR, PSEUDONYMISED, BLOCKED]
    assert (one.retain, one.purge) == ({"audit": 731, "vault": None}, {"audit": None})
    assert list(one.restore.values()) == [{"text", "tool"}, set()]
    assert list(one.because.values()) == [{"eu.home", "base.local"}]
    assert world.apps["hiring"].high_risk
    norway = world.endpoints["no"]
    assert (norway.location, norway.controlled_by, norway.sovereignty) == ("NO", "US", 3)


def test_words_are_what_was_written_and_nothing_else(tmp_path: Path) -> None:
    """YAML 1.1 would read NO and on as truths."""
    _, (one,) = read(tmp_path, ONE + "  origin: NO\n  on: 2026-12-31\n")
    assert (one.origin, one.on) == ("NO", date(2026, 12, 31))


def test_one_title_is_tried_for_each_of_several_changes(tmp_path: Path) -> None:
    told = (
        ONE + "  each:\n    - {endpoint: fr}\n    - {endpoint: us, expect: {contact: redacted}}\n"
    )
    trials = tried(tmp_path, told)
    assert [(one.title, one.place, one.endpoint) for one, *_ in trials] == [
        ("To France (endpoint: fr)", "policies/tests/eu.yaml:6", "fr"),
        ("To France (endpoint: us, expect)", "policies/tests/eu.yaml:7", "us"),
    ]
    assert [one.passed for one in trials] == [True, True]


def test_apps_and_endpoints_of_the_configuration_belong_to_the_world(tmp_path: Path) -> None:
    told = ONE.replace("fr", "us-dpf") + "  app: crm\n"
    (trial,) = tried(tmp_path, told, store=load())
    assert trial.passed


WRONG = [
    (
        "  endpoint: nowhere\n  title: x\n  expect: {}",
        2,
        "endpoint: no endpoint 'nowhere'; use",
    ),
    ("  endpoint: fr\n  expect: {}", 2, "no `title`; add one"),
    (
        "  titel: x\n  title: x\n  endpoint: fr\n  expect: {}",
        2,
        "no key 'titel'; use one of age,",
    ),
]
FIELDS = [
    ("origin: XX", "origin: no place 'XX'; write an ISO 3166-1 code"),
    ("origin: UK", "origin: no place 'UK'; write GB"),
    ("established: XX", "established: no place 'XX'"),
    ("app: shop", "app: no app 'shop'; use one of clinic, general, hiring"),
    ("purpose: fun", "purpose: no purpose 'fun'; use one of"),
    ("basis: fun", "basis: no basis 'fun'; use one of"),
    ("consents: explicit", "consents: not a list; write `[one, two]`"),
    ("consents: [fun]", "consents: no consent 'fun'; use one of"),
    ("filings: [fun]", "filings: no filing 'fun'; use one of"),
    ("age: old", "age: not a whole number from 0 to 150"),
    ("age: 151", "age: not a whole number from 0 to 150"),
    ("residual: -1", "residual: not a number; write one such as 0.1"),
    ("injected: yes", "injected: write true or false"),
    ("on: 2026-13-01", "on: not a date; write one such as 2026-12-31"),
    ("show: {contact: pseudonymised}", "show: no way to show 'pseudonymised'; use one of blocked"),
    ("show: contact", "show: not a table; write `{key: value}`"),
    ("show: {healht: clear}", "show: no category 'healht'; use one of"),
    ("restore: {contact: [screen]}", "restore: no sink 'screen'; use one of code, text, tool, url"),
    ("retain: {audit: 732}", "retain: no number of days '732'; use one of"),
    ("retain: {log: 731}", "retain: no store 'log'; use one of audit, vault"),
    ("because: {contact: [eu.hoem]}", "because: no rule 'eu.hoem'; use one of eu.home"),
    ("because: {health: [eu.home]}", "because: `expect` says nothing of health; add it there"),
    ("each: {endpoint: us}", "not a list; write"),
    ("each: [us]", "each: not a table; write"),
    ("title: again", "`title` stands here twice; keep one"),
    ("app: !!python/name:os.system x", "a tag (`!`); remove it"),
    ("app: &name general", "an anchor (`&`)"),
    ("app: *name", "an alias (`*`)"),
    ("app: " + "[" * 20 + "]" * 20, "nests deeper than 16"),
    ("app: [", "not YAML: "),
    ("app: {a: b", "not YAML: "),
    ("[a]: b", "a key is a word; write one"),
]


@pytest.mark.parametrize(("text", "message"), FIELDS, ids=[text[:40] for text, _ in FIELDS])
def test_what_is_not_understood_is_told_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    found = problems(tmp_path, f"# scenarios\n{ONE}  {text}\n")
    place, _, told = found[0].partition(": ")
    assert told.startswith(message), found
    file, _, line = place.rpartition(":")
    assert file == "policies/tests/eu.yaml"
    assert int(line) in (3, 6, 7)


@pytest.mark.parametrize(("text", "line", "message"), WRONG)
def test_what_a_scenario_must_say_is_told(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    (problem,) = problems(tmp_path, f"\n- {text.strip()}\n")
    assert problem.startswith(f"policies/tests/eu.yaml:{line}: {message}")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, ONE + "  age: old\n  purpose: fun\n" + ONE.replace("fr", "de"))
    assert [one.split(":")[1] for one in found] == ["5", "6", "9"]


def test_a_file_without_a_law_must_say_where_people_are(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, ONE, "together.yaml")
    assert problem.startswith("policies/tests/together.yaml:2: no `origin`, and the file")


def test_people_may_be_nowhere_but_no_controller(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, ONE + "  origin: ''\n")
    assert problem == (
        "policies/tests/eu.yaml:2: no `established`; say where the application's controller is"
    )


@pytest.mark.parametrize(
    ("world", "message"),
    [
        ("endpoints:\n  fr: {location: XX}", ":2: location: no place 'XX'"),
        ("endpoints:\n  fr: {agreements: [DPA]}", ":2: no `location`; add one"),
        ("endpoints:\n  fr: {location: FR, agreements: [DAP]}", ":2: agreements: no agreement"),
        ("endpoints:\n  fr: {location: FR, sovereignty: 5}", ":2: sovereignty: not a whole"),
        ("endpoints:\n  local: {location: FR}", ":2: `local` is always there"),
        ("endpoints: {}\napps:\n  x: {sector: fun}", ":3: sector: no sector 'fun'; use one of"),
        ("endpoints: {}\napps:\n  x: {establishment: FR}", ":3: no key 'establishment'; use one"),
        ("- fr", ":1: not a table"),
        ("", ":1: holds nothing; write something or remove the file"),
    ],
)
def test_what_is_wrong_with_the_world_is_told(tmp_path: Path, world: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_scenarios(written(tmp_path, ONE, world=world), STORE)
    assert raised.value.problems[0].startswith(f"policies/tests/world.yaml{message}")


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    tests = written(tmp_path, ONE, world=None)
    (tests / "jp.yaml").write_bytes(b"\xff\xfe")
    (tests / "us.yaml").write_bytes(b"# " + b"x" * (1 << 20))
    with pytest.raises(ConfigError) as raised:
        load_scenarios(tests, STORE)
    assert raised.value.problems == (
        "policies/tests/world.yaml: cannot be read: No such file or directory",
        "policies/tests/jp.yaml: not UTF-8; save it as UTF-8",
        "policies/tests/us.yaml: larger than 1 MiB; split it into several files",
    )


def test_no_scenarios_are_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="policies/tests: no scenarios; write some"):
        load_scenarios(tmp_path / "policies" / "tests", STORE)


# ---- trying


def test_a_scenario_passes_where_all_comes_as_expected(tmp_path: Path) -> None:
    told = """
    - title: All
      app: hiring
      origin: DE
      endpoint: fr
      expect: {contact: clear, health: pseudonymised, secret: redacted, uninspectable: local}
      show: {contact: clear, secret: masked}
      restore: {contact: [text, tool], card: []}
      retain: {audit: 731, vault: 30}
      purge: {audit: 183, vault: 0}
      because: {contact: [eu.home], health: [eu.special, eu.home]}
    """
    (trial,) = tried(tmp_path, told)
    assert [one for one in trial.outcomes if not one.passed] == []
    assert trial.passed
    assert len(trial.outcomes) == 14


DIFFERENT = [
    ("expect: {contact: redacted}", "expect contact", "redacted", "clear", "eu.home"),
    ("expect: {health: clear}", "expect health", "clear", "pseudonymised", "eu.special"),
    ("show: {card: clear}", "show card", "clear", "masked", "base.card"),
    ("restore: {contact: [url]}", "restore contact", "url", "text, tool", "base.restore.text"),
    ("restore: {contact: []}", "restore contact", "nothing", "text, tool", "base.restore.tool"),
    ("retain: {audit: 3653}", "retain audit", "3653 days", "731 days", "eu.keep.limit"),
    ("purge: {audit: never}", "purge audit", "never", "0 days", "base.purge"),
    (
        "because: {contact: [eu.home, eu.dpf]}",
        "because contact",
        "eu.dpf, eu.home",
        "eu.home",
        "eu.home",
    ),
]


@pytest.mark.parametrize(("text", "of", "expected", "came", "by"), DIFFERENT)
def test_what_comes_otherwise_fails_and_says_by_which_rules(
    tmp_path: Path, text: str, of: str, expected: str, came: str, by: str
) -> None:
    told = (
        ONE.replace("expect: {contact: clear}", text) if "expect" in text else ONE + f"  {text}\n"
    )
    (trial,) = tried(tmp_path, told)
    assert not trial.passed
    (wrong,) = [one for one in trial.outcomes if not one.passed]
    assert (f"{wrong.key} {wrong.subject}", wrong.expected, wrong.came) == (of, expected, came)
    assert by in wrong.policies
    assert bool(wrong.climbs) is (wrong.key not in ("retain", "purge"))


def test_what_comes_with_an_error_is_not_what_was_expected(tmp_path: Path) -> None:
    rule = """@id("acme.fault") @title("t") forbid (
        principal,
        action in [Action::"process", Action::"output", Action::"reidentify"],
        resource
    ) when { context.count * 9223372036854775807 * 2 > 3 };"""
    store = load(copy_policies(tmp_path, {"acme.cedar": rule}), endpoints=(), principals=())
    told = (
        ONE.replace("clear", "blocked") + "  show: {contact: blocked}\n  restore: {contact: []}\n"
    )
    folder = tmp_path / "scenarios"
    (trial,) = tried(folder, told, store=store)
    assert [one.came for one in trial.outcomes] == [
        "blocked, PolicyEvaluation",
        "blocked, PolicyEvaluation",
        "nothing, PolicyEvaluation",
    ]
    assert not any(one.passed for one in trial.outcomes)


def test_a_scenario_takes_place_on_its_day(tmp_path: Path) -> None:
    rule = """@id("acme.until") @title("t") @expires("2027-01-01")
    forbid (principal, action == Action::"sendClear", resource)
    when { context.category == Category::"contact" };"""
    store = load(copy_policies(tmp_path, {"acme.cedar": rule}), endpoints=(), principals=())
    told = ONE.replace("clear", "pseudonymised") + ONE + "  on: 2027-01-01\n"
    assert [one.passed for one in tried(tmp_path / "x", told, store=store)] == [True, True]


def test_rules_may_name_apps_and_endpoints_of_the_world(tmp_path: Path) -> None:
    rule = """@id("acme.shop") @title("t")
    forbid (principal == App::"crm", action == Action::"sendClear", resource == Endpoint::"fr");"""
    store = load(copy_policies(tmp_path, {"acme.cedar": rule}))
    told = ONE.replace("clear", "pseudonymised") + "  app: crm\n" + ONE
    trials = tried(tmp_path / "x", told + "  origin: GB\n  app: crm\n", store=store)
    assert [one.outcomes[0].came for one in trials] == ["pseudonymised", "pseudonymised"]


def test_the_documented_example_passes(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "commands.md").read_text("utf-8")
    world, scenarios = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    tests = written(tmp_path, scenarios, world=world)
    told, found = load_scenarios(tests, STORE)
    trials = [Stage(STORE, told).trial(one) for one in found]
    assert [one.passed for one in trials] == [True, True, True]


# ---- the shipped ones


def test_the_shipped_scenarios_pass_and_exercise_every_rule() -> None:
    store = load(endpoints=(), principals=())
    world, found = load_scenarios(ROOT / "policies" / "tests", store)
    trials = [Stage(store, world).trial(one) for one in found]
    assert [one.scenario.place for one in trials if not one.passed] == []
    assert [one.place for one in coverage(store, trials).uncovered] == []
    assert len(trials) > 300


# ---- coverage


def test_rules_are_exercised_by_answers_to_what_was_asked(tmp_path: Path) -> None:
    (trial,) = tried(tmp_path, ONE)
    assert trial.exercised == {"base.local", "eu.home"}
    covered = coverage(STORE, [trial])
    assert covered.rules == len(STORE.reasons)
    assert len(covered.uncovered) == covered.rules - 2
    assert covered.percent == pytest.approx(200 / covered.rules)
    places = [one.place for one in covered.uncovered]
    assert places[0].startswith("policies/00-base.cedar:")


def test_what_denies_is_exercised_and_what_is_overruled_is_not(tmp_path: Path) -> None:
    (trial,) = tried(tmp_path, ONE.replace("contact: clear", "health: pseudonymised"))
    assert trial.exercised == {"base.local", "eu.special", "eu.home"}


def test_answers_about_showing_restoring_and_keeping_count_too(tmp_path: Path) -> None:
    more = "  show: {contact: clear}\n  restore: {contact: [text, tool]}\n  purge: {audit: 0}\n"
    (trial,) = tried(tmp_path, ONE + more)
    assert trial.exercised >= {
        "base.show",
        "base.restore.text",
        "base.restore.tool",
        "base.purge",
        "base.keep.audit",
        "eu.keep.limit",
    }
    assert "base.show.masked" not in trial.exercised
