"""`guardrail evaluate` and `guardrail entities`: figures of a set that was counted by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from guardrail.cli import app

SAMPLES = [
    {"text": "my name is Erika Mustermann", "spans": [[11, 27, "PER"]]},
    {"text": "Write to a@example.com today", "spans": [[9, 22, "EMAIL"]]},
    {"text": "4711 and b@example.com", "spans": [[0, 4, "PER"]]},
]


def run(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, [*map(str, arguments)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "set.jsonl"
    file.write_text("".join(json.dumps(sample) + "\n" for sample in SAMPLES), "utf-8")
    return file


def documents(data: Path, *options: str) -> list[dict[str, Any]]:
    result = run("evaluate", data, "--json", *options)
    assert result.exit_code == 0
    parsed: list[dict[str, Any]] = json.loads(result.stdout)
    return parsed


# ── evaluate ─────────────────────────────────────────────────────────────────────────────────────


def test_figures_of_a_small_set(data: Path) -> None:
    (report,) = documents(data)
    person, mail = report["entities"]["PERSON"], report["entities"]["EMAIL_ADDRESS"]
    assert (person["labelled"], person["found"], person["strict"]["recall"]) == (2, 1, 0.5)
    assert person["token"]["recall"] == round(2 / 3, 6)
    assert (mail["strict"]["precision"], mail["strict"]["recall"]) == (0.5, 1.0)
    assert (report["samples"], report["total"]["overlap"]["hits"]) == (3, 2)
    assert report["any"]["token"]["alarms"] == 3


@pytest.mark.parametrize(
    ("options", "entities"),
    [
        (["--entity", "PERSON"], {"PERSON"}),
        (["--map", "PER=WHO", "--map", "PERSON=WHO"], {"WHO", "EMAIL_ADDRESS"}),
    ],
)
def test_what_is_counted_can_be_said(options: list[str], entities: set[str], data: Path) -> None:
    assert set(documents(data, *options)[0]["entities"]) == entities


def test_what_a_set_never_labels_counts_with_all(tmp_path: Path) -> None:
    data = tmp_path / "set.jsonl"
    data.write_text(json.dumps({"text": "192.0.2.17", "spans": []}))
    assert documents(data)[0]["ignored"] == {"IP_ADDRESS": 1}
    assert documents(data, "--all")[0]["total"]["strict"]["alarms"] == 1


def test_lower_case_is_a_set_of_its_own(data: Path) -> None:
    plain, lower = documents(data, "--lower")
    assert lower["set"] == f"{plain['set']}, lower case"
    assert lower["samples"] == 3


def test_tables_show_no_text_unless_asked(data: Path) -> None:
    shown = run("evaluate", data)
    assert shown.exit_code == 0
    for word in ("PERSON", "EMAIL_ADDRESS", "ALL", "strict", "token", "overlap", "any"):
        assert word in shown.stdout
    assert "4711" not in shown.stdout
    asked = run("evaluate", data, "--examples", "1").stdout
    assert "missed PERSON in text 3: …⟦4711⟧ and b@" in asked
    assert "false alarm EMAIL_ADDRESS in text 3" in asked


def test_presidio_research_is_read(tmp_path: Path) -> None:
    spans = [{"entity_type": "PERSON", "start_position": 11, "end_position": 27}]
    data = tmp_path / "set.json"
    data.write_text(json.dumps([{"full_text": SAMPLES[0]["text"], "spans": spans}]))
    assert documents(data)[0]["entities"]["PERSON"]["strict"]["recall"] == 1.0


@pytest.mark.parametrize(
    ("content", "options", "code", "complaint"),
    [
        ("{", [], 2, "line 1 is not valid JSON"),
        ('{"text": 1}', [], 2, "sample 1: its text is not a string"),
        ("", ["--map", "WARD"], 2, "write NAME=ENTITY"),
        ("", ["-c", "/no/such.toml"], 3, "No such file or directory"),
    ],
)
def test_what_cannot_be_evaluated_is_said(
    content: str, options: list[str], code: int, complaint: str, tmp_path: Path
) -> None:
    data = tmp_path / "set.jsonl"
    data.write_text(content)
    asked = run("evaluate", data, *options)
    assert (asked.exit_code, complaint in asked.stderr) == (code, True)


# ── entities ─────────────────────────────────────────────────────────────────────────────────────


def entities(*options: str) -> dict[str, dict[str, Any]]:
    listed = run("entities", "--json", *options)
    assert listed.exit_code == 0
    return {row["entity"]: row for row in json.loads(listed.stdout)}


def test_every_entity_has_category_placeholder_and_recognizers() -> None:
    rows = entities()
    mail = rows["EMAIL_ADDRESS"]
    assert (mail["category"], mail["placeholder"], mail["countries"]) == (
        "contact",
        "[EMAIL_1]",
        [],
    )
    assert "email" in mail["recognizers"]
    assert rows["UK_NINO"]["countries"] == ["GB"]
    assert "unknown" not in {row["category"] for row in rows.values()}
    assert all(row["recognizers"] for row in rows.values())


def test_by_country_and_by_region() -> None:
    german = entities("--country", "de")
    assert "DE_TAX_ID" in german
    assert {tuple(row["countries"]) for row in german.values()} == {("DE",)}
    european = entities("--region", "EU")
    assert {"DE_TAX_ID", "EMAIL_ADDRESS", "IT_FISCAL_CODE"} <= set(european)
    assert "US_SSN" not in european
    assert run("entities", "--region", "Mars").exit_code == 2


def test_the_table_names_them() -> None:
    shown = run("entities", "--country", "US").stdout
    assert "US_SSN" in shown
    assert "[SSN_1]" in shown


@pytest.mark.parametrize("command", ["evaluate", "entities"])
def test_help_teaches(command: str) -> None:
    helped = run(command, "--help").stdout
    assert f"Example: guardrail {command}" in helped
    assert "Exit codes: 0 ok" in helped
