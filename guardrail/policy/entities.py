"""Entities: regions, categories, endpoints and applications, as Cedar knows them.

What belongs to what is data: a country to a group or an adequacy list, a category to a law's class.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from guardrail.policy.questions import uid
from guardrail.problems import Problem
from guardrail.regions import Regions, misnamed
from guardrail.taxonomy import PERSONAL
from guardrail.types import Category, Endpoint, Principal


def check_classes(regions: Regions, categories: frozenset[Category]) -> list[Problem]:
    """Problems of the regions' classes: categories that do not exist."""
    return [
        regions.problem(
            region.id,
            "unknown-category",
            f"classes.{name}: no category {category!r}; use one of {', '.join(sorted(PERSONAL))}",
            ("classes", name),
            category,
        )
        for region in regions.regions.values()
        for name, members in region.classes.items()
        for category in members
        if category not in categories
    ]


def check_words(
    words: Mapping[str, Collection[str]],
    endpoints: Sequence[Endpoint],
    principals: Sequence[Principal],
) -> list[Problem]:
    """Problems of words that endpoints and principals use, and the vocabularies lack."""
    used = [
        *(
            (f"endpoints.{endpoint.id}.agreements", "agreement", agreement)
            for endpoint in endpoints
            for agreement in sorted(endpoint.agreements)
        ),
        *((f"apps.{one.id}.sector", "sector", one.sector) for one in principals),
    ]
    return [
        Problem(
            code="unknown-word",
            message=f"{path}: no {kind} {word!r}; use one of {', '.join(sorted(words[kind]))}",
        )
        for path, kind, word in used
        if word not in words[kind]
    ]


def check_principals(principals: Sequence[Principal], regions: Regions) -> list[Problem]:
    """Problems of principals: without a name of their own, or established nowhere."""
    problems: list[str] = []
    seen: set[str] = set()
    for principal in principals:
        if not principal.id:
            problems.append("apps: an id is empty; give each application a name")
        if principal.id in seen:
            problems.append(f"apps.{principal.id}: used twice; give each its own name")
        seen.add(principal.id)
        if not regions.known(principal.establishment):
            problems.append(
                f"apps.{principal.id}.establishment: no place "
                f"{principal.establishment!r}; {misnamed(principal.establishment)}"
            )
    return [Problem(code="bad-principal", message=message) for message in problems]


def entities(
    regions: Regions,
    categories: frozenset[Category],
    endpoints: Sequence[Endpoint],
    principals: Sequence[Principal],
) -> list[dict[str, Any]]:
    """Everything that rules may name, with what belongs to what, in Cedar's JSON form."""

    def entity(kind: str, name: str, parents: Sequence[dict[str, str]] = ()) -> dict[str, Any]:
        return {"uid": uid(kind, name), "attrs": {}, "parents": list(parents)}

    laws = regions.regions.values()
    classes = {f"{law.id}/{name}": law.classes[name] for law in laws for name in law.classes}
    found = [entity("Adequacy", law.adequacy_list) for law in laws]
    for place, groups in regions.parents.items():
        lists = [law.adequacy_list for law in laws if place in law.adequacy]
        above = [uid("Jurisdiction", group) for group in groups]
        found.append(
            entity("Jurisdiction", place, [*above, *(uid("Adequacy", name) for name in lists)])
        )
    found += [entity("Category", name) for name in ("personal", *sorted(classes))]
    for category in sorted(categories):
        inside = [name for name, members in classes.items() if category in members]
        inside += ["personal"] if category in PERSONAL else []
        found.append(entity("Category", category, [uid("Category", name) for name in inside]))
    for tenant in sorted({principal.tenant for principal in principals}):
        found.append(entity("Tenant", tenant))
    for provider in sorted({endpoint.provider for endpoint in endpoints}):
        found.append(entity("Provider", provider))
    for principal in principals:
        found.append(
            {
                "uid": uid("App", principal.id),
                "parents": [uid("Tenant", principal.tenant)],
                "attrs": {
                    "sector": {"__entity": uid("Sector", principal.sector)},
                    "highRisk": principal.high_risk,
                    "criticalInfrastructure": principal.critical_infrastructure,
                },
            }
        )
    for endpoint in endpoints:
        found.append(
            {
                "uid": uid("Endpoint", endpoint.id),
                "parents": [
                    uid("Jurisdiction", endpoint.location),
                    uid("Provider", endpoint.provider),
                ],
                "attrs": {
                    "local": endpoint.local,
                    "zeroRetention": endpoint.zero_retention,
                    "trainsOnData": endpoint.trains_on_data,
                    "controlledBy": {"__entity": uid("Jurisdiction", endpoint.controlled_by)},
                    "sovereignty": endpoint.sovereignty,
                    "agreements": [
                        {"__entity": uid("Agreement", name)} for name in sorted(endpoint.agreements)
                    ],
                },
            }
        )
    return found
