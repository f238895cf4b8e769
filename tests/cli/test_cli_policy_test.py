"""`guardrail policy test`: scenarios that pass, that fail, and rules that none exercises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from policies_world import SCENARIOS, folder, run
from typer.testing import CliRunner

from guardrail.cli import app


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return folder(tmp_path)


def test_scenarios_that_pass_are_counted(home: Path) -> None:
    result = run("test", home, "--coverage", "1")
    assert result.exit_code == 0, result.output
    assert "ok 3 scenarios, 0 failed" in result.stdout
    assert "1 % are wanted" in result.stdout


def test_rules_that_nothing_exercises_are_listed_and_fail(home: Path) -> None:
    result = run("test", home)
    assert result.exit_code == 4
    assert "ok 3 scenarios, 0 failed" in result.stdout
    line = next(line for line in result.stdout.splitlines() if "[eu.criminal]" in line)
    file, number, rest = line.split(":", 2)
    assert file == "policies/eu.cedar"
    text = (home / "policies" / "eu.cedar").read_text("utf-8").splitlines()
    assert text[int(number) - 1] == '@id("eu.criminal")'
    assert rest.startswith(" [eu.criminal] no scenario exercises it: Data on criminal offences")
    assert "[eu.home]" not in result.stdout
    assert "100 % are wanted" in result.stdout


def test_a_scenario_that_fails_is_explained(home: Path) -> None:
    tests = home / "policies" / "tests" / "eu.yaml"
    tests.write_text(SCENARIOS.replace("health: pseudonymised", "health: clear"), "utf-8")
    result = run("test", home, "--coverage", "0")
    assert result.exit_code == 4
    assert "failed 3 scenarios, 1 failed" in result.stdout
    table, _, tree = result.stdout.partition("policies/tests/eu.yaml:2 At home in clear\n")
    row = next(line for line in table.splitlines() if "eu.yaml:2" in line)
    assert row.split()[-4:] == ["expect", "health", "clear", "pseudonymised"]
    assert "expected clear, came pseudonymised, by eu.special, eu.home" in tree
    assert "sendClear at fr: denied" in tree
    assert "forbid eu.special: Special categories leave in clear only on explicit consent" in tree
    assert "[GDPR Art. 9(1), 9(2)(a), 9(2)(c)]" in tree
    assert "contact" not in tree


def test_a_filter_chooses_by_title_or_place_and_leaves_coverage_out(home: Path) -> None:
    result = run("test", home, "--filter", "ABROAD")
    assert result.exit_code == 0, result.output
    assert "ok 2 scenarios" in result.stdout
    assert "not judged with --filter" in result.stdout
    assert "ok 1 scenarios" in run("test", home, "--filter", "eu.yaml:2").stdout


def test_a_filter_that_chooses_nothing_is_wrong_usage(home: Path) -> None:
    result = run("test", home, "--filter", "mars")
    assert result.exit_code == 2
    assert "--filter: 'mars' is in no scenario's title or place" in result.stderr


def test_json_tells_all(home: Path) -> None:
    tests = home / "policies" / "tests" / "eu.yaml"
    tests.write_text(SCENARIOS.replace("health: pseudonymised", "health: clear"), "utf-8")
    result = run("test", home, "--json", "--coverage", "1")
    assert result.exit_code == 4
    document = json.loads(result.stdout)
    assert (document["ok"], document["scenarios"], document["failed"]) == (False, 3, 1)
    first, second, _ = document["results"]
    assert (first["title"], first["place"]) == ("At home in clear", "policies/tests/eu.yaml:2")
    contact, health, because = first["outcomes"]
    assert (contact["passed"], health["passed"], because["passed"]) == (True, False, True)
    assert (health["expected"], health["came"]) == ("clear", "pseudonymised")
    denied = health["laws"][0]["rungs"][0]
    assert (denied["action"], denied["allowed"], denied["needed"]) == ("sendClear", False, True)
    assert denied["rules"][0]["id"] == "eu.special"
    assert denied["rules"][0]["place"].startswith("policies/eu.cedar:")
    assert second["passed"]
    assert contact["laws"] == []
    coverage = document["coverage"]
    assert coverage["judged"]
    assert {"id": "eu.criminal"}.items() <= next(
        one for one in coverage["uncovered"] if one["id"] == "eu.criminal"
    ).items()
    exercised = coverage["rules"] - len(coverage["uncovered"])
    assert coverage["percent"] == int(1000 * exercised / coverage["rules"]) / 10


def test_wrong_scenarios_are_told_with_file_and_line(home: Path) -> None:
    (home / "policies" / "tests" / "jp.yaml").write_text("- titel: x\n", "utf-8")
    result = run("test", home, "--json")
    assert result.exit_code == 3
    assert "policies/tests/jp.yaml:1: no key 'titel'; use one of" in result.stderr
    assert not json.loads(result.stdout)["ok"]


def test_policies_that_cannot_be_loaded_are_told(home: Path) -> None:
    (home / "policies" / "eu.cedar").write_text("permit", "utf-8")
    result = run("test", home)
    assert result.exit_code == 3
    assert "policies/eu.cedar:1:" in result.stderr


def test_a_configuration_says_where_its_policies_are(tmp_path: Path) -> None:
    """Its apps and endpoints may be spoken of."""
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    tests = tmp_path / "policies" / "tests"
    tests.mkdir(exist_ok=True)
    for file in tests.iterdir():
        file.unlink()
    (tests / "world.yaml").write_text("endpoints: {}", "utf-8")
    scenario = "- {title: x, origin: DE, app: default, endpoint: local, expect: {contact: local}}"
    (tests / "eu.yaml").write_text(scenario, "utf-8")
    settings = tmp_path / "guardrail.toml"
    result = run("test", "--config", settings, "--coverage", "0")
    assert result.exit_code == 0, result.output
    assert "ok 1 scenarios, 0 failed" in result.stdout


def test_help_says_the_exit_codes() -> None:
    for command in ("test", "explain", "check", "schema", "replay"):
        said = " ".join(run(command, "--help").stdout.split())
        assert "4 scenarios failed" in said, command
