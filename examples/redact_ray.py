"""Redact a folder of Parquet files with Ray Data: `redact_ray.py SOURCE TARGET [COLUMN ...]`.

With GUARDRAIL_KEY_FILE, values get pseudonyms by the key in that file, the same on every worker.
"""

import os
import sys

import ray

from guardrail.batch import TableRedactor, TableSpec

source, target, *columns = sys.argv[1:]
key = os.environ.get("GUARDRAIL_KEY_FILE")
spec = TableSpec(columns=tuple(columns) or None, pseudonyms=f"file:{key}" if key else "")

mails = ray.data.read_parquet(source)
mails.map_batches(TableRedactor(spec), batch_format="pyarrow").write_parquet(target)
