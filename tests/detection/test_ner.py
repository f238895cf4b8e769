"""A spaCy pipeline drops in by its path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.pipeline import EntityRuler

from guardrail.detection.detector import build_detector
from guardrail.detection.labels import BY_NATURE, LABELS, PROMPTS
from guardrail.detection.ner import NameOptions, load_recognizers
from guardrail.detection.recognizer import BatchRecognizer, find_all, light
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
            {"label": "ORG", "pattern": "Lovelace & Sons"},
            {"label": "MASCOT", "pattern": "Mr. Byte"},
        ]
    )
    path = tmp_path_factory.mktemp("pipeline")
    nlp.to_disk(path)
    return path


def found(text: str, *names: str, **settings: Any) -> list[tuple[str, str]]:
    detector = build_detector(names=names, **settings)
    return [
        (f.entity, text[f.span.start : f.span.end])
        for f in detector.detect(TextUnit(pointer="", text=text))
    ]


def test_what_a_pipeline_names_is_found_beside_what_rules_find(pipeline: Path) -> None:
    assert found(TEXT, f"spacy:{pipeline}") == [
        ("PERSON", "Ada Lovelace"),
        ("LOCATION", "London"),
        ("PERSON", "Mr. Lovelace"),
        ("EMAIL_ADDRESS", "ada@example.com"),
    ]


def test_what_a_pipeline_names_is_found_in_the_offsets_of_the_original(pipeline: Path) -> None:
    text = "\u200bＡda\u00a0Lovelace\u200b and Ada\u200b Love\u00adlace"
    assert found(text, f"spacy:{pipeline}") == [
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
    assert expected == [e for e, _ in found(TEXT, f"spacy:{pipeline}", exclude=[entity])]


def test_an_identifier_is_not_read_as_prose(pipeline: Path) -> None:
    (recognizer,) = load_recognizers([f"spacy:{pipeline}"], NameOptions())
    unit = TextUnit(pointer="", text="Ada Lovelace", kind=Kind.IDENTIFIER)
    assert list(recognizer.find(unit)) == []


def test_a_blank_pipeline_finds_nothing() -> None:
    (recognizer,) = load_recognizers(["blank:en"], NameOptions())
    assert list(recognizer.find(TextUnit(pointer="", text=TEXT))) == []
    assert recognizer.entities == frozenset()
    assert ("PERSON", "Lovelace") in found(TEXT, "blank:de")
    assert ("PERSON", "Lovelace") in found(TEXT)


def test_what_any_of_several_finds_is_found(pipeline: Path, tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    assert isinstance(ruler, EntityRuler)
    ruler.add_patterns([{"label": "LOC", "pattern": "Yesterday"}])
    nlp.to_disk(tmp_path)
    seen = found(TEXT, f"spacy:{tmp_path}", "blank:en", f"spacy:{pipeline}")
    assert [value for entity, value in seen if entity == "LOCATION"] == ["Yesterday", "London"]


def test_a_pipeline_reads_many_units_in_one_go_and_says_what_it_may_name(pipeline: Path) -> None:
    (recognizer,) = load_recognizers([f"spacy:{pipeline}"], NameOptions())
    assert isinstance(recognizer, BatchRecognizer)
    assert recognizer.entities == {"PERSON", "LOCATION", "ORGANIZATION"}
    assert light(recognizer) < 64 * 1024
    texts = ("London", "nowhere", "Ada Lovelace in London")
    units = [TextUnit(pointer="", text=text) for text in texts]
    assert [len(list(findings)) for findings in find_all(recognizer, units)] == [1, 0, 2]


def test_a_pipeline_of_unknown_labels_is_refused_until_they_are_explained(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    assert isinstance(ruler, EntityRuler)
    ruler.add_patterns([{"label": "MENSCH", "pattern": "Ada"}])
    nlp.to_disk(tmp_path)
    with pytest.raises(ConfigError, match=r"names MENSCH; say in detection\.labels"):
        load_recognizers([f"spacy:{tmp_path}"], NameOptions())
    seen = found("Ask Ada.", f"spacy:{tmp_path}", labels={"MENSCH": "PERSON"})
    assert seen == [("PERSON", "Ada")]


def test_a_label_of_a_pipeline_s_own_is_what_the_configuration_says(pipeline: Path) -> None:
    text = "Ask Mr. Byte."
    assert found(text, f"spacy:{pipeline}", exclude=["PERSON"]) == []
    seen = found(text, f"spacy:{pipeline}", labels={"MASCOT": "USER_ID"}, exclude=["PERSON"])
    assert seen == [("USER_ID", "Mr. Byte")]


@pytest.mark.parametrize(
    ("setting", "treated", "reported"),
    [({"organizations": "off"}, 0, 0), ({}, 0, 1), ({"organizations": "on"}, 1, 1)],
)
def test_organisations_are_reported_and_treated_on_demand(
    setting: dict[str, Any], treated: int, reported: int, pipeline: Path
) -> None:
    detector = build_detector(names=[f"spacy:{pipeline}"], **setting)
    unit = TextUnit(pointer="", text="Buy at Lovelace & Sons.")
    assert [f.entity for f in detector.find(unit)].count("ORGANIZATION") == treated
    assert [f.entity for f in detector.find_all([unit])[0]].count("ORGANIZATION") == reported


def test_an_organisation_on_a_list_is_found_all_the_same(pipeline: Path) -> None:
    deny = {"ORGANIZATION": ("Lovelace & Sons",)}
    seen = found("Buy at Lovelace & Sons.", f"spacy:{pipeline}", deny=deny)
    assert seen == [("ORGANIZATION", "Lovelace & Sons")]


def test_organisations_that_nobody_finds_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^detection\.organizations: no recognizer"):
        build_detector(names=["blank:en"], organizations="on")


@pytest.mark.parametrize(
    "name",
    [
        *("spacy:no_such_package", "spacy:./no/such/path", "spacy:", "blank:nosuchlanguage"),
        *("blank:", "", "blank", "builtin:en", "spaCy:en_core_web_lg", "en_core_web_lg"),
    ],
)
def test_a_name_that_is_nobody_s_is_refused_by_its_setting(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^detection\.names\[1\]: "):
        build_detector(names=["blank:en", name])


def test_every_name_that_is_wrong_is_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        build_detector(names=["x", "blank:en", "spacy:x"])
    assert len(caught.value.problems) == 2


def test_a_directory_that_is_no_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^detection\.names\[0\]: spaCy cannot load"):
        build_detector(names=[f"spacy:{tmp_path}"])


def test_every_label_has_an_entity_with_a_category() -> None:
    taxonomy = load_taxonomy()
    named = {*LABELS.values(), *PROMPTS.values(), *BY_NATURE}
    assert UNKNOWN not in {taxonomy.category(entity) for entity in named}
