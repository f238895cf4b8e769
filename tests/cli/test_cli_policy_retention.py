"""`guardrail policy retention`, and the limit that it names at start-up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from guardrail.cli import app

VAULT = """
[vaults]
store = "sqlite:vaults.db"
key = "0123456789-0123456789-0123456789"
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "160"})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert run("init", tmp_path).exit_code == 0
    return tmp_path


def test_it_says_how_long_for_each_app(home: Path) -> None:
    result = run("policy", "retention", "--config", home / "guardrail.toml", "--json")
    assert result.exit_code == 0, result.output
    audit, vault = json.loads(result.stdout)
    assert (audit["store"], audit["limit"], audit["duty"]) == ("audit", 731, 0)
    assert "eu.keep.limit" in audit["policies"]
    assert (vault["store"], vault["limit"], vault["days"]) == ("vault", 30, 30)
    shown = run("policy", "retention", "--config", home / "guardrail.toml").stdout
    assert "731 days" in shown
    assert "at once" in shown


@pytest.mark.parametrize(("ttl", "code"), [("30d", 0), ("31d", 3)])
def test_originals_are_not_kept_longer_than_policy_permits(home: Path, ttl: str, code: int) -> None:
    file = home / "guardrail.toml"
    file.write_text(file.read_text("utf-8") + VAULT + f'ttl = "{ttl}"\n', "utf-8")
    result = run("config", "check", "--config", file)
    assert result.exit_code == code, result.output
    if code:
        assert "vaults.ttl: policy does not let originals of app 'default'" in result.stderr
        assert "be kept more than 30 days" in result.stderr


def test_where_policy_lets_nothing_be_kept_nothing_starts(home: Path) -> None:
    rule = '@id("acme.no") @title("t") forbid (principal, action == Action::"retain", resource);'
    (home / "policies" / "acme.cedar").write_text(rule, "utf-8")
    result = run("config", "check", "--config", home / "guardrail.toml")
    assert result.exit_code == 3
    assert "be kept at all" in result.stderr
