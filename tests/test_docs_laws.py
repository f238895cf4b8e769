"""docs/laws.md says of each law what its profile says, and no more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from guardrail.regions import Region, load_regions

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/laws.md").read_text("utf-8")
LAWS = load_regions(ROOT / "regions").regions
ROWS = dict(re.findall(r"^\| \[[^]]+\]\(#([a-z]+)\) \| (.+) \|$", TEXT, re.MULTILINE))
SECTIONS = dict(
    re.findall(r'^<a id="([a-z]+)"></a>\n\n## (.+?)(?=^<a id=|\Z)', TEXT, re.MULTILINE | re.DOTALL)
)


def test_every_law_has_a_row_and_a_section_and_no_other() -> None:
    assert ROWS.keys() == SECTIONS.keys() == LAWS.keys()


def test_the_page_counts_the_laws_and_says_what_it_is_not() -> None:
    assert f"rules for {len(LAWS)} regimes of law" in TEXT
    assert "a starting point, not legal advice" in TEXT


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_row_shows_the_deadlines_of_the_profile(law: Region) -> None:
    breach = "at once" if law.breach_hours is None else f"{law.breach_hours} h"
    assert ROWS[law.id] == " | ".join(
        [
            f"[`{law.id}.cedar`](../policies/{law.id}.cedar)",
            str(law.child_age),
            f"{law.dsar_days} days",
            breach,
            f"{law.min_log_days} days",
        ]
    )
    assert f"| [{law.name}](#{law.id}) |" in TEXT


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_section_says_what_is_certain_and_what_to_verify(law: Region) -> None:
    checked = (
        listed("Checked in public sources:", law.certain)
        if law.certain
        else "Nothing of this law was checked in public sources.\n"
    )
    parts = [listed("Statutes:", law.statutes), checked, listed("To verify:", law.verify)]
    assert SECTIONS[law.id].strip() == "\n".join([f"{law.name}\n", *parts]).strip()


def listed(title: str, sentences: Sequence[str]) -> str:
    return f"{title}\n\n" + "".join(f"- {sentence}\n" for sentence in sentences)
