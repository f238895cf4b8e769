"""Presidio's own engine, with every recognizer whose like guardrail has, and off the network.

It runs as its users run it, but for two things. Its look-ups of public suffixes use the list that
ships inside tldextract. And a spaCy pipeline that sets no lemmas gets them, for without lemmas
Presidio silently takes no heed of context words.
"""

from __future__ import annotations

import logging

import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry, predefined_recognizers
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from presidio_analyzer.predefined_recognizers import EmailRecognizer
from spacy.language import Language
from spacy.tokens import Doc

from guardrail.detection.presidio import RECOGNIZERS


@Language.component("lemmas")
def _lemmas(doc: Doc) -> Doc:
    for token in doc:
        token.lemma_ = token.lower_
    return doc


class _OfflineEmailRecognizer(EmailRecognizer):
    """Presidio's, with the list of public suffixes that ships inside tldextract."""

    def validate_result(self, pattern_text: str) -> bool:
        return _SUFFIXES(pattern_text).fqdn != ""


_SUFFIXES = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def presidio_engine(pipeline: Language | None = None) -> AnalyzerEngine:
    """Gives Presidio's engine; its recognizer of names, too, where the pipeline names entities."""
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    pipeline = pipeline or spacy.blank("en")
    names = bool(pipeline.pipe_names)
    pipeline.add_pipe("lemmas", last=True)
    engine = SpacyNlpEngine()
    engine.nlp = {"en": pipeline}  # type: ignore[assignment]  # declared as None
    registry = RecognizerRegistry(supported_languages=["en"])
    for name in (*RECOGNIZERS, "PhoneRecognizer", "UrlRecognizer"):
        registry.add_recognizer(getattr(predefined_recognizers, name)(supported_language="en"))
    registry.add_recognizer(_OfflineEmailRecognizer(supported_language="en"))
    if names:
        registry.add_recognizer(predefined_recognizers.SpacyRecognizer(supported_language="en"))
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
