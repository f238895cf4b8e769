from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from guardrail.endpoints import check_endpoints
from guardrail.regions import load_regions
from guardrail.types import Endpoint

REGIONS = load_regions(Path(__file__).parents[1] / "regions")
GOOD = Endpoint(id="a", provider="p", location="DE")


def test_good_endpoints_have_no_problem() -> None:
    assert check_endpoints([GOOD, replace(GOOD, id="b", location="EU")], REGIONS) == []
    assert check_endpoints([], REGIONS) == []


@pytest.mark.parametrize(
    ("problem", "endpoints"),
    [
        ("endpoints.a.location: no place 'UK'; write", [replace(GOOD, location="UK")]),
        ("endpoints.a.location: no place 'XX'; write", [replace(GOOD, location="XX")]),
        ("endpoints.a.location: empty; say where", [replace(GOOD, location="")]),
        (
            "endpoints.a.location: an endpoint processes in exactly",
            [replace(GOOD, location="DE,FR")],
        ),
        (
            "endpoints.a.location: an endpoint processes in exactly",
            [replace(GOOD, location="DE FR")],
        ),
        (
            "endpoints.a.location: an endpoint processes in exactly",
            [replace(GOOD, location=["DE"])],  # type: ignore[arg-type]  # what a file may hold
        ),
        ("endpoints.a.id: used twice; give", [GOOD, GOOD]),
        ("endpoints.0.id: empty; give", [replace(GOOD, id="")]),
        ("endpoints.a.provider: empty; say who", [replace(GOOD, provider="")]),
        ("endpoints.a.controlled_by: no place 'USA'", [replace(GOOD, controlled_by="USA")]),
        ("endpoints.a.sovereignty: a class is 1 to 4", [replace(GOOD, sovereignty=5)]),
    ],
)
def test_problem_says_where_and_what(problem: str, endpoints: list[Endpoint]) -> None:
    (found,) = check_endpoints(endpoints, REGIONS)
    assert str(found).startswith(problem)
