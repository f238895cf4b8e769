"""Text + findings → protected text, in one pass; and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from guardrail.taxonomy import LITERAL
from guardrail.transform.operators import redact, redact_identifier
from guardrail.transform.placeholders import Grammar, bare_placeholder, placeholder
from guardrail.transform.vault import Entry, Vault
from guardrail.types import Finding, Span, Treatment


class Pseudonym(Protocol):
    """What stands in a placeholder beside its brackets: `EMAIL` and 1."""

    @property
    def word(self) -> str:
        """The word of its entity."""
        ...

    @property
    def number(self) -> int | str:
        """What tells it from others of its word."""
        ...


class Pseudonyms(Protocol):
    """Who gives pseudonyms: the vault of a conversation, or a key."""

    def allocate(self, *, entity: str, word: str, original: str) -> Pseudonym:
        """Gives the pseudonym of a value. Raises Refusal if there is none left."""
        ...


def protect(
    text: str,
    findings: Iterable[Finding],
    *,
    treatments: Mapping[str, Treatment],
    labels: Mapping[str, str],
    vault: Pseudonyms,
    grammar: Grammar,
    bare: bool = False,
) -> str:
    """Gives `text` with each finding replaced as its entity's treatment says.

    Findings must be sorted and disjoint. `treatments` is by entity; one that is missing counts as
    `REDACTED`. Text between findings that looks like a placeholder is replaced by a literal's
    placeholder. With `bare`, tokens carry no brackets, for places that allow none.

    Returns the identical string object when nothing changes.
    """
    pieces: list[str] = []
    cursor = 0
    changed = False
    for finding in findings:
        treatment = treatments.get(finding.entity, Treatment.REDACTED)
        if treatment == Treatment.CLEAR:
            continue
        span = finding.span
        pieces.append(_escape(text[cursor : span.start], vault=vault, grammar=grammar, bare=bare))
        word = labels.get(finding.entity, finding.entity)
        original = text[span.start : span.end]
        if treatment == Treatment.PSEUDONYMISED:
            entry = vault.allocate(entity=finding.entity, word=word, original=original)
            token = _token(entry, bare=bare)
            pieces.append(_set_apart(token, text, span) if bare else token)
        else:
            remove = redact_identifier if bare else redact
            pieces.append(remove(original, word=word))
        cursor = span.end
        changed = True
    tail = text[cursor:]
    escaped = _escape(tail, vault=vault, grammar=grammar, bare=bare)
    if not changed:
        return text if escaped == tail else escaped
    pieces.append(escaped)
    return "".join(pieces)


def _set_apart(token: str, text: str, span: Span) -> str:
    """A bare token that a digit to its right cannot turn into another one's number."""
    return f"{token}_" if text[span.end :][:1].isdigit() else token


def _token(entry: Pseudonym, *, bare: bool) -> str:
    return (bare_placeholder if bare else placeholder)(entry.word, entry.number)


def _escape(text: str, *, vault: Pseudonyms, grammar: Grammar, bare: bool) -> str:
    tokens = grammar.find(text)
    if not tokens:
        return text
    pieces: list[str] = []
    cursor = 0
    for start, end in tokens:
        entry = vault.allocate(entity=LITERAL, word=LITERAL, original=text[start:end])
        pieces += (text[cursor:start], _token(entry, bare=bare))
        cursor = end
    return "".join((*pieces, text[cursor:]))


def restore(text: str, *, vault: Vault, grammar: Grammar) -> str:
    """Gives `text` with every placeholder of this vault replaced by its original.

    Placeholders that the vault does not know stay as they are. One pass: what is restored is never
    read again.
    """
    original = restorer(vault=vault, grammar=grammar)
    pieces: list[str] = []
    cursor = 0
    for start, end in grammar.find(text):
        token = text[start:end]
        value = original(token)
        pieces += (text[cursor:start], token if value is None else value)
        cursor = end
    return "".join((*pieces, text[cursor:]))


def restorer(
    *, vault: Vault, grammar: Grammar, allow: Callable[[Entry], bool] = lambda entry: True
) -> Callable[[str], str | None]:
    """Gives the function from one token to its original, or None where the token must stay."""

    def original(token: str) -> str | None:
        parsed = grammar.parse(token)
        entry = vault.entry(*parsed) if parsed else None
        return entry.original if entry and (entry.word == LITERAL or allow(entry)) else None

    return original


def is_structured(value: str) -> bool:
    """Whether a value is unmistakable wherever it stands: six code points, a digit or `@` in it."""
    return len(value) >= 6 and any(c.isdigit() or c == "@" for c in value)


def known_values(values: Mapping[str, str]) -> Callable[[str], list[Finding]]:
    """Gives a finder of values already known (value → entity), wherever they stand.

    A value that context revealed once ("my phone is …") is protected wherever it is repeated
    without that context. Words count only as whole words; values shorter than four code points are
    left to the detectors. Findings may overlap.
    """
    entities = {v: e for v, e in values.items() if e != LITERAL and len(v) >= 4}
    structured = frozenset(filter(is_structured, entities))

    def find(text: str) -> list[Finding]:
        found = []
        for value, entity in entities.items():
            at = text.find(value)
            while at >= 0:
                end = at + len(value)
                if value in structured or not (_in_word(text, at) or _in_word(text, end)):
                    found.append(
                        Finding(
                            entity=entity, span=Span(at, end), score=1.0, recognizer="known-value"
                        )
                    )
                at = text.find(value, at + 1)
        return found

    return find


def _in_word(text: str, at: int) -> bool:
    """Whether a position has a letter or digit on either side."""
    escape = at > 1 and text[at - 2] == "\\" and text[at - 1] in "nrtfbv"
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum() and not escape
