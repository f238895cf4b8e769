"""The recognizer of names that ships with guardrail: its models, chosen by language.

It is an ordinary recognizer of guardrail's, of Presidio's (`PresidioNames`) and of spaCy's (the
component `guardrail_names`); the weights are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import regex
from presidio_analyzer import EntityRecognizer, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts
from spacy.language import Language
from spacy.tokens import Doc

from guardrail.detection.common import ORDERS, PROGRAMMING
from guardrail.detection.language import language_of
from guardrail.detection.names import BIAS, Doubt, Name, NamesModel, Recall, read, split
from guardrail.errors import ConfigError
from guardrail.types import Finding, Kind, TextUnit

DIGESTS: Mapping[str, str] = {
    "en": "eed429230bdb1515d5ec05c9ea4718ab652a932f3a4d0a88634088b462236845",
    "xx": "cd2d0007f08b210454311d7fc2921ff44a0f5f22c9cc7f8021e324d277d85a63",
}
"""SHA-256 of the shipped weights: `en` for English, `xx` for every other language."""

LABELS: Mapping[str, str] = {
    "PERSON": "PERSON",
    "LOCATION": "LOCATION",
    "ORGANIZATION": "ORGANIZATION",
}
"""What the models call names → entities."""

_CODE = regex.compile(r"[\[\]{}=<>\\]|^\S*[()/]\S*$")
_CAMEL = regex.compile(r"(?!Mac?\p{Lu}|O\p{Lu})\p{L}*\p{Ll}\p{Lu}\p{L}*")
_CLASS = regex.compile(
    r"(?:\p{Lu}\p{Ll}++){4,}+"
    r"(?<=Event|Error|Handler|Config|Item|Params|Request|Response|Options|Type)"
)
"""Never somebody, however sure the model is; `JuanCarlosGarciaLopez` may be."""
_FAMILY = regex.compile(
    r"(?:La|Le|De|Du|Di|Da|Des|Van|Von|Fitz|Jo|Mary|Ann|Mc|Mac|O|St)\p{Lu}\p{Ll}+"
)
_JOINED = regex.compile(r"(?<=\p{Lu}\p{Ll}{1,24})_(?=\p{Lu}\p{Ll})")
"""What stands for a space in `Erika_Mustermann`."""
_LETTER = regex.compile(r"\p{L}")
_DIGIT = regex.compile(r"\p{Nd}")


@dataclass(frozen=True, slots=True)
class NamesRecognizer:
    """Finds people, places and organisations; safe to share between threads."""

    models: Mapping[str, NamesModel] = field(repr=False)
    recall: Recall = Recall.BALANCED
    by_sentence: ClassVar[bool] = True

    @property
    def entities(self) -> frozenset[str]:
        """What it may name."""
        return frozenset({"PERSON", "LOCATION", "STREET_ADDRESS", "ORGANIZATION"})

    def find(self, unit: TextUnit) -> list[Finding]:
        """Gives the names in the unit's text, in order."""
        return self.examine(unit)[0]

    def examine(self, unit: TextUnit) -> tuple[list[Finding], list[Doubt]]:
        """Gives the names in the unit's text, and where else one may begin, both in order."""
        if unit.kind is Kind.IDENTIFIER:
            return [], []
        names, doubts = self.read(unit.text)
        findings = [
            Finding(
                entity=_entity(name.label, unit.text[name.span.start : name.span.end]),
                span=name.span,
                score=round(name.score, 4),
                recognizer="guardrail:names",
            )
            for name in names
        ]
        return findings, doubts

    def read(self, text: str) -> tuple[list[Name], list[Doubt]]:
        """Gives every name, organisations included, that does not look like a piece of code."""
        words, starts = split(_JOINED.sub(" ", text))
        if not words:
            return [], []
        model = self._model(text, words)
        bias = BIAS[self.recall]
        caseless = text.islower()  # which a text in a script without capitals is not
        if caseless:
            bias += _CASELESS
        probabilities = model.probabilities(words)
        found = model.decode(probabilities, words, starts, bias)
        return (
            [
                replace(name, score=_as_decided(name.score, bias))
                for name in found
                if _is_somebody(text, name, caseless=caseless)
            ],
            model.doubts(probabilities, words, starts),
        )

    def _model(self, text: str, words: Sequence[tuple[str, bool]]) -> NamesModel:
        language = language_of(text, (word for word, _ in words))
        name = "en" if language in ("en", "") else "xx"
        return self.models[name if name in self.models else next(iter(self.models))]


_CASELESS = 1.0
"""Added to the bias of a text without capitals, in which the model is less sure of names."""


def _as_decided(chance: float, bias: float) -> float:
    """The probability of a name once "no name" counts as little as the recall asked for says."""
    return chance / (chance + (1 - chance) * math.exp(-bias))


def _is_somebody(text: str, name: Name, *, caseless: bool) -> bool:
    """False for what only looks like a name to the model: code, packages, an order.

    Each of these could hide somebody, so it holds for single words, or where code is plain to see.
    """
    start, end = name.span.start, name.span.end
    value = text[start:end]
    sure = name.score >= _SURE
    if not _LETTER.search(value) or _CODE.search(value):
        return False
    if _CLASS.fullmatch(value) or (
        _CAMEL.fullmatch(value) and not (sure or _FAMILY.fullmatch(value))
    ):
        return False
    several = " " in value or "_" in value
    if value.islower():
        if len(value) == 1 or (not caseless and name.score < _LOWER_CASE):
            return False
        glued = _GLUE.fullmatch(text[max(0, start - 2) : start]) or _GLUED.match(text, end)
        if glued and not (several and sure):
            return False
    if several:
        return True
    if not sure and _CALLED.match(text, end):
        return False
    quoted = text[max(0, start - 1) : start] == text[end : end + 1] == "`"
    if quoted and value.islower() and not (caseless or sure):
        return False
    begin = text.rfind("\n", 0, start) + 1
    after = text.find("\n", end)
    typed = _TYPED.search(text, max(begin, start - _NEAR), start)
    if _IMPORT.fullmatch(text, begin, after if after >= 0 else len(text)) or (
        typed and not sure and typed[1].lower() == value.lower() and _ANNOTATED.match(text, end)
    ):
        return False
    before = text[max(0, start - 64) : start].rstrip()[-1:]
    ordered = value.lower() in ORDERS and before in ("", *".!?:")
    return value not in PROGRAMMING and (sure or not ordered)


_SURE = 0.97
"""The score from which a word that begins a sentence is a name though it is also an order."""
_NEAR = 80
"""Code points before a word in which the name of what it is the type of ends."""
_LOWER_CASE = 0.6
"""The score of a name without capitals that counts in a text with capitals."""
_GLUE = regex.compile(r"[\p{L}\p{N}][-_./:]")
_GLUED = regex.compile(r"[-_./:][\p{L}\p{N}]")
_CALLED = regex.compile(r"\((?:[ \t]*+[\r\n]|\))")
_NAMED = r"[\w.]++(?:\s+as\s+\w++)?"
_IMPORT = regex.compile(
    rf"\s*+(?:>>> )?(?:from\s+[\w.]++\s+)?c?import\s+\(?{_NAMED}(?:\s*+,\s*+{_NAMED})*+,?\)?\s*+"
)
_TYPED = regex.compile(r"(\w{1,64})\s?:\s?$")
_ANNOTATED = regex.compile(r"\s?[,)\]=|]")


def _entity(label: str, value: str) -> str:
    if label == "LOCATION" and _DIGIT.search(value):
        return "STREET_ADDRESS"
    return LABELS[label]


@lru_cache(maxsize=8)
def load_models(names: tuple[str, ...] = ("en", "xx")) -> Mapping[str, NamesModel]:
    """Gives the named ones of the shipped models, loaded once.

    Raises:
        ConfigError: a file of weights is missing or is not the one that was shipped.
    """
    folder = Path(str(resources.files("guardrail.detection"))) / "weights"
    try:
        return {name: read(folder / f"{name}.npz", DIGESTS[name]) for name in names}
    except (OSError, ValueError) as error:
        reason = error if isinstance(error, ValueError) else type(error).__name__
        raise ConfigError([f"detection: the names model cannot be loaded: {reason}"]) from None


def load_names(
    recall: Recall = Recall.BALANCED, *, languages: Sequence[str] = ()
) -> NamesRecognizer:
    """Gives the recognizer with the shipped models that read `languages`; all, if there are none.

    Raises:
        ConfigError: as `load_models` does.
    """
    wanted = {"en" if language == "en" else "xx" for language in languages} or {"en", "xx"}
    return NamesRecognizer(load_models(tuple(sorted(wanted))), recall)


class PresidioNames(EntityRecognizer):
    """The same names for Presidio's analyzer: `registry.add_recognizer(PresidioNames())`."""

    def __init__(self, recall: Recall = Recall.BALANCED, supported_language: str = "en") -> None:
        self._recognizer = load_names(recall)
        super().__init__(
            supported_entities=sorted(LABELS.values()),
            supported_language=supported_language,
            name="GuardrailNames",
        )

    def load(self) -> None:
        """Nothing is left to load."""

    def analyze(
        self, text: str, entities: Iterable[str], nlp_artifacts: NlpArtifacts | None = None
    ) -> list[RecognizerResult]:
        """Gives the names whose type is among `entities`."""
        wanted = frozenset(entities)
        return [
            RecognizerResult(LABELS[n.label], n.span.start, n.span.end, n.score)
            for n in self._recognizer.read(text)[0]
            if LABELS[n.label] in wanted
        ]


@Language.factory("guardrail_names", default_config={"recall": "balanced"})
def _component(nlp: Language, name: str, recall: str) -> _Component:
    return _Component(load_names(Recall(recall)))


@dataclass(frozen=True, slots=True)
class _Component:
    """Sets `doc.ents`: `spacy.blank("en").add_pipe("guardrail_names")`."""

    recognizer: NamesRecognizer

    def __call__(self, doc: Doc) -> Doc:
        spans = (
            doc.char_span(n.span.start, n.span.end, label=n.label, alignment_mode="expand")
            for n in self.recognizer.read(doc.text)[0]
        )
        doc.set_ents([span for span in spans if span is not None], default="outside")
        return doc

    def to_bytes(self, **_options: Any) -> bytes:
        """The weights ship with guardrail, so that a saved pipeline need not hold them."""
        return b""

    def from_bytes(self, _data: bytes, **_options: Any) -> _Component:
        """Itself."""
        return self

    def to_disk(self, _path: Path, **_options: Any) -> None:
        """Writes nothing; see `to_bytes`."""

    def from_disk(self, _path: Path, **_options: Any) -> _Component:
        """Itself."""
        return self
