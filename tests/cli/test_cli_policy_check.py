"""`guardrail policy check`, `lint` and `schema`: what is wrong, for people, pipelines and pages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from policies_world import ROOT, folder, run
from typer.testing import CliRunner, Result

from guardrail.cli import app
from guardrail.policy.cedar import Source, parse_schema
from guardrail.policy.problems import KINDS

BROKEN = """
@id("acme.stop") @title("t") @reason("r") @severity("high")
forbid (principal, action in Action::"send", resource)
when { context.category in Category::"helth" };
"""
UNREASONED = BROKEN.replace("helth", "health").replace('@reason("r")', "")
PLACE = "policies/acme.cedar:4:28"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return folder(tmp_path)


def add(home: Path, text: str) -> None:
    (home / "policies" / "acme.cedar").write_text(text, "utf-8")


def shipped(*command: str) -> Result:
    return run(*command, ROOT)


def test_the_shipped_set_has_no_finding() -> None:
    assert shipped("check").exit_code == 0
    linted = shipped("lint")
    assert (linted.exit_code, linted.stdout) == (0, "ok: no errors, no warnings\n")
    assert shipped("lint", "--strict").exit_code == 0


@pytest.mark.parametrize("command", ["check", "lint"])
def test_a_mistake_is_shown_with_its_line_and_a_caret(home: Path, command: str) -> None:
    add(home, BROKEN)
    result = run(command, home)
    assert result.exit_code == 3
    lines = (result.stderr if command == "check" else result.stdout).splitlines()
    assert lines[0].startswith(f'error: {PLACE}: [acme.stop] no Category::"helth" in the data')
    assert lines[0].endswith("(unknown-entity)")
    assert lines[1] == '    4 | when { context.category in Category::"helth" };'
    assert lines[2] == "      | " + " " * 27 + "^"


def test_the_caret_stands_below_its_letter_after_wide_ones(home: Path) -> None:
    add(home, '@id("acme.stop") @title("個人情報") permit (principal action, resource);')
    _, shown, caret = run("lint", home).stdout.splitlines()[:3]
    before = shown[: shown.index("action")]
    assert caret.index("^") == len(before) + 4  # four letters, each two columns wide


def test_what_lint_alone_finds_does_not_stop_a_set(home: Path) -> None:
    add(home, UNREASONED)
    assert run("check", home).exit_code == 0
    linted = run("lint", home)
    assert linted.exit_code == 0
    assert "warning: policies/acme.cedar:2:1: [acme.stop] no @reason" in linted.stdout
    assert linted.stdout.endswith("1 warning\n")
    assert run("lint", home, "--strict").exit_code == 1


def test_a_comment_silences_one_code_with_a_reason(home: Path) -> None:
    add(home, "// guardrail: ignore missing-reason the title says it, LEGAL-1" + UNREASONED)
    assert run("lint", home, "--strict").exit_code == 0
    add(home, "// guardrail: ignore missing-reason" + UNREASONED)
    assert "ignores missing-reason without a reason" in run("lint", home).stdout


@pytest.mark.parametrize("command", ["check", "lint"])
def test_json_holds_problems_as_data(home: Path, command: str) -> None:
    add(home, BROKEN)
    told = json.loads(run(command, home, "--json").stdout)
    (problem,) = told["found"]
    assert (told["ok"], problem["code"], problem["severity"]) == (False, "unknown-entity", "error")
    assert f"{problem['file']}:{problem['line']}:{problem['column']}" == PLACE


@pytest.mark.parametrize("command", ["check", "lint"])
def test_github_annotates_the_pull_request(home: Path, command: str) -> None:
    add(home, BROKEN)
    (line,) = run(command, home, "--format", "github").stdout.splitlines()
    assert line.startswith(
        "::error file=policies/acme.cedar,line=4,col=28,title=unknown-entity::[acme.stop] no "
    )


@pytest.mark.parametrize("command", ["check", "lint"])
def test_sarif_has_what_the_format_asks_for(home: Path, command: str) -> None:
    add(home, BROKEN + UNREASONED.replace("acme.stop", "acme.two"))
    log: dict[str, Any] = json.loads(run(command, home, "--format", "sarif").stdout)
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    run_ = log["runs"][0]
    rules = run_["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(KINDS)
    assert all(rule["shortDescription"]["text"] for rule in rules)
    first = next(one for one in run_["results"] if one["ruleId"] == "unknown-entity")
    assert rules[first["ruleIndex"]]["id"] == "unknown-entity"
    assert first["level"] == "error"
    assert first["message"]["text"]
    (location,) = first["locations"]
    physical = location["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "policies/acme.cedar"
    assert physical["region"] == {"startLine": 4, "startColumn": 28}
    levels = {one["level"] for one in run_["results"]}
    assert levels == ({"error"} if command == "check" else {"error", "warning"})


def test_sarif_names_files_elsewhere_by_their_uri(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(home, BROKEN)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    log = json.loads(run("lint", home, "--format", "sarif").stdout)
    (result,) = log["runs"][0]["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == (home / "policies" / "acme.cedar").resolve().as_uri()


@pytest.mark.parametrize("command", ["check", "lint"])
def test_a_sound_set_has_no_finding_in_any_format(command: str) -> None:
    told = {
        form: shipped(command, "--format", form) for form in ("text", "json", "sarif", "github")
    }
    assert {result.exit_code for result in told.values()} == {0}
    assert json.loads(told["sarif"].stdout)["runs"][0]["results"] == []
    assert told["github"].stdout == ""
    data = json.loads(told["json"].stdout)
    assert (data["ok"], data["problems"], data["found"]) == (True, [], [])
    assert "ok" in told["text"].stdout
    assert not re.search("error:|warning:", told["text"].stdout)


@pytest.mark.parametrize("command", ["check", "lint"])
def test_mistakes_of_the_configuration_have_a_place_too(tmp_path: Path, command: str) -> None:
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    file = tmp_path / "guardrail.toml"
    text = file.read_text("utf-8")
    file.write_text(text.replace('location = "DE" ', 'location = "UK" '), "utf-8")
    result = run(command, "--config", file)
    assert result.exit_code == 3
    said = result.stderr if command == "check" else result.stdout
    found = re.search(r"guardrail\.toml:(\d+):1: endpoints\.local\.location: no place 'UK'", said)
    assert found
    assert file.read_text("utf-8").split("\n")[int(found[1]) - 1].startswith('location = "UK"')
    assert f'{found[1]:>5} | location = "UK"' in said


def test_no_configuration_at_all_is_told(tmp_path: Path) -> None:
    for command in ("check", "lint"):
        result = run(command, "--config", tmp_path / "none.toml")
        assert result.exit_code == 3
        assert "`guardrail init` writes a first one" in result.stdout + result.stderr


def test_two_formats_contradict_each_other(home: Path) -> None:
    assert run("lint", home, "--json", "--format", "sarif").exit_code == 2


def test_schema_prints_shape_and_words(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    file = tmp_path / "guardrail.toml"
    text = run("schema", "--config", file).stdout
    assert "action sendClear, sendPseudonymised, sendRedacted in [send]" in text
    assert re.search(r'entity Purpose enum \["general", .*"hr"', text)
    assert "// hr: employment and recruitment" in text


def test_the_schema_is_one_that_rules_are_validated_against() -> None:
    text = shipped("schema").stdout
    told = json.loads(shipped("schema", "--json").stdout)
    assert told["schema"] == text
    assert told["vocabulary"]["purpose"]["hr"] == "employment and recruitment"
    schema, problems = parse_schema(Source(name="printed", text=text))
    assert (schema is not None, problems) == (True, [])
