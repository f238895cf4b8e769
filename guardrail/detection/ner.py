"""Named entities by a spaCy pipeline: whichever one the configuration names.

The pipeline `blank:<language>` has no trained component and finds nothing; it keeps the place for a
trained one, which drops in by its package name or path. Nothing is ever downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import spacy
from spacy.language import Language

from guardrail.errors import ConfigError
from guardrail.types import Finding, Kind, Span, TextUnit

LABELS: Mapping[str, str] = {
    "PERSON": "PERSON",
    "PER": "PERSON",
    "LOCATION": "LOCATION",
    "LOC": "LOCATION",
    "GPE": "LOCATION",
    "FAC": "LOCATION",
    "STREET_ADDRESS": "STREET_ADDRESS",
}
"""spaCy's labels (OntoNotes and WikiNER schemes) → entities. Other labels are not personal data."""


@dataclass(frozen=True, slots=True)
class SpacyRecognizer:
    """Finds what the pipeline's `doc.ents` names, at a fixed score: spaCy gives none."""

    pipeline: Language
    name: str
    score: float = 0.85
    exclude: frozenset[str] = frozenset()

    @property
    def entities(self) -> frozenset[str]:
        """What the pipeline may name, the excluded ones included."""
        return frozenset(LABELS.values()) if self.pipeline.pipe_names else frozenset()

    def find(self, unit: TextUnit) -> list[Finding]:
        """Gives the pipeline's entities, in offsets of the unit's text."""
        if not self.pipeline.pipe_names or unit.kind is Kind.IDENTIFIER:
            return []
        return [
            Finding(
                entity=LABELS[entity.label_],
                span=Span(entity.start_char, entity.end_char),
                score=self.score,
                recognizer=self.name,
            )
            for entity in self.pipeline(unit.text).ents
            if entity.label_ in LABELS and LABELS[entity.label_] not in self.exclude
        ]


def load_pipeline(name: str, *, exclude: frozenset[str] = frozenset()) -> SpacyRecognizer:
    """Gives the recognizer for `blank:en`, an installed package, or a directory.

    `exclude` names entities that it shall not find.

    Raises:
        ConfigError: there is no such pipeline on this machine.
    """
    try:
        if name.startswith("blank:"):
            pipeline = spacy.blank(name.removeprefix("blank:"))
        else:
            pipeline = spacy.load(name)
    except (OSError, ImportError, ValueError) as error:
        raise ConfigError(
            [
                f"detection.pipeline: spaCy cannot load {name!r} ({type(error).__name__}); install "
                f"the package, give the path of a pipeline's directory, or use 'blank:en'"
            ]
        ) from None
    return SpacyRecognizer(pipeline=pipeline, name=f"spacy:{name}", exclude=exclude)
