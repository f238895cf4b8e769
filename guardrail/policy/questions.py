"""Questions: who asks, about which category, at which endpoint, why → a Cedar request.

A `Case` holds every fact that a rule may test, quantised, so that equal cases have equal answers
and may be remembered. Words that come from outside are checked against what was loaded before
they get here: neither an entity id nor a context ever holds text that a caller made up.
"""

from __future__ import annotations

import json
from collections.abc import Set
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from guardrail.policy.vocabulary import (
    quantised_age,
    quantised_confidence,
    quantised_count,
    quantised_residual,
)
from guardrail.types import Category, Evidence, RequestContext

MAX_AGE = 150


class Case(NamedTuple):
    """The facts of one question, quantised; hashable."""

    principal: str
    category: Category
    origin: str
    purpose: str
    basis: str
    consents: tuple[str, ...]
    filings: tuple[str, ...]
    age: int | None
    findings: int
    confidence: int
    residual: int | None = None
    injected: bool = False
    day: int = 0


class Restoring(NamedTuple):
    """Where an original would stand, for a question about restoring it."""

    sink: Literal["text", "tool", "url", "code"]
    tool_declared: bool


def case(
    context: RequestContext,
    category: Category,
    evidence: Evidence,
    *,
    origin: str,
    residual: float | None = None,
    injected: bool = False,
) -> Case:
    """The case of one category in one request; `origin` is empty where it is not known.

    `residual` is the expected number of names left in the request, None where it is not known;
    `injected` says that something from outside in it speaks to the model, or hides.

    Raises:
        ValueError: the evidence counts nothing, its score is not in [0, 1], the age is not one, or
            the residual is below 0.
    """
    return Case(
        principal=context.principal.id,
        category=category,
        origin=origin,
        purpose=context.purpose,
        basis=context.basis,
        consents=tuple(sorted(context.consents)),
        filings=tuple(sorted(context.filings)),
        age=known_age(context),
        findings=quantised_count(evidence.count),
        confidence=quantised_confidence(evidence.score),
        residual=None if residual is None else quantised_residual(residual),
        injected=injected,
        day=day(context.now),
    )


def known_age(context: RequestContext) -> int | None:
    """The bound of the data subject's age, None where it is not known.

    Raises:
        ValueError: it is not the age of a person.
    """
    if context.age is None:
        return None
    if not 0 <= context.age <= MAX_AGE:
        raise ValueError("an age is in [0, 150]")
    return quantised_age(context.age)


def day(moment: datetime) -> int:
    """The UTC date as policies read it: 20261231."""
    utc = moment.astimezone(UTC)
    return utc.year * 10_000 + utc.month * 100 + utc.day


def facts(case: Case, restoring: Restoring | None = None, *, only: Set[str] | None = None) -> str:
    """The Cedar context of a case, as JSON; of its attributes `only` some where it says which.

    A set of rules that mentions no other attribute answers as it would to all of them.
    """
    context: dict[str, Any] = {
        "category": _entity("Category", case.category),
        "origin": _entity("Jurisdiction", case.origin),
        "purpose": _entity("Purpose", case.purpose),
        "basis": _entity("Basis", case.basis),
        "consents": [_entity("Consent", consent) for consent in case.consents],
        "filings": [_entity("Filing", filing) for filing in case.filings],
        "count": case.findings,
        "confidence": case.confidence,
        "injected": case.injected,
        "day": case.day,
    }
    if case.age is not None:
        context["age"] = case.age
    if case.residual is not None and not restoring:
        context["residual"] = case.residual
    if restoring:
        context["sink"] = _entity("Sink", restoring.sink)
        context["toolDeclared"] = restoring.tool_declared
    return json.dumps({k: v for k, v in context.items() if only is None or k in only})


def narrowed(case: Case, mentioned: Set[str]) -> Case:
    """The case without the facts that no rule mentions, so that cases alike are one."""
    dropped = {field: blank for fact, field, blank in _OPTIONAL if fact not in mentioned}
    return case._replace(**dropped)


_OPTIONAL: tuple[tuple[str, str, Any], ...] = (
    ("origin", "origin", ""),
    ("purpose", "purpose", ""),
    ("basis", "basis", ""),
    ("consents", "consents", ()),
    ("filings", "filings", ()),
    ("age", "age", None),
    ("count", "findings", 0),
    ("confidence", "confidence", 0),
    ("residual", "residual", None),
    ("injected", "injected", False),
    ("day", "day", 0),
)
"""Facts that a rule may mention or not: the attribute, the field of a case, and what is none."""


def request(*, principal: str, action: str, endpoint: str, context: str) -> dict[str, Any]:
    """The Cedar request: may this application do this at this endpoint?"""
    return {
        "principal": uid("App", principal),
        "action": uid("Action", action),
        "resource": uid("Endpoint", endpoint),
        "context": context,
    }


def keeping(
    *, principal: str, action: str, kept: str, origin: str, purpose: str, basis: str, days: int
) -> dict[str, Any]:
    """The Cedar request: may what a store has kept of this application for so long be kept on?"""
    context = {
        "origin": _entity("Jurisdiction", origin),
        "purpose": _entity("Purpose", purpose),
        "basis": _entity("Basis", basis),
        "days": days,
    }
    return {
        "principal": uid("App", principal),
        "action": uid("Action", action),
        "resource": uid("Store", kept),
        "context": json.dumps(context),
    }


def uid(kind: str, name: str) -> dict[str, str]:
    """An entity's id in the form that the engine reads quickest."""
    return {"type": kind, "id": name}


def _entity(kind: str, name: str) -> dict[str, dict[str, str]]:
    return {"__entity": uid(kind, name)}
