"""Spark and Ray write the bytes that one process writes, however the table is partitioned."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from batch_world import keyed, normal, people
from engines import EXAMPLES, JOBS, run_program

from guardrail.batch import TableRedactor

NO_RAY = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
NO_SPARK = pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed")
NO_JAVA = pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs java")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize(
        "engine",
        [pytest.param("ray", marks=NO_RAY), pytest.param("spark", marks=[NO_SPARK, NO_JAVA])],
    ),
]


def test_every_partitioning_gives_the_bytes_of_one_process(engine: str, tmp_path: Path) -> None:
    table, spec = people(5000), keyed(tmp_path)
    source = tmp_path / "people.parquet"
    pq.write_table(table, source)
    expected = normal(TableRedactor(spec)(table))
    for partitions in (1, 5):
        target = tmp_path / f"out-{partitions}"
        run_program(
            JOBS, engine, source, target, tmp_path / "key", str(partitions), folder=tmp_path
        )
        assert (
            normal(pq.read_table(target).select(table.schema.names).cast(table.schema)) == expected
        )


def test_the_example_treats_the_columns_it_is_told(engine: str, tmp_path: Path) -> None:
    pq.write_table(people(20), tmp_path / "people.parquet")
    program = EXAMPLES / f"redact_{engine}.py"
    run_program(program, tmp_path / "people.parquet", tmp_path / "out", "text", folder=tmp_path)
    done = pq.read_table(tmp_path / "out").sort_by("id")
    assert "@example.com" not in str(done["text"].to_pylist())
    assert done["address"].to_pylist() == people(20)["address"].to_pylist()
