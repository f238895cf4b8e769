"""`guardrail policy replay` over an audit log of real decisions."""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from guardrail.audit.event import event_id
from guardrail.audit.stores.sqlite import SqliteStore
from guardrail.cli import app
from guardrail.types import AuditEvent

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
BLOCKING = """@id("acme.stop") @title("t")
forbid (principal, action in Action::"process", resource)
when { context.category == Category::"contact" };"""
CLOUD = """
[endpoints.cloud]
provider = "openai"
location = "US"
agreements = ["DPA"]
models = ["gpt-*"]
"""


def run(*arguments: str | Path) -> Result:
    wide = {"COLUMNS": "160"}
    return CliRunner().invoke(app, ["policy", "replay", *map(str, arguments)], env=wide)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A configuration with a log of 25 decisions on mail addresses, and three other events."""
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    file = tmp_path / "guardrail.toml"
    file.write_text(file.read_text("utf-8") + CLOUD, "utf-8")
    decided = AuditEvent(
        id="",
        kind="egress.decision",
        at=NOW,
        exchange="x1",
        principal="default",
        purpose="general",
        basis="contract",
        origin="DE",
        treatment="redacted",
        treatments={"contact": "redacted"},
        found={"contact": 1},
        confidences={"contact": 80},
        residual=0,
        judged=("cloud",),
        local="local",
    )
    outcome = AuditEvent(id="", kind="egress.outcome", at=NOW, exchange="x1")
    refused = AuditEvent(id="", kind="request.refused", at=NOW, exchange="x1", code="bad")
    events = [*[decided] * 25, outcome, outcome, refused]
    with closing(SqliteStore(tmp_path / "guardrail-audit.db")) as store:
        store.append([replace(one, id=event_id(NOW, os.urandom(10))) for one in events])
    return tmp_path


def edited(home: Path, text: str) -> Path:
    assert CliRunner().invoke(app, ["init", str(home / "edited")]).exit_code == 0
    (home / "edited" / "policies" / "acme.cedar").write_text(text, "utf-8")
    return home / "edited"


def test_the_same_policies_change_nothing(home: Path) -> None:
    result = run(home, "--config", home / "guardrail.toml", "--json", "--fail-on", "looser")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["events"], document["same"], document["changed"]) == (26, 25, 0)
    assert document["skipped"] == {"undecided": 1}
    assert document["questions"] == 1


def test_what_a_rule_would_have_stopped_is_listed(home: Path) -> None:
    other = edited(home, BLOCKING)
    result = run(other, "--config", home / "guardrail.toml", "--last", "13")
    assert result.exit_code == 0, result.output
    assert "stricter" in result.stdout
    assert "acme.stop" in result.stdout
    assert "10 would be treated otherwise, 0 alike" in result.stdout


def test_looser_policies_fail_where_asked_to(home: Path) -> None:
    other = edited(home, BLOCKING)
    eu = other / "policies" / "eu.cedar"
    text = eu.read_text("utf-8")
    only = 'resource.agreements.containsAll([Agreement::"DPA", Agreement::"DPF"])'
    assert only in text
    eu.write_text(text.replace(only, "true"), "utf-8")
    (other / "policies" / "acme.cedar").unlink()
    result = run(other, "--config", home / "guardrail.toml", "--fail-on", "looser")
    assert result.exit_code == 5, result.output
    assert "LOOSER" in result.stdout


def test_a_folder_without_policies_is_told(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty", "--config", home / "guardrail.toml")
    assert result.exit_code == 3
    assert "no folder policies/ in it" in result.stderr
