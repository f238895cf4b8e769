"""Text units → findings: every rule and recognizer, resolved into sorted, disjoint spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from guardrail.detection.cache import FindingCache
from guardrail.detection.cues import cue_rules
from guardrail.detection.identifiers import identifier_rules, without_loopback
from guardrail.detection.ner import load_pipeline
from guardrail.detection.normalize import view
from guardrail.detection.patterns import Rule, find
from guardrail.detection.presidio import presidio_rules
from guardrail.detection.secrets import secret_rules
from guardrail.errors import ConfigError, DetectorUnavailable
from guardrail.spans import resolve
from guardrail.types import Finding, Span, TextUnit


class Recognizer(Protocol):
    """Finds entities in one unit of text; spans may overlap and come in any order."""

    def find(self, unit: TextUnit) -> Iterable[Finding]:
        """Gives what it finds in `unit.text`."""
        ...


class Detector(Protocol):
    """What the guard asks: findings of a unit, sorted and disjoint."""

    @property
    def rules(self) -> Sequence[Rule]:
        """The rules that also hold on a stream."""
        ...

    @property
    def threshold(self) -> float:
        """The least score in [0, 1] that counts."""
        ...

    def detect(self, unit: TextUnit) -> tuple[Finding, ...]:
        """Gives sorted, disjoint findings. Raises DetectorUnavailable when it cannot tell."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDetector:
    """Runs rules and recognizers over the normalised view of each unit.

    `threshold` is the least score in [0, 1] that counts; `timeout` is in seconds and per rule.
    """

    rules: Sequence[Rule]
    recognizers: Sequence[Recognizer] = ()
    threshold: float = 0.4
    timeout: float = 2.0
    cache: FindingCache = field(default_factory=lambda: FindingCache(4096), repr=False)

    def detect(self, unit: TextUnit) -> tuple[Finding, ...]:
        """Gives sorted, disjoint findings in offsets of `unit.text`.

        Raises:
            DetectorUnavailable: a recognizer failed or took too long. The cause is dropped, since
                its message may hold the text.
        """
        hint = field_name(unit.pointer)
        key = self.cache.key(unit.kind, hint, unit.text)
        known = self.cache.get(key)
        if known is not None:
            return known
        try:
            findings = resolve(self._find(unit, hint))
        except Exception as error:
            raise DetectorUnavailable(f"detection failed ({type(error).__name__})") from None
        self.cache.put(key, findings)
        return findings

    def _find(self, unit: TextUnit, hint: str) -> Iterable[Finding]:
        text, offsets = view(unit.text)
        seen = replace(unit, text=text)
        findings = find(self.rules, text, threshold=self.threshold, hint=hint, timeout=self.timeout)
        for recognizer in self.recognizers:
            findings += (f for f in recognizer.find(seen) if f.score >= self.threshold)
        if offsets is None:
            return findings
        return (
            replace(f, span=Span(offsets[f.span.start], offsets[f.span.end - 1] + 1))
            for f in findings
        )


_GENERIC = frozenset({"content", "text", "input", "prompt", "message", "value", "arguments"})


def field_name(pointer: str) -> str:
    """The words of the field that holds a text: `/customer/phone_no` gives `phone no`.

    Empty for fields that may hold anything.
    """
    for part in reversed(pointer.split("/")):
        if part and not part.isdigit():
            return "" if part in _GENERIC else part.replace("_", " ").replace("-", " ")[:64]
    return ""


def build_detector(
    *,
    pipeline: str = "blank:en",
    threshold: float = 0.4,
    timeout: float = 2.0,
    exclude: Iterable[str] = (),
) -> RuleDetector:
    """Gives the detector with every built-in rule and the named spaCy pipeline.

    `exclude` lists entities that shall not be found.

    Raises:
        ConfigError: the pipeline cannot be loaded, or an excluded entity is found by nothing.
    """
    rules = [*identifier_rules(), *presidio_rules(), *secret_rules(), *cue_rules()]
    rules = [without_loopback(r) if r.entity == "IP_ADDRESS" else r for r in rules]
    recognizer = load_pipeline(pipeline)
    excluded = frozenset(exclude)
    unknown = excluded - {rule.entity for rule in rules}
    if unknown:
        known = ", ".join(sorted({rule.entity for rule in rules}))
        raise ConfigError(
            f"detection.exclude: nothing finds {entity!r}; known entities: {known}"
            for entity in sorted(unknown)
        )
    return RuleDetector(
        rules=tuple(rule for rule in rules if rule.entity not in excluded),
        recognizers=(recognizer,),
        threshold=threshold,
        timeout=timeout,
    )
