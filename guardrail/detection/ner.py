"""Who finds names: the recognizers that `[detection] names` lists.

`builtin` is the model that guardrail ships, `spacy:` a spaCy pipeline by its package's name or
path, `blank:<language>` one without a trained component, which finds nothing; `hf:` and `gliner:`
are models of Hugging Face, `presidio:` is a Presidio analyzer reached over HTTP. Nothing is
downloaded unless the configuration says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import spacy
from spacy.language import Language

from guardrail.detection.builtin import load_names
from guardrail.detection.labels import LABELS, meaning
from guardrail.detection.models import load_gliner, load_transformers
from guardrail.detection.names import Recall
from guardrail.detection.recognizer import Recognizer
from guardrail.detection.remote import load_presidio
from guardrail.errors import ConfigError
from guardrail.types import Finding, Kind, Span, TextUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class NameOptions:
    """What holds for every recognizer of names.

    `languages` are ISO 639-1 codes, empty for all that a model knows. `recall` is how eagerly the
    built-in model finds: `precise`, `balanced` or `strict`. `labels` maps a model's own labels to
    entities. `timeout` is in seconds.
    """

    languages: tuple[str, ...] = ()
    recall: str = "balanced"
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    allow_download: bool = False
    timeout: float = 2.0


def load_recognizers(names: Iterable[str], options: NameOptions) -> list[Recognizer]:
    """Gives a recognizer for each name, in their order.

    Raises:
        ConfigError: names that mean nothing, and those whose model, package or server is not there.
    """
    recognizers, problems = [], []
    for number, name in enumerate(names):
        kind, colon, rest = name.partition(":")
        load = _LOADERS.get(kind)
        if load is None or bool(colon) is not (load is not _builtin):
            known = ", ".join(k if k == "builtin" else f"{k}:…" for k in _LOADERS)
            problems.append(f"detection.names[{number}]: {name!r} is none of {known}")
            continue
        try:
            recognizers.append(load(rest, options))
        except ConfigError as error:
            problems += [f"detection.names[{number}]: {problem}" for problem in error.problems]
    if problems:
        raise ConfigError(problems)
    return recognizers


# ── spaCy ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class SpacyRecognizer:
    """Finds what the pipeline's `doc.ents` names, at a fixed score: spaCy gives none."""

    pipeline: Language = field(repr=False)
    name: str
    score: float = 0.85
    labels: Mapping[str, str] = field(default_factory=lambda: LABELS)
    by_sentence: ClassVar[bool] = True

    @property
    def entities(self) -> frozenset[str]:
        """What the pipeline's components say they may name; any label, where they do not say."""
        if not self.pipeline.pipe_names:
            return frozenset()
        said = _labels(self.pipeline) or self.labels.keys()
        return frozenset(entity for label, entity in self.labels.items() if label in said)

    @property
    def light(self) -> int:
        """Code points that it reads quickly: a trained pipeline is slow."""
        return 4096 if self.pipeline.pipe_names else 64 * 1024

    def find(self, unit: TextUnit) -> list[Finding]:
        """Gives the pipeline's entities, in offsets of the unit's text."""
        return self.find_all([unit])[0]

    def find_all(self, units: Sequence[TextUnit]) -> list[list[Finding]]:
        """Gives the pipeline's entities in each unit."""
        found: list[list[Finding]] = [[] for _ in units]
        if not self.pipeline.pipe_names:
            return found
        prose = [(unit.text, at) for at, unit in enumerate(units) if unit.kind is Kind.PROSE]
        for doc, at in self.pipeline.pipe(prose, as_tuples=True, batch_size=64):
            found[at] = [
                Finding(
                    entity=self.labels[entity.label_],
                    span=Span(entity.start_char, entity.end_char),
                    score=self.score,
                    recognizer=self.name,
                )
                for entity in doc.ents
                if entity.label_ in self.labels
            ]
        return found


def _spacy(name: str, options: NameOptions) -> SpacyRecognizer:
    try:
        pipeline = spacy.load(name)
    except (OSError, ImportError, ValueError) as error:
        raise ConfigError(
            [
                f"spaCy cannot load {name!r} ({type(error).__name__}); install the package, give "
                "the path of a pipeline's directory, or use 'blank:en'"
            ]
        ) from None
    labels = meaning(LABELS, options.labels)
    said = _labels(pipeline)
    if said and said.isdisjoint(labels):
        raise ConfigError(
            [
                f"'spacy:{name}' names {', '.join(sorted(said))}; say in detection.labels which "
                "entities they are"
            ]
        )
    return SpacyRecognizer(pipeline=pipeline, name=f"spacy:{name}", labels=labels)


def _labels(pipeline: Language) -> set[str]:
    """What the components that write `doc.ents` say they may name."""
    return {
        label
        for name, component in pipeline.pipeline
        if "doc.ents" in pipeline.get_pipe_meta(name).assigns
        for label in getattr(component, "labels", ())
    }


def _blank(language: str, options: NameOptions) -> SpacyRecognizer:
    try:
        pipeline = spacy.blank(language)
    except (OSError, ImportError, ValueError):
        raise ConfigError([f"spaCy has no language {language!r}; use 'blank:en'"]) from None
    return SpacyRecognizer(pipeline=pipeline, name=f"blank:{language}")


# ── the others ───────────────────────────────────────────────────────────────────────────────────


def _builtin(_rest: str, options: NameOptions) -> Recognizer:
    return load_names(Recall(options.recall), languages=options.languages)


def _transformers(name: str, options: NameOptions) -> Recognizer:
    return load_transformers(name, labels=options.labels, allow_download=options.allow_download)


def _gliner(name: str, options: NameOptions) -> Recognizer:
    return load_gliner(name, labels=options.labels, allow_download=options.allow_download)


def _presidio(url: str, options: NameOptions) -> Recognizer:
    return load_presidio(
        url,
        languages=options.languages or ("en",),
        labels=options.labels,
        timeout=options.timeout,
    )


_LOADERS: Mapping[str, Callable[[str, NameOptions], Recognizer]] = MappingProxyType(
    {
        "builtin": _builtin,
        "blank": _blank,
        "spacy": _spacy,
        "hf": _transformers,
        "gliner": _gliner,
        "presidio": _presidio,
    }
)
