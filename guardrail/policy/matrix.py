"""Matrix: how each category is treated at each endpoint under each law, for an auditor to read.

One application, one purpose and one ground are assumed, which the matrix says of itself: what is
true of them is true of nothing else. Every cell is what the ladder decides, with its rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import NamedTuple, TypeVar

from guardrail.policy.ladder import decide
from guardrail.policy.lint import expires
from guardrail.policy.loader import PolicyStore, populated
from guardrail.taxonomy import CATEGORIES
from guardrail.types import (
    Category,
    Endpoint,
    Evidence,
    Principal,
    Reason,
    RequestContext,
    Treatment,
)

NOWHERE = ""
"""The law of people whose place is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """What is assumed of every request.

    An `app` without establishment is where the people are, and the local model with it.

    `residual` is the expected number of names that were not found; `on` is the day, None for today.
    """

    app: Principal
    purpose: str = "general"
    basis: str = "contract"
    consents: frozenset[str] = frozenset()
    filings: frozenset[str] = frozenset()
    age: int | None = None
    residual: float = 0.0
    on: date | None = None


class Cell(NamedTuple):
    """How a category is treated, the rules that decided, and classes of error."""

    treatment: Treatment
    reasons: tuple[Reason, ...]
    errors: tuple[str, ...]


class Row(NamedTuple):
    """An endpoint, and the treatment of each category there."""

    endpoint: Endpoint
    cells: Mapping[Category, Cell]


class Sheet(NamedTuple):
    """One law: for people in `place`, asked by an application established in `established`.

    `laws` are all that apply to them, the strictest of which decides. `law` is NOWHERE, and so is
    the place, for people of whom nobody says where they are.
    """

    law: str
    place: str
    established: str
    laws: tuple[str, ...]
    rows: tuple[Row, ...]


class Excepted(NamedTuple):
    """A declared exception of an overlay: who approved it, and the day from which it is over."""

    reason: Reason
    approved: str
    expires: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Every sheet, and the exceptions that stand in the policies, over or not."""

    posture: Posture
    digest: str
    categories: tuple[Category, ...]
    sheets: tuple[Sheet, ...]
    exceptions: tuple[Excepted, ...]


def categories(store: PolicyStore) -> tuple[Category, ...]:
    """Those of guardrail in the order of its taxonomy, then a deployment's own."""
    return (*CATEGORIES, *sorted(store.categories - set(CATEGORIES)))


def sheet(store: PolicyStore, law: str, posture: Posture) -> Sheet:
    """How a law treats every category at every endpoint of the store.

    Raises:
        ConfigError: what the posture says is nothing that policies can be asked about.
    """
    place = store.regions.regions[law].jurisdictions[0] if law else NOWHERE
    established = posture.app.establishment or place or _lawless(store)
    app = replace(posture.app, establishment=established)
    wanders = not posture.app.establishment
    endpoints = [
        replace(one, location=established) if one.local and wanders else one
        for one in store.endpoints.values()
    ]
    here = populated(store, endpoints=endpoints, principals=[app])
    local = next((one for one in endpoints if one.local), None)
    context = RequestContext(
        exchange="matrix",
        principal=app,
        purpose=posture.purpose,
        basis=posture.basis,
        origin=place,
        conversation="",
        now=datetime.combine(posture.on or datetime.now(UTC).date(), time(), tzinfo=UTC),
        consents=posture.consents,
        filings=posture.filings,
        age=posture.age,
    )
    rows = []
    for endpoint in sorted(endpoints, key=lambda one: (not one.local, one.id)):
        decision = decide(
            here,
            context,
            {category: Evidence() for category in categories(store)},
            endpoint=endpoint,
            local=local,
            residual=posture.residual,
        )
        cells = {
            category: Cell(treatment, decision.reasons[category], decision.errors)
            for category, treatment in decision.treatments.items()
        }
        rows.append(Row(endpoint, cells))
    laws = store.regions.applicable(origin=place, establishment=established)
    return Sheet(law, place, established, laws, tuple(rows))


def _lawless(store: PolicyStore) -> str:
    """A place where no law applies, for an application of which nobody says where it is."""
    places = sorted(store.regions.parents)
    lawless = (one for one in places if not store.regions.applicable(origin=one, establishment=""))
    return next(lawless, places[0])


def exceptions(store: PolicyStore) -> tuple[Excepted, ...]:
    """The permits of overlays, in the order of their files."""
    found = {
        rule.id: Excepted(store.reasons[rule.id], rule.annotations["approved"], expires(rule))
        for rules in store.rules.values()
        for rule in rules
        if rule.effect == "permit" and "approved" in rule.annotations
    }
    return tuple(found[name] for name in store.reasons if name in found)


# ---- what is alike


_Key = TypeVar("_Key")


def groups(pairs: Iterable[tuple[_Key, object]]) -> list[tuple[_Key, ...]]:
    """Keys whose values are equal go together, in the order in which they come.

    >>> groups([("a", 1), ("b", 2), ("c", 1)])
    [('a', 'c'), ('b',)]
    """
    found: dict[object, list[_Key]] = {}
    for key, value in pairs:
        found.setdefault(value, []).append(key)
    return [tuple(keys) for keys in found.values()]


def alike_columns(
    rows: Sequence[Row], categories: Sequence[Category]
) -> list[tuple[Category, ...]]:
    """Categories that are treated alike at every endpoint."""
    return groups(
        (category, tuple(row.cells[category].treatment for row in rows)) for category in categories
    )


def alike_rows(rows: Sequence[Row]) -> list[tuple[Row, ...]]:
    """Endpoints where every category is treated alike."""
    told = [tuple((name, cell.treatment) for name, cell in row.cells.items()) for row in rows]
    return [tuple(rows[number] for number in numbers) for numbers in groups(enumerate(told))]
