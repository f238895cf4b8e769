"""A folder with the shipped policies, and scenarios of its own that they pass."""

from __future__ import annotations

import shutil
from pathlib import Path

from typer.testing import CliRunner, Result

from guardrail.cli import app

ROOT = Path(__file__).parents[2]
WORLD = """
apps:
  general: {}
endpoints:
  fr: {location: FR, agreements: [DPA]}
  us-clauses: {location: US, agreements: [DPA, SCC]}
"""
SCENARIOS = """
- title: At home in clear
  endpoint: fr
  expect: {contact: clear, health: pseudonymised}
  because: {health: [eu.special]}
- title: Abroad only redacted
  endpoint: us-clauses
  expect: {contact: redacted}
- title: Abroad with an assessment
  endpoint: us-clauses
  filings: [TIA]
  expect: {contact: pseudonymised}
"""


def run(*arguments: str | Path) -> Result:
    wide = {"COLUMNS": "240"}
    return CliRunner().invoke(app, ["policy", *map(str, arguments)], env=wide)


def folder(target: Path, scenarios: str = SCENARIOS) -> Path:
    """`policies/`, with its tests in place of any shipped ones, and `regions/`."""
    shutil.copytree(ROOT / "regions", target / "regions")
    shutil.copytree(ROOT / "policies", target / "policies", ignore=shutil.ignore_patterns("tests"))
    tests = target / "policies" / "tests"
    tests.mkdir()
    (tests / "world.yaml").write_text(WORLD, "utf-8")
    (tests / "eu.yaml").write_text(scenarios, "utf-8")
    return target
