"""A table of people in every shape in which a column can hold text, and how it is treated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from guardrail.batch import TableSpec

KEY = b"sixteen bytes and then some"
NAMES = "Erika Jörg Sibylle Ahmed Chloé".split()
FAMILIES = "Mustermann Kowalczyk Öztürk Beaumont".split()


def people(rows: int) -> pa.Table:
    """Gives so many rows; every eleventh value of a column is null."""

    def column(value: Any, kind: pa.DataType, shift: int) -> pa.Array:
        return pa.array([None if (n + shift) % 11 == 0 else value(n) for n in range(rows)], kind)

    text = pa.string()
    address = pa.struct([("mail", text), ("tags", pa.list_(text)), ("floor", pa.int32())])
    columns = {
        "id": pa.array(range(rows), pa.int64()),
        "text": column(lambda n: f"My name is {_name(n)}, write to {_mail(n)}.", text, 1),
        "notes": column(
            lambda n: [f"{_name(n)} called from +49 30 {901820 + n % 50}", None, "no news"],
            pa.list_(text),
            2,
        ),
        "address": column(
            lambda n: {"mail": _mail(n), "tags": [f"cc {_mail(n + 1)}"], "floor": n % 7}, address, 3
        ),
        "by_key": column(
            lambda n: [("card", "4111 1111 1111 1111"), ("mood", "fine"), ("note", _mail(n))],
            pa.map_(text, text),
            4,
        ),
        "sum": column(lambda n: n / 4, pa.float64(), 5),
    }
    return pa.table(columns)


def _name(n: int) -> str:
    return f"{NAMES[n % 5]} {FAMILIES[n % 4]}"


def _mail(n: int) -> str:
    return f"{'erika jorg sib ahmed chloe'.split()[n % 5]}{n % 97}@example.com"


def keyed(folder: Path) -> TableSpec:
    """Gives the specification of keyed pseudonyms, with the key in a file of a folder."""
    file = folder / "key"
    file.write_bytes(KEY + b"\n")
    return TableSpec(pseudonyms=f"file:{file}")


def normal(table: pa.Table) -> bytes:
    """The bytes of a table, whatever its partitions were: sorted by id, in one batch."""
    table = table.sort_by("id").replace_schema_metadata(None).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(1, table.num_rows))
    return bytes(sink.getvalue())
