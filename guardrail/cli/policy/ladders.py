"""How the rungs that policies were asked about are shown: as a tree, or as a JSON document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.text import Text
from rich.tree import Tree

from guardrail.policy.cedar import Rule
from guardrail.policy.explain import Climb, Help, Rung
from guardrail.policy.loader import BASE, PolicyStore


def rules_of(store: PolicyStore) -> Mapping[str, Rule]:
    """Every rule by its id."""
    return {rule.id: rule for rules in store.rules.values() for rule in rules}


def grow(tree: Tree, store: PolicyStore, climbs: Iterable[Climb]) -> None:
    """Adds a branch for each law, with a twig for each rung and a leaf for each of its rules."""
    rules = rules_of(store)
    for climb in climbs:
        branch = tree.add(Text.assemble((_law(store, climb.law), "bold"), ": ", word(climb)))
        for rung in climb.rungs:
            twig = branch.add(_twig(rung))
            for name in rung.answer.policies:
                twig.add(_leaf(rules[name]))


def word(one: Climb | Help) -> str:
    """The treatment at which something ends."""
    return one.treatment.name.lower()


def _law(store: PolicyStore, law: str) -> str:
    return f"{law}, {store.regions.regions[law].name}" if law else f"{BASE}, where no law applies"


def _twig(rung: Rung) -> Text:
    answer = rung.answer
    mark = ("allowed", "green") if answer.allowed else ("denied", "red")
    line = Text.assemble(f"{rung.action} at {rung.endpoint}: ", mark)
    if answer.fault:
        line.append(f", because asking failed: {answer.fault}")
    elif not answer.policies:
        line.append(", as no rule permits it")
    if not rung.reached:
        line.append(" (not needed)")
        line.stylize("dim")
    return line


def _leaf(rule: Rule) -> Text:
    notes = rule.annotations
    return Text.assemble(
        (f"{rule.effect} {rule.id}", "cyan"),
        f": {notes.get('title', '')}. {notes.get('reason', '')}",
        (f" [{notes['citation']}]" if notes.get("citation") else "", "italic"),
        (f" {rule.line}", "dim"),
    )


def climbs_document(store: PolicyStore, climbs: Iterable[Climb]) -> list[dict[str, Any]]:
    """The same as a list of laws for a machine."""
    rules = rules_of(store)
    return [
        {
            "law": climb.law,
            "treatment": word(climb),
            "rungs": [
                {
                    "action": rung.action,
                    "endpoint": rung.endpoint,
                    "allowed": rung.answer.allowed,
                    "needed": rung.reached,
                    "fault": rung.answer.fault,
                    "rules": [rule_document(rules[name]) for name in rung.answer.policies],
                }
                for rung in climb.rungs
            ],
        }
        for climb in climbs
    ]


def rule_document(rule: Rule) -> dict[str, str]:
    """A rule as its annotations present it."""
    notes = rule.annotations
    return {
        "id": rule.id,
        "effect": rule.effect,
        "title": notes.get("title", ""),
        "citation": notes.get("citation", ""),
        "reason": notes.get("reason", ""),
        "place": rule.line,
    }
