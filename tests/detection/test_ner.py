"""A spaCy pipeline drops in by its path."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from spacy.pipeline import EntityRuler

from guardrail.detection.detector import build_detector
from guardrail.detection.ner import LABELS, load_pipeline
from guardrail.errors import ConfigError
from guardrail.taxonomy import UNKNOWN, load_taxonomy
from guardrail.types import Kind, TextUnit

TEXT = "Yesterday Ada Lovelace left London; write to Mr. Lovelace, ada@example.com."


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline on disk that knows two names, a place and something that is nobody's."""
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    assert isinstance(ruler, EntityRuler)
    ruler.add_patterns(
        [
            {"label": "PERSON", "pattern": "Ada Lovelace"},
            {"label": "PER", "pattern": "Mr. Lovelace"},
            {"label": "GPE", "pattern": "London"},
            {"label": "DATE", "pattern": "Yesterday"},
        ]
    )
    path = tmp_path_factory.mktemp("pipeline")
    nlp.to_disk(path)
    return path


def found(text: str, *, pipeline: str, exclude: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    detector = build_detector(pipeline=pipeline, exclude=exclude)
    return [
        (f.entity, text[f.span.start : f.span.end])
        for f in detector.detect(TextUnit(pointer="", text=text))
    ]


def test_what_a_pipeline_names_is_found_beside_what_rules_find(pipeline: Path) -> None:
    assert found(TEXT, pipeline=str(pipeline)) == [
        ("PERSON", "Ada Lovelace"),
        ("LOCATION", "London"),
        ("PERSON", "Mr. Lovelace"),
        ("EMAIL_ADDRESS", "ada@example.com"),
    ]


def test_what_a_pipeline_names_is_found_in_the_offsets_of_the_original(pipeline: Path) -> None:
    text = "\u200bＡda\u00a0Lovelace\u200b and Ada\u200b Love\u00adlace"
    assert found(text, pipeline=str(pipeline)) == [
        ("PERSON", "Ａda\u00a0Lovelace"),
        ("PERSON", "Ada\u200b Love\u00adlace"),
    ]


@pytest.mark.parametrize(
    ("entity", "expected"),
    [
        ("PERSON", ["LOCATION", "EMAIL_ADDRESS"]),
        ("LOCATION", ["PERSON", "PERSON", "EMAIL_ADDRESS"]),
    ],
)
def test_what_is_excluded_is_not_found_by_a_pipeline_either(
    entity: str, expected: list[str], pipeline: Path
) -> None:
    assert expected == [e for e, _ in found(TEXT, pipeline=str(pipeline), exclude=(entity,))]


def test_an_identifier_is_not_read_as_prose(pipeline: Path) -> None:
    recognizer = load_pipeline(str(pipeline))
    unit = TextUnit(pointer="", text="Ada Lovelace", kind=Kind.IDENTIFIER)
    assert recognizer.find(unit) == []


def test_a_blank_pipeline_finds_nothing() -> None:
    assert load_pipeline("blank:en").find(TextUnit(pointer="", text=TEXT)) == []
    assert ("PERSON", "Lovelace") in found(TEXT, pipeline="blank:de")


@pytest.mark.parametrize("name", ["no_such_package", "./no/such/path", "blank:nosuchlanguage", ""])
def test_a_pipeline_that_is_not_there_is_refused_by_its_setting(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^detection\.pipeline: ") as caught:
        build_detector(pipeline=name)
    assert repr(name) in str(caught.value)


def test_a_directory_that_is_no_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^detection\.pipeline: "):
        build_detector(pipeline=str(tmp_path))


def test_every_label_has_an_entity_with_a_category() -> None:
    taxonomy = load_taxonomy()
    assert UNKNOWN not in {taxonomy.category(entity) for entity in LABELS.values()}
