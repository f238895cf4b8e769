"""Files of tables for `guardrail redact`: piece by piece, by every core, in order."""

from __future__ import annotations

import csv
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from guardrail.batch import TableRedactor, TableSpec, load_pyarrow, text_columns
from guardrail.cli.outputs import rewriting
from guardrail.errors import ConfigError, GuardrailError

_T = TypeVar("_T")
_R = TypeVar("_R")

_ROWS = 512
_TEXT_BYTES = 65_536
"""A piece, which one process treats at a time, has so many rows or about so much text at most."""
_GROUP = 65_536
"""Rows that are written at a time; a row group of Parquet."""
WORTH_IT = 8
"""Pieces from which starting more processes takes less time than it saves."""


class Unreadable(ValueError):
    """A file that is not what its name says; the library's own message may quote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one file. `untouched` is the columns that were not looked at, and why."""

    rows: int
    findings: int
    withheld: int
    untouched: tuple[str, ...] = ()


def is_table(path: str, columns: Sequence[str] | None) -> bool:
    """Whether a file is read as a table: by its name, CSV and JSON lines if columns are named."""
    suffix = Path(path).suffix.lower()
    return suffix in _BINARY or (columns is not None and suffix in _TEXT)


@dataclass(slots=True)
class Workers:
    """Processes that share the pieces of all files, started when these are worth it."""

    spec: TableSpec
    jobs: int
    _alone: int = 0
    _pool: ProcessPoolExecutor | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[TableSpec, _T], _R], pieces: Iterable[_T]) -> Iterator[_R]:
        """Gives what comes of each piece, in order, and never holds many of them."""
        pieces = iter(pieces)
        if self.jobs > 1 and self._pool is None:
            first = list(islice(pieces, WORTH_IT - self._alone))
            pieces = chain(first, pieces)
            self._alone += len(first)
            if self._alone == WORTH_IT:
                # Not by forking: a fork of a process with threads can stand still for ever.
                self._pool = ProcessPoolExecutor(
                    self.jobs, mp_context=multiprocessing.get_context("spawn")
                )
        if self._pool is None:
            for piece in pieces:
                yield work(self.spec, piece)
            return
        waiting: deque[Future[_R]] = deque()
        try:
            for piece in pieces:
                waiting.append(self._pool.submit(work, self.spec, piece))
                if len(waiting) > 2 * self.jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


Treated = tuple[Path, Outcome | GuardrailError | OSError | Unreadable]
"""A file that should be written, and what came of it or what is wrong."""


def redact_files(
    sources: Mapping[Path, str], workers: Workers, *, advance: Callable[[int], None]
) -> Iterator[Treated]:
    """Treats files of tables, by what to write, as `redact_file` does; gives what came of each.

    Large ones are shared by all processes, one after the other. Of small ones each process treats
    some, if they are many; these come first.
    """
    sizes = {target: _size(source) for target, source in sources.items()}
    small = [one for one in sources.items() if sizes[one[0]] < WORTH_IT * _TEXT_BYTES]
    # Times four, for they may be compressed.
    bundles = list(_bundles(small, lambda one: 4 * sizes[one[0]]))
    if len(bundles) < WORTH_IT or workers.jobs == 1:
        bundles = []
    for done in workers.map(_treat_files, bundles):
        for target, outcome in done:
            advance(outcome.rows if isinstance(outcome, Outcome) else 0)
            yield target, outcome
    rest = sources.keys() - {target for bundle in bundles for target, _ in bundle}
    for target, source in sources.items():
        if target in rest:
            yield _attempted(target, source, workers, advance)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # said when it is read


def _treat_files(spec: TableSpec, files: Iterable[tuple[Path, str]]) -> list[Treated]:
    with Workers(spec, 1) as alone:
        return [_attempted(*one, alone, lambda rows: None) for one in files]


def _attempted(
    target: Path, source: str, workers: Workers, advance: Callable[[int], None]
) -> Treated:
    try:
        return target, redact_file(source, target, workers, advance=advance)
    except (GuardrailError, OSError, Unreadable) as error:
        return target, error.with_traceback(None)


def redact_file(
    source: str, target: Path, workers: Workers, *, advance: Callable[[int], None]
) -> Outcome:
    """Treats a file of a table and writes it whole, or not at all; says how many rows are done.

    Raises:
        ConfigError: pyarrow is missing, or a column is, or holds no text.
        Refusal: something must not leave.
        Unavailable: a recognizer failed.
        Unreadable: the file is not what its name says.
        OSError: it cannot be read or written.
    """
    failure = ""
    try:
        with rewriting(target) as path:
            if Path(source).suffix.lower() in _LINES:
                return _lines(source, path, workers, advance)
            return _table(source, path, workers, advance)
    except UnicodeDecodeError:
        failure = "is not UTF-8"
    except OSError as error:
        if error.errno is not None:
            raise
        failure = f"cannot be read as a table ({type(error).__name__})"
    except ValueError as error:  # Arrow's is one; its message may quote the file
        failure = f"cannot be read as a table ({type(error).__name__})"
    raise Unreadable(failure)


@dataclass(frozen=True, slots=True)
class _Done:
    """What a process gives back: bytes of Arrow, or lines, and what was found in them."""

    rows: int
    findings: int
    data: bytes = field(default=b"", repr=False)
    lines: tuple[str, ...] = field(default=(), repr=False)
    withheld: int = 0
    seen: frozenset[str] = frozenset()


# ── tables of Arrow ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Source:
    """An open table: its schema and its batches."""

    schema: Any
    batches: Iterable[Any] = field(repr=False)


def _table(source: str, path: Path, workers: Workers, advance: Callable[[int], None]) -> Outcome:
    arrow = load_pyarrow()
    form = {**_BINARY, **_TEXT}[Path(source).suffix.lower()]
    rows = findings = withheld = 0
    with form.open(arrow, source) as opened:
        names = text_columns(opened.schema, workers.spec.columns)
        batches = opened.batches
        pieces = (_bytes(arrow, one) for b in batches for one in _cut(arrow, b, names))
        with closing(form.writer(arrow, path, opened.schema, source)) as writer:
            group: list[Any] = []
            held = 0
            for done in workers.map(_treat, pieces):
                group += arrow.ipc.open_stream(done.data).read_all().to_batches()
                held += done.rows
                if held >= _GROUP:
                    writer.write(arrow.Table.from_batches(group, opened.schema))
                    group, held = [], 0
                rows += done.rows
                findings += done.findings
                withheld += done.withheld
                advance(done.rows)
            if group or not rows:
                writer.write(arrow.Table.from_batches(group, opened.schema))
    chosen = workers.spec.columns
    others = [one for one in opened.schema if one.name not in (chosen or names)]
    untouched = tuple(f"{one.name} ({one.type})" for one in others)
    if untouched and Path(source).suffix.lower() in _TEXT:  # its heading may be somebody's row
        untouched = (f"{len(untouched)} of {len(opened.schema)} columns",)
    return Outcome(
        rows=rows,
        findings=findings,
        withheld=withheld,
        untouched=untouched,
    )


def _treat(spec: TableSpec, data: bytes) -> _Done:
    arrow = load_pyarrow()
    table = arrow.ipc.open_stream(data).read_all()
    done = TableRedactor(spec).treat(table)
    return _Done(
        rows=table.num_rows,
        findings=sum(done.counts.values()),
        data=_bytes(arrow, done.table),
        withheld=done.withheld,
    )


def _cut(arrow: Any, batch: Any, names: Iterable[str]) -> Iterator[Any]:
    """The pieces of a batch, alike in rows; a dictionary goes with each and counts for nothing."""
    columns = (batch.column(name) for name in names)
    size = sum(one.nbytes for one in columns if not arrow.types.is_dictionary(one.type))
    rows = min(_ROWS, max(1, batch.num_rows * _TEXT_BYTES // max(1, size)))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _bytes(arrow: Any, table: Any) -> bytes:
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return bytes(sink.getvalue())


@contextmanager
def _open_parquet(arrow: Any, source: str) -> Iterator[_Source]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(source) as file:
        schema = file.schema_arrow
        yield _Source(schema, file.iter_batches(batch_size=8 * _ROWS))


def _write_parquet(arrow: Any, path: Path, schema: Any, source: str) -> Any:
    import pyarrow.parquet

    return _Writer(pyarrow.parquet.ParquetWriter(path, schema))


@contextmanager
def _open_arrow(arrow: Any, source: str) -> Iterator[_Source]:
    with arrow.memory_map(source) as file:
        if _is_stream(source):
            reader = arrow.ipc.open_stream(file)
            yield _Source(reader.schema, reader)
        else:
            reader = arrow.ipc.open_file(file)
            batches = (reader.get_batch(n) for n in range(reader.num_record_batches))
            yield _Source(reader.schema, batches)


def _write_arrow(arrow: Any, path: Path, schema: Any, source: str) -> Any:
    if _is_stream(source):
        return _Writer(arrow.ipc.new_stream(path, schema))
    return _Whole(arrow, path, schema)


def _is_stream(source: str) -> bool:
    with open(source, "rb") as file:
        return file.read(6) != b"ARROW1"


@contextmanager
def _open_csv(arrow: Any, source: str) -> Iterator[_Source]:
    import pyarrow.csv as arrow_csv

    parsing = arrow_csv.ParseOptions(delimiter=_delimiter(source), newlines_in_values=True)
    with open(source, encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file, delimiter=_delimiter(source)), [])
    if not names:
        raise Unreadable
    # Every cell is text: a number may be a telephone's, and 01067 is a postcode.
    converting = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, arrow.string()), strings_can_be_null=False
    )
    with arrow_csv.open_csv(source, parse_options=parsing, convert_options=converting) as reader:
        yield _Source(reader.schema, reader)


def _write_csv(arrow: Any, path: Path, schema: Any, source: str) -> Any:
    import pyarrow.csv as arrow_csv

    options = arrow_csv.WriteOptions(delimiter=_delimiter(source), quoting_style="needed")
    return _Writer(arrow_csv.CSVWriter(path, schema, write_options=options))


def _delimiter(source: str) -> str:
    with open(source, encoding="utf-8-sig", newline="") as file:
        first = file.readline()
    return max(",;\t|", key=first.count)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes tables one after the other."""

    to: Any

    def write(self, table: Any) -> None:
        self.to.write_table(table)

    def close(self) -> None:
        self.to.close()


@dataclass(slots=True)
class _Whole:
    """Writes all tables at once: a file of Arrow has one dictionary for all its batches."""

    arrow: Any
    path: Path
    schema: Any
    tables: list[Any] = field(default_factory=list, repr=False)

    def write(self, table: Any) -> None:
        self.tables.append(table)

    def close(self) -> None:
        table = self.arrow.concat_tables(self.tables) if self.tables else self.schema.empty_table()
        with self.arrow.ipc.new_file(self.path, self.schema) as writer:
            writer.write_table(table.unify_dictionaries())


@dataclass(frozen=True, slots=True)
class _Form:
    """How files of one kind are read and written."""

    open: Callable[[Any, str], AbstractContextManager[_Source]]
    writer: Callable[[Any, Path, Any, str], Any]


_BINARY: Mapping[str, _Form] = {
    ".parquet": _Form(_open_parquet, _write_parquet),
    ".arrow": _Form(_open_arrow, _write_arrow),
    ".arrows": _Form(_open_arrow, _write_arrow),
    ".feather": _Form(_open_arrow, _write_arrow),
}
"""Tables whatever is asked of them."""
_LINES = frozenset({".jsonl", ".ndjson"})
_TEXT: Mapping[str, _Form] = {
    ".csv": _Form(_open_csv, _write_csv),
    ".tsv": _Form(_open_csv, _write_csv),
    **dict.fromkeys(_LINES, _Form(_open_csv, _write_csv)),
}
"""Documents, but tables where columns are named."""


# ── lines of JSON ────────────────────────────────────────────────────────────────────────────────


def _lines(source: str, path: Path, workers: Workers, advance: Callable[[int], None]) -> Outcome:
    spec = workers.spec
    if spec.on_refusal != "fail":
        raise ConfigError(["JSON lines have no --on-refusal null: the file fails as a whole"])
    rows = findings = 0
    missing = set(spec.columns or ())
    with (
        open(source, encoding="utf-8", newline="\n") as file,
        open(path, "w", encoding="utf-8", newline="\n") as out,
    ):
        for done in workers.map(_treat_lines, _bundles(file, len)):
            out.writelines(done.lines)
            rows += done.rows
            findings += done.findings
            missing -= done.seen
            advance(done.rows)
    if missing:  # a misspelling would protect nobody
        raise ConfigError(f"column {name!r}: no line has it" for name in sorted(missing))
    return Outcome(rows=rows, findings=findings, withheld=0)


def _bundles(values: Iterable[_T], size_of: Callable[[_T], int]) -> Iterator[tuple[_T, ...]]:
    bundle: list[_T] = []
    size = 0
    for value in values:
        bundle.append(value)
        size += size_of(value)
        if len(bundle) == _ROWS or size >= _TEXT_BYTES:
            yield tuple(bundle)
            bundle, size = [], 0
    if bundle:
        yield tuple(bundle)


def _treat_lines(spec: TableSpec, lines: tuple[str, ...]) -> _Done:
    done = TableRedactor(spec).lines(lines)
    return _Done(
        rows=len(lines), findings=sum(done.counts.values()), lines=done.lines, seen=done.seen
    )
