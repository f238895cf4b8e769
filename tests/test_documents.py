"""Files as pieces and back: what is not replaced stays to the byte, and the format stays valid."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.documents import Document, Format, is_key, open_document, shown_pointer
from guardrail.errors import Refusal


def texts(document: Document) -> list[str]:
    return [piece.unit.text for piece in document.pieces]


def pointers(document: Document) -> list[str]:
    return [piece.unit.pointer for piece in document.pieces]


def shouted(document: Document) -> str:
    return document.rewritten([f"<{text}>" for text in texts(document)])


JSON = '{ "name":\t"Ann \\u00e9",\n  "n": 1.50, "card": 4111111111111111 ,"l":["x", {"k": "y"}]}\n'


def test_json_gives_keys_strings_and_long_numbers() -> None:
    document = open_document(JSON, Format.JSON)
    assert texts(document) == [
        "name", "Ann é", "n", "card", "4111111111111111", "l", "x", "k", "y",
    ]  # fmt: skip
    assert pointers(document)[1] == "/name"
    assert pointers(document)[-1] == "/l/1/k"
    assert [is_key(piece) for piece in document.pieces][:2] == [True, False]


def test_json_keeps_its_layout_and_stays_json() -> None:
    document = open_document(JSON, Format.JSON)
    new = [
        {"Ann é": "[PERSON_1]", "4111111111111111": "[CARD_1]", "y": 'a "q" é'}.get(text, text)
        for text in texts(document)
    ]
    written = document.rewritten(new)
    assert written == (
        '{ "name":\t"[PERSON_1]",\n  "n": 1.50, "card": "[CARD_1]" ,"l":["x", {"k": '
        '"a \\"q\\" \\u00e9"}]}\n'
    )
    assert json.loads(written)["l"][1] == {"k": 'a "q" é'}


def test_a_long_array_of_numbers_is_looked_at_number_by_number() -> None:
    document = open_document(json.dumps([*range(8), 4930901820]), Format.JSON)
    assert (texts(document), pointers(document)) == (["4930901820"], ["/8"])


def test_what_cannot_be_read_is_opaque() -> None:
    document = open_document('{"picture": "data:image/png;base64,AAAA", "x": "y"}', Format.JSON)
    assert [piece.opaque for piece in document.pieces] == [False, True, False, False]


def test_two_keys_that_would_become_one_are_refused() -> None:
    document = open_document('{"a": 1, "b": 2}', Format.JSON)
    with pytest.raises(Refusal, match="one key twice"):
        document.rewritten(["same", "same"])


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("{", Format.JSON),
        ('{"a": 1, "a": 2}', Format.JSON),
        ('{"a": 1}\nnot json', Format.JSONL),
        ("[" * 100 + "]" * 100, Format.JSON),
    ],
)
def test_what_is_not_what_it_says_is_read_as_text(text: str, form: Format) -> None:
    document = open_document(text, form)
    assert (document.format, texts(document)) == (Format.TEXT, [text])


def test_json_lines_are_records() -> None:
    document = open_document('{"a": "x"}\r\n\n{"a": "y"}\n', Format.JSONL)
    assert [(p.record, p.unit.text) for p in document.pieces] == [
        (0, "a"), (0, "x"), (2, "a"), (2, "y"),
    ]  # fmt: skip
    assert shouted(document) == '{"<a>": "<x>"}\r\n\n{"<a>": "<y>"}\n'


def test_lines_are_records() -> None:
    document = open_document("one\r\n\n two\n", Format.LINES)
    assert [(p.record, p.start, p.unit.text) for p in document.pieces] == [
        (0, 0, "one"), (2, 6, " two"),
    ]  # fmt: skip
    assert shouted(document) == "<one>\r\n\n< two>\n"


CSV = 'name;e-mail\r\n"Mr; ""X""";a@example.com\r\n;\r\nlast;"two\nlines"'


def test_csv_gives_cells_and_names_their_columns() -> None:
    document = open_document(CSV, Format.CSV)
    assert texts(document) == [
        "name", "e-mail", 'Mr; "X"', "a@example.com", "last", "two\nlines",
    ]  # fmt: skip
    assert pointers(document)[2:4] == ["/1/name", "/1/e-mail"]
    assert [shown_pointer(piece.path, {}) for piece in document.pieces][3] == "/1/1"


def test_csv_keeps_its_layout_and_stays_csv() -> None:
    document = open_document(CSV, Format.CSV)
    written = document.rewritten(["a;b" if text == "last" else text for text in texts(document)])
    assert written == CSV.replace("last", '"a;b"')
    assert list(csv.reader(io.StringIO(written), delimiter=";"))[-1] == ["a;b", "two\nlines"]


def test_a_first_row_that_is_data_names_no_column() -> None:
    document = open_document("Ann,12\nBob,13\n", Format.CSV)
    assert pointers(document) == ["/0/0", "/0/1", "/1/0", "/1/1"]


@pytest.mark.parametrize("text", ["", "\n", '"', '"open\nquote', 'a"b,c"', ",,\n,", "\ufeffa,b"])
def test_odd_tables_lose_nothing(text: str) -> None:
    document = open_document(text, Format.CSV)
    assert document.rewritten(texts(document)) == text


def test_pointers_hide_keys() -> None:
    document = open_document('{"ann@example.com": {"a/b": "x"}}', Format.JSON)
    hidden = {"ann@example.com": "[EMAIL]"}
    assert [shown_pointer(piece.path, hidden) for piece in document.pieces] == [
        "/[EMAIL]/~key",
        "/[EMAIL]/a~1b/~key",
        "/[EMAIL]/a~1b",
    ]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('ab"\\é,\n0'),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text('xy"é'), inner),
    max_leaves=12,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 2]))
def test_any_json_can_be_rewritten(value: object, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent, allow_nan=False)
    document = open_document(text, Format.JSON)
    assert document.rewritten(texts(document)) == text
    new = [f"{number}: {old}" for number, old in enumerate(texts(document))]
    assert texts(open_document(document.rewritten(new), Format.JSON)) == new


@given(st.lists(st.lists(st.text('ab,;"\n 0'), min_size=2, max_size=3), min_size=1))
def test_any_table_can_be_rewritten(rows: list[list[str]]) -> None:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    text = "head1,head2\n" + written.getvalue()
    document = open_document(text, Format.CSV)
    assert document.rewritten(texts(document)) == text
    again = document.rewritten([f'{old},"' for old in texts(document)])
    cells = [cell for row in csv.reader(io.StringIO(again)) for cell in row]
    assert [cell for cell in cells if cell.strip()] == [f'{old},"' for old in texts(document)]
