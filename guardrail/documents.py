"""Files as pieces of text, and back: text, JSON, JSON lines and CSV, each keeping its layout.

A piece is one string to look at: a text, a line, a key, string or long number of JSON, a cell
of a table. What replaces a piece is written where the piece stood, in the spelling of its format,
and nothing else of the file changes: white space, quotes and the spelling of numbers stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from guardrail.errors import Refusal
from guardrail.protocols.fields import Action, Leaf, Path, Step, leaves, locate
from guardrail.protocols.payload import Json, JsonNumber, parse_json
from guardrail.types import Kind, Span, TextUnit


class Format(StrEnum):
    """How a file is to be read. `LINES` is text of which each line is a record of its own."""

    TEXT = "text"
    LINES = "lines"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


SUFFIXES: Mapping[str, Format] = {
    ".json": Format.JSON,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
}
"""Formats by the end of a file's name; any other is text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One string to look at, and where it stands.

    `unit.pointer` hints at what the string is: keys of JSON, the head of a column. `start` is the
    position of its text in the document where the two are written alike, and of its place
    otherwise. `record` numbers the line, row or document it belongs to, from 0. `opaque` says that
    it holds something that cannot be read as text.
    """

    unit: TextUnit
    start: int
    record: int = 0
    path: Path = field(default=(), repr=False)
    opaque: bool = False


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a piece stands in the document, and how its replacement is spelt there."""

    span: Span
    spell: Callable[[str], str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file's text, its pieces in order, and the way back."""

    text: str = field(repr=False)
    format: Format
    pieces: tuple[Piece, ...]
    _slots: tuple[_Slot, ...] = field(repr=False)

    def rewritten(self, texts: Sequence[str]) -> str:
        """The document with these texts in place of its pieces', one for each.

        Raises:
            Refusal: two keys of one JSON object would become one.
        """
        written: list[str] = []
        cursor = 0
        for piece, slot, text in zip(self.pieces, self._slots, texts, strict=True):
            if text != piece.unit.text:
                written += (self.text[cursor : slot.span.start], slot.spell(text))
                cursor = slot.span.end
        result = "".join((*written, self.text[cursor:]))
        if written and self.format is Format.JSON:
            _read(result)
        return result


def open_document(text: str, form: Format) -> Document:
    """Gives the document of a text; one that is not what its format says is read as text."""
    opened = _READERS[form](text)
    return opened if opened is not None else _text(text)


# ── text ─────────────────────────────────────────────────────────────────────────────────────────


def _text(text: str) -> Document:
    pieces = (Piece(unit=TextUnit(pointer="", text=text), start=0),) if text.strip() else ()
    return Document(
        text=text, format=Format.TEXT, pieces=pieces, _slots=tuple(map(_as_it_is, pieces))
    )


def _as_it_is(piece: Piece) -> _Slot:
    return _Slot(Span(piece.start, piece.start + len(piece.unit.text)), str)


def _lines(text: str) -> Document:
    pieces = tuple(
        Piece(unit=TextUnit(pointer="", text=line), start=start, record=number)
        for number, start, line in _each_line(text)
    )
    return Document(
        text=text, format=Format.LINES, pieces=pieces, _slots=tuple(map(_as_it_is, pieces))
    )


def _each_line(text: str) -> Iterator[tuple[int, int, str]]:
    """(number, start, line without its end) of each line that holds more than white space."""
    start = 0
    for number, line in enumerate(text.split("\n")):
        if line.strip():
            yield number, start, line.removesuffix("\r")
        start += len(line) + 1


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────

_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|-?\d++(?:\.\d++)?+(?:[eE][+-]?\d++)?+')
_LONG_NUMBER = 5


def _json(text: str) -> Document | None:
    found = _json_pieces(text, 0, 0)
    if found is None:
        return None
    pieces, slots = found
    return Document(text=text, format=Format.JSON, pieces=tuple(pieces), _slots=tuple(slots))


def _jsonl(text: str) -> Document | None:
    pieces: list[Piece] = []
    slots: list[_Slot] = []
    for number, start, line in _each_line(text):
        found = _json_pieces(line, start, number)
        if found is None:
            return None
        pieces += found[0]
        slots += found[1]
    return Document(text=text, format=Format.JSONL, pieces=tuple(pieces), _slots=tuple(slots))


def _json_pieces(text: str, offset: int, record: int) -> tuple[list[Piece], list[_Slot]] | None:
    try:
        value = _read(text)
    except Refusal:
        return None
    begin = 1 if text.startswith("\ufeff") else 0
    tokens = [
        match
        for match in _JSON_TOKEN.finditer(text, begin)
        if match[0][0] == '"' or sum(map(str.isdigit, match[0])) >= _LONG_NUMBER
    ]
    pieces: list[Piece] = []
    slots: list[_Slot] = []
    for leaf, token in zip(_every_leaf(value), tokens, strict=True):
        quote = not leaf.number
        inside = token[0][1:-1] if quote else token[0]
        alike = inside == leaf.text
        pieces.append(
            Piece(
                unit=TextUnit(pointer=leaf.pointer, text=leaf.text, kind=Kind.PROSE),
                start=offset + token.start() + (quote and alike),
                record=record,
                path=leaf.path,
                opaque=leaf.action is Action.MEDIA,
            )
        )
        span = Span(offset + token.start(), offset + token.end())
        slots.append(_Slot(span, _quoted_ascii if token[0].isascii() else _quoted))
    return pieces, slots


def _read(text: str) -> Json:
    return parse_json(text.encode("utf-8", "surrogatepass"))


def _every_leaf(value: Json) -> Iterator[Leaf]:
    """Every leaf in order; those of long arrays of whole numbers, which are data here, too."""
    for leaf in leaves(value, None):
        if leaf.action is not Action.TOKENS:
            yield leaf
            continue
        numbers = locate(value, leaf.path)
        for position, number in enumerate(numbers if isinstance(numbers, list) else ()):
            if isinstance(number, JsonNumber) and len(number.lexeme) >= _LONG_NUMBER:
                path = (*leaf.path, position)
                yield Leaf(path, number.lexeme, Action.TEXT, number=True)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _quoted_ascii(text: str) -> str:
    return json.dumps(text)


def shown_pointer(path: Path, hidden: Mapping[str, str]) -> str:
    """The JSON Pointer (RFC 6901) of a piece, with keys that are `hidden` replaced by their word.

    >>> shown_pointer(("ann@example.com", 0), {"ann@example.com": "[EMAIL]"})
    '/[EMAIL]/0'
    """
    steps = tuple(hidden.get(step, step) if type(step) is str else step for step in path)
    return Leaf(steps, "", Action.TEXT).pointer


def is_key(piece: Piece) -> bool:
    """Whether a piece is a key of JSON rather than a value."""
    return piece.path[-1:] == (Step.KEY,)


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────

_DELIMITERS = ",;\t|"
_CELLS = {
    delimiter: re.compile(
        rf'(?P<quoted>"(?:[^"]|"")*+"(?=[{re.escape(delimiter)}\r\n]|\Z))'
        rf"|(?P<plain>[^{re.escape(delimiter)}\r\n]*+)"
    )
    for delimiter in _DELIMITERS
}
_HEAD = re.compile(r"[^\W\d][\w .()/-]{0,63}")
_NEEDS_QUOTES = re.compile(r'[",;\t|\r\n]')


def _csv(text: str) -> Document | None:
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    rows = list(_rows(text, delimiter))
    head = [value for value, _ in rows[0][1]] if rows else []
    if not all(map(_HEAD.fullmatch, head)) or len(set(head)) < len(head):
        head = []  # no names of columns, which could say what their cells hold
    pieces: list[Piece] = []
    slots: list[_Slot] = []
    for number, cells in rows:
        for column, (value, span) in enumerate(cells):
            if not value.strip():
                continue
            named = head[column] if number and column < len(head) else str(column)
            quoted = text[span.start : span.start + 1] == '"'
            pieces.append(
                Piece(
                    unit=TextUnit(pointer=f"/{number}/{_escaped(named)}", text=value),
                    start=span.start + quoted,
                    record=number,
                    path=(number, column),
                )
            )
            slots.append(_Slot(span, _cell_quoted if quoted else _cell))
    return Document(text=text, format=Format.CSV, pieces=tuple(pieces), _slots=tuple(slots))


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[tuple[str, Span]]]]:
    """(number, cells) of each row; a cell is its value and its range, quotes included."""
    cell = _CELLS[delimiter]
    at, number, cells = 1 if text.startswith("\ufeff") else 0, 0, []
    while at < len(text):
        match = cell.match(text, at)
        assert match, "an unquoted cell may be empty"
        raw = match[0]
        value = raw[1:-1].replace('""', '"') if match["quoted"] else raw
        cells.append((value, Span(*match.span())))
        at = match.end()
        if text[at : at + 1] == delimiter:
            at += 1
            continue
        at += 2 if text.startswith("\r\n", at) else 1
        yield number, cells
        number, cells = number + 1, []
    if cells:
        yield number, cells


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _cell(value: str) -> str:
    return _cell_quoted(value) if _NEEDS_QUOTES.search(value) else value


def _cell_quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


_READERS: Mapping[Format, Callable[[str], Document | None]] = {
    Format.TEXT: _text,
    Format.LINES: _lines,
    Format.JSON: _json,
    Format.JSONL: _jsonl,
    Format.CSV: _csv,
}
