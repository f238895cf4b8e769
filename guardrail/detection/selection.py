"""What counts, of everything that is found: one detection serves all apps, each sees its own part.

A text is read once, at the lowest threshold of any app, and its findings are kept; a selection then
takes away what an app's settings say does not count. A finding is dropped as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from guardrail.detection.injection import ENTITIES as INJECTIONS
from guardrail.detection.lists import AllowList
from guardrail.types import Finding


def _none() -> Mapping[str, float]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What one app, or all of them, set about detection; see `[apps.<id>.detection]`.

    `threshold` None keeps what holds for all. `only`, unless empty, lists the entities that count;
    what speaks to the model is nobody's data, and counts besides.
    `allow` holds texts that are no findings, `deny` texts that are, by entity.
    """

    threshold: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=_none)
    exclude: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    allow: tuple[str, ...] = field(default=(), repr=False)
    deny: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which findings count for one app.

    `threshold` is the least score in [0, 1], `thresholds` the same for single entities. `foreign`
    names the recognizers that work for other apps. Entities in `review` are counted and reported,
    and never treated, unless one of the rules named in `certain` found them.
    """

    threshold: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=_none)
    exclude: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    review: frozenset[str] = frozenset()
    certain: frozenset[str] = field(default=frozenset(), repr=False)
    foreign: frozenset[str] = frozenset()
    allow: AllowList = field(default_factory=AllowList, repr=False)

    def least(self, entity: str) -> float:
        """The least score that counts for an entity."""
        return self.thresholds.get(entity, self.threshold)

    def ignores(self, entity: str, recognizer: str) -> bool:
        """Whether nothing that this recognizer finds of this entity counts."""
        return (
            entity in self.exclude
            or (bool(self.only) and entity not in self.only | INJECTIONS)
            or recognizer in self.foreign
        )

    def keep(self, text: str, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Gives the findings in `text` that count, in their order."""
        return tuple(
            finding
            for finding in findings
            if finding.score >= self.least(finding.entity)
            and not self.ignores(finding.entity, finding.recognizer)
            and text[finding.span.start : finding.span.end] not in self.allow
        )

    def reviews(self, finding: Finding) -> bool:
        """Whether a finding is reported and not treated."""
        return finding.entity in self.review and finding.recognizer not in self.certain

    @property
    def floor(self) -> float:
        """The least score of any entity that counts."""
        return min([self.threshold, *self.thresholds.values()])


def select(
    general: Preferences,
    own: Preferences,
    *,
    threshold: float,
    review: frozenset[str] = frozenset(),
    certain: frozenset[str] = frozenset(),
    foreign: frozenset[str] = frozenset(),
    allow: AllowList,
) -> Selection:
    """Gives the selection of an app: its own settings, on top of those for all.

    What is excluded or allowed for all stays so; a threshold of the app's own takes the place of
    the general one, and that of a single entity goes before both.
    """
    return Selection(
        threshold=threshold if own.threshold is None else own.threshold,
        thresholds=MappingProxyType({**general.thresholds, **own.thresholds}),
        exclude=general.exclude | own.exclude,
        only=own.only or general.only,
        review=review,
        certain=certain,
        foreign=foreign,
        allow=allow,
    )
