"""`guardrail policy explain`: from a configuration, a scenario, or places alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from policies_world import folder, run
from typer.testing import CliRunner

from guardrail.cli import app

CLOUD = """
[endpoints.cloud]
provider = "openai"
location = "US"
agreements = ["DPA", "SCC"]
models = ["gpt-*"]
"""
ABROAD = (
    "--origin FR --location US --agreement DPA --agreement SCC --basis contract -k contact".split()
)


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    file = tmp_path / "guardrail.toml"
    file.write_text(file.read_text("utf-8") + CLOUD, "utf-8")
    return file


def test_every_rung_is_shown_with_the_rules_that_decide_it(tmp_path: Path) -> None:
    result = run("explain", folder(tmp_path), *ABROAD, "-k", "health")
    assert result.exit_code == 0, result.output
    head, contact, health = result.stdout.partition("contact: ")[0], *_parts(result.stdout)
    assert head.startswith("sender, about people in FR, at destination (US): purpose general")
    assert contact.startswith("redacted (by eu)")
    assert "eu, European Union and European Economic Area: redacted" in contact
    assert "sendClear at destination: denied, as no rule permits it" in contact
    assert "sendRedacted at destination: allowed" in contact
    assert "permit eu.removed: Text may go anywhere once its personal data is removed." in contact
    assert "[GDPR recital 26] policies/eu.cedar:" in contact
    assert "processLocally at local: allowed" in contact
    assert "with filing TIA (transfer impact assessment" in contact
    assert "): pseudonymised (eu.safeguards)" in contact
    assert "): clear (eu.dpf)" in contact
    assert health.startswith("redacted (by eu)")
    assert "forbid eu.special.abroad" in health
    assert "what would help: no single change" in health


def _parts(shown: str) -> tuple[str, str]:
    contact, health = shown.split("contact: ", 1)[1].split("\nhealth: ", 1)
    return contact, health


def test_rungs_that_were_not_needed_are_said_to_be(tmp_path: Path) -> None:
    result = run("explain", folder(tmp_path), *ABROAD, "--agreement", "DPF")
    assert "sendClear at destination: allowed\n" in result.stdout
    assert "sendRedacted at destination: allowed (not needed)\n" in result.stdout
    assert "what would help" not in result.stdout


def test_a_scenario_is_explained_by_its_title_or_place(tmp_path: Path) -> None:
    home = folder(tmp_path)
    for text in ("Abroad only redacted", "ONLY REDACTED", "eu.yaml:6"):
        result = run("explain", home, "--scenario", text)
        assert result.exit_code == 0, result.output
        assert "general, about people in EEA, at us-clauses (US)" in result.stdout
        assert "contact: redacted (by eu)" in result.stdout
        assert "with endpoint fr (in FR): clear (eu.home)" in result.stdout
    health = run("explain", home, "--scenario", "Abroad only redacted", "-k", "health")
    assert "health: redacted (by eu)" in health.stdout
    assert "contact: " not in health.stdout


def test_a_configuration_says_what_is_not_said(configured: Path) -> None:
    usual = run("explain", "--config", configured, "-k", "contact", "--json")
    assert json.loads(usual.stdout)["basis"] == "none"
    stated = ["--basis", "contract", "-k", "contact", "--json"]
    result = run("explain", "--config", configured, *stated)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["app"], document["endpoint"]) == ("default", "cloud")
    assert (document["origin"], document["basis"]) == ("DE", "contract")
    (contact,) = document["categories"]
    assert (contact["treatment"], contact["strictest"]) == ("redacted", ["eu"])
    rungs = contact["laws"][0]["rungs"]
    assert [one["action"] for one in rungs] == [
        "sendClear",
        "sendPseudonymised",
        "sendRedacted",
        "processLocally",
    ]
    assert rungs[2]["rules"][0]["id"] == "eu.removed"
    filing = next(one for one in contact["help"] if one["kind"] == "filing")
    assert (filing["word"], filing["treatment"]) == ("TIA", "pseudonymised")
    assert [one["id"] for one in filing["rules"]] == ["eu.safeguards"]


def test_options_replace_what_the_configuration_says(configured: Path) -> None:
    options = (
        "--app default --endpoint cloud --filing TIA --basis contract --origin IT --age 40 "
        "--on 2026-05-01 --count 12 --injected -k contact"
    )
    result = run("explain", "--config", configured, *options.split())
    assert "default, about people in IT, at cloud (US)" in result.stdout
    assert "contact: pseudonymised (by eu)" in result.stdout


def test_several_laws_are_shown_and_the_strictest_named(tmp_path: Path) -> None:
    options = "--origin US-NY --established FR --location US --agreement DPA --basis contract"
    result = run("explain", folder(tmp_path), *options.split(), "-k", "contact")
    assert "contact: redacted (by eu)" in result.stdout
    assert "us, United States: clear" in result.stdout


def test_an_endpoint_of_no_configuration_is_explained_by_the_shipped_policies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("explain", *ABROAD)
    assert result.exit_code == 0, result.output
    assert "contact: redacted (by eu)" in result.stdout


def test_where_no_law_applies_the_base_is_named(tmp_path: Path) -> None:
    options = ["--origin", "AQ", "--location", "AQ", "-k", "contact"]
    result = run("explain", folder(tmp_path), *options)
    assert "contact: local (by the base)" in result.stdout
    assert "00-base, where no law applies: local" in result.stdout


WRONG = [
    ("-k contact --location XX --origin FR", "--location: no place 'XX'; write an ISO 3166-1"),
    ("-k contact --location US --origin XX", "--origin: no place 'XX'; write an ISO 3166-1"),
    ("-k contact --location US", "--origin: say where the people are, such as --origin FR"),
    ("-k moods --location US --origin FR", "--category: no 'moods'; use one of biometric"),
    ("--location US --origin FR", "say what was found, such as --category health"),
    ("-k contact", "with a folder, say --location, or --scenario"),
    ("-k contact --location US --origin FR --agreement DAP", "--agreement: no 'DAP'; use one of"),
    ("-k contact --location US --origin FR --purpose fun", "--purpose: no 'fun'; use one of"),
    ("-k contact --location US --origin FR --filing fun", "--filing: no 'fun'; use one of"),
    ("-k contact --location US --origin FR --sector fun", "--sector: no 'fun'; use one of"),
    ("-k contact --location US --origin FR --endpoint fr", "--endpoint: not with --location"),
    ("--scenario home --age 12", "--age: --scenario says it all"),
    ("--scenario mars", "--scenario: no scenario has 'mars' in its title"),
    ("--scenario abroad", "--scenario: 2 scenarios fit: say which by its place: eu.yaml:6, eu"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_usage_is_told(tmp_path: Path, options: str, message: str) -> None:
    result = run("explain", folder(tmp_path), *options.split())
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--app shop", "--app: no 'shop'; use one of default"),
        ("--endpoint mars", "--endpoint: no 'mars'; use one of cloud, local"),
        ("--sector health", "--sector: only where --location says where it goes"),
    ],
)
def test_what_the_configuration_lacks_is_told(configured: Path, options: str, message: str) -> None:
    result = run("explain", "--config", configured, "-k", "contact", *options.split())
    assert result.exit_code == 2
    assert message in result.stderr


def test_which_of_several_endpoints_must_be_said(configured: Path) -> None:
    configured.write_text(
        configured.read_text("utf-8") + CLOUD.replace("cloud", "other").replace("gpt", "o"), "utf-8"
    )
    result = run("explain", "--config", configured, "-k", "contact")
    assert result.exit_code == 2
    assert "--endpoint: say which: cloud, other" in result.stderr
