"""Redact a folder of Parquet files with Spark: `redact_spark.py SOURCE TARGET [COLUMN ...]`.

With GUARDRAIL_KEY_FILE, values get pseudonyms by the key in that file, the same on every worker.
"""

import os
import sys

from pyspark.sql import SparkSession

from guardrail.batch import TableRedactor, TableSpec

source, target, *columns = sys.argv[1:]
key = os.environ.get("GUARDRAIL_KEY_FILE")
spec = TableSpec(columns=tuple(columns) or None, pseudonyms=f"file:{key}" if key else "")

spark = SparkSession.builder.getOrCreate()
mails = spark.read.parquet(source)
mails.mapInArrow(TableRedactor(spec).batches, mails.schema).write.parquet(target)
spark.stop()
