"""Documents with everything that was found in them replaced, and what may leave of them.

Without policies every finding is replaced by a placeholder. With them each category is treated as
it would be on its way to one endpoint, and a document of which some part must not leave at all is
refused as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType
from typing import Protocol

import regex

from guardrail.documents import Document, Format, Piece, open_document
from guardrail.errors import Refusal
from guardrail.policy.ladder import decide
from guardrail.policy.loader import PolicyStore
from guardrail.spans import resolve
from guardrail.taxonomy import Taxonomy
from guardrail.transform.known import KnownValues, is_structured
from guardrail.transform.placeholders import Grammar
from guardrail.transform.rewrite import Pseudonyms, protect
from guardrail.types import (
    Category,
    Decision,
    Endpoint,
    Evidence,
    Finding,
    RequestContext,
    Span,
    TextUnit,
    Treatment,
)


class Finder(Protocol):
    """What finds: a detector, as far as documents need it."""

    def find(self, unit: TextUnit) -> tuple[Finding, ...]:
        """Gives sorted findings, which may overlap. Raises DetectorUnavailable if it cannot."""
        ...

    def missed(self, units: Sequence[TextUnit]) -> float | None:
        """The expected number of names that it does not find; None if it cannot tell."""
        ...


class Judge(Protocol):
    """Says what happens to each category that was found."""

    def __call__(
        self, evidence: Mapping[Category, Evidence], *, residual: float | None = None
    ) -> Mapping[Category, Treatment]:
        """Gives treatments. Raises Refusal where nothing may leave.

        `residual` is the expected number of names that were not found, None if unknown.
        """
        ...


def residual(detector: Finder, pieces: Iterable[Piece]) -> float | None:
    """The expected number of names that are not found in some pieces; None if nothing can tell.

    Raises:
        DetectorUnavailable: a recognizer failed.
    """
    return detector.missed([piece.unit for piece in pieces if not piece.opaque])


def inspect(detector: Finder, document: Document) -> tuple[tuple[Finding, ...], ...]:
    """Gives what is found in each piece of a document; findings may overlap.

    What cannot be read as text (base64 of a picture) is a finding as a whole, `MEDIA`.

    Raises:
        DetectorUnavailable: a recognizer failed.
    """
    return _inspect(detector, document.pieces)


def _inspect(detector: Finder, pieces: Iterable[Piece]) -> tuple[tuple[Finding, ...], ...]:
    return tuple(
        (_media(piece),) if piece.opaque else detector.find(piece.unit) for piece in pieces
    )


def _media(piece: Piece) -> Finding:
    span = Span(0, len(piece.unit.text))
    return Finding(entity="MEDIA", span=span, score=1.0, recognizer="format")


def redact(
    text: str,
    findings: Iterable[Finding],
    *,
    taxonomy: Taxonomy,
    vault: Pseudonyms,
    treatments: Mapping[str, Treatment] | None = None,
    grammar: Grammar | None = None,
) -> str:
    """Gives a text with each finding treated; findings may overlap and come in any order.

    `treatments` is by entity, and without it every finding gets a placeholder; an entity that it
    lacks is redacted. `grammar` escapes what already looks like a placeholder, which restoring
    needs; without it such text stays.

    >>> from guardrail.taxonomy import load_taxonomy
    >>> from guardrail.transform.vault import Vault
    >>> ann = Finding(entity="PERSON", span=Span(0, 3), score=0.9, recognizer="names")
    >>> redact("Ann is here.", [ann], taxonomy=load_taxonomy(), vault=Vault())
    '[PERSON_1] is here.'
    """
    found = tuple(findings)
    if treatments is None:
        treatments = {finding.entity: Treatment.PSEUDONYMISED for finding in found}
    return protect(
        text,
        _decisive(found, treatments),
        treatments=treatments,
        labels=taxonomy.labels,
        vault=vault,
        grammar=grammar or _NO_GRAMMAR,
    )


_NO_GRAMMAR = Grammar(words=frozenset())


def pseudonymise(
    evidence: Mapping[Category, Evidence], *, residual: float | None = None
) -> Mapping[Category, Treatment]:
    """The judge where no policy is asked: everything gets a placeholder."""
    return dict.fromkeys(evidence, Treatment.PSEUDONYMISED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The judge that asks the policies what may leave for one endpoint.

    `local` is where data that must stay may be processed, if anywhere.
    """

    policies: PolicyStore
    context: RequestContext
    endpoint: Endpoint
    local: Endpoint | None = None

    def __call__(
        self, evidence: Mapping[Category, Evidence], *, residual: float | None = None
    ) -> Mapping[Category, Treatment]:
        """The treatments of one document's categories.

        Raises:
            Refusal: 403 `withheld`: some category must stay; names categories and policies.
        """
        decision = decide(
            self.policies,
            self.context,
            evidence,
            endpoint=self.endpoint,
            local=self.local,
            residual=residual,
        )
        if decision.treatment > Treatment.REDACTED:
            raise Refusal(403, "withheld", _withheld(decision, self.endpoint))
        return decision.treatments


_STAYS = {
    Treatment.LOCAL: "may be processed locally only",
    Treatment.BLOCKED: "is blocked",
}


def _withheld(decision: Decision, endpoint: Endpoint) -> str:
    parts = []
    for category, treatment in sorted(decision.treatments.items()):
        if treatment in _STAYS:
            policies = ", ".join(reason.policy for reason in decision.reasons.get(category, ()))
            parts.append(f"{category} {_STAYS[treatment]} ({policies or 'no policy permits it'})")
    errors = f"; errors: {', '.join(decision.errors)}" if decision.errors else ""
    return f"must not leave for {endpoint.id} ({endpoint.location}): {'; '.join(parts)}{errors}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A treated document. `counts` is findings by entity, `treatments` by category."""

    text: str = field(repr=False)
    counts: Mapping[str, int]
    treatments: Mapping[Category, Treatment]


@dataclass(frozen=True, slots=True, kw_only=True)
class Treated:
    """The texts of pieces, treated, in their order; `counts` and `treatments` as in `Redacted`."""

    texts: tuple[str, ...] = field(repr=False)
    counts: Mapping[str, int]
    treatments: Mapping[Category, Treatment]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redactor:
    """Everything that treats a document, but the vault that numbers its values.

    A value found once is treated wherever it stands: a number or address in the whole document, a
    name in its record, which is a text or JSON document as a whole, a line of JSON lines, a row of
    a table. `grammar` as for `redact`.
    """

    detector: Finder
    taxonomy: Taxonomy
    judge: Judge = pseudonymise
    grammar: Grammar | None = None

    def text(self, text: str, *, vault: Pseudonyms) -> Redacted:
        """Gives a text, treated.

        Raises: as `document` does.
        """
        return self.document(open_document(text, Format.TEXT), vaults=lambda record: vault)

    def document(self, document: Document, *, vaults: Callable[[int], Pseudonyms]) -> Redacted:
        """Gives a document, treated; `vaults` gives the vault that numbers one record.

        Raises:
            DetectorUnavailable: a recognizer failed.
            Refusal: the judge lets nothing leave; there are too many values for one vault; or two
                keys of a JSON object would become one.
        """
        done = self.pieces(document.pieces, vaults=vaults)
        return Redacted(
            text=document.rewritten(done.texts), counts=done.counts, treatments=done.treatments
        )

    def pieces(self, pieces: Sequence[Piece], *, vaults: Callable[[int], Pseudonyms]) -> Treated:
        """Gives the pieces of one document, or of one row, treated; `vaults` as for `document`.

        Raises:
            DetectorUnavailable: a recognizer failed.
            Refusal: the judge lets nothing leave, or there are too many values for one vault.
        """
        found = _inspect(self.detector, pieces)
        treatments = self.judge(self._evidence(found), residual=residual(self.detector, pieces))
        by_entity = {
            finding.entity: treatments.get(
                self.taxonomy.category(finding.entity), Treatment.REDACTED
            )
            for findings in found
            for finding in findings
        }
        pairs = list(zip(pieces, found, strict=True))
        values = _all_values(pairs, by_entity)
        everywhere = KnownValues({v: entity for v, entity in values.items() if is_structured(v)})
        texts: list[str] = []
        for record, group in groupby(pairs, key=lambda pair: pair[0].record):
            texts += self._record(list(group), by_entity, everywhere, vaults(record))
        return Treated(
            texts=tuple(texts),
            counts=MappingProxyType(_counts(found)),
            treatments=MappingProxyType(dict(treatments)),
        )

    def _record(
        self,
        pairs: Sequence[tuple[Piece, tuple[Finding, ...]]],
        treatments: Mapping[str, Treatment],
        everywhere: KnownValues,
        vault: Pseudonyms,
    ) -> Iterator[str]:
        here = KnownValues(_all_values(pairs, treatments))
        for piece, found in pairs:
            text = piece.unit.text
            repeated = () if piece.opaque else (*here.find(text), *everywhere.find(text))
            yield redact(
                piece.unit.text,
                (*found, *repeated),
                taxonomy=self.taxonomy,
                vault=vault,
                treatments=treatments,
                grammar=self.grammar,
            )

    def _evidence(self, found: Iterable[Iterable[Finding]]) -> Mapping[Category, Evidence]:
        totals: Counter[Category] = Counter()
        surest: dict[Category, float] = {}
        for finding in (one for findings in found for one in findings):
            category = self.taxonomy.category(finding.entity)
            totals[category] += 1
            surest[category] = max(surest.get(category, 0.0), finding.score)
        return {c: Evidence(count=n, score=surest[c]) for c, n in totals.items()}


def _decisive(
    findings: Iterable[Finding], treatments: Mapping[str, Treatment]
) -> tuple[Finding, ...]:
    return resolve(findings, weight=lambda f: treatments.get(f.entity, Treatment.REDACTED))


_NAME = regex.compile(r"\p{Lu}[\p{L}\p{M}'’-]{3,}")


def _all_values(
    pairs: Iterable[tuple[Piece, tuple[Finding, ...]]], treatments: Mapping[str, Treatment]
) -> dict[str, str]:
    """Value → entity of what is treated. Each longer part of a full name is a value, too."""
    values: dict[str, str] = {}
    for piece, found in pairs:
        if piece.opaque:
            continue
        for finding in _decisive(found, treatments):
            if treatments[finding.entity] is Treatment.CLEAR:
                continue
            value = piece.unit.text[finding.span.start : finding.span.end]
            values[value] = finding.entity
            if finding.entity == "PERSON":
                values.update((name, finding.entity) for name in _NAME.findall(value))
    return values


def _counts(found: Iterable[Iterable[Finding]]) -> dict[str, int]:
    counts = Counter(finding.entity for findings in found for finding in resolve(findings))
    return dict(sorted(counts.items()))
