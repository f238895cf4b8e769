"""The detector with every built-in rule, and what it finds as values rather than offsets."""

from __future__ import annotations

from guardrail.detection.detector import build_detector
from guardrail.types import TextUnit

DETECTOR = build_detector()


def found(text: str, *, pointer: str = "") -> list[tuple[str, str]]:
    """Entity and value of every finding, in order."""
    return [
        (finding.entity, text[finding.span.start : finding.span.end])
        for finding in DETECTOR.detect(TextUnit(pointer=pointer, text=text))
    ]
