"""Overlapping findings made disjoint, so that text is rewritten in one pass and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

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


def _outermost(cluster: list[Finding]) -> list[Finding]:
    """Without those that lie in others of the same entity, which are then as sure as they are.

    A model finds the parts of an address that a rule finds whole.
    """
    kept: list[Finding] = []
    for finding in sorted(cluster, key=lambda f: (f.span.start - f.span.end, f.span.start)):
        holders = [at for at, outer in enumerate(kept) if _holds(outer, finding)]
        for at in holders:
            kept[at] = replace(kept[at], score=max(kept[at].score, finding.score))
        if not holders:
            kept.append(finding)
    return kept


def _holds(outer: Finding, inner: Finding) -> bool:
    return (
        outer.entity == inner.entity
        and outer.span.start <= inner.span.start
        and inner.span.end <= outer.span.end
    )


def _settle(cluster: list[Finding], weight: Callable[[Finding], int]) -> list[Finding]:
    if len(cluster) <= 1:
        return cluster
    cluster = _outermost(cluster)
    ranked = sorted(
        cluster,
        key=lambda f: (
            -weight(f),
            -f.score,
            f.span.start - f.span.end,
            f.span.start,
            f.entity,
            f.recognizer,
        ),
    )
    kept: list[Finding] = []
    for finding in ranked:
        pieces = [finding.span]
        for winner in kept:
            pieces = [rest for piece in pieces for rest in _subtract(piece, winner.span)]
            if not pieces:
                break
        kept.extend(replace(finding, span=piece) for piece in pieces)
    return sorted(kept, key=lambda f: f.span)


def _subtract(piece: Span, taken: Span) -> Iterable[Span]:
    if taken.end <= piece.start or piece.end <= taken.start:
        yield piece
        return
    if piece.start < taken.start:
        yield Span(piece.start, taken.start)
    if taken.end < piece.end:
        yield Span(taken.end, piece.end)
