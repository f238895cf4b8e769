"""One of each mistake that files of policies can hold: where it is found, and how to mend it.

A file of tests/cases says in comments what it is. `place` is where it stands among the shipped
files of three laws; with `turns` and `into` it is the shipped file, edited so. Each `finds` is a
code and a place, of which `here` is the line where the file first holds `into`, and the `says`
after it the message.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest
from policy_world import ROOT

from guardrail.cli.stores import draft_of, located
from guardrail.errors import ConfigError
from guardrail.policy.problems import KINDS
from guardrail.policy.review import review
from guardrail.problems import Problem

CASES = sorted((ROOT / "tests" / "cases").iterdir())
LAWS = ("eu", "uk", "us")
TODAY = date(2026, 12, 1)
ELSEWHERE = {
    "unreadable-file": ("test_policy_loader.py", "not UTF-8; save it as UTF-8"),
    "too-large": ("test_policy_loader.py", "larger than 1 MiB"),
    "several-locations": ("test_endpoints.py", "an endpoint processes in exactly"),
    "unformattable": ("test_cli_policy_fmt.py", "unformattable"),
}
"""Codes that no text in a file can show, and which test has their message."""

MENDS = frozenset(
    "add ask begin close compare correct end give have keep look mend name provide read "
    "remove restore review save say see split use write".split()
)
"""What a message may ask for: the word after its last semicolon."""

_HEAD = re.compile(r"(?://|#) (?P<key>place|turns|into|finds|says): (?P<text>.*)")


class Case(NamedTuple):
    """What a file says of itself."""

    place: str
    turns: str
    into: str
    found: tuple[tuple[str, str, str], ...]

    def line(self, file: Path) -> int:
        """The line where a file first holds `into`."""
        text = file.read_text("utf-8")
        return text.count("\n", 0, text.index(self.into)) + 1


def case_of(file: Path) -> Case:
    told = [_HEAD.match(line) for line in file.read_text("utf-8").split("\n")]
    heads = [(one["key"], one["text"]) for one in told if one]
    known = dict(heads)
    says = [text for key, text in heads if key == "says"]
    finds = [text.split(" ") for key, text in heads if key == "finds"]
    found = tuple((code, where, said) for (code, where), said in zip(finds, says, strict=True))
    return Case(known["place"], known.get("turns", ""), known.get("into", ""), found)


def staged(file: Path, case: Case, target: Path) -> None:
    """The shipped files of a few laws, with the case among them."""
    for folder, ending in (("policies", "cedar"), ("regions", "toml")):
        (target / folder).mkdir()
        for law in LAWS:
            shutil.copy(ROOT / folder / f"{law}.{ending}", target / folder)
    for name in ("00-base.cedar", "vocabulary.toml", "schema.cedarschema"):
        shutil.copy(ROOT / "policies" / name, target / "policies")
    place = target / case.place
    if case.turns:
        text = place.read_text("utf-8")
        assert text.count(case.turns) == 1, "the shipped file no longer holds what is edited"
        place.write_text(text.replace(case.turns, case.into), "utf-8")
    else:
        shutil.copy(file, place)


def reviewed(target: Path) -> tuple[list[Problem], list[Problem]]:
    """What `guardrail policy lint` finds there, and what of it keeps the set from loading."""
    file = target / "guardrail.toml"
    try:
        draft, regions, needs = draft_of(None if file.exists() else target, file)
        problems = review(draft, regions=regions, today=TODAY, lacking=needs)
        stopping = list(draft.problems)
    except ConfigError as error:
        problems = stopping = list(error.details)
    return located(problems, file), located(stopping, file)


def expected(case: Case, target: Path) -> Iterator[tuple[str, str, str]]:
    for code, where, said in case.found:
        name, here, column = where.partition(":here:")
        yield code, f"{name}:{case.line(target / name)}:{column}" if here else where, said


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_a_mistake_is_found_where_it_stands(file: Path, tmp_path: Path) -> None:
    case = case_of(file)
    staged(file, case, tmp_path)
    problems, stopping = reviewed(tmp_path)
    found = [(one.code, one.place, one.message) for one in problems]
    assert sorted(found) == sorted(expected(case, tmp_path))
    stops = [str(one) for one in problems if KINDS[one.code].stops]
    assert stops == sorted(map(str, stopping))


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_a_message_says_what_to_do(file: Path) -> None:
    for code, _, said in case_of(file).found:
        what, _, mend = said.rpartition("; ")
        assert what
        assert mend.partition(" ")[0] in MENDS
        assert code in KINDS


def test_every_code_has_a_case() -> None:
    shown = {code for file in CASES for code, _, _ in case_of(file).found}
    assert shown | ELSEWHERE.keys() == KINDS.keys()
    assert not shown & ELSEWHERE.keys()


def test_the_page_names_every_code() -> None:
    page = (ROOT / "docs" / "policy-problems.md").read_text("utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == sorted(
        KINDS, key=lambda code: not KINDS[code].stops
    )


@pytest.mark.parametrize(("file", "message"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_codes_that_no_case_shows_are_tested_elsewhere(file: str, message: str) -> None:
    (found,) = (ROOT / "tests").rglob(file)
    assert message in found.read_text("utf-8")
