"""How many rows a core treats in a second: one process, every core, Spark and Ray, in one run.

Engines start and warm up before the clock runs, on other rows, until every process has treated
some; what is timed is one pass over the table, read from Parquet and written to it. Spark and Ray
stay on loopback.

    python benchmarks/batch.py [--rows N] [--markdown] [--skip spark,ray]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

os.environ |= {
    "OPENBLAS_NUM_THREADS": "1",  # processes are as many as cores already
    "SPARK_LOCAL_IP": "127.0.0.1",
    "PYSPARK_PYTHON": sys.executable,
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}

import pyarrow as pa
import pyarrow.parquet as pq

from guardrail.batch import TableRedactor, TableSpec
from guardrail.cli.scan import cores
from guardrail.cli.tables import Workers, redact_file

Job = Callable[[Path, Path], object]
"""Treats a Parquet file and writes another."""

_WARM = 2000
"""Rows before the clock runs: more than one process is left alone with."""


def mails(rows: int, start: int = 0) -> pa.Table:
    """Gives rows of a subject, a body of about 300 characters, and addresses; no two alike."""
    numbers = range(start, start + rows)
    filler = "The delivery came late and the box was open, so please look into it. " * 3
    return pa.table(
        {
            "id": numbers,
            "subject": [f"Order {n}: question" for n in numbers],
            "body": [
                f"Hello, my name is Erika Mustermann. {filler}Ticket {n}. Write to "
                f"erika{n}@example.com or call +49 30 {100000 + n}."
                for n in numbers
            ],
            "to": [[f"support{n % 9}@example.com", f"erika{n}@example.com"] for n in numbers],
        }
    )


def in_one_process(spec: TableSpec, jobs: int) -> Iterator[Job]:
    """Files as `guardrail redact` treats them, with so many processes."""
    with Workers(spec, jobs) as workers:
        yield lambda source, target: redact_file(
            str(source), target, workers, advance=lambda rows: None
        )
        if len(multiprocessing.active_children()) != (jobs if jobs > 1 else 0):
            raise RuntimeError("not every process took part")


def by_spark(spec: TableSpec) -> Iterator[Job]:
    """Spark in `local[2]`; eight partitions, so that both cores are busy to the end."""
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )

    def job(source: Path, target: Path) -> None:
        frame = session.read.parquet(str(source)).repartition(8)
        frame.mapInArrow(TableRedactor(spec).batches, frame.schema).write.parquet(str(target))

    yield job
    session.stop()


def by_ray(spec: TableSpec) -> Iterator[Job]:
    """Ray Data with two CPUs."""
    import ray

    ray.init(_node_ip_address="127.0.0.1", include_dashboard=False, num_cpus=2, log_to_driver=False)

    def job(source: Path, target: Path) -> None:
        data = ray.data.read_parquet(str(source)).repartition(8)
        data.map_batches(TableRedactor(spec), batch_format="pyarrow").write_parquet(str(target))

    yield job
    ray.shutdown()


def measured(jobs: Iterator[Job], table: pa.Table, folder: Path) -> float:
    """Rows a second of the second run of a job; the first, on other rows, starts the workers."""
    pq.write_table(mails(_WARM, table.num_rows), folder / "warm.parquet")
    pq.write_table(table, folder / "mails.parquet")
    job = next(jobs)
    job(folder / "warm.parquet", folder / "warm.out")
    started = time.perf_counter()
    job(folder / "mails.parquet", folder / "mails.out")
    took = time.perf_counter() - started
    assert next(jobs, None) is None
    return int(table.num_rows) / took


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--skip", default="", help="spark, ray or both, by commas")
    told = parser.parse_args()
    spec, table = TableSpec(), mails(told.rows)
    runs: list[tuple[str, int, Iterator[Job]]] = [
        ("one process", 1, in_one_process(spec, 1)),
        (f"every core ({cores()} processes)", cores(), in_one_process(spec, cores())),
    ]
    skipped = set(told.skip.split(","))
    if "spark" not in skipped and find_spec("pyspark") and shutil.which("java"):
        runs.append(("Spark local[2]", 2, by_spark(spec)))
    if "ray" not in skipped and find_spec("ray"):
        runs.append(("Ray Data, 2 CPUs", 2, by_ray(spec)))
    print(f"{machine()}; {told.rows:,} rows, {table.nbytes // told.rows} bytes each\n")
    row = "| {} | {} | {} |" if told.markdown else "{:<28} {:>10} {:>20}"
    print(row.format("by", "rows/s", "rows/s and core"))
    if told.markdown:
        print("|---|---:|---:|")
    for name, used, jobs in runs:
        with tempfile.TemporaryDirectory() as folder:
            speed = measured(jobs, table, Path(folder))
        print(row.format(name, f"{speed:,.0f}", f"{speed / used:,.0f}"), flush=True)


def machine() -> str:
    """What the run was made on."""
    names = ["pyarrow", "pyspark", "ray"]
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"{platform.processor() or platform.machine()}, {cores()} cores, Python "
        f"{platform.python_version()}, {', '.join(filter(None, map(_version, names)))}, load {load}"
    )


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main()
