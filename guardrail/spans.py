"""Overlapping findings made disjoint, so that text is rewritten in one pass and nothing is lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from heapq import heappop, heappush
from itertools import pairwise

from guardrail.types import Finding, Span


def resolve(
    findings: Iterable[Finding], *, weight: Callable[[Finding], int] = lambda finding: 0
) -> tuple[Finding, ...]:
    """Gives sorted, disjoint findings that cover every code point the given ones cover.

    One that lies in another of its entity is a part of it. Where two others overlap the weightier
    wins, then the surer (score, then length, then position); the loser keeps what the winner leaves
    of it, so that a partial overlap never uncovers the tail of either.

    >>> weak = Finding(entity="PHONE_NUMBER", span=Span(0, 8), score=0.4, recognizer="phone")
    >>> card = Finding(entity="CREDIT_CARD", span=Span(4, 20), score=1.0, recognizer="card")
    >>> [(f.entity, f.span.start, f.span.end) for f in resolve([weak, card])]
    [('PHONE_NUMBER', 0, 4), ('CREDIT_CARD', 4, 20)]
    """
    ordered = sorted(findings, key=lambda f: f.span)
    disjoint: list[Finding] = []
    cluster: list[Finding] = []
    reach = 0
    for finding in ordered:
        if cluster and finding.span.start >= reach:
            disjoint.extend(_settle(cluster, weight))
            cluster, reach = [], 0
        cluster.append(finding)
        reach = max(reach, finding.span.end)
    disjoint.extend(_settle(cluster, weight))
    return tuple(disjoint)


def _outermost(cluster: Iterable[Finding]) -> list[Finding]:
    """Without those that lie in others of the same entity, which are then as sure as they are.

    A model finds the parts of an address that a rule finds whole.
    """
    by_entity: dict[str, list[Finding]] = {}
    for finding in cluster:
        by_entity.setdefault(finding.entity, []).append(finding)
    return [outer for found in by_entity.values() for outer in _with_parts(found)]


def _with_parts(found: list[Finding]) -> Iterator[Finding]:
    """Those of one entity that lie in no other, each as sure as the surest that lies in it."""
    parts = deque(sorted(found, key=lambda f: f.span.end))
    within: list[tuple[float, int]] = []
    reach = -1
    for outer in sorted(found, key=lambda f: (f.span.start, -f.span.end)):
        if outer.span.end <= reach:
            continue
        reach = outer.span.end
        while parts and parts[0].span.end <= reach:
            part = parts.popleft()
            heappush(within, (-part.score, part.span.start))
        # Whoever comes later begins later, so what began too early is never looked at again.
        while within[0][1] < outer.span.start:
            heappop(within)
        yield replace(outer, score=-within[0][0])


def _settle(cluster: list[Finding], weight: Callable[[Finding], int]) -> list[Finding]:
    if len(cluster) <= 1:
        return cluster
    ranked = sorted(
        _outermost(cluster),
        key=lambda f: (
            -weight(f),
            -f.score,
            f.span.start - f.span.end,
            f.span.start,
            f.entity,
            f.recognizer,
        ),
    )
    coming = deque(sorted(range(len(ranked)), key=lambda rank: ranked[rank].span.start))
    edges = sorted({edge for f in ranked for edge in (f.span.start, f.span.end)})
    here: list[int] = []
    owned: list[tuple[int, Span]] = []
    for start, end in pairwise(edges):
        while coming and ranked[coming[0]].span.start <= start:
            heappush(here, coming.popleft())
        while ranked[here[0]].span.end <= start:
            heappop(here)
        if owned and owned[-1][0] == here[0]:
            start = owned.pop()[1].start
        owned.append((here[0], Span(start, end)))
    return [replace(ranked[rank], span=span) for rank, span in owned]
