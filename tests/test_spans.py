from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.spans import resolve
from guardrail.types import Finding, Span

FINDINGS = st.builds(
    lambda start, length, score, entity: Finding(
        entity=entity, span=Span(start, start + length), score=score, recognizer=entity.lower()
    ),
    st.integers(0, 30),
    st.integers(1, 10),
    st.sampled_from([0.4, 0.5, 1.0]),
    st.sampled_from(["A", "B", "C"]),
)
MANY = st.lists(FINDINGS, max_size=12)


def one(entity: str, start: int, end: int, score: float = 1.0) -> Finding:
    return Finding(entity=entity, span=Span(start, end), score=score, recognizer="test")


def rank(finding: Finding) -> tuple[float, int, int, str, str]:
    span = finding.span
    return (-finding.score, span.start - span.end, span.start, finding.entity, finding.recognizer)


def test_the_surest_wins_and_the_loser_keeps_what_is_left() -> None:
    assert resolve([one("A", 0, 8, 0.5), one("B", 4, 12)]) == (one("A", 0, 4, 0.5), one("B", 4, 12))
    assert resolve([one("A", 0, 9, 0.5), one("B", 3, 6)]) == (
        one("A", 0, 3, 0.5),
        one("B", 3, 6),
        one("A", 6, 9, 0.5),
    )


def test_the_longer_wins_among_equals_and_a_twin_is_dropped() -> None:
    assert resolve([one("B", 0, 4), one("A", 0, 8)]) == (one("A", 0, 8),)
    assert resolve([one("B", 0, 4), one("A", 0, 4)]) == (one("A", 0, 4),)


def test_neighbours_stay_apart() -> None:
    both = (one("A", 0, 4), one("A", 4, 8))
    assert resolve(reversed(both)) == both
    assert resolve([]) == ()


@given(MANY)
def test_what_is_given_is_sorted_disjoint_and_covers_the_same(findings: list[Finding]) -> None:
    resolved = resolve(findings)
    edges = [edge for f in resolved for edge in (f.span.start, f.span.end)]
    assert edges == sorted(edges)
    assert {p for f in resolved for p in range(f.span.start, f.span.end)} == {
        p for f in findings for p in range(f.span.start, f.span.end)
    }


def as_sure_as_its_parts(findings: list[Finding]) -> Callable[[Finding], Finding]:
    def outermost(finding: Finding) -> Finding:
        holders = [f for f in findings if f.entity == finding.entity and holds(f, finding)]
        outer = min(holders, key=lambda f: (f.span.start - f.span.end, f.span.start))
        parts = [f.score for f in findings if f.entity == outer.entity and holds(outer, f)]
        return replace(outer, score=max(parts))

    return outermost


def holds(outer: Finding, inner: Finding) -> bool:
    return outer.span.start <= inner.span.start and inner.span.end <= outer.span.end


@given(MANY)
def test_each_code_point_belongs_to_the_surest_that_covers_it(findings: list[Finding]) -> None:
    for resolved in resolve(findings):
        for place in range(resolved.span.start, resolved.span.end):
            covering = [f for f in findings if f.span.start <= place < f.span.end]
            best = min(map(as_sure_as_its_parts(findings), covering), key=rank)
            assert (best.score, best.entity) == (resolved.score, resolved.entity)


@given(MANY, st.randoms())
def test_the_order_given_changes_nothing(findings: list[Finding], random: object) -> None:
    shuffled = sorted(findings, key=lambda f: hash((f, id(random))))
    assert resolve(shuffled) == resolve(findings)
    assert resolve(resolve(findings)) == resolve(findings)


def one_by_one(findings: list[Finding], weight: Callable[[Finding], int]) -> list[Finding]:
    """What `resolve` gives, by looking at each finding with each other."""
    outermost: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.span.start - f.span.end, f.span.start)):
        holders = [
            at
            for at, outer in enumerate(outermost)
            if outer.entity == finding.entity and holds(outer, finding)
        ]
        for at in holders:
            outermost[at] = replace(outermost[at], score=max(outermost[at].score, finding.score))
        if not holders:
            outermost.append(finding)
    left: list[Finding] = []
    taken: set[int] = set()
    for finding in sorted(outermost, key=lambda f: (-weight(f), rank(f))):
        free = [p for p in range(finding.span.start, finding.span.end) if p not in taken]
        for _, run in groupby(enumerate(free), key=lambda pair: pair[1] - pair[0]):
            places = [place for _, place in run]
            left.append(replace(finding, span=Span(places[0], places[-1] + 1)))
        taken.update(free)
    return sorted(left, key=lambda f: f.span)


@given(st.lists(FINDINGS, max_size=30), st.permutations([0, 1, 2]), st.booleans())
def test_all_at_once_gives_what_one_by_one_gives(
    findings: list[Finding], weights: list[int], weighed: bool
) -> None:
    by_entity = dict(zip("ABC", weights, strict=True)) if weighed else dict.fromkeys("ABC", 0)

    def weight(finding: Finding) -> int:
        return by_entity[finding.entity]

    assert resolve(findings, weight=weight) == tuple(one_by_one(findings, weight))


@pytest.mark.parametrize("entities", ["A", "AB"])
def test_many_that_overlap_take_no_longer_than_they_should(entities: str) -> None:
    started = perf_counter()
    findings = [one(entities[n % len(entities)], n, n + 20_000) for n in range(20_000)]
    assert len(resolve(findings)) == 20_000
    assert perf_counter() - started < 30  # by looking at each with each other: minutes


def test_parts_of_what_is_found_whole_are_no_findings_of_their_own() -> None:
    whole = Finding(entity="STREET_ADDRESS", span=Span(0, 20), score=0.7, recognizer="rule")
    parts = [
        Finding(entity="STREET_ADDRESS", span=Span(*ends), score=0.9, recognizer="model")
        for ends in ((0, 9), (11, 20))
    ]
    shared = [one("A", 0, 4, 0.4), one("A", 1, 3, 0.5), one("A", 2, 6, 0.4), one("A", 3, 4, 0.9)]
    assert resolve(shared) == (one("A", 0, 4, 0.9), one("A", 4, 6, 0.9))
    other = Finding(entity="PHONE_NUMBER", span=Span(18, 24), score=0.8, recognizer="phone")
    assert [(f.entity, f.span, f.score) for f in resolve([*parts, whole, other])] == [
        ("STREET_ADDRESS", Span(0, 20), 0.9),
        ("PHONE_NUMBER", Span(20, 24), 0.8),
    ]
