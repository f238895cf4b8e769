"""Tables, lists and databases become entities and values; their errors quote nobody."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from guardrail.detection.known.sources import columns_of, read_database, read_file
from guardrail.errors import ConfigError

ADA = [
    ("EMAIL_ADDRESS", "ada@example.com"),
    ("PERSON", "Lovelace, Ada"),
]


def read(
    text: str | bytes, kind: str = "csv", *, chosen: Mapping[str, str] = {}, entity: str = ""
) -> list[tuple[str, str]]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_file(io.BytesIO(data), kind=kind, chosen=chosen, entity=entity))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param(
            "First Name,last_name,E-Mail\nAda,Lovelace,ada@example.com\n", "csv", id="csv"
        ),
        pytest.param("Vorname;Nachname;E-Mail\nAda;Lovelace;ada@example.com", "csv", id="German"),
        pytest.param(
            "\ufefffirstname\tsurname\temail\nAda\tLovelace\tada@example.com", "tsv", id="tsv"
        ),
        pytest.param(
            '{"first_name": "Ada", "last_name": "Lovelace", "email": ["ada@example.com"]}\n\n',
            "jsonl",
            id="jsonl",
        ),
        pytest.param(
            'x,first_name,last_name,email\r\n,"Ada","Lovelace","ada@example.com"\r\n,,,\r\n',
            "csv",
            id="quotes and empty cells",
        ),
        pytest.param(
            "first_name,last_name,email\nAda,Lovelace,ada@example.com\nshort\n", "csv", id="short"
        ),
    ],
)
def test_columns_are_known_by_their_headers(text: str, kind: str) -> None:
    assert read(text, kind) == ADA


def test_columns_are_what_they_are_said_to_be_and_others_are_left_out() -> None:
    text = "who,email,ref\nAda Lovelace,ada@example.com,A-1\n"
    assert read(text, chosen={"who": "PERSON", "ref": "STAFF_NUMBER"}) == [
        ("PERSON", "Ada Lovelace"),
        ("STAFF_NUMBER", "A-1"),
    ]


def test_numbers_and_nulls_of_json_are_read() -> None:
    text = '{"mrn": 123456, "name": null}\n{"name": "Ada Lovelace", "mrn": true}\n'
    assert read(text, "jsonl") == [
        ("MEDICAL_RECORD_NUMBER", "123456"),
        ("PERSON", "Ada Lovelace"),
    ]


def test_a_chosen_key_that_an_object_leaves_out_is_empty() -> None:
    assert read('{"a": "x"}\n{"b": "Ada"}\n', "jsonl", chosen={"b": "PERSON"}) == [
        ("PERSON", "Ada")
    ]


def test_a_plain_list_is_one_entity() -> None:
    assert read("Ada Lovelace\n\n Grace Hopper \n", "list", entity="PERSON") == [
        ("PERSON", "Ada Lovelace"),
        ("PERSON", "Grace Hopper"),
    ]


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        pytest.param("Ada Lovelace,x\nGrace,y\n", "csv", "none of 2 columns", id="no header"),
        pytest.param("first_name\nAda\n", "csv", "exactly one GIVEN", id="half a name"),
        pytest.param('name\n"Ada\n', "csv", "line 2: not a row", id="open quote"),
        pytest.param('{"name": "Ada"}\n{"name": Ada}\n', "jsonl", "line 2: not a JSON", id="json"),
        pytest.param('["Ada"]\n', "jsonl", "line 1: not a JSON object", id="no object"),
        pytest.param(b"name\nJ\xfcrgen Ada\n", "csv", "not text in UTF-8", id="encoding"),
        pytest.param("Ada\n", "list", "needs --entity", id="list of what"),
        pytest.param("", "csv", "none of 0 columns", id="empty"),
    ],
)
def test_an_error_tells_the_line_and_never_a_value(
    text: str | bytes, kind: str, expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        read(text, kind)
    assert "Ada" not in str(caught.value)
    assert "Grace" not in str(caught.value)


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="--column who: the source has no such column"):
        columns_of(["name"], {"who": "PERSON"})


# ── databases ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = tmp_path / "crm.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table customers (first text, email text, no integer)")
        connection.execute("insert into customers values ('Ada Lovelace', 'ada@example.com', 7)")
        connection.execute("insert into customers values (null, '', null)")
    return f"sqlite:///{path}"


def test_the_rows_of_a_query_are_read_by_the_names_of_its_columns(database: str) -> None:
    rows = read_database(database, "select first as name, email, no from customers", chosen={})
    assert list(rows) == [("PERSON", "Ada Lovelace"), ("EMAIL_ADDRESS", "ada@example.com")]
    rows = read_database(database, "select no from customers", chosen={"no": "USER_ID"})
    assert list(rows) == [("USER_ID", "7")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select nothing from customers where first = 'Ada'", "refuses the query"),
        ("delete from customers where first = 'Ada'", "SQLITE_READONLY"),
        ("pragma user_version = 1", "refuses the query|none of 0 columns"),
    ],
)
def test_a_query_that_fails_or_writes_is_refused(query: str, expected: str, database: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        list(read_database(database, query, chosen={}))
    assert "Ada" not in str(caught.value)


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("sqlite:////no/such/file.db", "there is no database"),
        ("mysql://user:hunter22@host/db", "pipe CSV into"),
    ],
)
def test_a_database_that_cannot_be_had_is_refused(dsn: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        list(read_database(dsn, "select 1", chosen={}))
    assert "hunter22" not in str(caught.value)
