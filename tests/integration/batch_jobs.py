"""One job of Spark or Ray over a Parquet file: `batch_jobs.py ENGINE SOURCE TARGET KEY PARTITIONS`.

A program of its own: both engines start processes and threads that outlive a test.
"""

from __future__ import annotations

import sys

from guardrail.batch import TableRedactor, TableSpec


def spark(source: str, target: str, redactor: TableRedactor, partitions: int) -> None:
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "333")
        .getOrCreate()
    )
    frame = session.read.parquet(source).repartition(partitions)
    frame.mapInArrow(redactor.batches, frame.schema).write.parquet(target)
    session.stop()


def ray(source: str, target: str, redactor: TableRedactor, partitions: int) -> None:
    import ray

    ray.init(_node_ip_address="127.0.0.1", include_dashboard=False, num_cpus=2)
    data = ray.data.read_parquet(source).repartition(partitions)
    data.map_batches(redactor, batch_format="pyarrow", batch_size=333).write_parquet(target)
    ray.shutdown()


if __name__ == "__main__":
    engine, source, target, key, partitions = sys.argv[1:]
    redactor = TableRedactor(TableSpec(pseudonyms=f"file:{key}"))
    {"spark": spark, "ray": ray}[engine](source, target, redactor, int(partitions))
