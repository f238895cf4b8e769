"""Tables keep their shape, lose what is personal, and are the same however they are cut."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from batch_world import KEY, keyed, normal, people

from guardrail.batch import (
    TableRedactor,
    TableSpec,
    _remembered,
    load_key,
    redact_lines,
    redact_table,
    text_columns,
    treat_table,
)
from guardrail.detection.detector import build_detector
from guardrail.errors import ConfigError, NestedTooDeep, Refusal
from guardrail.redaction import Redactor
from guardrail.taxonomy import load_taxonomy
from guardrail.transform.keyed import KeyedPseudonyms
from guardrail.transform.placeholders import Grammar
from guardrail.types import Category, Evidence, Treatment

MAIL = "erika@example.com"
GONE = "[EMAIL REDACTED]"
TEXT = pa.string()
REDACTOR = Redactor(detector=build_detector(names=["blank:en"]), taxonomy=load_taxonomy())


def refusing(
    evidence: Mapping[Category, Evidence], *, residual: float | None = None
) -> Mapping[Category, Treatment]:
    if "contact" in evidence:
        raise Refusal(403, "withheld", "contact is blocked")
    return dict.fromkeys(evidence, Treatment.REDACTED)


def test_a_judge_of_rows_is_told_how_many_names_may_be_left() -> None:
    told: list[float | None] = []

    def judging(
        evidence: Mapping[Category, Evidence], *, residual: float | None = None
    ) -> Mapping[Category, Treatment]:
        told.append(residual)
        return dict.fromkeys(evidence, Treatment.REDACTED)

    remembered = _remembered(judging)
    for left in (0.11, 0.25, 0.26, None):
        remembered({Category("health"): Evidence()}, residual=left)
    assert told == [0.25, 0.5, None]


STRICT = Redactor(detector=REDACTOR.detector, taxonomy=REDACTOR.taxonomy, judge=refusing)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        pytest.param([MAIL, None, ""], TEXT, [GONE, None, ""], id="string"),
        pytest.param([MAIL, None], pa.large_string(), [GONE, None], id="large string"),
        pytest.param([MAIL, None], pa.string_view(), [GONE, None], id="string view"),
        pytest.param([[MAIL, None], None, []], pa.list_(TEXT), [[GONE, None], None, []], id="list"),
        pytest.param([[MAIL], None], pa.large_list(TEXT), [[GONE], None], id="large list"),
        pytest.param(
            [[MAIL, "x"], None], pa.list_(TEXT, 2), [[GONE, "x"], None], id="fixed-size list"
        ),
        pytest.param(
            [{"a": [{"b": MAIL}], "n": 1}, None],
            pa.struct([("a", pa.list_(pa.struct([("b", TEXT)]))), ("n", pa.int8())]),
            [{"a": [{"b": GONE}], "n": 1}, None],
            id="struct",
        ),
        pytest.param(
            [[(MAIL, "x"), ("y", MAIL)], None, []],
            pa.map_(TEXT, TEXT),
            [[(GONE, "x"), ("y", GONE)], None, []],
            id="map",
        ),
        pytest.param(
            [MAIL, "x", None, MAIL],
            pa.dictionary(pa.int8(), TEXT),
            [GONE, "x", None, GONE],
            id="dictionary",
        ),
        pytest.param(
            ["data:image/png;base64,AAAA"], TEXT, ["[MEDIA REDACTED]"], id="picture as text"
        ),
        pytest.param([b"erika@example.com", None], pa.binary(), [MAIL.encode(), None], id="binary"),
        pytest.param([1, None], pa.int64(), [1, None], id="number"),
    ],
)
def test_text_of_every_shape_is_treated_and_its_type_stays(
    values: list[Any], kind: pa.DataType, expected: list[Any]
) -> None:
    field = pa.field("a", kind, metadata={"from": "here"})
    schema = pa.schema([field], metadata={"whose": "ours"})
    table = pa.Table.from_arrays([pa.array(values, kind)], schema=schema)
    for cut in (table, table.slice(0, 1), table.slice(1)):
        done = redact_table(cut, redactor=REDACTOR)
        done.validate(full=True)
        assert done.schema.equals(schema, check_metadata=True)
    assert redact_table(table, redactor=REDACTOR).to_pylist() == [{"a": one} for one in expected]


def test_runs_and_extensions_are_treated_too() -> None:
    runs = pa.compute.run_end_encode(pa.array([MAIL, MAIL, None]))
    done = redact_table(pa.record_batch({"a": runs}), redactor=REDACTOR)
    assert (done.column(0).type, done.column(0).to_pylist()) == (runs.type, [GONE, GONE, None])
    json = pa.ExtensionArray.from_storage(pa.json_(), pa.array([f'{{"m": "{MAIL}"}}']))
    done = redact_table(pa.record_batch({"a": json}), redactor=REDACTOR)
    assert done.column(0).storage.to_pylist() == [f'{{"m": "{GONE}"}}']


def test_a_table_stays_a_table_and_a_batch_a_batch_also_without_rows() -> None:
    table = people(0)
    assert redact_table(table, redactor=REDACTOR).equals(table)
    assert isinstance(redact_table(table, redactor=REDACTOR), pa.Table)
    batch = pa.record_batch({"a": pa.array([], TEXT)})
    assert isinstance(redact_table(batch, redactor=REDACTOR), pa.RecordBatch)


def test_the_name_of_a_column_says_what_its_cells_hold() -> None:
    table = pa.table({"ssn": ["536-90-4399"], "x": ["536-90-4399"], "m": [{"ssn": "536-90-4399"}]})
    done = redact_table(table, ["ssn", "m"], redactor=REDACTOR).to_pylist()[0]
    assert (done["ssn"], done["m"]) == ("[SSN REDACTED]", {"ssn": "[SSN REDACTED]"})


def test_nothing_stays_hidden_under_a_null_or_in_a_dictionary() -> None:
    values = pa.array([MAIL, "x"])
    hidden = pa.StructArray.from_arrays([values], ["a"], mask=pa.array([True, False]))
    unused = pa.DictionaryArray.from_arrays(pa.array([1, 1]), values)
    done = redact_table(pa.record_batch({"s": hidden, "d": unused}), redactor=REDACTOR)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, done.schema) as writer:
        writer.write(done)
    assert MAIL.encode() not in bytes(sink.getvalue())


def test_only_the_columns_asked_for_are_treated() -> None:
    table = pa.table({"a": [MAIL], "b": [MAIL]})
    assert redact_table(table, ["b"], redactor=REDACTOR).to_pylist() == [{"a": MAIL, "b": GONE}]


@pytest.mark.parametrize(
    ("kind", "columns", "problem"),
    [
        pytest.param(TEXT, ["b"], "column 'b': there must be one of this name", id="misspelt"),
        pytest.param(pa.int64(), ["a"], "column 'a': holds no text, but int64", id="no text"),
        pytest.param(
            pa.dense_union([pa.field("t", TEXT)]), None, "which cannot be treated", id="union"
        ),
        pytest.param(pa.list_view(TEXT), None, "which cannot be treated", id="view of lists"),
    ],
)
def test_what_cannot_be_treated_is_an_error(
    kind: pa.DataType, columns: list[str] | None, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        text_columns(pa.schema([("a", kind)]), columns)


def test_a_value_found_once_is_replaced_in_its_row_alone() -> None:
    table = pa.table({"a": ["My name is Erika Mustermann", "x"], "b": ["Mustermann", "Mustermann"]})
    done = redact_table(table, redactor=REDACTOR)
    assert done.column("b").to_pylist() == ["[PERSON REDACTED]", "Mustermann"]


# ── pseudonyms ───────────────────────────────────────────────────────────────────────────────────


def test_the_same_value_has_the_same_pseudonym_by_one_key_and_another_by_another() -> None:
    table = pa.table({"a": [MAIL, f"to {MAIL}"]})
    one, same, other = (
        redact_table(table, redactor=REDACTOR, pseudonyms=KeyedPseudonyms(key)).to_pylist()
        for key in (KEY, KEY, KEY[::-1])
    )
    assert one == same
    assert one[1]["a"] == f"to {one[0]['a']}"
    assert one[0]["a"] != other[0]["a"]


def test_no_grammar_takes_a_keyed_pseudonym_for_a_numbered_one() -> None:
    grammar = Grammar(words=REDACTOR.taxonomy.vocabulary)
    for n in range(2000):
        made = KeyedPseudonyms(KEY).allocate(entity="", word="PERSON", original=str(n))
        assert grammar.find(f"[PERSON_{made.number}]") == []


def test_what_was_treated_stays_as_it_is() -> None:
    spec = TableRedactor(TableSpec())
    done = redact_table(people(500), redactor=REDACTOR, pseudonyms=KeyedPseudonyms(KEY))
    assert redact_table(done, redactor=REDACTOR, pseudonyms=KeyedPseudonyms(KEY)).equals(done)
    assert spec(spec(people(50))).equals(spec(people(50)))


@pytest.mark.parametrize("source", ["", "literal-secret-key", "env:", "env:NOT_SET", "file:none"])
def test_a_key_that_cannot_be_had_is_an_error_that_does_not_quote_it(source: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_key(source)
    assert "literal-secret-key" not in str(caught.value)


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short\n")
    with pytest.raises(ConfigError, match="16 bytes"):
        load_key(f"file:{tmp_path / 'key'}")


# ── what must not leave ──────────────────────────────────────────────────────────────────────────


def test_a_value_that_must_stay_fails_its_batch_and_is_not_in_the_error() -> None:
    table = pa.table({"a": ["x", "y"], "b": ["x", f"write to {MAIL}"]})
    with pytest.raises(Refusal, match="column b, row 1 of the batch: contact is blocked") as caught:
        redact_table(table, redactor=STRICT)
    assert MAIL not in repr(caught.value) + repr(caught.value.__context__)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_or_becomes_null_and_the_rest_of_its_row_is_treated() -> None:
    card = "4111 1111 1111 1111"
    table = pa.table({"a": [card], "b": [MAIL], "c": [[MAIL, "x"]], "d": [{"m": MAIL}]})
    done = treat_table(table, redactor=STRICT, on_refusal="null")
    assert done.table.to_pylist() == [{"a": "[CARD REDACTED]", "b": None, "c": None, "d": None}]
    assert done.withheld == 3
    assert done.table.schema == table.schema


def test_a_cell_that_cannot_be_read_becomes_null_alone() -> None:
    deep = f"write to erika%{'25' * 99}40example.com"
    table = pa.table({"a": [deep, "x"], "b": [MAIL, MAIL]})
    done = treat_table(table, redactor=REDACTOR, on_refusal="null")
    assert done.table.to_pylist() == [{"a": None, "b": GONE}, {"a": "x", "b": GONE}]
    with pytest.raises(NestedTooDeep, match="detection failed"):
        redact_table(table, redactor=REDACTOR)


def test_but_not_where_there_can_be_no_null() -> None:
    schema = pa.schema([pa.field("a", TEXT, nullable=False)])
    table = pa.Table.from_arrays([pa.array([MAIL])], schema=schema)
    with pytest.raises(Refusal, match="nor be null"):
        redact_table(table, redactor=STRICT, on_refusal="null")


def test_keys_of_a_map_that_would_become_one_are_refused() -> None:
    kind = pa.map_(TEXT, TEXT)
    table = pa.table({"a": pa.array([[(MAIL, "x"), ("a@example.com", "y")]], kind)})
    with pytest.raises(Refusal, match="two keys of a map"):
        redact_table(table, redactor=REDACTOR)
    keys = redact_table(table, redactor=REDACTOR, pseudonyms=KeyedPseudonyms(KEY))
    assert len(dict(keys.column("a").to_pylist()[0])) == 2


def test_bytes_that_are_no_text_are_refused_without_quoting_them() -> None:
    broken = pa.array([b"\xff" + MAIL.encode()]).view(TEXT)
    with pytest.raises(Refusal, match="column a: holds text that is not UTF-8") as caught:
        redact_table(pa.record_batch({"a": broken}), redactor=REDACTOR)
    assert caught.value.__context__ is None


# ── workers ──────────────────────────────────────────────────────────────────────────────────────


def test_however_a_table_is_cut_the_bytes_are_the_same(tmp_path: Path) -> None:
    table, redactor = people(700), TableRedactor(keyed(tmp_path))
    whole = redactor(table)
    assert MAIL.partition("@")[2] not in str(whole.to_pylist())
    for size in (1, 13, 333):
        cut = list(redactor.batches(table.to_batches(max_chunksize=size)))
        assert normal(pa.Table.from_batches(cut, table.schema)) == normal(whole)


def test_a_redactor_travels_without_a_key(tmp_path: Path) -> None:
    redactor = TableRedactor(keyed(tmp_path))
    redactor(people(1))
    packed = pickle.dumps(redactor)
    assert KEY not in packed
    assert pickle.loads(packed)(people(5)).equals(redactor(people(5)))


# ── lines of JSON ────────────────────────────────────────────────────────────────────────────────


def test_lines_keep_their_spelling_and_numbers_are_seen() -> None:
    lines = [f'{{"a":"{MAIL}",  "b": "{MAIL}"}}\n', '{"a": {"phone_no": 493090182012}}\n', "\n"]
    done = redact_lines(
        [*lines, f'[{{"b": "{MAIL}"}}]\n', f"no JSON {MAIL}\n"], ["a"], redactor=REDACTOR
    )
    assert done.lines == (
        f'{{"a":"{GONE}",  "b": "{MAIL}"}}\n',
        '{"a": {"phone_no": "[PHONE REDACTED]"}}\n',
        "\n",
        f'[{{"b": "{GONE}"}}]\n',
        f"no JSON {GONE}\n",
    )
    assert done.seen == {"a", "b"}
