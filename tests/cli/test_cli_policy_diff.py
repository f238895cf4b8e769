"""`guardrail policy diff` for people, for a pull request and for machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from policies_world import folder, run
from typer.testing import CliRunner

from guardrail.cli import app


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two equal folders of policies; no configuration where the command runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    return folder(tmp_path / "old"), folder(tmp_path / "new")


def loosen(target: Path) -> None:
    file = target / "policies" / "eu.cedar"
    text = file.read_text("utf-8")
    condition = ' &&\n  context.filings.contains(Filing::"TIA")'
    assert text.count(condition) == 1
    file.write_text(text.replace(condition, ""), "utf-8")


def test_equal_sets_are_treated_alike(sets: tuple[Path, Path]) -> None:
    result = run("diff", *sets, "--fail-on", "any")
    assert result.exit_code == 0
    assert result.stdout.endswith("requests compared: all are treated alike\n")


def test_a_looser_set_is_said_first_and_fails_where_asked(sets: tuple[Path, Path]) -> None:
    loosen(sets[1])
    result = run("diff", *sets)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("LOOSER   eu: ")
    assert "to us-clauses: redacted → pseudonymised; only where" in lines[0]
    assert "filings without TIA" in lines[0]
    assert "    would be by base.card, eu.safeguards" in lines
    assert lines[-2:] == [
        "rules changed: eu.safeguards",
        lines[-1].partition(":")[0] + ": 1 change, 1 looser",
    ]
    assert run("diff", *sets, "--fail-on", "looser").exit_code == 5
    back = run("diff", *reversed(sets), "--fail-on", "looser")
    assert (back.exit_code, back.stdout.startswith("stricter eu: ")) == (0, True)
    assert run("diff", *reversed(sets), "--fail-on", "any").exit_code == 5


def test_one_law_alone_can_be_compared(sets: tuple[Path, Path]) -> None:
    loosen(sets[1])
    assert "all are treated alike" in run("diff", *sets, "--law", "us").stdout
    assert run("diff", *sets, "--law", "eu").stdout.startswith("LOOSER   eu: ")
    wrong = run("diff", *sets, "--law", "xx")
    assert (wrong.exit_code, "--law: no 'xx'" in wrong.stderr) == (2, True)


def test_cases_list_exactly_which_requests(sets: tuple[Path, Path]) -> None:
    loosen(sets[1])
    shown = run("diff", *sets, "--cases").stdout
    cases = [line for line in shown.splitlines() if line.startswith("    - ")]
    assert len(cases) > 1
    assert all("endpoint is us-clauses" in line and "filings without TIA" in line for line in cases)


def test_markdown_is_a_comment_for_a_pull_request(sets: tuple[Path, Path]) -> None:
    loosen(sets[1])
    result = run("diff", *sets, "--format", "markdown", "--fail-on", "looser")
    assert result.exit_code == 5
    assert "> Some requests would be treated **more loosely**." in result.stdout
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("| **LOOSER**")]
    assert row.count(" | ") == 5
    assert "`eu.safeguards`" in row
    assert "<details><summary>Exactly which requests</summary>" in result.stdout


def test_json_is_the_same_as_data(sets: tuple[Path, Path]) -> None:
    loosen(sets[1])
    told = json.loads(run("diff", *sets, "--json").stdout)
    (change,) = told["changes"]
    assert (told["looser"], told["same"], told["edited"]) == (True, False, ["eu.safeguards"])
    assert (change["old"], change["new"], change["laws"]) == ("redacted", "pseudonymised", ["eu"])
    assert change["where"]["endpoint"] == ["us-clauses"]
    assert change["where"]["filings"] == [[]]
    assert len(change["cases"]) > 1
    assert told["old"] != told["new"]


def test_apps_and_endpoints_are_those_of_the_configuration(
    sets: tuple[Path, Path], tmp_path: Path
) -> None:
    assert CliRunner().invoke(app, ["init", str(tmp_path / "home")]).exit_code == 0
    configuration = tmp_path / "home" / "guardrail.toml"
    cloud = '\n[endpoints.cloud]\nprovider = "p"\nlocation = "US"\nagreements = ["DPA", "SCC"]\n'
    configuration.write_text(configuration.read_text("utf-8") + cloud + 'models = ["m"]\n', "utf-8")
    loosen(sets[1])
    result = run("diff", *sets, "--config", configuration)
    assert "to every endpoint: redacted → pseudonymised" in result.stdout
    # In place of NEW, the configuration's own policies: here, those that are shipped.
    assert "all are treated alike" in run("diff", sets[0], "--config", configuration).stdout
    assert "stricter eu: " in run("diff", sets[1], "--config", configuration).stdout


def test_what_is_wrong_with_a_set_is_told(sets: tuple[Path, Path]) -> None:
    (sets[1] / "policies" / "eu.cedar").write_text("permit (principal, action, resource", "utf-8")
    result = run("diff", *sets)
    assert result.exit_code == 3
    assert "policies/eu.cedar:1:8: `(` is never closed" in result.stderr
    assert run("diff", sets[0], sets[0].parent / "missing").exit_code == 3


def test_two_formats_contradict_each_other(sets: tuple[Path, Path]) -> None:
    assert run("diff", *sets, "--json", "--format", "markdown").exit_code == 2
