"""Tables of Apache Arrow with the texts in them treated, by as many workers as there are.

Every row is a document of its own: what becomes of it depends on nothing but the row, the settings
and the key. So it is the same however a table is cut into partitions, on one machine or on many:

    df.mapInArrow(TableRedactor(spec).batches, df.schema)                      # Spark
    dataset.map_batches(TableRedactor(spec), batch_format="pyarrow")           # Ray Data
    TableRedactor(spec)(pyarrow.parquet.read_table("mails.parquet"))           # one process

Texts are found inside lists, structs, maps, dictionaries and extension types. What is no text is
not looked at: numbers, times and binary stay as they are.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from itertools import accumulate, chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, cast

from guardrail.config import (
    DetectionConfig,
    configured_detector,
    configured_taxonomy,
    load_config,
)
from guardrail.destinations import Journey, configured_destination, destination
from guardrail.documents import Format, Piece, open_document
from guardrail.errors import ConfigError, GuardrailError, NestedTooDeep, Refusal, Unavailable
from guardrail.policy.vocabulary import quantised_residual
from guardrail.protocols.fields import Action, leaves
from guardrail.redaction import Finder, Judge, Redactor, pseudonymise
from guardrail.taxonomy import Taxonomy
from guardrail.transform.keyed import KeyedPseudonyms
from guardrail.transform.rewrite import Pseudonyms
from guardrail.types import Category, Evidence, TextUnit, Treatment

if TYPE_CHECKING:
    import pyarrow as pa

_T = TypeVar("_T")

OnRefusal = Literal["fail", "null"]
"""What becomes of a value that must not leave: its batch fails, or the value becomes null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreatedTable:
    """A treated table. `counts` is findings by entity, `withheld` is values that became null."""

    table: pa.Table | pa.RecordBatch = field(repr=False)
    counts: Mapping[str, int]
    withheld: int


def redact_table(
    table: _T,
    columns: Sequence[str] | None = None,
    *,
    redactor: Redactor,
    pseudonyms: Pseudonyms | None = None,
    on_refusal: OnRefusal = "fail",
) -> _T:
    """Gives a `pyarrow.Table` or `RecordBatch` with the texts in some columns treated.

    Its schema stays, metadata too.

    Without `columns` all that hold text are treated. Without `pseudonyms` what would be
    pseudonymised is redacted, since numbers would depend on the partition. The judge of `redactor`
    is asked row by row. A value that must not leave fails the whole, or with `on_refusal="null"`
    becomes null; where it is the row as a whole that must not, all its texts do.

    Raises:
        ConfigError: pyarrow is not installed, there is no such column, or one holds no text or
            text in a type that cannot be treated.
        Refusal: some value must not leave, is no UTF-8, or two keys of a map would become one.
        Unavailable: a recognizer failed, or Arrow cannot hold the result in the type of its column.
    """
    done = treat_table(
        table, columns, redactor=redactor, pseudonyms=pseudonyms, on_refusal=on_refusal
    )
    return cast("_T", done.table)


def treat_table(
    table: Any,
    columns: Sequence[str] | None = None,
    *,
    redactor: Redactor,
    pseudonyms: Pseudonyms | None = None,
    on_refusal: OnRefusal = "fail",
) -> TreatedTable:
    """Gives what `redact_table` gives, and what was found.

    Raises: as `redact_table` does.
    """
    arrow = load_pyarrow()
    names = text_columns(table.schema, columns)
    worker = _Worker(
        arrow, _unnumbered(redactor, pseudonyms), pseudonyms or _NONE_GIVEN, names, on_refusal
    )
    whole = isinstance(table, arrow.Table)
    batches = [worker.batch(batch) for batch in (table.to_batches() if whole else [table])]
    result = arrow.Table.from_batches(batches, table.schema) if whole else batches[0]
    return TreatedTable(
        table=result,
        counts=MappingProxyType(dict(sorted(worker.counts.items()))),
        withheld=worker.withheld,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TreatedLines:
    """Treated lines. `counts` is findings by entity, `seen` says which columns some line has."""

    lines: tuple[str, ...] = field(repr=False)
    counts: Mapping[str, int]
    seen: frozenset[str]


def _column(path: Sequence[object]) -> str | None:
    """The column that a piece of a line belongs to; None, for all, where a line is no object."""
    return path[0] if path and isinstance(path[0], str) else None


def redact_lines(
    lines: Iterable[str],
    columns: Sequence[str] | None = None,
    *,
    redactor: Redactor,
    pseudonyms: Pseudonyms | None = None,
) -> TreatedLines:
    """Gives lines of JSON with every text and long number below some keys treated.

    Each line is a row, treated as `redact_table` treats rows; the spelling of the rest of it stays.
    A line that is no JSON is treated as a whole.

    Raises:
        Refusal: something must not leave, or two keys of an object would become one.
        Unavailable: a recognizer failed.
    """
    redactor = _unnumbered(redactor, pseudonyms)
    done: list[str] = []
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    for number, line in enumerate(lines):
        document = open_document(line, Format.JSON)
        keys = [_column(piece.path) for piece in document.pieces]
        chosen = [
            at for at, key in enumerate(keys) if columns is None or key is None or key in columns
        ]
        texts = [piece.unit.text for piece in document.pieces]
        problem: Refusal | None = None
        try:
            treated = redactor.pieces(
                [document.pieces[at] for at in chosen], vaults=lambda _: pseudonyms or _NONE_GIVEN
            )
            for at, text in zip(chosen, treated.texts, strict=True):
                texts[at] = text
            done.append(document.rewritten(texts))
        except Refusal as error:
            problem = error
        if problem:
            raise Refusal(problem.status, problem.code, f"row {number} of the batch: {problem}")
        counts.update(treated.counts)
        seen.update(filter(None, keys))
    return TreatedLines(
        lines=tuple(done),
        counts=MappingProxyType(dict(sorted(counts.items()))),
        seen=frozenset(seen),
    )


def _unnumbered(redactor: Redactor, pseudonyms: Pseudonyms | None) -> Redactor:
    return replace(
        redactor,
        judge=redactor.judge if pseudonyms else _Irreversible(redactor.judge),
        grammar=None,  # nothing is restored by number, so nothing needs to be escaped
    )


def text_columns(schema: pa.Schema, columns: Sequence[str] | None = None) -> tuple[str, ...]:
    """The columns of a schema that hold text, in its order; or those asked for, if they do.

    Raises:
        ConfigError: there is no such column, or two of its name; it holds no text, or in a type
            that cannot be treated.
    """
    arrow = load_pyarrow()
    problems = []
    for name in schema.names if columns is None else columns:
        if schema.names.count(name) != 1:
            # A file without a heading has people where the names of columns would be.
            near = difflib.get_close_matches(name, schema.names, 1, 0.7)
            meant = f" (did you mean {near[0]!r}?)" if near and near[0] != name else ""
            there = f"there must be one of this name among {len(schema.names)} columns"
            problems.append(f"column {name!r}: {there}{meant}")
        elif columns is not None and not _holds_text(arrow, schema.field(name).type):
            problems.append(f"column {name!r}: holds no text, but {schema.field(name).type}")
    wanted = set(schema.names if columns is None else columns)
    found = () if problems else (f for f in schema if f.name in wanted)
    texts = tuple(f for f in found if _holds_text(arrow, f.type))
    problems += [
        f"column {f.name!r}: holds text in {f.type}, which cannot be treated; leave it out"
        for f in texts
        if not _can_be_treated(arrow, f.type)
    ]
    if problems:
        raise ConfigError(problems)
    return tuple(f.name for f in texts)


def load_pyarrow() -> Any:
    """Gives the package pyarrow.

    Raises:
        ConfigError: it is not installed; says how to.
    """
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError:
        pass
    else:
        return pyarrow
    raise ConfigError(["tables need pyarrow: pip install 'guardrail-asgi[arrow]'"])


# ── on workers ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredFinder:
    """Makes the detector that a configuration describes, or the default one.

    The file is read by each worker, so it must be where each of them looks for it.
    """

    config: Path | None = None

    def __call__(self) -> tuple[Finder, Taxonomy]:
        """Gives what finds, and the taxonomy of what it finds.

        Raises:
            ConfigError: the configuration cannot be used.
        """
        settings = load_config(self.config).detection if self.config else DetectionConfig()
        taxonomy = configured_taxonomy(settings)
        return configured_detector(settings, taxonomy=taxonomy), taxonomy


@dataclass(frozen=True, slots=True, kw_only=True)
class ToPlace:
    """Makes the judge of a journey, by the policies of a folder or those shipped.

    `at` is the time by which every worker judges.
    """

    journey: Journey
    at: datetime
    policies: Path | None = None

    def __call__(self, taxonomy: Taxonomy) -> Judge:
        """Gives the judge. Raises as `destination` does."""
        return destination(self.journey, taxonomy=taxonomy, at=self.at, directory=self.policies)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToEndpoint:
    """Makes the judge of an endpoint of a configuration; `at` as in `ToPlace`."""

    config: Path
    endpoint: str
    at: datetime
    app: str = ""

    def __call__(self, taxonomy: Taxonomy) -> Judge:
        """Gives the judge. Raises as `configured_destination` does."""
        return configured_destination(
            load_config(self.config), endpoint=self.endpoint, app=self.app, at=self.at
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """How tables are treated, as plain values that travel to workers; none of them is a secret.

    `columns` and `on_refusal` as for `redact_table`. `finder` makes what finds, and `judge` what
    says how each category is treated: by default all is redacted, or given pseudonyms if there is
    a key for them. `pseudonyms` says where each worker finds that key: `env:NAME` or `file:PATH`.
    """

    columns: tuple[str, ...] | None = None
    finder: Callable[[], tuple[Finder, Taxonomy]] = ConfiguredFinder()
    judge: Callable[[Taxonomy], Judge] | None = None
    pseudonyms: str = ""
    on_refusal: OnRefusal = "fail"


@dataclass(frozen=True, slots=True)
class TableRedactor:
    """Treats tables as a specification says; give it to Spark or Ray, or call it.

    It holds the specification alone. Each process makes the detector once, when it first needs it.
    """

    spec: TableSpec

    def __call__(self, table: Any) -> Any:
        """Gives a `pyarrow.Table` or `RecordBatch`, treated. Raises as `redact_table` does."""
        return self.treat(table).table

    def batches(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Gives each batch, treated: what `DataFrame.mapInArrow` calls.

        Raises: as `redact_table` does.
        """
        for batch in batches:
            yield self(batch)

    def treat(self, table: pa.Table | pa.RecordBatch) -> TreatedTable:
        """Gives a table, treated, and what was found. Raises as `redact_table` does."""
        redactor, pseudonyms = _equipment(self.spec)
        return treat_table(
            table,
            self.spec.columns,
            redactor=redactor,
            pseudonyms=pseudonyms,
            on_refusal=self.spec.on_refusal,
        )

    def lines(self, lines: Iterable[str]) -> TreatedLines:
        """Gives lines of JSON, treated. Raises as `redact_lines` does."""
        redactor, pseudonyms = _equipment(self.spec)
        return redact_lines(lines, self.spec.columns, redactor=redactor, pseudonyms=pseudonyms)


@lru_cache(maxsize=8)
def _equipment(spec: TableSpec) -> tuple[Redactor, KeyedPseudonyms | None]:
    """The detector, judge and key of this process, made once."""
    pseudonyms = KeyedPseudonyms(load_key(spec.pseudonyms)) if spec.pseudonyms else None
    detector, taxonomy = spec.finder()
    judge = spec.judge(taxonomy) if spec.judge else pseudonymise
    return Redactor(detector=detector, taxonomy=taxonomy, judge=_remembered(judge)), pseudonyms


def load_key(source: str) -> bytes:
    """Gives the key for pseudonyms that `env:NAME` or `file:PATH` names; a last newline is no part.

    Raises:
        ConfigError: it names neither, what it names is not there, or the key is too short.
    """
    kind, _, name = source.partition(":")
    problem = "say where the key is: env:NAME or file:PATH"  # and never quote: it may be the key
    key = b""
    if kind == "env" and name:
        key = os.environ.get(name, "").encode("utf-8", "surrogateescape")
        problem = "" if key else f"the environment variable {name} is not set"
    elif kind == "file" and name:
        try:
            key, problem = Path(name).read_bytes().removesuffix(b"\n").removesuffix(b"\r"), ""
        except OSError as error:
            problem = f"{name}: {error.strerror}"
    if not problem:
        try:
            KeyedPseudonyms(key)
        except ValueError as error:
            problem = f"{source}: {error}"
    if problem:
        raise ConfigError([f"pseudonyms: {problem}"])
    return key


def _remembered(judge: Judge) -> Judge:
    """The same judge, who is not asked twice for one evidence: rows are many and much alike."""

    @lru_cache(maxsize=4096)
    def asked(
        evidence: frozenset[tuple[Category, int, float]], residual: float | None
    ) -> Mapping[Category, Treatment]:
        told = {c: Evidence(count=count, score=score) for c, count, score in evidence}
        return judge(told, residual=residual)

    def remembered(
        evidence: Mapping[Category, Evidence], *, residual: float | None = None
    ) -> Mapping[Category, Treatment]:
        return asked(
            frozenset((c, one.count, one.score) for c, one in evidence.items()),
            None if residual is None else quantised_residual(residual) / 100,
        )

    return remembered


@dataclass(frozen=True, slots=True)
class _Irreversible:
    """A judge where there are no pseudonyms: what would get one is redacted."""

    judge: Judge

    def __call__(
        self, evidence: Mapping[Category, Evidence], *, residual: float | None = None
    ) -> Mapping[Category, Treatment]:
        return {
            category: Treatment.REDACTED if given is Treatment.PSEUDONYMISED else given
            for category, given in self.judge(evidence, residual=residual).items()
        }


class _NoPseudonyms:
    def allocate(self, *, entity: str, word: str, original: str) -> NoReturn:
        raise Unavailable("there are no pseudonyms")


_NONE_GIVEN = _NoPseudonyms()


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True, eq=False)
class _Strings:
    """An array of texts somewhere inside a column, with the row of each and what names it.

    `maps` says of keys of maps which map each belongs to.
    """

    texts: list[str | None] = field(repr=False)
    rows: Sequence[int]
    pointers: Sequence[str] = field(repr=False)
    maps: Sequence[int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    """The texts of one column in one row: arrays and positions in them."""

    column: str
    places: list[tuple[_Strings, int]]

    def pieces(self) -> Iterator[Piece]:
        for strings, at in self.places:
            text = strings.texts[at]
            assert text is not None, "only texts have a place"
            yield Piece(
                unit=TextUnit(pointer=strings.pointers[at], text=text),
                start=0,
                opaque=any(leaf.action is Action.MEDIA for leaf in leaves(text, None)),
            )

    def check(self, texts: Sequence[str]) -> None:
        """Holds texts against those that stand here.

        Raises:
            Refusal: two keys of a map would become one.
        """
        before: dict[tuple[int, int], set[str | None]] = {}
        after: dict[tuple[int, int], set[str | None]] = {}
        for (strings, at), text in zip(self.places, texts, strict=True):
            if strings.maps is not None:
                of_map = (id(strings), strings.maps[at])
                before.setdefault(of_map, set()).add(strings.texts[at])
                after.setdefault(of_map, set()).add(text)
        if any(len(after[of_map]) < len(keys) for of_map, keys in before.items()):
            raise Refusal(400, "ambiguous_map", "two keys of a map would become one")

    def put(self, texts: Iterable[str]) -> None:
        """Writes texts in place of those that stand here."""
        for (strings, at), text in zip(self.places, texts, strict=True):
            strings.texts[at] = text


@dataclass(frozen=True, slots=True)
class _Row:
    """What becomes of some cells of a row: the texts of each."""

    texts: Sequence[tuple[_Cell, list[str]]] = field(default=(), repr=False)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Worker:
    """Treats batches of one schema, and counts."""

    arrow: Any
    redactor: Redactor
    pseudonyms: Pseudonyms
    columns: tuple[str, ...]
    on_refusal: OnRefusal
    counts: Counter[str] = field(default_factory=Counter)
    withheld: int = 0

    def batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        opened = {name: self._open(batch, name) for name in self.columns}
        rows: list[list[_Cell]] = [[] for _ in range(batch.num_rows)]
        for name, (found, _) in opened.items():
            for row, places in _places(found).items():
                rows[row].append(_Cell(name, places))
        nulls: dict[str, set[int]] = {name: set() for name in self.columns}
        for number, cells in enumerate(rows):
            for cell in self._row(number, cells):
                nulls[cell.column].add(number)
        arrays = [
            self._close(batch.schema.field(name), opened[name][1], nulls[name])
            if name in opened
            else batch.column(name)
            for name in batch.schema.names
        ]
        return self.arrow.RecordBatch.from_arrays(arrays, schema=batch.schema)

    def _row(self, number: int, cells: list[_Cell]) -> list[_Cell]:
        """Treats the cells of one row; gives those that must become null."""
        refused: list[_Cell] = []
        done = self._treated(cells)
        if isinstance(done, GuardrailError):
            refused = [one for one in cells if isinstance(self._treated([one]), GuardrailError)]
            if self.on_refusal == "fail":
                named = ", ".join(cell.column for cell in refused or cells)
                raise _said(done, f"column {named}, row {number} of the batch: {done}")
            done = self._treated([one for one in cells if one not in refused])
            if isinstance(done, GuardrailError):  # what may leave one by one may not together
                refused, done = cells, _Row()
        for cell in refused:
            cell.put("" for _ in cell.places)
        for cell, texts in done.texts:
            cell.put(texts)
        self.counts.update(done.counts)
        self.withheld += len(refused)
        return refused

    def _treated(self, cells: Sequence[_Cell]) -> _Row | GuardrailError:
        """What becomes of cells that are looked at together, or why they must not leave."""
        if not cells:
            return _Row()
        pieces = [piece for cell in cells for piece in cell.pieces()]
        try:
            done = self.redactor.pieces(pieces, vaults=lambda record: self.pseudonyms)
            rest = iter(done.texts)
            texts = [(cell, [next(rest) for _ in cell.places]) for cell in cells]
            for cell, own in texts:
                cell.check(own)
        except (Refusal, NestedTooDeep) as error:
            return error.with_traceback(None)
        return _Row(texts, done.counts)

    def _open(self, batch: pa.RecordBatch, name: str) -> tuple[list[_Strings], _Rebuild]:
        found: list[_Strings] = []
        array = batch.column(name)
        pointer = f"/{_escaped(name)}"
        rows = range(batch.num_rows)
        failure = ""
        try:
            return found, _open(_Opening(self.arrow, array, rows, [pointer] * len(rows), found))
        except UnicodeDecodeError:
            failure = "holds text that is not UTF-8"
        except self.arrow.ArrowException as error:
            failure = f"cannot be read ({type(error).__name__})"
        raise Refusal(415, "unreadable", f"column {name}: {failure}")

    def _close(self, kept: pa.Field, rebuild: _Rebuild, nulls: set[int]) -> pa.Array:
        if nulls and not kept.nullable:
            raise Refusal(403, "withheld", f"column {kept.name}: must not leave, nor be null")
        failure = ""
        try:
            return rebuild(nulls)
        except self.arrow.ArrowException as error:  # whose message may quote
            failure = type(error).__name__
        raise Unavailable(f"column {kept.name}: {kept.type} cannot hold the result ({failure})")


def _said(error: GuardrailError, message: str) -> GuardrailError:
    return Refusal(error.status, error.code, message) if isinstance(error, Refusal) else error


def _places(found: Iterable[_Strings]) -> dict[int, list[tuple[_Strings, int]]]:
    """Where there is text in each row."""
    places: dict[int, list[tuple[_Strings, int]]] = {}
    for strings in found:
        for at, (row, text) in enumerate(zip(strings.rows, strings.texts, strict=True)):
            if text and not text.isspace():
                places.setdefault(row, []).append((strings, at))
    return places


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


# ── arrays ───────────────────────────────────────────────────────────────────────────────────────

_Rebuild = Callable[[Set[int]], Any]
"""Gives an array again, of the same type, with the texts that then stand in its `_Strings`, and
with null where it is told."""


@dataclass(frozen=True, slots=True)
class _Opening:
    """What is opened: an array, the row and the name of each value, and where texts are put."""

    arrow: Any
    array: Any = field(repr=False)
    rows: Sequence[int] = field(repr=False)
    pointers: Sequence[str] = field(repr=False)
    found: list[_Strings]

    def inside(self, array: Any) -> _Rebuild:
        """Opens an array that spells the same values."""
        return _open(replace(self, array=array))

    def repeated(self, array: Any, counts: Sequence[int], pointers: Sequence[str]) -> _Rebuild:
        """Opens an array of which each value of this one has some."""
        rows = _repeated(self.rows, counts)
        return _open(replace(self, array=array, rows=rows, pointers=pointers))

    def mask(self, nulls: Set[int]) -> Any:
        """What is null, and what shall be."""
        was = self.array.is_null()
        return self.arrow.array(
            [n in nulls or w.as_py() for n, w in enumerate(was)] if nulls else was
        )


def _open(opening: _Opening) -> _Rebuild:
    """Adds the texts inside an array to `found`; gives the way back.

    What lies hidden under a null is neither read nor kept.
    """
    array = opening.array
    if not _holds_text(opening.arrow, array.type):
        return lambda nulls: array
    return _OPENERS[_kind(opening.arrow, array.type)](opening)


def _strings(opening: _Opening) -> _Rebuild:
    strings = _Strings(opening.array.to_pylist(), opening.rows, opening.pointers)
    opening.found.append(strings)
    arrow, kind = opening.arrow, opening.array.type
    return lambda nulls: arrow.array(
        [None if n in nulls else text for n, text in enumerate(strings.texts)], type=kind
    )


def _list(opening: _Opening) -> _Rebuild:
    arrow, array = opening.arrow, opening.array
    counts, taken = _extent(array)
    large = arrow.types.is_large_list(array.type)
    kind = arrow.LargeListArray if large else arrow.ListArray
    values = opening.repeated(
        array.values.take(arrow.array(taken, arrow.int64())),
        counts,
        _repeated(opening.pointers, counts),
    )
    offsets = _offsets(arrow, counts, arrow.int64() if large else arrow.int32())
    return lambda nulls: kind.from_arrays(
        offsets, values(_NONE), type=array.type, mask=opening.mask(nulls)
    )


def _fixed_size_list(opening: _Opening) -> _Rebuild:
    array = opening.array
    inner = opening.inside(array.cast(opening.arrow.list_(array.type.value_field)))
    return lambda nulls: inner(nulls).cast(array.type)


def _map(opening: _Opening) -> _Rebuild:
    arrow, array = opening.arrow, opening.array
    counts, taken = _extent(array)
    at = arrow.array(taken, arrow.int64())
    keys, items = array.keys.take(at), array.items.take(at)
    above, before = _repeated(opening.pointers, counts), len(opening.found)
    named = [f"{p}/{_escaped(str(key))}" for p, key in zip(above, keys.to_pylist(), strict=True)]
    open_keys = opening.repeated(keys, counts, [f"{pointer}/~key" for pointer in above])
    for strings in opening.found[before:]:
        strings.maps = _repeated(range(len(counts)), counts)
    open_items = opening.repeated(items, counts, named)
    offsets = _offsets(arrow, counts, arrow.int32())
    return lambda nulls: arrow.MapArray.from_arrays(
        offsets, open_keys(_NONE), open_items(_NONE), type=array.type, mask=opening.mask(nulls)
    )


def _struct(opening: _Opening) -> _Rebuild:
    array = opening.array
    children = [
        _open(
            replace(
                opening,
                array=child,
                pointers=[f"{pointer}/{_escaped(member.name)}" for pointer in opening.pointers],
            )
        )
        for member, child in zip(array.type, array.flatten(), strict=True)
    ]
    return lambda nulls: opening.arrow.StructArray.from_arrays(
        [child(_NONE) for child in children], fields=list(array.type), mask=opening.mask(nulls)
    )


def _dictionary(opening: _Opening) -> _Rebuild:
    """The values that are left keep their order, which may mean something; new ones follow."""
    arrow, array = opening.arrow, opening.array
    inner = opening.inside(array.dictionary_decode())

    def rebuild(nulls: Set[int]) -> Any:
        texts = inner(nulls).to_pylist()
        present = dict.fromkeys(text for text in texts if text is not None)
        kept = [text for text in array.dictionary.to_pylist() if text in present]
        values = list(dict.fromkeys((*kept, *present)))
        number = {text: n for n, text in enumerate(values)}
        return arrow.DictionaryArray.from_arrays(
            arrow.array([number.get(text) for text in texts], array.type.index_type),
            arrow.array(values, array.type.value_type),
            ordered=array.type.ordered,
        )

    return rebuild


def _run_end_encoded(opening: _Opening) -> _Rebuild:
    compute, ends = opening.arrow.compute, opening.array.type.run_end_type
    inner = opening.inside(compute.run_end_decode(opening.array))
    return lambda nulls: compute.run_end_encode(inner(nulls), run_end_type=ends)


def _extension(opening: _Opening) -> _Rebuild:
    kind = opening.array.type
    inner = opening.inside(opening.array.storage)
    return lambda nulls: opening.arrow.ExtensionArray.from_storage(kind, inner(nulls))


_OPENERS: Mapping[str, Callable[[_Opening], _Rebuild]] = {
    "string": _strings,
    "large_string": _strings,
    "string_view": _strings,
    "list": _list,
    "large_list": _list,
    "fixed_size_list": _fixed_size_list,
    "map": _map,
    "struct": _struct,
    "dictionary": _dictionary,
    "run_end_encoded": _run_end_encoded,
    "extension": _extension,
}
"""By kind of type, as `pyarrow.types.is_…` names it."""
_TEXTS = ("string", "large_string", "string_view")
_NONE: Set[int] = frozenset()


def _kind(arrow: Any, of: pa.DataType) -> str:
    if isinstance(of, arrow.BaseExtensionType):
        return "extension"
    names = (name for name in _OPENERS if name != "extension")
    return next((name for name in names if getattr(arrow.types, f"is_{name}")(of)), "")


def _inner(of: pa.DataType) -> Iterator[pa.DataType]:
    """The types inside a type."""
    for name in ("storage_type", "value_type"):
        if hasattr(of, name):
            yield getattr(of, name)
    for number in range(of.num_fields):
        yield of.field(number).type


def _holds_text(arrow: Any, of: pa.DataType) -> bool:
    return _kind(arrow, of) in _TEXTS or any(_holds_text(arrow, one) for one in _inner(of))


def _can_be_treated(arrow: Any, of: pa.DataType) -> bool:
    kind = _kind(arrow, of)
    if kind == "dictionary":  # of anything but texts, it cannot be made anew
        return _kind(arrow, of.value_type) in _TEXTS
    inside = (one for one in _inner(of) if _holds_text(arrow, one))
    return kind in _OPENERS and all(_can_be_treated(arrow, one) for one in inside)


def _extent(array: Any) -> tuple[list[int], list[int]]:
    """How many values each list or map has, and where they are among all; under a null, none."""
    ends = array.offsets.to_pylist()
    spans = [
        range(start, end) if valid.as_py() else range(0)
        for start, end, valid in zip(ends, ends[1:], array.is_valid(), strict=False)
    ]
    return [len(span) for span in spans], list(chain.from_iterable(spans))


def _offsets(arrow: Any, counts: Iterable[int], kind: pa.DataType) -> Any:
    return arrow.array(list(accumulate(counts, initial=0)), kind)


def _repeated(values: Sequence[_T], counts: Iterable[int]) -> list[_T]:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]
