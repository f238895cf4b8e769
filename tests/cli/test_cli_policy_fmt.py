"""`guardrail policy fmt`: one way to write rules, and nothing lost."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from policies_world import ROOT, folder, run

UGLY = """// A heading.

@id("acme.stop") @title("t")
forbid(principal,action in Action::"send",resource) // why
when{context.category in Category::"health"};
"""
NEAT = """// A heading.

@id("acme.stop")
@title("t")
forbid (principal, action in Action::"send", resource) // why
when { context.category in Category::"health" };
"""
COMMENTED = """// 1
@id("acme.stop") // 2
@title("// no comment")
forbid(principal,// 3
action in Action::"send",resource)
when{// 4
context.category in Category::"health"// 5
&& context.count>=10}; // 6

// 7
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return folder(tmp_path)


def test_the_shipped_set_is_formatted() -> None:
    result = run("fmt", ROOT, "--check")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_file_is_written_in_one_way_with_its_comments(home: Path) -> None:
    file = home / "policies" / "acme.cedar"
    file.write_text(UGLY, "utf-8")
    before = {path: path.read_bytes() for path in (home / "policies").glob("*.cedar")}
    result = run("fmt", home)
    assert (result.exit_code, result.stdout) == (0, f"{file}: formatted\n")
    assert file.read_text("utf-8") == NEAT
    assert {path for path, content in before.items() if path.read_bytes() != content} == {file}
    again = run("fmt", home)
    assert (again.exit_code, again.stdout) == (0, "")


def test_comments_stay_wherever_they_stand(home: Path) -> None:
    file = home / "policies" / "acme.cedar"
    file.write_text(COMMENTED, "utf-8")
    assert run("fmt", home).exit_code == 0
    once = file.read_text("utf-8")
    assert once != COMMENTED
    assert re.findall(r"// \d", once) == [f"// {number}" for number in range(1, 8)]
    assert run("fmt", home, "--check").exit_code == 0
    assert run("fmt", home).exit_code == 0
    assert file.read_text("utf-8") == once


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_nothing_is_written_where_that_is_asked(home: Path, option: str) -> None:
    file = home / "policies" / "acme.cedar"
    file.write_text(UGLY, "utf-8")
    result = run("fmt", home, option)
    assert result.exit_code == (1 if option == "--check" else 0)
    assert f"{file}: would be formatted" in result.stdout
    assert file.read_text("utf-8") == UGLY
    if option == "--diff":
        assert '-when{context.category in Category::"health"};' in result.stdout
        assert '+when { context.category in Category::"health" };' in result.stdout


def test_what_cannot_be_parsed_is_told_and_left(home: Path) -> None:
    file = home / "policies" / "acme.cedar"
    file.write_text("forbid (principal, action, resource", "utf-8")
    result = run("fmt", home)
    assert result.exit_code == 3
    assert "policies/acme.cedar:1:8: `(` is never closed" in result.stderr
    assert file.read_text("utf-8") == "forbid (principal, action, resource"


def test_what_the_formatter_would_lose_is_told_and_left(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home / "policies" / "acme.cedar"
    file.write_text(UGLY, "utf-8")

    def careless(text: str, *, width: int) -> str:
        return NEAT.replace(" // why", "") if text == UGLY else text

    monkeypatch.setattr("guardrail.policy.formatting.reformat", careless)
    result = run("fmt", home)
    assert result.exit_code == 3
    assert "policies/acme.cedar: the formatter would lose a comment" in result.stderr
    assert "(unformattable)" in result.stderr
    assert file.read_text("utf-8") == UGLY


def test_json_names_what_changed(home: Path) -> None:
    file = home / "policies" / "acme.cedar"
    file.write_text(UGLY, "utf-8")
    told = json.loads(run("fmt", home, "--check", "--json").stdout)
    assert (told["ok"], told["changed"], told["found"]) == (False, [file.as_posix()], [])


def test_what_is_shipped_is_not_edited(tmp_path: Path) -> None:
    file = tmp_path / "guardrail.toml"
    endpoint = '[endpoints.e]\nprovider = "p"\nlocation = "DE"\nmodels = ["m"]\n'
    file.write_text(f'[apps.a]\nestablishment = "DE"\norigin = "DE"\n{endpoint}', "utf-8")
    result = run("fmt", "--config", file)
    assert result.exit_code == 3
    assert "names no policies of its own; `guardrail init` copies those it ships" in result.stderr
