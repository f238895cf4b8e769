"""Lint: what Cedar's validator lets pass and a privacy policy must not contain.

The validator knows types, not data: a rule about `Category::"eu/specail"` is valid and never
applies. And it knows nothing of what a permit risks: one that does not name the category lets out
data of kinds that nobody has thought of. What is found here keeps a set from loading.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import replace
from datetime import date
from difflib import get_close_matches
from typing import Any

from guardrail.policy.cedar import Rule
from guardrail.policy.facts import FACTS, Fact
from guardrail.policy.trees import (
    COMPARISONS,
    actions,
    attribute,
    conjuncts,
    is_literal,
    names_category,
    nodes,
    tested,
    value,
    written,
)
from guardrail.policy.vocabulary import ASKED, STAYING, VOCABULARIES
from guardrail.problems import Problem

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_GROUPS = frozenset(group for groups in ASKED.values() for group in groups)

_EXACT: Mapping[str, frozenset[str]] = {
    "down": frozenset({">=", "<"}),
    "up": frozenset({"<=", ">"}),
    "exact": COMPARISONS,
}
"""Comparisons of a fact to a step that its rounding leaves exact, the fact on the left."""

_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
HOLDS: Mapping[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_BELONGS: Mapping[str, frozenset[str]] = {
    "Category": frozenset({"Category"}),
    "Jurisdiction": frozenset({"Jurisdiction", "Adequacy"}),
    "principal": frozenset({"App", "Tenant"}),
    "resource": frozenset({"Endpoint", "Jurisdiction", "Adequacy", "Provider", "Store"}),
}
"""Types that something may be `in`; for others, only their own."""

_WHOLE = re.compile(r"\bcontext\b(?!\s*\.|\s+has\b)")
_TYPES = frozenset({*VOCABULARIES, "Sink"}).union(*_BELONGS.values())


def lint(rule: Rule, *, known: Mapping[str, Set[str]], overlay: bool) -> list[Problem]:
    """Problems of one rule, each with how to mend it.

    `known` maps entity types to the ids that the data defines; types that it lacks (the schema's
    enumerations, actions) are the validator's. An overlay may forbid; it permits only what
    `@approved` answers for.
    """
    problems = [
        *_annotations(rule),
        *_expiry(rule),
        *_unknown(rule, known),
        *_unsupplied(rule),
        *_compared(rule),
        *_mistyped(rule),
        *_grouped(rule),
        *_whole(rule),
    ]
    if any("like" in node for node in nodes(rule)):
        said = "`like` cannot be analysed; name what is meant"
        problems.append(rule.problem("pattern-match", said, "like"))
    if rule.effect == "permit":
        problems += _permit(rule)
        if overlay and not _is_exception(rule):
            problems.append(
                rule.problem(
                    "overlay-permit",
                    "a file that is not named after a loaded region may only forbid; remove the "
                    'permit, or declare an exception: @approved("who, ticket") and '
                    '@expires("2027-01-31")',
                )
            )
    return problems


# ---- how it is annotated


def _is_exception(rule: Rule) -> bool:
    return all(rule.annotations.get(name, "").strip() for name in ("approved", "expires"))


def expiring(rule: Rule) -> Rule:
    """The rule as it is asked: one with `@expires` says nothing from that day (UTC) on.

    Cedar ignores annotations, so the day becomes a condition of the rule.
    """
    day = expires(rule)
    if day is None:
        return rule
    today = {".": {"left": {"Var": "context"}, "attr": "day"}}
    before = {"<": {"left": today, "right": {"Value": int(day.strftime("%Y%m%d"))}}}
    conditions = [*rule.tree["conditions"], {"kind": "when", "body": before}]
    return replace(rule, tree={**rule.tree, "conditions": conditions})


def expires(rule: Rule) -> date | None:
    """The day from which the rule no longer holds; None without one, or where it is not a date."""
    try:
        return date.fromisoformat(rule.annotations.get("expires", ""))
    except ValueError:
        return None


def _expiry(rule: Rule) -> Iterator[Problem]:
    if "expires" in rule.annotations and expires(rule) is None:
        said = 'the @expires is no date; write one such as @expires("2027-01-31")'
        yield rule.problem("bad-expiry", said, note="expires")


def _annotations(rule: Rule) -> Iterator[Problem]:
    if not rule.id:
        yield rule.problem("missing-id", 'no @id; add one such as @id("eu.special")')
    elif not _ID.fullmatch(rule.id):
        said = "an @id is made of letters, digits, `.`, `-` and `_`; use no others"
        yield rule.problem("bad-id", said, note="id")
    if not rule.annotations.get("title", "").strip():
        said = "no @title; say in one sentence what the rule does"
        yield rule.problem("missing-title", said, note="title")


# ---- what it speaks of


def _unknown(rule: Rule, known: Mapping[str, Set[str]]) -> Iterator[Problem]:
    for kind, name in dict.fromkeys(_entities(rule)):
        if kind in known and name not in known[kind]:
            named = f'{kind}::"{name}"'
            mend = _near(name, known[kind])
            said = f"no {named} in the data, so this rule could never match it; {mend}"
            yield rule.problem("unknown-entity", said, f'{kind} :: "{name}"')


def _near(name: str, names: Set[str]) -> str:
    """What may have been meant."""
    close = get_close_matches(name, sorted(names), n=1)
    return f'write "{close[0]}", if that is meant' if close else "correct the name"


def _entities(rule: Rule) -> Iterator[tuple[str, str]]:
    for node in nodes(rule):
        if isinstance(node.get("type"), str) and isinstance(node.get("id"), str):
            yield node["type"], node["id"]


def _unsupplied(rule: Rule) -> Iterator[Problem]:
    for name in read(rule):
        if name not in FACTS:
            said = f"nothing supplies {name}; ask what docs/facts.md lists"
            yield rule.problem("unknown-fact", said, *names(name))


def names(fact: str) -> tuple[str, str]:
    """What stands in a rule that reads a fact, or else asks whether it is there."""
    _, _, name = fact.partition(".")
    return f".{name}", name


def read(rule: Rule) -> list[str]:
    """The attributes that a rule reads or asks for, as `context.age`, each once."""
    found = (attribute(node) or tested(node) for node in nodes(rule))
    return list(dict.fromkeys(name for name in found if name))


def _grouped(rule: Rule) -> Iterator[Problem]:
    scope = rule.tree["action"]
    if scope["op"] == "==" and scope["entity"]["id"] in _GROUPS:
        name = f'Action::"{scope["entity"]["id"]}"'
        said = f"{name} is a group, which nothing equals; write `action in {name}`"
        yield rule.problem("group-equals", said, name)


# ---- what it compares


def _compared(rule: Rule) -> Iterator[Problem]:
    for node in nodes(rule):
        compared = comparison(node)
        if compared is None or not compared[0].steps:
            continue
        fact, sign, number = compared
        if number not in fact.steps or sign not in _EXACT[fact.rounded]:
            steps = ", ".join(str(step) for step in fact.steps)
            signs = {"down": "by `>=` or `<` ", "up": "by `<=` or `>` ", "exact": ""}[fact.rounded]
            said = f"{fact.name} is one of {steps}; compare it {signs}to one of these"
            ways = (f"{fact.name} {sign} {number}", f"{number} {_TURNED[sign]} {fact.name}")
            yield rule.problem("wrong-step", said, *ways, fact.name)


def comparison(node: Mapping[str, Any]) -> tuple[Fact, str, int] | None:
    """A fact, how it is compared with the fact on the left, and the number; None if none."""
    for sign in COMPARISONS & node.keys():
        left, right = node[sign]["left"], node[sign]["right"]
        for side, other, turned in ((left, right, sign), (right, left, _TURNED[sign])):
            fact, number = FACTS.get(attribute(side)), value(other)
            if fact and isinstance(number, int) and not isinstance(number, bool):
                return fact, turned, number
    return None


def _mistyped(rule: Rule) -> Iterator[Problem]:
    """Comparisons to entities of another type, which are valid in Cedar and never hold."""
    for node in nodes(rule):
        for sign in node.keys() & {"==", "!=", "in", "contains", "containsAll", "containsAny"}:
            sides = node[sign].get("left"), node[sign].get("right")
            for side, other in (sides, sides[::-1]):
                if not isinstance(side, dict) or not isinstance(other, dict):
                    continue
                name, allowed = _allowed(side, sign)
                wrong = [one for one in written(other) if allowed and one[0] in _TYPES - allowed]
                if wrong and is_literal(other):
                    kind, id_ = wrong[0]
                    may = " or ".join(sorted(allowed))
                    said = f"{name} is never of type {kind}; compare it with the type {may}"
                    yield rule.problem("wrong-kind", said, f'{kind} :: "{id_}"', f"{kind}::")


def _allowed(side: Mapping[str, Any], sign: str) -> tuple[str, frozenset[str]]:
    """What a side of a comparison is, and the types of entities it can be compared with."""
    name = attribute(side) or str(side.get("Var", ""))
    if name in FACTS:
        kind = FACTS[name].type.removeprefix("Set<").removesuffix(">")
        own = frozenset() if kind.startswith(("Long", "Bool")) else frozenset({kind})
        return name, _BELONGS.get(kind, own) if sign == "in" else own
    if name in ("principal", "resource"):
        return name, _BELONGS[name]
    return name, frozenset()


def never(rule: Rule) -> int | None:
    """Which condition, counted from 0, never holds whatever the facts are; None if none is seen."""
    steps: dict[str, set[int]] = {}
    for index, condition in enumerate(rule.tree["conditions"]):
        wanted = condition["kind"] == "when"
        if _folded(condition["body"]) is (not wanted):
            return index
        for part in conjuncts(condition["body"]) if wanted else ():
            compared = comparison(part)
            if compared and compared[0].steps:
                fact, sign, number = compared
                left = steps.setdefault(fact.name, set(fact.steps))
                left &= {step for step in fact.steps if HOLDS[sign](step, number)}
                if not left:
                    return index
    return None


def _folded(node: Mapping[str, Any]) -> bool | None:
    """What a condition is whatever the facts are; None where that depends on them."""
    said = value(node)
    if isinstance(said, bool):
        return said
    if "!" in node:
        inner = _folded(node["!"]["arg"])
        return None if inner is None else not inner
    for sign, decisive in (("&&", False), ("||", True)):
        if sign in node:
            sides = {_folded(node[sign]["left"]), _folded(node[sign]["right"])}
            return decisive if decisive in sides else None if None in sides else not decisive
    for sign in ("==", "!="):
        if sign in node and {"Value"} == node[sign]["left"].keys() == node[sign]["right"].keys():
            return (node[sign]["left"] == node[sign]["right"]) is (sign == "==")
    compared = comparison(node)
    if compared and compared[0].steps:
        fact, sign, number = compared
        held = {HOLDS[sign](step, number) for step in fact.steps}
        return held.pop() if len(held) == 1 else None
    return None


# ---- what a permit risks


def _permit(rule: Rule) -> Iterator[Problem]:
    named = actions(rule)
    if named is None:
        said = "a permit for every action; name the actions"
        yield rule.problem("permit-everything", said)
    elif named - STAYING and not any(
        condition["kind"] == "when" and names_category(condition["body"])
        for condition in rule.tree["conditions"]
    ):
        yield rule.problem(
            "permit-any-category",
            "lets out data of any kind, known or not; add "
            '`context.category in Category::"..."` to its `when`',
        )


def _whole(rule: Rule) -> Iterator[Problem]:
    """A context that is compared or passed on as a whole, of which no attribute is named."""
    said = sum(node.get("Var") == "context" for node in nodes(rule))
    named = sum((attribute(node) or tested(node)).startswith("context.") for node in nodes(rule))
    if said > named:
        problem = "`context` as a whole cannot be analysed; name an attribute"
        yield rule.problem("whole-context", problem, _WHOLE)


def mentioned(rules: Iterable[Rule]) -> frozenset[str]:
    """The attributes of the context that rules read. None reads it whole: lint refuses that."""
    names = (name for rule in rules for name in read(rule) if name.startswith("context."))
    return frozenset(name.partition(".")[2] for name in names)
