"""The page on ASGI names tests and codes that exist, and the configuration's settings."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
TEXT = ROOT.joinpath("docs/asgi.md").read_text("utf-8")
DEFINED = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


def source(folder: Path) -> str:
    return "\n".join(file.read_text("utf-8") for file in sorted(folder.rglob("*.py")))


def test_every_test_that_is_named_exists_and_every_topic_names_one() -> None:
    listed = TEXT.split("## What fails, fails closed")[0]
    defined = set(DEFINED.findall(source(TESTS)))
    rows = [line for line in listed.splitlines() if line.startswith("| ")]
    topics = [line for line in rows if not line.startswith("| topic")]
    assert len(topics) > 35
    for line in topics:
        named = re.findall(r"`(test_\w+)`", line)
        assert named, line
        assert set(named) <= defined, line


def test_every_code_of_a_refusal_is_one() -> None:
    table = TEXT.split("## What fails, fails closed")[1]
    rows = [line.split("|")[3] for line in table.splitlines() if line.startswith("| ")]
    codes = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    known = source(ROOT / "guardrail")
    assert len(codes) > 20
    assert {code for code in codes if f'"{code}"' not in known} == set()
