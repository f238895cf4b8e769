"""`guardrail policy new`: what it writes loads, and nothing that is there is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from policies_world import folder, run

RULE = ("eu.minor", "--title", "Health data of minors stays", "--citation", "GDPR Art. 8")
LAW = ("--law", "nz", "--name", "New Zealand", "--citation", "Privacy Act 2020")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return folder(tmp_path)


def test_a_rule_goes_to_the_file_of_its_law(home: Path) -> None:
    file = home / "policies" / "eu.cedar"
    before = file.read_text("utf-8")
    result = run("new", *RULE, "--category", "health", "-d", home)
    assert (result.exit_code, result.stdout) == (0, f"wrote {file}\n")
    after = file.read_text("utf-8")
    assert after.startswith(before.rstrip())
    assert after.endswith(
        '@id("eu.minor")\n@title("Health data of minors stays")\n@citation("GDPR Art. 8")\n'
        '@reason("Data of the category health was found.")\n@severity("high")\n'
        'forbid (principal, action in Action::"send", resource)\n'
        'when { context.category in Category::"health" };\n'
    )
    assert run("check", home).exit_code == 0
    assert "no errors, no warnings" in run("lint", home).stdout
    assert run("fmt", home, "--check").exit_code == 0


def test_the_same_rule_twice_is_refused(home: Path) -> None:
    file = home / "policies" / "eu.cedar"
    assert run("new", *RULE, "-d", home).exit_code == 0
    before = file.read_text("utf-8")
    again = run("new", *RULE, "-d", home)
    assert again.exit_code == 3
    assert "the @id is taken by policies/eu.cedar:" in again.stderr
    assert file.read_text("utf-8") == before


def test_an_overlay_gets_a_file_of_its_own(home: Path) -> None:
    result = run("new", "acme.stop", "--title", "Health data stays", "-d", home)
    assert result.exit_code == 0
    assert (home / "policies" / "acme.cedar").exists()
    assert run("check", home).exit_code == 0


def test_a_permit_in_an_overlay_is_refused_with_what_it_lacks(home: Path) -> None:
    result = run(
        "new",
        "acme.open",
        "--title",
        "t",
        "--permit",
        "--action",
        "sendClear",
        "--category",
        "contact",
        "-d",
        home,
    )
    assert result.exit_code == 3
    assert "@approved" in result.stderr
    assert not (home / "policies" / "acme.cedar").exists()


def test_a_new_law_loads_and_its_scenarios_pass(home: Path) -> None:
    result = run("new", *LAW, "-d", home, "--json")
    assert result.exit_code == 0, result.stderr
    written = {
        Path(one).relative_to(home).as_posix() for one in json.loads(result.stdout)["written"]
    }
    assert {"policies/nz.cedar", "regions/nz.toml"} <= written
    assert run("check", home).exit_code == 0
    tried = run("test", home, "--filter", "nz.yaml")
    assert tried.exit_code == 0, tried.stdout
    assert run("fmt", home, "--check").exit_code == 0
    again = run("new", *LAW, "-d", home)
    assert again.exit_code == 1
    assert "exists already; choose another id" in again.stderr


def test_lint_asks_for_the_review_of_a_new_law_and_for_nothing_else(home: Path) -> None:
    assert run("new", *LAW, "-d", home).exit_code == 0
    linted = run("lint", home, "--json")
    assert linted.exit_code == 3
    found = {(one["code"], one["file"]) for one in json.loads(linted.stdout)["found"]}
    assert found == {
        ("stale-profile", "regions/nz.toml"),
        ("unverified-citation", "policies/nz.cedar"),
    }
    profile, rules = home / "regions" / "nz.toml", home / "policies" / "nz.cedar"
    today = datetime.now(UTC).date()
    profile.write_text(profile.read_text("utf-8").replace("1970-01-01", f"{today}"), "utf-8")
    rules.write_text(rules.read_text("utf-8").replace(" (verify)", ""), "utf-8")
    assert run("lint", home, "--strict").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give either the ID of a rule or --law"),
        (("eu.x", "--law", "nz"), "give either the ID of a rule or --law"),
        (("eu.x",), "--title: say in one sentence"),
        (("eu.x", "--title", "t"), "--citation: name the article"),
        (("eu.x", "--title", "t", "--citation", "c", "--permit"), "a permit names its --action"),
        (("acme.x", "--title", "t", "--file", "../x.cedar"), "a file is named like eu.cedar"),
        (("--law", "NZ", "--name", "n", "--citation", "c"), "--law: an id is made of"),
        (("--law", "nz"), "a new law has a --name and a --citation"),
        (("--law", "qq", "--name", "n", "--citation", "c"), "--place: say where the law holds"),
        (("acme.x", "--title", "a\nb"), "a text holds what cannot be printed"),
    ],
)
def test_what_is_missing_is_told(home: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run("new", *arguments, "-d", home)
    assert result.exit_code == 2
    assert said in result.stderr
