"""Endpoints: the checks that make a list of model endpoints safe to ask policies about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from guardrail.problems import Problem
from guardrail.types import Endpoint

MAX_SOVEREIGNTY = 4
"""The highest class of sovereignty that an endpoint may be assessed to have."""


class Places(Protocol):
    """What knows which jurisdictions exist; `Regions` does."""

    def known(self, jurisdiction: str) -> bool:
        """Tells whether there is such a jurisdiction."""
        ...


def check_endpoints(endpoints: Sequence[Endpoint], regions: Places) -> list[Problem]:
    """Problems of configured endpoints, as `endpoints.<id>.<field>: what is wrong and how to mend`.

    An endpoint processes in exactly one place, because Cedar's `resource in Jurisdiction::"DE"`
    holds as soon as any one of several places is in Germany.
    """
    problems: list[Problem] = []

    def say(message: str, code: str = "bad-endpoint") -> None:
        problems.append(Problem(code=code, message=message))

    seen: set[str] = set()
    for index, endpoint in enumerate(endpoints):
        path = f"endpoints.{endpoint.id or index}"
        if not endpoint.id:
            say(f"{path}.id: empty; give the endpoint a name")
        elif endpoint.id in seen:
            say(f"{path}.id: used twice; give each endpoint its own name")
        seen.add(endpoint.id)
        if not endpoint.provider:
            say(f"{path}.provider: empty; say who operates it")
        location: object = endpoint.location  # configuration may hold what its type forbids
        if (
            not isinstance(location, str)
            or not location.isprintable()
            or set(location) & set(", ;|")
        ):
            say(
                f"{path}.location: an endpoint processes in exactly one place; "
                "declare one endpoint per place",
                "several-locations",
            )
        elif not location:
            say(f"{path}.location: empty; say where it processes, such as DE")
        elif not regions.known(location):
            say(
                f"{path}.location: no place {location!r}; write an ISO 3166-1 code such as DE or "
                "GB, or declare the place under [groups] of a region file"
            )
        if endpoint.controlled_by and not regions.known(endpoint.controlled_by):
            say(
                f"{path}.controlled_by: no place {endpoint.controlled_by!r}; write the ISO 3166-1 "
                "code of the country whose company controls the provider"
            )
        if not 0 <= endpoint.sovereignty <= MAX_SOVEREIGNTY:
            say(f"{path}.sovereignty: a class is 1 to {MAX_SOVEREIGNTY}, or 0 for none")
    return problems
