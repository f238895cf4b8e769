"""The detector with every built-in rule, and what it finds as values rather than offsets."""

from __future__ import annotations

from collections.abc import Iterable

from guardrail.detection.detector import build_detector
from guardrail.types import Finding, TextUnit

DETECTOR = build_detector(names=["blank:en"])


def found(text: str, *, pointer: str = "") -> list[tuple[str, str]]:
    """Entity and value of every finding, in order."""
    return _values(text, DETECTOR.detect(TextUnit(pointer=pointer, text=text)))


def overlapping(text: str) -> list[tuple[str, str]]:
    """Entity and value of every finding, those that overlap included."""
    return _values(text, DETECTOR.find(TextUnit(pointer="", text=text)))


def _values(text: str, findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.entity, text[finding.span.start : finding.span.end]) for finding in findings]
