"""A real Presidio engine behind a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from presidio_analyzer import (
    AnalyzerEngine,
    BatchAnalyzerEngine,
    Pattern,
    PatternRecognizer,
    RecognizerRegistry,
)
from presidio_analyzer.nlp_engine import NlpEngineProvider
from servers import free_port, serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from guardrail.detection.detector import RuleDetector, build_detector
from guardrail.detection.remote import load_presidio
from guardrail.errors import ConfigError, DetectorUnavailable
from guardrail.taxonomy import load_taxonomy
from guardrail.types import Kind, TextUnit

PATTERNS = {"PERSON": "Ada Lovelace", "STAFF_NUMBER": "S-[0-9]{6}", "DATE_TIME": "yesterday"}
TAXONOMY = load_taxonomy({"STAFF_NUMBER": "national-id"})


def engine() -> BatchAnalyzerEngine:
    nlp = NlpEngineProvider(
        nlp_configuration={
            "nlp_engine_name": "no_op",
            "models": [{"lang_code": "en", "model_name": "no_op"}],
        }
    ).create_engine()
    recognizers = [
        PatternRecognizer(entity, patterns=[Pattern(entity, pattern, 0.8)])
        for entity, pattern in PATTERNS.items()
    ]
    registry = RecognizerRegistry(recognizers=recognizers, supported_languages=["en"])
    return BatchAnalyzerEngine(
        AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=["en"])
    )


class Analyzer:
    """Presidio's REST API over a real engine. `answer` replaces what `/analyze` says."""

    def __init__(self) -> None:
        self.engine = engine()
        self.asked: list[dict[str, Any]] = []
        self.answer: Callable[[list[Any]], Response] | None = None
        self.app = Starlette(
            routes=[
                Route("/analyze", self.analyze, methods=["POST"]),
                Route("/supportedentities", self.entities),
            ]
        )

    async def analyze(self, request: Request) -> Response:
        asked = await request.json()
        self.asked.append(asked)
        found = list(
            self.engine.analyze_iterator(
                asked["text"], language=asked["language"], entities=asked["entities"]
            )
        )
        said = [[result.to_dict() for result in results] for results in found]
        return self.answer(said) if self.answer else Response(json.dumps(said))

    async def entities(self, request: Request) -> Response:
        analyzer = self.engine.analyzer_engine
        assert analyzer is not None
        known = analyzer.get_supported_entities(request.query_params["language"])
        return Response(json.dumps(known))


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Analyzer, str]]:
    analyzer = Analyzer()
    with serve(analyzer.app) as url:
        yield analyzer, url


@pytest.fixture
def analyzer(running: tuple[Analyzer, str]) -> Iterator[Analyzer]:
    running[0].asked.clear()
    yield running[0]
    running[0].answer = None


def detector(url: str) -> RuleDetector:
    return build_detector(names=[f"presidio:{url}"], taxonomy=TAXONOMY)


def unit(text: str, kind: Kind = Kind.PROSE) -> TextUnit:
    return TextUnit(pointer="", text=text, kind=kind)


def test_offsets_are_code_points(analyzer: Analyzer, running: tuple[Analyzer, str]) -> None:
    text = "😀 é 𝒳 yesterday Ada Lovelace, S-204711"
    found = detector(running[1]).detect(unit(text))
    assert [(f.entity, text[f.span.start : f.span.end]) for f in found] == [
        ("PERSON", "Ada Lovelace"),
        ("STAFF_NUMBER", "S-204711"),
    ]


def test_all_units_are_one_question(analyzer: Analyzer, running: tuple[Analyzer, str]) -> None:
    one = detector(running[1])
    analyzer.asked.clear()
    texts = ["Ada Lovelace", "nobody", "with Ada Lovelace"]
    found = one.find_all([unit(text) for text in texts])
    assert [len(findings) for findings in found] == [1, 0, 1]
    assert [asked["text"] for asked in analyzer.asked] == [texts]
    assert analyzer.asked[0]["entities"] == ["PERSON", "STAFF_NUMBER"]


def test_an_identifier_is_nobody_s_name(analyzer: Analyzer, running: tuple[Analyzer, str]) -> None:
    found = detector(running[1]).detect(unit("Ada Lovelace S-204711", Kind.IDENTIFIER))
    assert [f.entity for f in found] == ["STAFF_NUMBER"]


def test_what_the_analyzer_finds_must_have_a_category(running: tuple[Analyzer, str]) -> None:
    with pytest.raises(ConfigError, match=r"^detection\.entities: 'STAFF_NUMBER' can be found"):
        build_detector(names=[f"presidio:{running[1]}"])
    names = [f"presidio:{running[1]}"]
    assert build_detector(names=names, exclude=["STAFF_NUMBER"]).find(unit("S-204711")) == ()
    assert build_detector(names=names, labels={"STAFF_NUMBER": "NATIONAL_ID"}).find(
        unit("S-204711")
    )


def span(start: Any, end: Any, score: Any = 0.9, entity: str = "PERSON") -> Response:
    said = {"entity_type": entity, "start": start, "end": end, "score": score}
    return Response(json.dumps([[said]]))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Response("{}", 500), id="an error"),
        pytest.param(Response("", 307, {"location": "/elsewhere"}), id="a redirect"),
        pytest.param(Response("not JSON"), id="not JSON"),
        pytest.param(Response("null"), id="null"),
        pytest.param(Response('{"error": "x"}'), id="an object"),
        pytest.param(Response("[]"), id="too few"),
        pytest.param(Response("[[], []]"), id="too many"),
        pytest.param(Response("[null]"), id="no list"),
        pytest.param(Response('[["x"]]'), id="no finding"),
        pytest.param(Response("[[{}]]"), id="an empty finding"),
        pytest.param(span(0, 99), id="beyond the end"),
        pytest.param(span(-1, 3), id="before the start"),
        pytest.param(span(3, 3), id="empty"),
        pytest.param(span(0.0, 3.0), id="not whole"),
        pytest.param(span(0, 3, score=1.5), id="too sure"),
        pytest.param(span(0, 3, score="nan"), id="not a score"),
        pytest.param(span(0, 3, entity="OTHER"), id="not asked for"),
    ],
)
def test_whatever_is_no_answer_makes_detection_unavailable(
    answer: Response, analyzer: Analyzer, running: tuple[Analyzer, str]
) -> None:
    one = detector(running[1])
    analyzer.answer = lambda said: answer
    with pytest.raises(DetectorUnavailable) as caught:
        one.find(unit("Ada Lovelace"))
    assert "Ada" not in repr((caught.value, caught.value.__cause__, caught.value.__context__))
    analyzer.answer = None
    assert one.find(unit("Ada Lovelace"))


def test_an_analyzer_that_is_gone_makes_detection_unavailable() -> None:
    with serve(Analyzer().app) as url:
        one = detector(url)
        assert one.light == 0
    with pytest.raises(DetectorUnavailable, match="ConnectError"):
        one.find(unit("Ada Lovelace"))


@pytest.mark.parametrize(
    "address", ["", "host", "ftp://host", "http://", "http://user:pass@host", "http://h?x=1", "//h"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^write the address as presidio:http://host:port$"):
        load_presidio(address, languages=("en",), labels={}, timeout=1)


@pytest.mark.parametrize(("language", "said"), [("de", "for de"), ("en", "for en")])
def test_a_server_that_does_not_speak_it_is_refused(language: str, said: str) -> None:
    app = Starlette(routes=[Route("/supportedentities", lambda request: Response("[]"))])
    with serve(app) as url, pytest.raises(ConfigError, match=said):
        build_detector(names=[f"presidio:{url}"], languages=(language,))


def test_nobody_at_the_address_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"no Presidio analyzer answers at 127\.0\.0\.1:"
    ) as caught:
        build_detector(names=[f"presidio:http://127.0.0.1:{free_port()}"])
    assert "ConnectError" in str(caught.value)
