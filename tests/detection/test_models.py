"""Models of Hugging Face: what they are shown, and what becomes of their answers."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence

import pytest

from guardrail.detection.detector import RuleDetector, build_detector
from guardrail.detection.models import ModelRecognizer, Named
from guardrail.errors import ConfigError, DetectorUnavailable
from guardrail.types import Kind, TextUnit

LABELS = {"PER": "PERSON", "LOC": "LOCATION"}


class Model:
    """Names every `Ada`, and keeps what it was shown; `answers` replaces its own."""

    def __init__(self, answers: Iterable[Named] | None = None) -> None:
        self.answers = answers
        self.shown: list[str] = []

    def __call__(self, texts: Sequence[str]) -> list[list[Named]]:
        self.shown += texts
        return [
            [("PER", at, at + 3, 0.9) for at in range(len(text)) if text.startswith("Ada", at)]
            if self.answers is None
            else list(self.answers)
            for text in texts
        ]


def recognizer(model: Model) -> ModelRecognizer:
    return ModelRecognizer(name="hf:test", predict=model, labels=LABELS)


def unit(text: str, kind: Kind = Kind.PROSE) -> TextUnit:
    return TextUnit(pointer="", text=text, kind=kind)


def test_a_model_is_shown_no_more_than_it_can_read() -> None:
    model = Model()
    text = "word " * 400 + "x" * 2000 + "Ada"
    (found,) = recognizer(model).find_all([unit(text)])
    assert max(map(len, model.shown)) <= 256
    assert {text[f.span.start : f.span.end] for f in found} == {"Ada"}


def test_findings_are_in_the_offsets_of_their_units() -> None:
    texts = ["Ada", "nobody", "😀 met Ada " + "and others " * 50 + "Ada"]
    found = recognizer(Model()).find_all([unit(text) for text in texts])
    values = [
        [t[f.span.start : f.span.end] for f in fs] for t, fs in zip(texts, found, strict=True)
    ]
    assert values == [["Ada"], [], ["Ada", "Ada"]]


def test_an_identifier_is_not_shown_to_a_model() -> None:
    model = Model()
    assert recognizer(model).find_all([unit("Ada", Kind.IDENTIFIER)]) == [[]]
    assert model.shown == []


def test_a_label_that_is_not_personal_data_is_no_finding() -> None:
    assert recognizer(Model([("DATE", 0, 3, 0.9)])).find(unit("May 3")) == []


@pytest.mark.parametrize(
    "named",
    [("PER", 0, 99, 0.9), ("PER", 3, 3, 0.9), ("PER", -1, 2, 0.9), ("PER", 0, 3, float("nan"))],
)
def test_a_model_that_names_what_is_not_there_makes_detection_unavailable(named: Named) -> None:
    detector = RuleDetector(rules=(), recognizers=(recognizer(Model([named])),))
    with pytest.raises(DetectorUnavailable, match="ValueError"):
        detector.find(unit("Ada"))


def test_a_model_that_answers_for_other_texts_makes_detection_unavailable() -> None:
    short = ModelRecognizer(name="x", predict=lambda texts: [], labels=LABELS)
    with pytest.raises(DetectorUnavailable, match="ValueError"):
        RuleDetector(rules=(), recognizers=(short,)).find(unit("Ada"))


@pytest.mark.parametrize(("name", "extra"), [("hf:x/y", "transformers"), ("gliner:x/y", "gliner")])
@pytest.mark.skipif(
    bool(importlib.util.find_spec("transformers") or importlib.util.find_spec("gliner")),
    reason="the extras are installed",
)
def test_a_missing_extra_is_said_with_the_command_that_mends_it(name: str, extra: str) -> None:
    with pytest.raises(ConfigError, match=r"^detection\.names\[1\]: .* is not installed") as caught:
        build_detector(names=["blank:en", name])
    assert f"pip install 'guardrail-asgi[{extra}]'" in str(caught.value)
