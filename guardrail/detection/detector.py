"""Text units → findings: every rule and recognizer, resolved into sorted, disjoint spans."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from guardrail.detection.cache import FindingCache
from guardrail.detection.cues import cue_rules
from guardrail.detection.identifiers import identifier_rules, without_loopback
from guardrail.detection.ner import load_pipeline
from guardrail.detection.normalize import View, readings
from guardrail.detection.patterns import Rule, RuleSet, find
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
    """What the guard asks: everything that may be personal in a unit."""

    @property
    def rules(self) -> Sequence[Rule]:
        """The rules that also hold on a stream."""
        ...

    @property
    def threshold(self) -> float:
        """The least score in [0, 1] that counts."""
        ...

    def find(self, unit: TextUnit) -> tuple[Finding, ...]:
        """Gives sorted findings, which may overlap. Raises DetectorUnavailable if it cannot."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDetector:
    """Runs rules and recognizers over the normalised view of each unit.

    `threshold` is the least score in [0, 1] that counts; `timeout` is in seconds, for all
    rules on one unit.
    """

    rules: Sequence[Rule]
    recognizers: Sequence[Recognizer] = ()
    threshold: float = 0.4
    timeout: float = 2.0
    cache: FindingCache = field(default_factory=lambda: FindingCache(4096), repr=False)

    def detect(self, unit: TextUnit) -> tuple[Finding, ...]:
        """Gives sorted, disjoint findings in offsets of `unit.text`; the surest win.

        Raises:
            DetectorUnavailable: as `find` does.
        """
        return resolve(self.find(unit))

    def find(self, unit: TextUnit) -> tuple[Finding, ...]:
        """Gives sorted findings in offsets of `unit.text`, overlapping ones included.

        Which of two overlapping findings decides depends on what policy says of each: a password
        inside an address is not the lesser finding because the address is surer.

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
            findings = tuple(sorted(self._find(unit, hint), key=lambda f: f.span))
        except Exception as error:
            failure = type(error).__name__
        else:
            self.cache.put(key, findings)
            return findings
        # Raised out here, where no handled error becomes its `__context__`.
        raise DetectorUnavailable(f"detection failed ({failure})")

    def _find(self, unit: TextUnit, hint: str) -> Iterator[Finding]:
        # The name of the field stands where a label would: `{"ssn": …}` reads like `ssn: …`.
        label = f"{hint}:\n" if hint else ""
        for seen in readings(unit.text):
            yield from self._read(unit, seen, label)

    def _read(self, unit: TextUnit, seen: View, label: str) -> Iterator[Finding]:
        labelled = find(
            self.rules, label + seen.text, threshold=self.threshold, timeout=self.timeout
        )
        for finding in labelled:
            start, end = finding.span.start - len(label), finding.span.end - len(label)
            if end > 0:
                yield replace(finding, span=seen.original(Span(max(start, 0), end)))
        plain = replace(unit, text=seen.text)
        for recognizer in self.recognizers:
            for finding in recognizer.find(plain):
                if finding.score >= self.threshold:
                    yield replace(finding, span=seen.original(finding.span))


_WORD_BREAK = re.compile(r"[_-]|(?<=[a-z0-9])(?=[A-Z])")
_GENERIC = frozenset({"content", "text", "input", "prompt", "message", "value", "arguments"})


def field_name(pointer: str) -> str:
    """The words of the field that holds a text: `/customer/phone_no` gives `phone no`.

    So does `/customer/phoneNo`, with a capital.

    Empty for fields that may hold anything.
    """
    for part in reversed(pointer.split("/")):
        if part and not part.isdigit():
            return "" if part in _GENERIC else _WORD_BREAK.sub(" ", part)[:64]
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
    excluded = frozenset(exclude)
    recognizer = load_pipeline(pipeline, exclude=excluded)
    entities = {rule.entity for rule in rules} | recognizer.entities
    unknown = excluded - entities
    if unknown:
        known = ", ".join(sorted(entities))
        raise ConfigError(
            f"detection.exclude: nothing finds {entity!r}; known entities: {known}"
            for entity in sorted(unknown)
        )
    return RuleDetector(
        rules=RuleSet(rule for rule in rules if rule.entity not in excluded),
        recognizers=(recognizer,),
        threshold=threshold,
        timeout=timeout,
    )
