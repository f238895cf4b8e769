"""`guardrail policy rollout`: start, promote, roll back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from guardrail.cli import app

STOP = """@id("acme.stop") @title("t")
forbid (principal, action in Action::"send", resource)
when { context.category in Category::"personal" };
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert run("init", tmp_path).exit_code == 0
    assert run("init", tmp_path / "new").exit_code == 0
    (tmp_path / "new" / "policies" / "acme.cedar").write_text(STOP)
    return tmp_path


def rollout(home: Path, *arguments: str | Path) -> Result:
    return run("policy", "rollout", *arguments, "--config", home / "guardrail.toml", "--json")


def test_forward_and_back(home: Path) -> None:
    own = "the configuration's folders"
    assert json.loads(rollout(home, "status").stdout)["stable"] == own
    started = json.loads(rollout(home, "start", home / "new", "--share", "25").stdout)
    assert (started["stable"], started["share"]) == (own, 25)
    assert str(home / "new") in started["candidate"]
    promoted = json.loads(rollout(home, "promote").stdout)
    assert str(home / "new") in promoted["stable"]
    assert (promoted["candidate"], promoted["previous"]) == (None, own)
    assert json.loads(rollout(home, "rollback").stdout)["stable"] == own
    assert rollout(home, "rollback").exit_code == 3


def test_a_broken_candidate_does_not_start(home: Path) -> None:
    (home / "new" / "policies" / "acme.cedar").write_text("forbid principal;")
    result = rollout(home, "start", home / "new")
    assert result.exit_code == 3
    assert "policies/acme.cedar:1:8" in result.stderr
    assert not (home / "guardrail-rollout.json").exists()


def test_what_was_changed_since_is_not_promoted(home: Path) -> None:
    assert rollout(home, "start", home / "new").exit_code == 0
    (home / "new" / "policies" / "acme.cedar").write_text(STOP + "\n")
    result = rollout(home, "promote")
    assert result.exit_code == 3
    assert "not what the rollout began with" in result.stderr
    assert json.loads(rollout(home, "status").stdout)["candidate"] is not None


def test_without_a_candidate_nothing_is_promoted(home: Path) -> None:
    result = rollout(home, "promote")
    assert result.exit_code == 3
    assert "no candidate" in result.stderr
