"""Models of Hugging Face that find names: token classifiers, and GLiNER. Both are optional extras.

Presidio's own recognizer for token classifiers answers with nothing found when its model fails, so
here the model is asked directly. GLiNER runs in Presidio's recognizer, which fails when its model
does.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from types import MappingProxyType
from typing import Any, ClassVar

from presidio_analyzer.predefined_recognizers import GLiNERRecognizer

from guardrail.detection.labels import LABELS, PROMPTS, meaning
from guardrail.detection.pieces import pieces
from guardrail.errors import ConfigError
from guardrail.types import Finding, Kind, Span, TextUnit

Named = tuple[str, int, int, float]
"""A label, where what it names begins and ends, and how sure the model is."""
Predict = Callable[[Sequence[str]], Sequence[Iterable[Named]]]
"""Asks a model about several short texts at once."""

_AT_ONCE = 32
"""Texts in one call of a model: more need more memory, and are not faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecognizer:
    """Finds what a model names in prose. `predict` asks it, `labels` says what its labels mean.

    A model cuts off silently what is too long for it, so it is shown at most `piece` code points at
    once, of which two pieces share `overlap`.
    """

    name: str
    predict: Predict = field(repr=False)
    labels: Mapping[str, str]
    piece: int = 256
    overlap: int = 64
    light: int = 0
    by_sentence: ClassVar[bool] = True

    @property
    def entities(self) -> frozenset[str]:
        """Every entity that a label of the model stands for."""
        return frozenset(self.labels.values())

    def find(self, unit: TextUnit) -> list[Finding]:
        """Gives what the model names, in offsets of the unit's text."""
        return self.find_all([unit])[0]

    def find_all(self, units: Sequence[TextUnit]) -> list[list[Finding]]:
        """Gives what the model names in each unit.

        Raises:
            ValueError: it answered for other texts than it was asked about, or names what lies
                outside of them.
        """
        found: list[list[Finding]] = [[] for _ in units]
        asked = [
            (at, offset, piece)
            for at, unit in enumerate(units)
            if unit.kind is Kind.PROSE
            for offset, piece in pieces(unit.text, size=self.piece, overlap=self.overlap)
            if piece.strip()
        ]
        for first in range(0, len(asked), _AT_ONCE):
            some = asked[first : first + _AT_ONCE]
            answers = self.predict([text for _, _, text in some])
            for (at, offset, text), named in zip(some, answers, strict=True):
                for label, start, end, score in named:
                    if not 0 <= start < end <= len(text):
                        raise ValueError("a model names what lies outside of the text")
                    if not score >= 0:  # nor is it, where it is no number
                        raise ValueError("a model gives a score that is none")
                    if label in self.labels:
                        found[at].append(
                            Finding(
                                entity=self.labels[label],
                                span=Span(offset + start, offset + end),
                                score=min(1.0, score),
                                recognizer=self.name,
                            )
                        )
        return found


def load_transformers(
    name: str, *, labels: Mapping[str, str], allow_download: bool
) -> ModelRecognizer:
    """Gives the recognizer over a token classifier: a model's name in the local cache, or a path.

    Raises:
        ConfigError: the extra is not installed, the model is not on this machine, or none of its
            labels is known.
    """
    transformers = _extra("transformers", "transformers")
    options = {"local_files_only": not allow_download, "trust_remote_code": False}
    with _told(f"hf:{name}"), _offline(not allow_download):
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, **options)
        model = transformers.AutoModelForTokenClassification.from_pretrained(name, **options)
        # Some tokenizers do not say how much the model can read.
        longest = int(getattr(model.config, "max_position_embeddings", 514)) - 2
        tokenizer.model_max_length = min(tokenizer.model_max_length, longest)
        pipe = transformers.pipeline(
            "token-classification",
            model=model,
            tokenizer=tokenizer,
            aggregation_strategy="simple",
            stride=min(64, longest // 4),  # what is longer is read in parts, and not cut off
        )
    said = {_bare(label) for label in model.config.id2label.values()}
    known = meaning(LABELS, labels)
    meant = {label: known[label] for label in said if label in known}
    if not meant:
        raise ConfigError(
            [
                f"'hf:{name}' names {', '.join(sorted(said))}; say in detection.labels which "
                "entities they are"
            ]
        )

    lock = Lock()  # a tokenizer serves one thread at a time

    def predict(texts: Sequence[str]) -> list[list[Named]]:
        with lock:
            answers = pipe(list(texts))
        return [
            [
                (_bare(n["entity_group"]), int(n["start"]), int(n["end"]), float(n["score"]))
                for n in answer
            ]
            for answer in answers
        ]

    return ModelRecognizer(
        name=f"hf:{name}",
        predict=predict,
        labels=MappingProxyType(meant),
        piece=2048,
        overlap=128,
    )


def load_gliner(name: str, *, labels: Mapping[str, str], allow_download: bool) -> ModelRecognizer:
    """Gives the recognizer over a GLiNER model: its name in the local cache, or a path.

    It is asked for what `labels` lists besides names, places, addresses, births and illness.

    Raises:
        ConfigError: the extra is not installed, or the model is not on this machine.
    """
    _extra("gliner", "gliner")
    asked = dict(meaning(PROMPTS, labels))
    with _told(f"gliner:{name}"), _offline(not allow_download):
        recognizer = GLiNERRecognizer(
            model_name=name,
            entity_mapping=asked,
            chunk_size=1024,  # our own pieces are shorter
            local_files_only=not allow_download,
        )

    lock = Lock()  # as above

    def predict(texts: Sequence[str]) -> list[list[Named]]:
        with lock:
            answers = [recognizer.analyze(text, []) for text in texts]
        return [
            [(said.entity_type, said.start, said.end, float(said.score)) for said in answer]
            for answer in answers
        ]

    meant = MappingProxyType({entity: entity for entity in asked.values()})
    return ModelRecognizer(name=f"gliner:{name}", predict=predict, labels=meant)


def _bare(label: str) -> str:
    """A label without the mark of its place in a name: `B-PER` is `PER`."""
    return label[2:] if label[:2] in ("B-", "I-", "E-", "S-", "U-", "L-") else label


def _extra(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError(
            [f"{module} is not installed; run: pip install 'guardrail-asgi[{extra}]'"]
        ) from None


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Turns whatever keeps a model from being loaded into what to mend."""
    try:
        yield
    except Exception as error:
        raise ConfigError(
            [
                f"{name!r} cannot be loaded ({type(error).__name__}); give the path of a model's "
                "folder, or the name of one that was downloaded before, or set "
                "detection.allow_download = true"
            ]
        ) from None


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Keeps the hub's client from the network: a model may name another that it builds on."""
    constants: Any = importlib.import_module("huggingface_hub.constants")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = wanted or before
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
