"""Trees: reading a rule in Cedar's JSON form, for what judges how rules are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from guardrail.policy.cedar import Rule

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


def nodes(rule: Rule) -> Iterator[dict[str, Any]]:
    """Every node of what the rule says: its scope and conditions, without its annotations."""
    for part in ("principal", "action", "resource", "conditions"):
        yield from walk(rule.tree[part])


def walk(node: object) -> Iterator[dict[str, Any]]:
    """A node and every node in it, outer ones first."""
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from walk(child)
    elif isinstance(node, list):
        for child in node:
            yield from walk(child)


def actions(rule: Rule) -> frozenset[str] | None:
    """Actions and groups that a rule's scope names; None when it names none and so means all."""
    scope = rule.tree["action"]
    if scope["op"] == "All":
        return None
    named: Sequence[Mapping[str, str]] = scope.get("entities") or [scope["entity"]]
    return frozenset(entity["id"] for entity in named)


def attribute(node: object) -> str:
    """What a node reads, as `context.age`; empty for anything but an attribute of a variable."""
    return _read(node, ".")


def tested(node: object) -> str:
    """What a node asks whether it is there: `context.age` of `context has age`; else empty."""
    return _read(node, "has")


def _read(node: object, operator: str) -> str:
    access = node.get(operator) if isinstance(node, dict) else None
    if not isinstance(access, dict) or not isinstance(access["left"], dict):
        return ""
    variable = access["left"].get("Var")
    return f"{variable}.{access['attr']}" if variable else ""


def value(node: object) -> object:
    """The value that a node writes out; None for anything else."""
    return node.get("Value") if isinstance(node, dict) else None


def is_literal(node: Mapping[str, Any]) -> bool:
    """Tells whether a node is a value written out, or a set of such."""
    return all("Value" in member for member in node.get("Set", (node,)))


def written(node: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The type and id of each entity that a literal node writes out."""
    found = (value(member) for member in node.get("Set", (node,)))
    said = [one["__entity"] for one in found if isinstance(one, dict) and "__entity" in one]
    return [(one["type"], one["id"]) for one in said]


def conjuncts(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What must all hold for a condition's body to hold."""
    both = body.get("&&")
    return [*conjuncts(both["left"]), *conjuncts(both["right"])] if both else [body]


def names_category(body: Mapping[str, Any]) -> bool:
    """Tells whether a condition can hold only for categories that it names."""
    for operator, operands in body.items():
        if operator == "&&":
            return names_category(operands["left"]) or names_category(operands["right"])
        if operator == "||":
            return names_category(operands["left"]) and names_category(operands["right"])
        if operator in ("in", "=="):
            return _is_category(operands["left"]) and is_literal(operands["right"])
        if operator == "contains":
            return _is_category(operands["right"]) and is_literal(operands["left"])
    return False


def _is_category(node: object) -> bool:
    return attribute(node) == "context.category"
