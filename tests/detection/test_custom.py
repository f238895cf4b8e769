"""Recognizers of a deployment's own, in Presidio's YAML format."""

from __future__ import annotations

from pathlib import Path

import pytest
from presidio_analyzer import RecognizerRegistry
from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider

from guardrail.detection.custom import load_custom_rules
from guardrail.detection.detector import build_detector
from guardrail.errors import ConfigError
from guardrail.guard import holds_on_streams
from guardrail.taxonomy import load_taxonomy
from guardrail.types import TextUnit

TAXONOMY = load_taxonomy({"STAFF_NUMBER": "national-id"})
EXAMPLE = Path(__file__).parents[2] / "examples" / "own_entity.yaml"
ONE = """
supported_languages: [en]
recognizers:
  - name: staff
    supported_entity: STAFF_NUMBER
    patterns:
      - {name: number, regex: 'S-[0-9]{6}', score: 0.9}
"""


def written(folder: Path, text: str, name: str = "recognizers.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def found(text: str, *paths: Path, pointer: str = "") -> list[str]:
    detector = build_detector(
        names=["blank:en"], recognizers=paths, taxonomy=TAXONOMY, streams=holds_on_streams
    )
    findings = detector.detect(TextUnit(pointer=pointer, text=text))
    return [text[f.span.start : f.span.end] for f in findings if f.entity == "STAFF_NUMBER"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ask S-204711 please", ["S-204711"]),
        ("S-2047112", []),
        ("order 204711", []),
        ("badge 204711", ["204711"]),
        ("Personalnummer: 204711", ["204711"]),
        ("she leads blue heron", ["blue heron"]),
    ],
)
def test_the_example_finds_what_it_says(text: str, expected: list[str]) -> None:
    assert found(text, EXAMPLE) == expected


def test_the_name_of_the_field_is_context_for_ones_own_patterns() -> None:
    assert found("204711", EXAMPLE, pointer="/badge") == ["204711"]


def test_presidio_reads_the_example_too() -> None:
    provider = RecognizerRegistryProvider(conf_file=str(EXAMPLE))
    registry = provider.create_recognizer_registry()
    assert isinstance(registry, RecognizerRegistry)
    names = {recognizer.to_dict()["name"] for recognizer in registry.recognizers}
    assert {"staff number", "code names"} <= names


def test_what_has_no_finite_width_is_found_in_whole_texts_alone(tmp_path: Path) -> None:
    path = written(tmp_path, ONE.replace("{6}", "+"))
    detector = build_detector(
        names=["blank:en"], recognizers=[path], taxonomy=TAXONOMY, streams=holds_on_streams
    )
    assert [rule.name for rule in detector.whole] == ["staff:number"]
    assert "staff:number" not in {rule.name for rule in detector.rules}
    assert "STAFF_NUMBER" in detector.entities
    assert found("Ask S-2", path) == ["S-2"]


def test_files_add_up_and_flags_are_the_files(tmp_path: Path) -> None:
    first = written(tmp_path, "global_regex_flags: 0\n" + ONE, "first.yaml")
    second = written(tmp_path, ONE.replace("staff", "badge").replace("S-", "B-"), "second.yaml")
    assert found("S-204711 s-204712 B-204713 b-204714", first, second) == [
        "S-204711",
        "B-204713",
        "b-204714",
    ]


def test_what_is_not_enabled_or_always_at_work_is_left_out(tmp_path: Path) -> None:
    more = """
  - {name: off, enabled: false, supported_entity: X, deny_list: [x]}
  - {name: CreditCardRecognizer, type: predefined}
  - IbanRecognizer
"""
    assert [rule.name for rule in load_custom_rules([written(tmp_path, ONE + more)])] == [
        "staff:number"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("recognizers: [", "line 1: not valid YAML"),
        ("- a\n- b\n", "a mapping with the key `recognizers` is required"),
        ("recognizers: []\n", "recognizers: a list of at least one is required"),
        ("recognizers: [EmailRecognizer]\n", "recognizers[0]: 'EmailRecognizer' is not a custom"),
        ("recognizers: [7]\n", "recognizers[0]: 7 is not a custom recognizer"),
        (ONE.replace("supported_entity", "entity"), "recognizers[0].supported_entity: Field"),
        (ONE.replace("score: 0.9", "score: 9"), "recognizers[0].patterns: "),
        (ONE.replace("regex:", "regexp:"), "recognizers[0].patterns: "),
        (ONE.replace("[0-9]", "[0-9"), "recognizers[0].patterns[0].regex: not a regular"),
        (ONE.replace("'S-[0-9]{6}'", "7"), "recognizers[0].patterns[0].regex: not a regular"),
        (ONE.replace("S-[0-9]{6}", "(?:S+)+_"), "recognizers[0].patterns[0].regex: takes too"),
        (ONE.replace("patterns:", "deny_list: ['']\n    x:"), "recognizers[0].deny_list: entry 1"),
        (ONE + "  - {name: staff}\n", "recognizers[1].supported_entity: Field required"),
    ],
)
def test_what_is_wrong_is_said_by_file_and_path(text: str, problem: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_custom_rules([path])
    (line,) = caught.value.problems
    assert line.startswith(f"detection.recognizers: {path}: {problem}")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml: No such file"):
        load_custom_rules([tmp_path / "missing.yaml"])


def test_two_patterns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two patterns bear the name 'staff:number'"):
        load_custom_rules([written(tmp_path, ONE), written(tmp_path, ONE, "again.yaml")])


def test_an_entity_without_a_category_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^detection\.entities: 'STAFF_NUMBER' can be found"):
        build_detector(names=["blank:en"], recognizers=[written(tmp_path, ONE)])
