"""Figures that were worked out by hand, for each way of counting."""

from __future__ import annotations

import json

import pytest

from guardrail.evaluation import (
    Fault,
    Mention,
    Report,
    Sample,
    Score,
    evaluate,
    lowered,
    parse_samples,
    tokens,
)
from guardrail.types import Finding, Span


def sample(text: str, *spans: tuple[int, int, str]) -> Sample:
    return Sample(text, tuple(Mention(*span) for span in spans))


def finding(start: int, end: int, entity: str) -> Finding:
    return Finding(entity=entity, span=Span(start, end), score=0.9, recognizer="test")


def judged(one: Sample, *found: tuple[int, int, str], **options: object) -> Report:
    return evaluate([one], [[finding(*each) for each in found]], **options)  # type: ignore[arg-type]


TEXT = "Anna Maria Schmidt lives in Berlin."
#       0123456789012345678901234567890123
GOLD = sample(TEXT, (0, 18, "PERSON"), (28, 34, "LOCATION"))


@pytest.mark.parametrize(
    ("found", "strict", "token", "overlap"),
    [
        pytest.param(
            [(0, 18, "PERSON"), (28, 34, "LOCATION")],
            Score(2, 0, 0),
            Score(4, 0, 0),
            Score(2, 0, 0),
            id="all",
        ),
        pytest.param([], Score(0, 0, 2), Score(0, 0, 4), Score(0, 0, 2), id="nothing"),
        pytest.param(
            [(0, 10, "PERSON")],  # two of three words; 10 of 18 code points
            Score(0, 1, 2),
            Score(2, 0, 2),
            Score(1, 0, 1),
            id="part",
        ),
        pytest.param(
            [(11, 18, "PERSON")],  # 7 of 18: less than half
            Score(0, 1, 2),
            Score(1, 0, 3),
            Score(0, 1, 2),
            id="less-than-half",
        ),
        pytest.param(
            [(0, 18, "LOCATION")],
            Score(0, 1, 2),
            Score(0, 3, 4),
            Score(0, 1, 2),
            id="other-entity",
        ),
        pytest.param(
            [(0, 24, "PERSON")],  # "lives" is no name; 18 of 24
            Score(0, 1, 2),
            Score(3, 1, 1),
            Score(1, 0, 1),
            id="too-long",
        ),
        pytest.param(
            [(0, 10, "PERSON"), (5, 18, "PERSON")],
            Score(1, 0, 1),
            Score(3, 0, 1),
            Score(1, 0, 1),
            id="overlapping-findings-of-one-entity-are-one",
        ),
        pytest.param(
            [(28, 35, "LOCATION")],  # the full stop is no word; 6 of 7
            Score(0, 1, 2),
            Score(1, 0, 3),
            Score(1, 0, 1),
            id="punctuation-is-no-word",
        ),
    ],
)
def test_three_ways_of_counting(
    found: list[tuple[int, int, str]], strict: Score, token: Score, overlap: Score
) -> None:
    total = judged(GOLD, *found).total
    assert (total.strict, total.token, total.overlap) == (strict, token, overlap)


def test_each_entity_has_a_row_and_the_total_is_their_sum() -> None:
    report = judged(GOLD, (0, 18, "PERSON"), (19, 24, "PERSON"))
    rows = {row.entity: (row.strict, row.labelled, row.found) for row in report.rows}
    assert rows == {"PERSON": (Score(1, 1, 0), 1, 2), "LOCATION": (Score(0, 0, 1), 1, 0)}
    assert list(rows) == ["LOCATION", "PERSON"]
    assert report.total.strict == Score(1, 1, 1)
    assert (report.total.labelled, report.total.found) == (2, 2)
    assert (report.samples, report.tokens) == (1, 6)


def test_precision_recall_and_f() -> None:
    score = Score(hits=6, alarms=2, misses=4)
    assert score.precision == 0.75
    assert score.recall == 0.6
    assert score.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert score.f2 == pytest.approx(5 * 0.75 * 0.6 / (4 * 0.75 + 0.6))


def test_where_there_is_nothing_to_divide_by_the_figures_are_0() -> None:
    score = Score()
    assert (score.precision, score.recall, score.f1, score.f2) == (0, 0, 0, 0)


# ── without regard to the entity ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("found", "token", "half", "nine_tenths"),
    [
        pytest.param(
            [(0, 18, "LOCATION")], Score(3, 0, 1), Score(1, 0, 1), Score(1, 0, 1), id="other-entity"
        ),
        pytest.param(
            [(0, 10, "PERSON")], Score(2, 0, 2), Score(1, 0, 1), Score(0, 1, 2), id="part"
        ),
        pytest.param(
            [(0, 10, "PERSON"), (5, 18, "LOCATION")],
            Score(3, 0, 1),
            Score(1, 0, 1),
            Score(1, 0, 1),
            id="two-that-overlap-cover-as-one",
        ),
    ],
)
def test_any_asks_only_whether_something_was_found(
    found: list[tuple[int, int, str]], token: Score, half: Score, nine_tenths: Score
) -> None:
    report = judged(GOLD, *found)
    assert (report.any_token, report.any_overlap, report.any_exact) == (token, half, nine_tenths)


def test_a_span_is_matched_once() -> None:
    report = judged(sample("ab cd", (0, 5, "PERSON")), (0, 3, "PERSON"), (3, 5, "PERSON"))
    assert report.total.overlap == Score(1, 1, 0)


# ── entities ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("label", "entity"),
    [
        ("PER", "PERSON"),
        ("GPE", "LOCATION"),
        ("LOCATION", "STREET_ADDRESS"),
        ("LOCATION", "UK_POSTCODE"),
        ("ZIP_CODE", "UK_POSTCODE"),
        ("STREET_ADDRESS", "DE_PLZ"),
        ("ORG", "ORGANIZATION"),
        ("NRP", "RELIGION"),
    ],
)
def test_what_sets_call_otherwise_is_the_same(label: str, entity: str) -> None:
    report = judged(sample("here", (0, 4, label)), (0, 4, entity))
    assert report.total.strict == Score(1, 0, 0)


def test_an_address_is_no_place_where_addresses_are_labelled() -> None:
    both = sample("Main Street 1 Ulm", (0, 13, "STREET_ADDRESS"), (14, 17, "GPE"))
    report = judged(both, (0, 13, "STREET_ADDRESS"), (14, 17, "LOCATION"))
    assert {row.entity: row.strict for row in report.rows} == {
        "STREET_ADDRESS": Score(1, 0, 0),
        "LOCATION": Score(1, 0, 0),
    }


def test_a_mapping_of_your_own_comes_first() -> None:
    report = judged(
        sample("here", (0, 4, "WHO")),
        (0, 4, "USER_ID"),
        mapping={"WHO": "PERSON", "USER_ID": "PERSON"},
    )
    assert [(row.entity, row.strict) for row in report.rows] == [("PERSON", Score(1, 0, 0))]


def test_what_the_set_never_labels_is_no_alarm_unless_asked() -> None:
    found = (19, 24, "URL")
    ignoring, counting = judged(GOLD, found), judged(GOLD, found, others="count")
    assert (ignoring.total.strict, ignoring.any_token) == (Score(0, 0, 2), Score(0, 0, 4))
    assert ignoring.ignored == {"URL": 1}
    assert (counting.total.strict, counting.any_token) == (Score(0, 1, 2), Score(0, 1, 4))
    assert counting.ignored == {}


def test_what_the_set_never_labels_still_protects_what_it_covers() -> None:
    report = judged(GOLD, (0, 24, "URL"))
    assert report.any_token == Score(3, 0, 1)
    assert report.total.token == Score(0, 0, 4)


def test_entities_restrict_labels_and_findings() -> None:
    report = judged(GOLD, (0, 18, "PERSON"), (19, 24, "LOCATION"), entities={"PERSON"})
    assert report.total.strict == Score(1, 0, 0)


# ── where it went wrong ──────────────────────────────────────────────────────────────────────────


def test_mistakes_say_where_and_what_and_no_text() -> None:
    report = judged(GOLD, (0, 10, "PERSON"), (28, 34, "PERSON"), (19, 24, "PERSON"))
    assert [(m.fault, m.span, m.labelled, m.found) for m in report.mistakes] == [
        (Fault.BOUNDS, Span(0, 18), "PERSON", "PERSON"),
        (Fault.LABEL, Span(28, 34), "LOCATION", "PERSON"),
        (Fault.ALARM, Span(19, 24), "", "PERSON"),
    ]
    assert {m.sample for m in report.mistakes} == {0}
    assert "Anna" not in repr(GOLD)


def test_confusion_counts_words() -> None:
    report = judged(GOLD, (0, 10, "PERSON"), (28, 34, "PERSON"), (19, 24, "PERSON"))
    assert report.confusion == {
        ("PERSON", "PERSON"): 2,
        ("PERSON", ""): 1,
        ("LOCATION", "PERSON"): 1,
        ("", "PERSON"): 1,
    }


def test_as_many_findings_as_samples() -> None:
    with pytest.raises(ValueError, match="zip"):
        evaluate([GOLD, GOLD], [[]])


# ── words ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Anna, 42!", ["Anna", "42"]),
        ("O'Neil-Smith", ["O", "Neil", "Smith"]),
        ("a_b", ["a", "b"]),
        ("Zoe\u0301 x", ["Zoe\u0301", "x"]),
        ("東京都", ["東", "京", "都"]),
        ("東京Tower1", ["東", "京", "Tower1"]),
        ("さくら", ["さ", "く", "ら"]),
        ("김철수 씨", ["김철수", "씨"]),
        ("अनिल जी", ["अनिल", "जी"]),
        ("อากี้", ["อ", "า", "กี้"]),
        ("... —", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in tokens(text)] == words


# ── reading ──────────────────────────────────────────────────────────────────────────────────────

LINES = '{"text": "Ann", "spans": [[0, 3, "PER"]]}\n\n{"text": "no\u2028thing", "spans": []}\n'
PRESIDIO = json.dumps(
    [
        {
            "full_text": "Ann",
            "spans": [
                {"entity_type": "PERSON", "start_position": 0, "end_position": 3},
            ],
        }
    ]
)


def test_json_lines_are_read() -> None:
    assert parse_samples(LINES) == [sample("Ann", (0, 3, "PER")), sample("no\u2028thing")]


def test_presidio_research_is_read() -> None:
    assert parse_samples(PRESIDIO) == [sample("Ann", (0, 3, "PERSON"))]


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ('{"text": "Ann"}\n{"text": ', "line 2 is not valid JSON"),
        ("[1", "the file is not valid JSON"),
        ('{"words": ["Ann"]}', "sample 1: not of the form"),
        ('{"text": "Ann", "spans": [[0, 3]]}', "sample 1: not of the form"),
        ('{"text": "Ann", "spans": [[0, 4, "PER"]]}', "sample 1: a span lies outside its text"),
        ('{"text": 1, "spans": []}', "sample 1: its text is not a string"),
        ("[3]", "sample 1: not of the form"),
    ],
)
def test_what_is_no_data_set_is_refused_without_quoting_it(document: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        parse_samples(document)
    assert "Ann" not in str(caught.value)


def test_lower_case_moves_no_span() -> None:
    assert lowered(sample("İz ANN", (3, 6, "PER"))) == sample("İz ann", (3, 6, "PER"))
