"""Which endpoint serves a request, by tables: local first, the cloud where policy lets all go."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from guardrail.routing.routes import AUTO, Choice, Route, choose, local_route, serving
from guardrail.types import Category, Decision, Endpoint, Treatment

CLEAR, PSEUDONYMISED, REDACTED, LOCAL, BLOCKED = Treatment


def route(name: str, *models: str, local: bool = False, cost: float = 0, model: str = "") -> Route:
    endpoint = Endpoint(id=name, provider="x", location="DE", local=local, cost=cost)
    return Route(endpoint=endpoint, models=models, model=model)


HOME = route("home", "llama*", "gpt-4o", local=True, model="llama3")
DEAR = route("dear", "gpt-*", cost=9)
CHEAP = route("cheap", "gpt-4*", "o[13]", cost=1)
ROUTES = (DEAR, CHEAP, HOME)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", ["home", "cheap", "dear"]),
        ("gpt-4", ["cheap", "dear"]),
        ("gpt-5", ["dear"]),
        ("llama3:8b", ["home"]),
        ("o3", ["cheap"]),
        ("o2", []),
        ("GPT-5", []),
        (" gpt-5", []),
        ("gpt", []),
        ("", []),
        ("*", []),
        (AUTO, ["home", "cheap", "dear"]),
    ],
)
def test_the_endpoints_that_serve_a_model_local_first_then_by_cost(
    model: str, expected: list[str]
) -> None:
    assert [r.endpoint.id for r in serving(ROUTES, model)] == expected


def test_endpoints_of_equal_cost_keep_the_order_of_the_configuration() -> None:
    routes = [route("b", "m"), route("a", "m"), route("c", "m")]
    assert [r.endpoint.id for r in serving(routes, "m")] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("routes", "expected"),
    [((), None), ((DEAR,), None), (ROUTES, HOME), ((route("x", local=True), HOME), "x")],
    ids=str,
)
def test_the_local_route_is_the_first_local_one(
    routes: tuple[Route, ...], expected: Route | str | None
) -> None:
    found = local_route(routes)
    assert found == expected or (found is not None and found.endpoint.id == expected)


def choice(
    candidates: str, treatments: Mapping[str, Treatment], *, local: Route | None = HOME
) -> tuple[str, Treatment]:
    """The chosen endpoint's id, and the treatment of the decision that sends it there."""
    asked: list[str] = []

    def decide(endpoint: Endpoint) -> Decision:
        asked.append(endpoint.id)
        given = treatments[endpoint.id]
        return Decision(endpoint=endpoint.id, treatments={Category("contact"): given})

    by_name = {r.endpoint.id: r for r in ROUTES}
    chosen = choose([by_name[n] for n in candidates.split()], local=local, decide=decide)
    assert isinstance(chosen, Choice)
    return (chosen.route.endpoint.id if chosen.route else "nowhere", chosen.decision.treatment)


@pytest.mark.parametrize(
    ("candidates", "treatments", "expected"),
    [
        pytest.param("cheap dear", {"cheap": CLEAR}, ("cheap", CLEAR), id="the first that may"),
        pytest.param("cheap", {"cheap": REDACTED}, ("cheap", REDACTED), id="in some form"),
        pytest.param(
            "cheap dear",
            {"cheap": LOCAL, "dear": PSEUDONYMISED},
            ("dear", PSEUDONYMISED),
            id="next",
        ),
        pytest.param("home cheap", {"home": LOCAL}, ("home", LOCAL), id="local first"),
        pytest.param(
            "cheap dear",
            {"cheap": LOCAL, "dear": LOCAL, "home": LOCAL},
            ("home", LOCAL),
            id="stays",
        ),
        pytest.param(
            "cheap dear",
            {"cheap": BLOCKED, "dear": LOCAL, "home": LOCAL},
            ("home", LOCAL),
            id="the mildest refusal counts",
        ),
        pytest.param(
            "cheap",
            {"cheap": BLOCKED, "home": CLEAR},
            ("nowhere", BLOCKED),
            id="blocked is blocked",
        ),
        pytest.param(
            "cheap", {"cheap": LOCAL, "home": BLOCKED}, ("nowhere", BLOCKED), id="not even at home"
        ),
        pytest.param("home", {"home": BLOCKED}, ("nowhere", BLOCKED), id="blocked at home"),
        pytest.param("", {}, ("nowhere", BLOCKED), id="no candidate"),
    ],
)
def test_a_request_goes_where_every_category_may_go(
    candidates: str, treatments: dict[str, Treatment], expected: tuple[str, Treatment]
) -> None:
    assert choice(candidates, treatments) == expected


def test_without_a_local_model_what_must_stay_goes_nowhere() -> None:
    assert choice("cheap", {"cheap": LOCAL}, local=None) == ("nowhere", LOCAL)


def test_no_candidate_is_an_error_and_not_a_permission() -> None:
    chosen = choose([], local=None, decide=lambda endpoint: Decision(endpoint=endpoint.id))
    assert (chosen.route, chosen.decision.errors) == (None, ("NoCandidate",))


def test_a_decision_about_nothing_permits_nothing() -> None:
    chosen = choose([DEAR], local=HOME, decide=lambda endpoint: Decision(endpoint=endpoint.id))
    assert chosen.route is None
