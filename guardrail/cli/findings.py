"""Findings of one input as people and machines are shown them.

`Hit` says where and what. `Excerpt` holds text and is made only where a person asks to see it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from guardrail.cli.inputs import Binary, Input, read
from guardrail.documents import Document, Format, Piece, is_key, shown_pointer
from guardrail.errors import DetectorUnavailable
from guardrail.redaction import Finder, inspect, residual
from guardrail.spans import resolve
from guardrail.taxonomy import Taxonomy
from guardrail.types import Category, Finding


class Hit(NamedTuple):
    """One finding. `start` and `end` count code points: of the text, or of what `pointer` names.

    `line` and `column` count from 1 and say where it, or its string, begins in the file.
    """

    start: int
    end: int
    entity: str
    category: Category
    score: float
    recognizer: str
    pointer: str
    line: int
    column: int


class Mark(NamedTuple):
    """A part of an excerpt that was found."""

    start: int
    end: int
    entity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A line, or as much of it as surrounds what was found in it."""

    line: int
    pointer: str
    text: str = field(repr=False)
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What was found in one input; `problem` says why it could not be read, if it could not.

    `skipped` says that it is no text and was not named itself. `missed` is the expected number of
    names in it that were not found, None where nothing can tell.
    """

    path: str
    format: Format = Format.TEXT
    hits: tuple[Hit, ...] = ()
    excerpts: tuple[Excerpt, ...] = ()
    problem: str = ""
    skipped: bool = False
    missed: float | None = None

    def counts(self) -> Counter[str]:
        """Findings by entity."""
        return Counter(hit.entity for hit in self.hits)

    def document(self) -> dict[str, Any]:
        """As a value of JSON; without text."""
        found: dict[str, Any] = {
            "input": self.path,
            "format": self.format.value,
            "findings": [_finding(hit, self.format) for hit in self.hits],
        }
        if self.missed is not None:
            found["missed"] = round(self.missed, 2)
        return {**found, "problem": self.problem} if self.problem else found


def _finding(hit: Hit, form: Format) -> dict[str, Any]:
    found = hit._asdict()
    found["score"] = round(hit.score, 4)
    if form in (Format.TEXT, Format.LINES):
        del found["pointer"]
    return found


def scan_input(
    one: Input, *, detector: Finder, taxonomy: Taxonomy, excerpts: bool = False
) -> Scanned:
    """Gives what is found in an input; with `excerpts` also the text around it.

    What cannot be read or inspected is a problem of this input and not an exception.
    """
    try:
        document = read(one).document
    except Binary:
        if one.named:
            return Scanned(path=one.path, problem="is no text and was not inspected")
        return Scanned(path=one.path, skipped=True)
    except OSError as error:
        return Scanned(path=one.path, problem=error.strerror or type(error).__name__)
    return scan_document(
        document, path=one.path, detector=detector, taxonomy=taxonomy, excerpts=excerpts
    )


def scan_document(
    document: Document,
    *,
    path: str,
    detector: Finder,
    taxonomy: Taxonomy,
    excerpts: bool = False,
    first_line: int = 1,
) -> Scanned:
    """Gives what is found in a document whose first line has this number."""
    try:
        found = tuple(map(resolve, inspect(detector, document)))
        missed = residual(detector, document.pieces)
    except DetectorUnavailable as error:
        return Scanned(path=path, format=document.format, problem=str(error))
    lines = _Lines(document.text, first_line)
    hidden = _hidden_keys(document.pieces, found, taxonomy)
    pairs = list(zip(document.pieces, found, strict=True))
    return Scanned(
        path=path,
        format=document.format,
        missed=missed,
        hits=tuple(
            hit for pair in pairs for hit in _hits(document, *pair, lines, hidden, taxonomy)
        ),
        excerpts=tuple(one for pair in pairs if pair[1] for one in _excerpts(*pair, lines, hidden))
        if excerpts
        else (),
    )


class _Lines:
    """Line and column of a position."""

    def __init__(self, text: str, first: int) -> None:
        self._starts = [0]
        self._first = first
        at = text.find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = text.find("\n", at + 1)

    def at(self, position: int) -> tuple[int, int]:
        row = bisect_right(self._starts, position) - 1
        return row + self._first, position - self._starts[row] + 1


def _hidden_keys(
    pieces: Sequence[Piece], found: Sequence[Sequence[Finding]], taxonomy: Taxonomy
) -> dict[str, str]:
    """Keys of JSON that hold something personal, and what stands for them in pointers."""
    return {
        piece.unit.text: f"[{taxonomy.label(findings[0].entity)}]"
        for piece, findings in zip(pieces, found, strict=True)
        if findings and is_key(piece)
    }


def _hits(
    document: Document,
    piece: Piece,
    findings: Sequence[Finding],
    lines: _Lines,
    hidden: Mapping[str, str],
    taxonomy: Taxonomy,
) -> Iterator[Hit]:
    alike = document.text.startswith(piece.unit.text, piece.start) if findings else False
    base = piece.start if document.format is Format.TEXT else 0
    for finding in findings:
        at = piece.start + (finding.span.start if alike else 0)
        line, column = lines.at(at)
        yield Hit(
            start=base + finding.span.start,
            end=base + finding.span.end,
            entity=finding.entity,
            category=taxonomy.category(finding.entity),
            score=finding.score,
            recognizer=finding.recognizer,
            pointer=shown_pointer(piece.path, hidden),
            line=line,
            column=column,
        )


# ── excerpts ─────────────────────────────────────────────────────────────────────────────────────

_AROUND = 60
_WHOLE = 200
_CUT = "…"


def _excerpts(
    piece: Piece, findings: Sequence[Finding], lines: _Lines, hidden: Mapping[str, str]
) -> Iterator[Excerpt]:
    """Each line that holds something found; of a long one only what surrounds that."""
    text, pointer = piece.unit.text, shown_pointer(piece.path, hidden)
    first, _ = lines.at(piece.start)
    rest = deque(findings)
    start = 0
    for offset, line in enumerate(text.split("\n")):
        end = start + len(line)
        marks = []
        while rest and rest[0].span.start < end:
            span = rest[0].span
            marks.append(
                Mark(max(span.start, start) - start, min(span.end, end) - start, rest[0].entity)
            )
            if span.end > end:
                break
            rest.popleft()
        while rest and rest[0].span.end <= end:
            rest.popleft()
        # In other formats a string's own line ends are not the file's.
        number = first + offset if not pointer else first
        for group in _near([mark for mark in marks if mark.start < mark.end], line):
            yield _excerpt(number, pointer, line, group)
        start = end + 1


def _near(marks: Sequence[Mark], line: str) -> Iterator[list[Mark]]:
    group: list[Mark] = []
    for mark in marks:
        if group and len(line) > _WHOLE and mark.start - group[-1].end > 2 * _AROUND:
            yield group
            group = []
        group.append(mark)
    if group:
        yield group


def _excerpt(number: int, pointer: str, line: str, marks: Sequence[Mark]) -> Excerpt:
    start, end = 0, len(line)
    if len(line) > _WHOLE:
        start = max(0, marks[0].start - _AROUND)
        end = min(len(line), marks[-1].end + _AROUND)
    before, after = _CUT if start else "", _CUT if end < len(line) else ""
    shift = len(before) - start
    return Excerpt(
        line=number,
        pointer=pointer,
        text=before + printable(line[start:end]) + after,
        marks=tuple(Mark(m.start + shift, m.end + shift, m.entity) for m in marks),
    )


_CONTROL: dict[int, int | str] = {
    **{code: 0x2400 + code for code in range(0x20) if code != 0x09},
    0x09: " ",
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"),
}
"""What would steer a terminal or turn its writing round, and the picture that stands for it."""


def printable(text: str) -> str:
    """A text of the same length that a terminal shows and does not obey."""
    return text.translate(_CONTROL)
