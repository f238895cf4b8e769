"""Lint: what Cedar's validator lets pass and a privacy policy must not contain.

The validator knows types, not data: a rule about `Category::"eu/specail"` is valid and never
applies. And it knows nothing of what a permit risks: one that does not name the category lets out
data of kinds that nobody has thought of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from datetime import date
from typing import Any

from guardrail.policy.cedar import Rule
from guardrail.policy.vocabulary import AGES, CONFIDENCES, COUNTS, DAYS, STAYING

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_STEPS: Mapping[str, tuple[int, ...]] = {
    "age": AGES,
    "days": DAYS,
    "count": COUNTS,
    "confidence": CONFIDENCES,
}
_EXACT = {"left": {">=", "<"}, "right": {"<=", ">"}}
"""Comparisons that quantising leaves exact, by the side on which the quantised value stands."""

_STEPPED = frozenset({"days"})
"""Facts that are asked about step by step, so that any comparison to a step is exact."""

_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


def lint(rule: Rule, *, known: Mapping[str, Set[str]], overlay: bool) -> list[str]:
    """Problems of one rule, as `file:line:column: [id] what is wrong and how to mend`.

    `known` maps entity types to the ids that the data defines; types that it lacks (the schema's
    enumerations, actions) are the validator's. An overlay may forbid; it permits only what
    `@approved` answers for.
    """
    problems = [*_annotations(rule), *_expiry(rule), *_unknown(rule, known), *_comparisons(rule)]
    problems += _whole_context(rule)
    if any("like" in node for node in _nodes(rule)):
        problems.append(_say(rule, "`like` cannot be analysed; name what is meant", " like "))
    if rule.effect == "permit":
        problems += _permit(rule)
        if overlay and not _is_exception(rule):
            problems.append(
                _say(
                    rule,
                    "a file that is not named after a loaded region may only forbid; remove the "
                    'permit, or declare an exception: @approved("who, ticket") and '
                    '@expires("2027-01-31")',
                )
            )
    return problems


def _is_exception(rule: Rule) -> bool:
    return all(rule.annotations.get(name, "").strip() for name in ("approved", "expires"))


def expiring(rule: Rule) -> Rule:
    """The rule as it is asked: one with `@expires` says nothing from that day (UTC) on.

    Cedar ignores annotations, so the day becomes a condition of the rule.
    """
    day = _expires(rule)
    if day is None:
        return rule
    today = {".": {"left": {"Var": "context"}, "attr": "day"}}
    before = {"<": {"left": today, "right": {"Value": int(day.strftime("%Y%m%d"))}}}
    conditions = [*rule.tree["conditions"], {"kind": "when", "body": before}]
    return replace(rule, tree={**rule.tree, "conditions": conditions})


def _expires(rule: Rule) -> date | None:
    """The day from which the rule no longer holds; None without one, or where it is not a date."""
    try:
        return date.fromisoformat(rule.annotations.get("expires", ""))
    except ValueError:
        return None


def _expiry(rule: Rule) -> Iterator[str]:
    if "expires" in rule.annotations and _expires(rule) is None:
        yield _say(rule, 'an @expires is a date such as @expires("2027-01-31")', "@expires")


def _say(rule: Rule, message: str, snippet: str = "") -> str:
    return f"{rule.place(snippet)}: [{rule.id or '?'}] {message}"


def _annotations(rule: Rule) -> Iterator[str]:
    if not rule.id:
        yield _say(rule, 'no @id; add one such as @id("eu.special")')
    elif not _ID.fullmatch(rule.id):
        yield _say(rule, "an @id is made of letters, digits, `.`, `-` and `_`")
    if not rule.annotations.get("title", "").strip():
        yield _say(rule, "no @title; say in one sentence what the rule does")


def _unknown(rule: Rule, known: Mapping[str, Set[str]]) -> Iterator[str]:
    for kind, name in dict.fromkeys(_entities(rule)):
        if kind in known and name not in known[kind]:
            named = f'{kind}::"{name}"'
            yield _say(rule, f"no {named} in the data, so this rule could never match it", named)


def _entities(rule: Rule) -> Iterator[tuple[str, str]]:
    for node in _nodes(rule):
        if isinstance(node.get("type"), str) and isinstance(node.get("id"), str):
            yield node["type"], node["id"]


def _comparisons(rule: Rule) -> Iterator[str]:
    for node in _nodes(rule):
        for operator in _COMPARISONS & node.keys():
            for side, other in (("left", "right"), ("right", "left")):
                name = _context(node[operator].get(side))
                value = _value(node[operator].get(other))
                if name not in _STEPS or not isinstance(value, int):
                    continue
                exact = name in _STEPPED or operator in _EXACT[side]
                if value not in _STEPS[name] or not exact:
                    steps = ", ".join(str(step) for step in _STEPS[name])
                    by = "" if name in _STEPPED else "by `>=` or `<` "
                    yield _say(
                        rule,
                        f"context.{name} is one of {steps}: compare it {by}to one of these",
                        f"context.{name}",
                    )


def _permit(rule: Rule) -> Iterator[str]:
    named = actions(rule)
    if named is None:
        yield _say(rule, "a permit for every action; name the actions")
    elif named - STAYING and not any(
        condition["kind"] == "when" and _names_category(condition["body"])
        for condition in rule.tree["conditions"]
    ):
        yield _say(
            rule,
            "lets out data of any kind, known or not; add "
            '`context.category in Category::"..."` to its `when`',
        )


def actions(rule: Rule) -> frozenset[str] | None:
    """Actions and groups that a rule's scope names; None when it names none and so means all."""
    scope = rule.tree["action"]
    if scope["op"] == "All":
        return None
    named: Sequence[Mapping[str, str]] = scope.get("entities") or [scope["entity"]]
    return frozenset(entity["id"] for entity in named)


def _names_category(body: Mapping[str, Any]) -> bool:
    """Tells whether a condition can hold only for categories that it names."""
    for operator, operands in body.items():
        if operator == "&&":
            return _names_category(operands["left"]) or _names_category(operands["right"])
        if operator == "||":
            return _names_category(operands["left"]) and _names_category(operands["right"])
        if operator in ("in", "=="):
            return _context(operands["left"]) == "category" and _literal(operands["right"])
        if operator == "contains":
            return _context(operands["right"]) == "category" and _literal(operands["left"])
    return False


def _context(node: Any) -> str:
    """Name of the context attribute that a node reads; empty for anything else."""
    access = node.get(".") if isinstance(node, dict) else None
    if isinstance(access, dict) and access["left"] == {"Var": "context"}:
        return str(access["attr"])
    return ""


def mentioned(rules: Iterable[Rule]) -> frozenset[str]:
    """The attributes of the context that rules read. None reads it whole: lint refuses that."""
    return frozenset(
        str(access["attr"])
        for rule in rules
        for access in _reads(rule)
        if access["left"] == {"Var": "context"}
    )


def _reads(rule: Rule) -> Iterator[Mapping[str, Any]]:
    """Each `left.attr` and `left has attr` of a rule."""
    for node in _nodes(rule):
        for access in (node.get("."), node.get("has")):
            if isinstance(access, dict):
                yield access


def _whole_context(rule: Rule) -> Iterator[str]:
    """A context that is compared or passed on as a whole, of which no attribute is named."""
    said = sum(node.get("Var") == "context" for node in _nodes(rule))
    read = sum(access["left"] == {"Var": "context"} for access in _reads(rule))
    if said > read:
        yield _say(rule, "`context` as a whole cannot be analysed; name an attribute", "context")


def _value(node: Any) -> object:
    return node.get("Value") if isinstance(node, dict) else None


def _literal(node: Mapping[str, Any]) -> bool:
    """Tells whether a node is an entity written out, or a set of such."""
    return all("Value" in member for member in node.get("Set", (node,)))


def _nodes(rule: Rule) -> Iterator[dict[str, Any]]:
    """Every node of what the rule says: its scope and conditions, without its annotations."""
    for part in ("principal", "action", "resource", "conditions"):
        yield from _walk(rule.tree[part])


def _walk(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from _walk(child)
    elif isinstance(node, list):
        for child in node:
            yield from _walk(child)
