"""The page on protocols names every one, where it lives, and every action."""

from __future__ import annotations

import re
from pathlib import Path

from guardrail.protocols.fields import Action
from guardrail.protocols.maps import load_protocols

TEXT = Path(__file__).parent.parent.joinpath("docs/protocols.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    section = TEXT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_protocol_has_its_row_and_no_other() -> None:
    documented = {
        row[0].strip("` "): row[2].strip("` ") for row in rows("What is known by its fields")
    }
    assert documented == {name: p.errors for name, p in load_protocols().items()}


def test_every_path_of_a_protocol_is_documented() -> None:
    for name, where, _ in rows("What is known by its fields"):
        shown = set(re.findall(r"`([^`]+)`", where))
        for path in load_protocols()[name.strip("` ")].paths:
            ends = {path, "…" + path[path.find("/models/") :], "…" + path[path.rfind(":") :]}
            assert shown & ends, path


def test_every_action_is_explained_and_no_other() -> None:
    cells = [row[0] for row in rows("What may be done to a leaf")]
    assert {a for cell in cells for a in re.findall(r"`(\w+)`", cell)} == set(Action)
