"""The endpoints that serve a model name, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from guardrail.types import Decision, Endpoint, Treatment

AUTO = "auto"
"""The model name by which a caller leaves the choice of endpoint to guardrail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An endpoint and the model names it serves; patterns as in a shell, `gpt-*`.

    `model` is what a request that was meant for another endpoint is renamed to.
    """

    endpoint: Endpoint
    models: tuple[str, ...] = ()
    model: str = ""

    def serves(self, name: str) -> bool:
        """Whether this endpoint serves the model of that name."""
        return any(fnmatchcase(name, pattern) for pattern in self.models)

    def names(self, text: str) -> bool:
        """Whether a text is the name of a model here, rather than caught by a broad pattern."""
        return any(
            len(pattern.strip("*?")) >= 3 and fnmatchcase(text, pattern) for pattern in self.models
        )


def local_route(routes: Iterable[Route]) -> Route | None:
    """The first local endpoint, which is where `LOCAL` sends a request."""
    return next((route for route in routes if route.endpoint.local), None)


def serving(routes: Sequence[Route], model: str) -> list[Route]:
    """Gives the routes that serve a model name, local ones first, then by cost."""
    ordered = sorted(routes, key=lambda r: (not r.endpoint.local, r.endpoint.cost))
    return [route for route in ordered if model == AUTO or route.serves(model)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Where a request goes, and the decision that sends it there. None: nowhere."""

    route: Route | None
    decision: Decision


def choose(
    candidates: Sequence[Route], *, local: Route | None, decide: Callable[[Endpoint], Decision]
) -> Choice:
    """Gives the first candidate where every category may go in some form, else the local model.

    `decide` judges one endpoint. A request goes to the local model only where policy lets every
    category be processed there.
    """
    refused: Decision | None = None
    for route in candidates:
        decision = decide(route.endpoint)
        limit = Treatment.LOCAL if route.endpoint.local else Treatment.REDACTED
        if decision.treatment <= limit:
            return Choice(route=route, decision=decision)
        if refused is None or decision.treatment < refused.treatment:
            refused = decision
    if refused is None:
        return Choice(route=None, decision=Decision(endpoint="", errors=("NoCandidate",)))
    if local is not None and refused.treatment is Treatment.LOCAL:
        at_home = decide(local.endpoint)
        if at_home.treatment <= Treatment.LOCAL:
            return Choice(route=local, decision=refused)
        return Choice(route=None, decision=at_home)
    return Choice(route=None, decision=refused)
