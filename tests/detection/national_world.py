"""Examples of each country's identifiers, and what the detector finds of them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from detection_world import DETECTOR

from guardrail.detection.national import identifiers
from guardrail.types import TextUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """`valid` values count beside a word of `words`, `printed` ones alone, `wrong` ones never."""

    entity: str
    words: tuple[str, ...]
    valid: tuple[str, ...]
    printed: tuple[str, ...]
    wrong: tuple[str, ...]


def load_examples() -> tuple[Example, ...]:
    """Gives the examples of `national_examples.toml`, in its order."""
    path = Path(__file__).with_name("national_examples.toml")
    words = {row.entity: row.context for row in identifiers()}
    return tuple(
        Example(
            entity=entity,
            words=(row["word"],) if "word" in row else words[entity],
            valid=tuple(row.get("valid", ())),
            printed=tuple(row.get("printed", ())),
            wrong=tuple(row.get("wrong", ())),
        )
        for entity, row in tomllib.loads(path.read_text("utf-8")).items()
    )


def entities_of(value: str, before: str = "") -> set[str]:
    """The entities that are found with exactly this value, after what stands before it."""
    text = f"{before}{value}"
    return {
        finding.entity
        for finding in DETECTOR.find(TextUnit(pointer="", text=text))
        if (finding.span.start, finding.span.end) == (len(before), len(text))
    }
