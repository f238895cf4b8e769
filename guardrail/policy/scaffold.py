"""Scaffold: the first text of a rule, and of a law's files, for people to go on from.

A scaffold is on the safe side: a permit names a category, a ground and a processor contract, and a
new law lets personal data leave only removed, or to places of its own under contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import Template
from typing import Literal

from guardrail.policy.vocabulary import ASKED

UNREVIEWED = "1970-01-01"
"""The review date of a profile that nobody has reviewed, which lint tells of."""

_GROUPS = frozenset(group for groups in ASKED.values() for group in groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What is known of a rule before it is written; `actions` are names of actions and groups."""

    id: str
    effect: Literal["permit", "forbid"]
    title: str
    citation: str
    reason: str
    severity: str
    actions: Sequence[str]
    category: str


def rule_text(outline: Outline) -> str:
    """A rule in Cedar.

    >>> print(rule_text(Outline(id="x.a", effect="forbid", title="No", citation="", reason="R",
    ...     severity="high", actions=["send"], category="health")))
    @id("x.a")
    @title("No")
    @reason("R")
    @severity("high")
    forbid (principal, action in Action::"send", resource)
    when { context.category in Category::"health" };
    """
    notes = {
        "id": outline.id,
        "title": outline.title,
        "citation": outline.citation,
        "reason": outline.reason,
        "severity": outline.severity,
    }
    lines = [f"@{name}({quoted(text)})" for name, text in notes.items() if text]
    lines += [f"{outline.effect} (principal, {_scope(outline.actions)}, resource)"]
    conditions = [f"context.category in Category::{quoted(outline.category)}"]
    if outline.effect == "permit":
        conditions += [
            'context.basis != Basis::"none"',
            'resource.agreements.contains(Agreement::"DPA")',
        ]
    return "\n".join([*lines, f"when {{ {' && '.join(conditions)} }};"])


def _scope(actions: Sequence[str]) -> str:
    named = [f"Action::{quoted(action)}" for action in actions]
    if len(named) > 1:
        return f"action in [{', '.join(named)}]"
    return f"action {'in' if actions[0] in _GROUPS else '=='} {named[0]}"


def quoted(text: str) -> str:
    """A text as Cedar and TOML write it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """What is known of a law before its files are written; `places` are where it holds."""

    id: str
    name: str
    places: Sequence[str]
    statute: str
    source: str


def law_texts(law: Law) -> dict[str, str]:
    """The texts of a law's profile, rules and scenarios, by where they stand in a folder."""
    values = {
        "id": law.id,
        "name": quoted(law.name),
        "heading": law.name,
        "places": ", ".join(map(quoted, law.places)),
        "place": law.places[0],
        "statute": quoted(law.statute),
        "citation": quoted(f"{law.statute} (verify)"),
        "source": quoted(law.source),
        "unreviewed": UNREVIEWED,
    }
    return {name.format(law.id): text.substitute(values) for name, text in _LAW.items()}


_PROFILE = Template("""\
# $heading.
# An engineering starting point, not legal advice: have counsel review it before you rely on it.
id = "$id"
name = $name
jurisdictions = [$places]
statutes = [$statute]
child_age = 18    # the strictest; say what the law says
dsar_days = 30    # say what the law says
min_log_days = 0  # say what the law says
sources = [$source]
last_reviewed = $unreviewed
reviewer = "nobody yet"
""")
_RULES = Template("""\
// $heading. An engineering starting point, not legal advice.

// ---- where personal data may go

@id("$id.home")
@title("Personal data may be processed at home under a processor contract")
@citation($citation)
@reason("The endpoint processes where the law holds.")
@severity("medium")
permit (principal, action in Action::"send", resource in Jurisdiction::"$place")
when {
  context.category in Category::"personal" &&
  context.basis != Basis::"none" &&
  resource.agreements.contains(Agreement::"DPA")
};

@id("$id.removed")
@title("Text may go anywhere once its personal data is removed")
@citation($citation)
@reason("The personal data was removed.")
@severity("low")
permit (principal, action == Action::"sendRedacted", resource)
when { context.category in Category::"personal" };
""")
_SCENARIOS = Template("""\
# $heading. world.yaml has the applications and endpoints.
- title: Personal data goes abroad only redacted
  origin: $place
  endpoint: fr
  expect: {contact: redacted}
  because: {contact: [$id.removed]}
# Add `$id: {location: $place, agreements: [DPA]}` to the endpoints of world.yaml, and then:
# - title: At home, personal data goes in clear under a processor contract
#   origin: $place
#   endpoint: $id
#   expect: {contact: clear}
#   because: {contact: [$id.home]}
""")
_LAW = {
    "regions/{}.toml": _PROFILE,
    "policies/{}.cedar": _RULES,
    "policies/tests/{}.yaml": _SCENARIOS,
}
