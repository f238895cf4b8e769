"""`guardrail redact` on tables: the file stays what it is, by one process or several."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from batch_world import KEY, people
from files_world import guardrail
from typer.testing import CliRunner, Result

from guardrail.batch import TableSpec
from guardrail.cli import app
from guardrail.cli.tables import WORTH_IT, Workers, redact_file, redact_files
from guardrail.redaction import Finder
from guardrail.taxonomy import Taxonomy, load_taxonomy
from guardrail.types import Finding, TextUnit

MAIL = "erika@example.com"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["redact", *map(str, arguments)])


def test_parquet_and_arrow_files_keep_schema_and_rows(tmp_path: Path) -> None:
    table = people(300).replace_schema_metadata({"whose": "ours"})
    encoded = table.append_column("d", table["text"].dictionary_encode())
    pq.write_table(table, tmp_path / "a.parquet")
    pa.feather.write_feather(encoded, tmp_path / "b.arrow", chunksize=120)
    done = run(tmp_path / "a.parquet", tmp_path / "b.arrow", "-o", tmp_path / "out", "--jobs", "1")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "a.parquet: not looked at: id (int64), sum (double)" in done.stderr.replace("\n", "")
    for before, after in (
        (pq.read_table(tmp_path / "a.parquet"), pq.read_table(tmp_path / "out/a.parquet")),
        (encoded, pa.feather.read_table(tmp_path / "out/b.arrow")),
    ):
        assert after.schema.equals(before.schema, check_metadata=True)
        assert after["id"].equals(before["id"])
        assert "@example.com" not in str(after.to_pylist())


@pytest.mark.slow
def test_several_processes_write_what_one_writes(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY)
    pq.write_table(people(3000), tmp_path / "a.parquet")
    for jobs in ("1", "2"):
        options = ("--jobs", jobs, "--pseudonyms", f"file:{tmp_path / 'key'}")
        done = guardrail("redact", tmp_path / "a.parquet", "-o", tmp_path / jobs, *options)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "1/a.parquet").read_bytes() == (tmp_path / "2/a.parquet").read_bytes()


def _where(spec: TableSpec, piece: int) -> tuple[int, int]:
    return piece, os.getpid()


def _met(spec: TableSpec, others: Barrier) -> int:
    others.wait(60)
    return os.getpid()


def test_few_pieces_are_treated_where_they_are_and_many_elsewhere() -> None:
    here = os.getpid()  # a module's own would be another in each process
    with Workers(TableSpec(), 2) as workers:
        few = [one for _ in range(2) for one in workers.map(_where, range(WORTH_IT // 2 - 1))]
        many = list(workers.map(_where, range(WORTH_IT // 2)))
        then = list(workers.map(_where, range(1)))
    with Workers(TableSpec(), 1) as alone:
        assert list(alone.map(_where, range(WORTH_IT))) == [(n, here) for n in range(WORTH_IT)]
    assert few == [(n, here) for n in range(WORTH_IT // 2 - 1)] * 2
    assert [piece for piece, _ in many] == list(range(WORTH_IT // 2))
    assert here not in {process for _, process in (*many, *then)}


def test_every_process_takes_part() -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, Workers(TableSpec(), 2) as workers:
        others = manager.Barrier(2)  # which one process alone would wait at for ever
        assert len(set(workers.map(_met, [others] * WORTH_IT))) == 2


@dataclass(frozen=True, slots=True)
class _Blind:
    """Finds nothing, quickly."""

    def find(self, unit: TextUnit) -> tuple[Finding, ...]:
        return ()

    def missed(self, units: Sequence[TextUnit]) -> float | None:
        return None


def _blind() -> tuple[Finder, Taxonomy]:
    return _Blind(), load_taxonomy()


@pytest.mark.parametrize(
    ("rows", "characters", "name", "pieces"),
    [
        pytest.param(0, 0, "a.parquet", 0, id="none"),
        pytest.param(400, 20, "a.parquet", 1, id="few"),
        pytest.param(3000, 5, "a.parquet", 6, id="by rows"),
        pytest.param(3000, 400, "a.parquet", 19, id="by text"),
        pytest.param(12, 100_000, "a.parquet", 12, id="a row each"),
        pytest.param(3000, 400, "dictionary.parquet", 6, id="a dictionary"),
        pytest.param(3000, 5, "a.jsonl", 6, id="lines by number"),
        pytest.param(3000, 400, "a.jsonl", 19, id="lines by text"),
    ],
)
def test_pieces_have_so_many_rows_or_so_much_text(
    tmp_path: Path, rows: int, characters: int, name: str, pieces: int
) -> None:
    source, target = tmp_path / name, tmp_path / f"to.{name}"
    texts = pa.array([f"{n:04}".ljust(characters) for n in range(rows)], pa.string())
    if name.endswith(".jsonl"):
        source.write_text("".join(f'{{"a":"{text}"}}\n' for text in texts.to_pylist()))
    else:
        encoded = texts.dictionary_encode() if "dictionary" in name else texts
        pq.write_table(pa.table({"n": range(rows), "a": encoded}), source)
    steps: list[int] = []
    with Workers(TableSpec(columns=("a",), finder=_blind), 1) as workers:
        done = redact_file(str(source), target, workers, advance=steps.append)
    assert (done.rows, sum(steps), len(steps)) == (rows, rows, pieces)
    if name.endswith(".jsonl"):
        assert target.read_bytes() == source.read_bytes()
    else:
        assert pq.read_table(target).equals(pq.read_table(source))


@pytest.mark.parametrize("characters", [4500, 45], ids=["many", "few"])
def test_of_small_files_each_process_treats_some(tmp_path: Path, characters: int) -> None:
    sources: dict[Path, str] = {}
    for number in range(2 * WORTH_IT):
        path = tmp_path / f"{number:02}.jsonl"
        path.write_text(f'{{"a":"{"x " * characters}{number}"}}\n' * 2)
        sources[tmp_path / "out" / path.name] = str(path)
    for name, content in (("no.jsonl", b"\xff\xfe"), ("large.jsonl", b'{"a":"x"}\n' * 60_000)):
        (tmp_path / name).write_bytes(content)
        sources[tmp_path / "out" / name] = str(tmp_path / name)
    sources[tmp_path / "out/gone.jsonl"] = str(tmp_path / "gone.jsonl")
    rows: list[int] = []
    with Workers(TableSpec(columns=("a",), finder=_blind), 2) as workers:
        done = dict(redact_files(sources, workers, advance=rows.append))
    wrong = {target.name: str(e) for target, e in done.items() if isinstance(e, Exception)}
    assert wrong.keys() == {"no.jsonl", "gone.jsonl"}
    assert "is not UTF-8" in wrong["no.jsonl"]
    assert sum(rows) == 4 * WORTH_IT + 60_000
    for target in done.keys() - {tmp_path / "out/no.jsonl", tmp_path / "out/gone.jsonl"}:
        assert target.read_bytes() == Path(sources[target]).read_bytes()


def test_csv_and_lines_are_tables_where_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"plz;note;other\n01067;mail {MAIL};{MAIL}\n")
    (tmp_path / "b.jsonl").write_text(f'{{"note":"{MAIL}","other":"{MAIL}"}}\n')
    options = ("-o", tmp_path / "out", "--columns", "note", "--jobs", "1")
    done = run(tmp_path / "a.csv", tmp_path / "b.jsonl", *options)
    assert done.exit_code == 0
    parse = arrow_csv.ParseOptions(delimiter=";")
    convert = arrow_csv.ConvertOptions(column_types={"plz": pa.string()})
    read = arrow_csv.read_csv(
        tmp_path / "out/a.csv", parse_options=parse, convert_options=convert
    ).to_pylist()
    assert "a.csv: not looked at: 2 of 3 columns" in done.stderr.replace("\n", "")
    assert read == [{"plz": "01067", "note": "mail [EMAIL REDACTED]", "other": MAIL}]
    lines = (tmp_path / "out/b.jsonl").read_text()
    assert lines == f'{{"note":"[EMAIL REDACTED]","other":"{MAIL}"}}\n'


@pytest.mark.parametrize(
    ("name", "content", "options", "complaint"),
    [
        ("a.csv", f"a,b\n1,{MAIL},3\n", ["--columns", "a"], "cannot be read as a table"),
        ("a.csv", "a,b\n1,2\n", ["--columns", "c"], "column 'c': there must be one of this name"),
        ("a.csv", f"{MAIL},x\n1,2\n", ["--columns", "name"], "name among 2 columns"),
        ("a.jsonl", '{"a": "x"}\n', ["--columns", "c"], "column 'c': no line has it"),
        ("a.parquet", MAIL, [], "cannot be read as a table"),
        ("a.arrow", MAIL, [], "cannot be read as a table"),
    ],
)
def test_what_is_wrong_is_said_without_text_and_nothing_is_written(
    tmp_path: Path, name: str, content: str, options: list[str], complaint: str
) -> None:
    (tmp_path / name).write_text(content)
    done = run(tmp_path / name, "-o", tmp_path / "out", *options)
    assert done.exit_code == 1
    assert complaint in done.stderr.replace("\n", " ")
    assert MAIL not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_what_must_stay_is_not_written_or_null(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"a": [f"My name is Erika Mustermann, {MAIL}"]}), tmp_path / "a.parquet"
    )
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    asked = ("--config", tmp_path / "guardrail.toml", "--endpoint", "local")
    refused = run(tmp_path / "a.parquet", "-o", tmp_path / "out", *asked)
    assert refused.exit_code == 1
    assert "must not leave for local (DE)" in refused.stderr.replace("\n", " ")
    assert MAIL not in refused.stderr
    done = run(tmp_path / "a.parquet", "-o", tmp_path / "out", *asked, "--on-refusal", "null")
    assert done.exit_code == 0
    assert "1 value withheld" in done.stderr
    assert pq.read_table(tmp_path / "out/a.parquet").to_pylist() == [{"a": None}]


def test_a_table_needs_a_folder_to_be_written_to(tmp_path: Path) -> None:
    pq.write_table(people(1), tmp_path / "a.parquet")
    assert run(tmp_path / "a.parquet").exit_code == 2
