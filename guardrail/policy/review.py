"""Review: what policies may contain and people should know, beside what keeps them from loading.

A comment on the line before a rule, or before the line that a problem names, silences one code:

    // guardrail: ignore missing-citation agreed with the DPO, LEGAL-12

What keeps a set from loading cannot be silenced. Time comes in as an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date, timedelta

from guardrail.policy.cedar import Rule
from guardrail.policy.facts import FACTS, NEEDS, Need
from guardrail.policy.lint import expires, names, never, read
from guardrail.policy.loader import Draft
from guardrail.policy.problems import KINDS
from guardrail.policy.trees import (
    COMPARISONS,
    attribute,
    conjuncts,
    names_category,
    nodes,
    walk,
)
from guardrail.problems import Problem
from guardrail.regions import Regions

SEVERITIES = ("low", "medium", "high", "critical")
MAX_CONDITIONS = 4
"""How many conditions a rule may have beside the one that names the kind of data."""

SOON = timedelta(days=30)
STALE = timedelta(days=180)

_ARITHMETIC = frozenset({"+", "-", "*", "neg"})
_RELATIONS = COMPARISONS | {"in", "contains", "containsAll", "containsAny"}
_IGNORE = re.compile(r"\s*(?://|#)\s*guardrail:\s*ignore\b[ \t]*(?P<code>\S*)[ \t]*(?P<reason>.*)")


def review(
    draft: Draft, *, regions: Regions, today: date, lacking: Set[Need] = frozenset()
) -> list[Problem]:
    """Everything that is wrong with a draft, by place: what stops it, and what people should know.

    `lacking` is what a deployment lacks to supply facts; empty where none is known.
    """
    found = [*draft.problems]
    unsound = {(problem.file, problem.rule) for problem in found}
    starts: dict[tuple[str, str], int] = {}
    for stem, rules in draft.rules.items():
        for rule in rules:
            starts.setdefault((rule.source.name, rule.id or "?"), rule.problem("", "").line)
            found += _rule(rule, law=stem in regions.ids, today=today, lacking=lacking)
            dead = never(rule)
            if dead is not None and (rule.source.name, rule.id or "?") not in unsound:
                said = "can never hold, so the rule never applies; correct or remove the rule"
                found.append(rule.problem("never-applies", said, since=rule.conditions[dead]))
    found += _stale(regions, today)
    texts = {source.name: source.text for source in draft.sources.values()}
    texts |= dict(regions.texts.values())
    graded = [replace(one, severity=KINDS[one.code].severity) for one in found]
    left = _silence(graded, texts, starts)
    return sorted(left, key=lambda one: (one.file, one.line, one.column, one.code, one.message))


def _rule(rule: Rule, *, law: bool, today: date, lacking: Set[Need]) -> Iterator[Problem]:
    yield from _annotations(rule, law=law)
    yield from _conditions(rule)
    yield from _inseparable(rule)
    yield from _ending(rule, today)
    for name in read(rule):
        need = FACTS[name].need if name in FACTS else ""
        if need in lacking:
            said = f"{name} is never supplied here, because {NEEDS[need]}; provide it"
            yield rule.problem("unsupplied-fact", said, *names(name))


def _annotations(rule: Rule, *, law: bool) -> Iterator[Problem]:
    notes = {name: text.strip() for name, text in rule.annotations.items()}
    if not notes.get("reason"):
        said = "no @reason; say in one sentence what was found, for who is refused"
        yield rule.problem("missing-reason", said, note="reason")
    if "severity" not in notes:
        said = f"no @severity; say how grave a breach of it is: {', '.join(SEVERITIES)}"
        yield rule.problem("missing-severity", said)
    elif notes["severity"] not in SEVERITIES:
        said = f"no such @severity; write one of {', '.join(SEVERITIES)}"
        yield rule.problem("bad-severity", said, note="severity")
    citation = notes.get("citation", "")
    if law and not citation:
        said = 'no @citation; name the article, such as @citation("GDPR Art. 9(1)")'
        yield rule.problem("missing-citation", said, note="citation")
    if "(verify)" in citation.lower():
        said = "the citation is marked (verify); look it up and remove the mark"
        yield rule.problem("unverified-citation", said, note="citation")


def _conditions(rule: Rule) -> Iterator[Problem]:
    for start, condition in zip(rule.conditions, rule.tree["conditions"], strict=True):
        parts = [one for one in conjuncts(condition["body"]) if not names_category(one)]
        if len(parts) > MAX_CONDITIONS:
            said = (
                f"{len(parts)} conditions beside the category, of which people hold "
                f"{MAX_CONDITIONS} in mind; split the rule"
            )
            yield rule.problem("long-condition", said, since=start)


def _inseparable(rule: Rule) -> Iterator[Problem]:
    """Rules that no finite table of facts can tell apart, which coverage and diff need."""
    for node in nodes(rule):
        for sign in sorted(_ARITHMETIC & node.keys()):
            said = f"reckons with `{sign}`; compare each fact with a number written out"
            yield rule.problem("inseparable-facts", said, *_attributes(node)[:1], sign)
        for sign in sorted(_RELATIONS & node.keys()):
            sides = [_attributes(node[sign][side]) for side in ("left", "right")]
            if all(sides):
                said = f"compares {sides[0][0]} with {sides[1][0]}; compare each with a value"
                both = f"{sides[0][0]} {sign} {sides[1][0]}"
                yield rule.problem("inseparable-facts", said, both, sides[0][0])


def _attributes(node: object) -> list[str]:
    return [name for name in map(attribute, walk(node)) if name]


def _ending(rule: Rule, today: date) -> Iterator[Problem]:
    day = expires(rule)
    if day is None:
        return
    if day <= today:
        said = f"does not apply since {day}; remove the rule, or have it approved anew"
        yield rule.problem("expired", said, note="expires")
    elif day - today <= SOON:
        said = f"ends in {(day - today).days} days; have it approved anew, or let it end"
        yield rule.problem("expires-soon", said, note="expires")


def _stale(regions: Regions, today: date) -> Iterator[Problem]:
    for name, region in regions.regions.items():
        age = today - region.last_reviewed
        if age > STALE:
            said = (
                f"last_reviewed: {age.days} days ago; review the profile against its sources at "
                f"least every {STALE.days} days and write the date"
            )
            yield regions.problem(name, "stale-profile", said, ("last_reviewed",))


# ---- what is silenced


@dataclass(frozen=True, slots=True)
class _Ignore:
    """A comment that silences a code; `target` is the line that it is about."""

    file: str
    line: int
    column: int
    code: str
    reason: str
    target: int

    def problem(self, code: str, message: str) -> Problem:
        return Problem(
            file=self.file,
            line=self.line,
            column=self.column,
            code=code,
            message=message,
            severity=KINDS[code].severity,
        )


def _silence(
    problems: Sequence[Problem],
    texts: Mapping[str, str],
    starts: Mapping[tuple[str, str], int],
) -> Iterator[Problem]:
    """The problems that no comment silences, and what is wrong with the comments."""
    ignores = [one for name, text in texts.items() for one in _ignores(name, text)]
    used: set[_Ignore] = set()
    for problem in problems:
        lines = {problem.line, starts.get((problem.file, problem.rule), 0)}
        by = [
            one
            for one in ignores
            if (one.file, one.code) == (problem.file, problem.code) and one.target in lines
        ]
        silenced = [one for one in by if one.reason and not KINDS[one.code].stops]
        used.update(by)
        if not silenced:
            yield problem
    yield from _unfit(ignores, used)


def _unfit(ignores: Iterable[_Ignore], used: Set[_Ignore]) -> Iterator[Problem]:
    for one in ignores:
        if one.code not in KINDS:
            said = f"no code {one.code!r}; name one, as in `guardrail: ignore expires-soon reason`"
            yield one.problem("bad-ignore", said)
        elif KINDS[one.code].stops:
            said = f"{one.code} keeps the policies from loading, so it cannot be ignored; mend it"
            yield one.problem("bad-ignore", said)
        elif not one.reason:
            said = f"ignores {one.code} without a reason; write it after the code"
            yield one.problem("bad-ignore", said)
        elif one not in used:
            said = f"ignores {one.code}, which is not found there; remove the comment"
            yield one.problem("unused-ignore", said)


def _ignores(name: str, text: str) -> Iterator[_Ignore]:
    """The comments of a text that silence; several in a row are about the line after the last."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        found = _IGNORE.match(line)
        if not found:
            continue
        after = next(
            (n for n in range(index + 1, len(lines)) if not _IGNORE.match(lines[n])), len(lines)
        )
        column = len(line) - len(line.lstrip()) + 1
        yield _Ignore(
            file=name,
            line=index + 1,
            column=column,
            code=found["code"],
            reason=found["reason"].strip(),
            target=after + 1,
        )
