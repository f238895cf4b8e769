"""Where lists of known people come from: tables in files, plain lists, and databases.

No error quotes a value: it tells the line, and what to do.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from guardrail.errors import ConfigError

GIVEN, FAMILY = "GIVEN", "FAMILY"
"""Columns that make one name together."""
_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        header: entity
        for entity, row in {
            GIVEN: "given givenname firstname forename vorname prenom nombre",
            FAMILY: "family familyname lastname surname nachname nom apellido apellidos",
            "PERSON": "name fullname person displayname patientname customername contactname",
            "EMAIL_ADDRESS": "email emailaddress mail mailaddress",
            "PHONE_NUMBER": (
                "phone phonenumber telephone telephonenumber mobile mobilenumber cell tel telefon "
                "telefonnummer handy fax"
            ),
            "STREET_ADDRESS": "address streetaddress street postaladdress adresse anschrift",
            "USER_ID": (
                "customerid customernumber clientid userid username employeeid employeenumber "
                "staffnumber memberid accountid kundennummer personalnummer"
            ),
            "MEDICAL_RECORD_NUMBER": "mrn medicalrecordnumber patientid patientnumber",
            "IBAN_CODE": "iban",
            "US_SSN": "ssn socialsecuritynumber",
            "UK_NHS": "nhs nhsnumber",
        }.items()
        for header in row.split()
    }
)
"""Headers that are understood, without case and punctuation."""
_PUNCTUATION = re.compile(r"[\W_]+")
_DELIMITERS = MappingProxyType({".tsv": "\t", ".tab": "\t"})
TABLES, LINES, LIST = frozenset({"csv", "tsv"}), "jsonl", "list"
FORMATS = MappingProxyType(
    {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": LINES, ".ndjson": LINES, ".txt": LIST}
)
"""How a file is read, by the end of its name."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns are taken, and as what: places of single ones, and of a name in two."""

    single: tuple[tuple[int, str], ...]
    name: tuple[int, int] | None
    ignored: int

    def values(self, row: Sequence[Any]) -> Iterator[tuple[str, str]]:
        """Gives entity and value of each cell that holds something."""
        for at, entity in self.single:
            for value in _values(row[at] if at < len(row) else None):
                yield entity, value
        if self.name:
            given, family = (
                " ".join(_values(row[at] if at < len(row) else None)) for at in self.name
            )
            if given and family:
                yield "PERSON", f"{family}, {given}"


def _values(cell: Any) -> list[str]:
    if isinstance(cell, list):
        return [value for item in cell for value in _values(item)]
    if cell is None or isinstance(cell, bool | dict | bytes):
        return []
    text = str(cell).strip()
    return [text] if text else []


def columns_of(headers: Sequence[str], chosen: Mapping[str, str]) -> Columns:
    """Gives what each column holds: what is chosen, or else what its header says.

    Raises:
        ConfigError: a chosen column is not there, no column is understood, or half a name is.
    """
    by_name = {header.strip(): at for at, header in enumerate(headers)}
    missing = [name for name in chosen if name not in by_name]
    if missing:
        raise ConfigError(f"--column {name}: the source has no such column" for name in missing)
    roles = {by_name[name]: entity for name, entity in chosen.items()}
    if not roles:
        for at, header in enumerate(headers):
            entity = _HEADERS.get(_PUNCTUATION.sub("", header.casefold()))
            if entity:
                roles[at] = entity
    given = [at for at, entity in roles.items() if entity == GIVEN]
    family = [at for at, entity in roles.items() if entity == FAMILY]
    if len(given) > 1 or len(given) != len(family):
        raise ConfigError(
            ["a name in two columns needs exactly one GIVEN and one FAMILY; say so by --column"]
        )
    single = tuple((at, e) for at, e in roles.items() if e not in (GIVEN, FAMILY))
    if not single and not given:
        raise ConfigError(
            [
                f"none of {len(headers)} columns has a header that is understood; name them in the "
                "first line, and say what they hold: --column HEADER=ENTITY"
            ]
        )
    return Columns(
        single=single,
        name=(given[0], family[0]) if given else None,
        ignored=len(headers) - len(roles),
    )


def read_file(
    file: BinaryIO, *, kind: str, chosen: Mapping[str, str], entity: str = "", encoding: str = ""
) -> Iterator[tuple[str, str]]:
    """Gives entity and value of everything in a file of the `kind` csv, tsv, jsonl or list.

    `entity` is what each line of a list holds.

    Raises:
        ConfigError: the file is not what it is said to be; by the number of the line.
    """
    text = io.TextIOWrapper(file, encoding=encoding or "utf-8-sig", newline="")
    try:
        if kind in TABLES:
            yield from _table(text, chosen, "\t" if kind == "tsv" else "")
        elif kind == LINES:
            yield from _json_lines(text, chosen)
        elif entity:
            yield from ((entity, line.strip()) for line in text if line.strip())
        else:
            raise ConfigError(["a plain list needs --entity: what each of its lines is"])
    except (UnicodeDecodeError, LookupError):
        raise ConfigError(
            [f"not text in {encoding or 'UTF-8'}; say what it is in: --encoding latin-1"]
        ) from None
    finally:
        with suppress(ValueError):  # closed already
            text.detach()


def _table(
    text: io.TextIOWrapper, chosen: Mapping[str, str], delimiter: str
) -> Iterator[tuple[str, str]]:
    heading = text.readline()
    if not delimiter:
        delimiter = max(",;\t|", key=heading.count)
    headers = next(csv.reader([heading], delimiter=delimiter), [])
    columns = columns_of(headers, chosen)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            yield from columns.values(row)
    except csv.Error:
        raise ConfigError(
            [f"line {reader.line_num + 1}: not a row of this table; look at its quotes"]
        ) from None


def _json_lines(text: Iterable[str], chosen: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    plans: dict[tuple[str, ...], Columns] = {}
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise ConfigError([f"line {number}: not a JSON object"])
        # A key that is left out is empty, as in `{"name": null}`.
        row = {**dict.fromkeys(chosen), **row}
        headers = tuple(row)
        if headers not in plans:
            plans[headers] = columns_of(headers, chosen)
        yield from plans[headers].values(list(row.values()))


def read_database(dsn: str, query: str, *, chosen: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Gives entity and value of everything a query gives, by the names of its columns.

    `dsn` is `sqlite:///path` or `postgresql://…`; the latter needs the package psycopg.

    Raises:
        ConfigError: the database cannot be opened or asked. The cause is dropped, for a database's
            message may quote a row.
    """
    scheme, _, rest = dsn.partition("://")
    if scheme == "sqlite":
        return _sqlite(rest.removeprefix("/"), query, chosen)
    if scheme in ("postgresql", "postgres"):
        return _postgres(dsn, query, chosen)
    raise ConfigError(
        ["--dsn: sqlite:///path or postgresql://…; from others, pipe CSV into `known build -`"]
    )


def _sqlite(path: str, query: str, chosen: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if not Path(path).is_file():
        raise ConfigError([f"--dsn: there is no database {path}"])
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            yield from _rows(connection.execute(query), chosen)
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", None) or type(error).__name__
        raise ConfigError([f"--sql: the database refuses the query ({name})"]) from None


def _postgres(dsn: str, query: str, chosen: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    try:
        import psycopg
    except ImportError:
        raise ConfigError(["--dsn: postgresql:// needs psycopg; pip install psycopg"]) from None
    failure = ""
    try:
        with psycopg.connect(dsn) as connection:
            connection.read_only = True
            # A named cursor gives rows as they are needed, and not all at once.
            with connection.cursor(name="guardrail_known") as cursor:
                cursor.itersize = 10_000
                cursor.execute(query)
                yield from _rows(cursor, chosen)
    except psycopg.Error as error:
        failure = getattr(error, "sqlstate", None) or type(error).__name__
    if failure:
        raise ConfigError([f"--sql: the database refuses the query ({failure})"])


def _rows(cursor: Any, chosen: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    headers = [column[0] for column in cursor.description or ()]
    columns = columns_of(headers, chosen)
    for row in cursor:
        yield from columns.values(row)
