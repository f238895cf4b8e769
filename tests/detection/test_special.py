"""Special categories: measured on sentences that tell each from its look-alikes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from detection_world import found

from guardrail.detection.special import special_lexicon, special_rules
from guardrail.errors import ConfigError
from guardrail.transform.stream import StreamRule, compile_rules, transform
from guardrail.types import TextUnit

ROOT = Path(__file__).parents[2]
ENTITIES = {
    "health": "HEALTH_CONDITION",
    "medication": "MEDICATION",
    "religion": "RELIGION",
    "politics": "POLITICAL_OPINION",
    "race": "RACE",
    "union": "TRADE_UNION",
    "sex-life": "SEX_LIFE",
    "biometric": "BIOMETRIC",
    "genetic": "GENETIC",
    "criminal": "CRIMINAL_RECORD",
}
LEXICON = special_lexicon()


class Row(NamedTuple):
    """One sentence of the set: is the category there, what spans hold it, was it held out."""

    text: str
    category: str
    language: str
    positive: bool
    spans: list[list[int]]
    held_out: bool


def rows() -> Iterator[Row]:
    for line in (ROOT / "tests/data/special.jsonl").read_text("utf-8").splitlines():
        yield Row(**json.loads(line))


ROWS = tuple(rows())


def spans(row: Row) -> list[list[int]]:
    unit = TextUnit(pointer="", text=row.text)
    wanted = ENTITIES[row.category]
    return [[f.span.start, f.span.end] for f in LEXICON.find(unit) if f.entity == wanted]


def is_hit(row: Row) -> bool:
    return any(a < d and c < b for a, b in spans(row) for c, d in row.spans)


def score(chosen: list[Row]) -> str:
    positives = [row for row in chosen if row.positive]
    hits = sum(map(is_hit, positives))
    alarms = sum(1 for row in chosen if not row.positive and spans(row))
    recall = f"{hits / len(positives):.2f}" if positives else "-"
    precision = f"{hits / (hits + alarms):.2f}" if hits + alarms else "-"
    return f"{precision} / {recall}"


def tables() -> str:
    """The tables of docs/special-categories.md, measured now."""
    lines = ["| category | sentences | tuned on | held out |", "|---|---|---|---|"]
    for category in ENTITIES:
        of = [row for row in ROWS if row.category == category]
        halves = (score([r for r in of if r.held_out == half]) for half in (False, True))
        lines.append(f"| {category} | {len(of)} | {' | '.join(halves)} |")
    languages = sorted({row.language for row in ROWS})
    lines += ["", f"| category | {' | '.join(languages)} |", "|---|" + "---|" * len(languages)]
    for category in ENTITIES:
        cells = (
            score([r for r in ROWS if r.category == category and r.language == language])
            for language in languages
        )
        lines.append(f"| {category} | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_published_tables_are_what_is_measured() -> None:
    text = ROOT.joinpath("docs/special-categories.md").read_text("utf-8")
    assert tables() in text, "run: python scripts/special-tables"


@pytest.mark.parametrize("category", ENTITIES)
@pytest.mark.parametrize("held_out", [False, True], ids=["tuned", "held out"])
def test_precision_and_recall_stay_above_their_floors(category: str, held_out: bool) -> None:
    chosen = [row for row in ROWS if (row.category, row.held_out) == (category, held_out)]
    precision, recall = map(float, score(chosen).split(" / "))
    assert (precision >= 0.90, recall >= 0.90) == (True, True), (precision, recall)


@pytest.mark.parametrize(
    ("entity", "word", "around"),
    [
        ("HEALTH_CONDITION", "diabetes", "diagnosed with {}"),
        ("HEALTH_CONDITION", "Brustkrebs", "sie hat {}"),
        ("HEALTH_CONDITION", "HIV-positive", "{} since May"),
        ("HEALTH_CONDITION", "pregnant", "She is {}"),
        ("HEALTH_CONDITION", "DEPRESSION", "diagnosed with {}!"),
        ("HEALTH_CONDITION", "heart attack", "he had a {}."),
        ("HEALTH_CONDITION", "breast\ncancer", "a {}"),
        ("HEALTH_CONDITION", "breast\u00a0cancer", "a {}"),
        ("MEDICATION", "metformin", "takes {} daily"),
        ("MEDICATION", "Lithium carbonate", "{} 300 mg"),
        ("RELIGION", "Catholic", "my {} faith"),
    ],
)
def test_a_listed_term_is_found(entity: str, word: str, around: str) -> None:
    assert [(entity, word)] == found(around.format(word))


@pytest.mark.parametrize("text", ["diabetesforum", "antidepression", "strokes", "methadones"])
def test_a_part_of_a_word_is_no_term(text: str) -> None:
    assert found(text) == []


def test_the_name_of_a_field_is_a_label() -> None:
    assert found("catholic", pointer="/person/religion") == [("RELIGION", "catholic")]
    assert found("catholic", pointer="/person/taste") == []


def test_terms_that_count_alone_are_masked_in_answers() -> None:
    def masked(entity: str) -> Callable[[str, str], str]:
        return lambda text, left: f"[{entity}]"

    rules = compile_rules(
        StreamRule(name=rule.name, pattern=rule.pattern, rewrite=masked(rule.entity))
        for rule in special_rules()
    )
    assert transform(rules, "Take Metformin for type 2 diabetes.") == (
        "Take [MEDICATION] for type 2 [HEALTH_CONDITION]."
    )


def test_a_deployment_adds_terms_of_its_own(tmp_path: Path) -> None:
    own = 'entity = "TRADE_UNION"\n[en]\nalone = ["Brotherhood of Weavers", "weaverhood*"]\n'
    tmp_path.joinpath("own.toml").write_text(own, "utf-8")
    lexicon = special_lexicon((tmp_path,))
    text = "the brotherhood of weavers and its weaverhoods"
    assert [
        text[f.span.start : f.span.end] for f in lexicon.find(TextUnit(pointer="", text=text))
    ] == ["brotherhood of weavers", "weaverhoods"]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('entity = "RACE"\n[en]\nalone = []\n', "en.alone: must be a list of at least one term"),
        ('entity = "RACE"\n[en]\nallone = ["x"]\n', "en.allone: unknown key"),
        ('entity = "RACE"\nwide = 3\n', "wide: unknown key"),
        ('entity = "RACE"\n[english]\nalone = ["x"]\n', "english: unknown key"),
        ('entity = "RACE"\n[en]\nalone = ["abc*"]\n', "a stem is at least 4 letters"),
        ('entity = "RACE"\n[en]\nalone = ["..."]\n', "entry 1: must be a text of words"),
        ('entity = "RACE"\nreach = "far"\n', "reach: must be a number"),
        ('[en]\nalone = ["x"]\n', "entity: must name one"),
        ("[en\n", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, table: str, problem: str) -> None:
    tmp_path.joinpath("own.toml").write_text(table, "utf-8")
    with pytest.raises(ConfigError) as caught:
        special_lexicon((tmp_path,))
    assert problem in str(caught.value)


def test_a_directory_without_terms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no file of terms"):
        special_rules((tmp_path,))


def test_a_text_that_takes_too_long_is_an_error() -> None:
    hurried = replace(LEXICON, timeout=-1.0)
    with pytest.raises(TimeoutError):
        hurried.find(TextUnit(pointer="", text="she is gay"))
