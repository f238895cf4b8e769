"""Options by which a command is told what to find, and the detector that they describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from guardrail.config import DetectionConfig, configured_detector, configured_taxonomy, load_config
from guardrail.detection.detector import RuleDetector
from guardrail.errors import ConfigError
from guardrail.redaction import Finder
from guardrail.taxonomy import Taxonomy
from guardrail.types import Finding, TextUnit

MaybeConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar="GUARDRAIL_CONFIG",
        help="Take what to find from this configuration, in place of the defaults.",
        rich_help_panel="What to find",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        max=1.0,
        help="The least score that counts, in place of the configuration's.",
        rich_help_panel="What to find",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--entity",
        metavar="ENTITY",
        help="Find this entity only, such as EMAIL_ADDRESS; may be repeated.",
        rich_help_panel="What to find",
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        metavar="ENTITY",
        help="Do not look for this entity; may be repeated.",
        rich_help_panel="What to find",
    ),
]


class Recall(StrEnum):
    """How much that is unlikely counts all the same; see `detection.recall`."""

    PRECISE = "precise"
    BALANCED = "balanced"
    STRICT = "strict"


RecallOf = Annotated[
    Recall | None,
    typer.Option(
        "--recall",
        help="Find names with fewer alarms (precise) or fewer misses (strict).",
        rich_help_panel="What to find",
    ),
]


class Detecting(NamedTuple):
    """What to find, as plain values that another process can be told."""

    config: Path | None = None
    threshold: float | None = None
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    recall: Recall | None = None

    def settings(self) -> DetectionConfig:
        """The configuration's `[detection]`, with what the options say instead.

        Raises:
            ConfigError: the configuration cannot be used.
        """
        settings = load_config(self.config).detection if self.config else DetectionConfig()
        changes: dict[str, object] = {"exclude": settings.exclude | set(self.without)}
        if self.threshold is not None:
            changes["threshold"] = self.threshold
        if self.recall is not None:
            changes["recall"] = self.recall.value
        return settings.model_copy(update=changes)


@dataclass(frozen=True, slots=True)
class _Filtered:
    """A finder that tells of some entities only."""

    finder: Finder
    only: frozenset[str]

    def find(self, unit: TextUnit) -> tuple[Finding, ...]:
        return tuple(one for one in self.finder.find(unit) if one.entity in self.only)

    def missed(self, units: Sequence[TextUnit]) -> float | None:
        return None  # a name that was found and is not told of would be counted


def load_finder(told: Detecting) -> tuple[Finder, Taxonomy]:
    """Gives what finds as the options describe it, and the taxonomy of what it finds.

    Raises:
        ConfigError: the configuration cannot be used, or there is no such entity.
    """
    detector, taxonomy = load_detector(told)
    unknown = sorted(set(told.only) - set(taxonomy.categories))
    if unknown:
        raise ConfigError(
            f"--entity: there is no {name!r}; `guardrail entities` lists them" for name in unknown
        )
    return (_Filtered(detector, frozenset(told.only)) if told.only else detector), taxonomy


def load_detector(told: Detecting) -> tuple[RuleDetector, Taxonomy]:
    """Gives the detector that the options describe, whatever entities they ask for alone.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    settings = told.settings()
    taxonomy = configured_taxonomy(settings)
    detector = configured_detector(settings, taxonomy=taxonomy)
    return replace(detector, timeout=max(_PATIENCE_S, detector.timeout)), taxonomy


_PATIENCE_S = 3600.0
"""Seconds for one document: nobody waits for an answer, and a book takes longer than a request."""
