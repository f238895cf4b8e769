"""The shipped names models, as guardrail, Presidio and spaCy use them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import spacy
from presidio_analyzer import RecognizerRegistry

from guardrail.detection import builtin
from guardrail.detection.builtin import NamesRecognizer, PresidioNames, load_models, load_names
from guardrail.detection.names import BIAS, NamesModel, Recall, allowed, read, split
from guardrail.errors import ConfigError
from guardrail.types import Kind, TextUnit

NAMES = load_names()
WEIGHTS = Path(builtin.__file__).parent / "weights"


def found(text: str, names: NamesRecognizer = NAMES) -> set[tuple[str, str]]:
    return {
        (finding.entity, text[finding.span.start : finding.span.end])
        for finding in names.find(TextUnit(pointer="", text=text))
    }


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Please call Dwayne Whitfield about the lease.", "Dwayne Whitfield"),
        ("what did frank say about the lease", "frank"),
        ("hi, it's priya here, same problem as yesterday", "priya"),
        ('{"customer": "Ngozi Okafor", "status": "open"}', "Ngozi Okafor"),
        ("id,name,city\n7,Ana Kovač,Zagreb\n", "Ana Kovač"),
        ("| Name | Role |\n|---|---|\n| Kwame Mensah | Driver |", "Kwame Mensah"),
        ("2026-11-02 12:00:01 INFO payment from Lena Fischer accepted", "Lena Fischer"),
        ("Den Betrag hatte Thomas Krüger im März freigegeben.", "Thomas Krüger"),
        ("El señor Ramírez llamó ayer desde la oficina.", "Ramírez"),
        ("Le docteur Jean Dupont a signé l'ordonnance.", "Jean Dupont"),
        ("Ieri Giulia Moretti ha firmato il contratto.", "Giulia Moretti"),
        ("O senhor João Pereira ligou ontem.", "João Pereira"),
        ("Gisteren belde mevrouw De Vries over de factuur.", "De Vries"),
        ("Igår ringde Anna Lindqvist om fakturan.", "Anna Lindqvist"),
        ("I går ringte Kari Nordmann om regningen.", "Kari Nordmann"),
        ("Wczoraj dzwonił Piotr Kowalski w sprawie faktury.", "Piotr Kowalski"),
        ("Dün Ayşe Yılmaz fatura için aradı.", "Ayşe Yılmaz"),
        ("Tegnap Nagy Katalin telefonált a számla miatt.", "Nagy Katalin"),
        ("Ieri a sunat Andrei Popescu pentru factură.", "Andrei Popescu"),
        ("山田太郎さんから電話がありました。", "山田太郎"),
        ("김민수 씨가 어제 전화했습니다.", "김민수"),
    ],
)
def test_people_are_found_in_what_people_type(text: str, name: str) -> None:
    assert ("PERSON", name) in found(text)


def test_an_address_with_a_number_is_an_address() -> None:
    assert ("STREET_ADDRESS", "1420 Maple Avenue") in found("She moved to 1420 Maple Avenue.")
    assert ("LOCATION", "Osnabrück") in found("Er arbeitet jetzt in Osnabrück.")


@pytest.mark.parametrize(
    "text",
    [
        "class TimeoutTypes(BaseModel):\n    retries: int = 3",
        "How do I sort a list in Python? Use Kubernetes and Grafana.",
        "The Adam optimizer converges faster than SGD on this dataset.",
        "const userService = new HttpClient(AppConfig.default());",
        'level: Annotated[\n    str | None,\n    Doc(\n        "How loud."\n    ),\n] = None',
        "",
        "   \n\t ",
        "12 34 !? --",
    ],
)
def test_code_and_tools_are_nobody(text: str) -> None:
    assert {entity for entity, _ in found(text)} <= {"ORGANIZATION"}


def test_an_identifier_is_not_read() -> None:
    unit = TextUnit(pointer="", text="Anna Kovač", kind=Kind.IDENTIFIER)
    assert NAMES.examine(unit) == ([], [])


@pytest.mark.parametrize(
    ("chance", "finds"),
    [
        (0.6, {Recall.PRECISE, Recall.BALANCED, Recall.STRICT}),
        (0.4, {Recall.BALANCED, Recall.STRICT}),
        (0.2, {Recall.STRICT}),
        (0.05, set()),
    ],
)
def test_each_step_of_recall_asks_for_less(chance: float, finds: set[Recall]) -> None:
    model = load_models()["en"]
    odds = np.zeros((1, len(model.tags)), np.float32)
    odds[0, 0], odds[0, model.tags.index("U-PERSON")] = 1 - chance, chance
    words, starts = split("Sahel")
    assert {r for r in Recall if model.decode(odds, words, starts, BIAS[r])} == finds


def test_what_is_found_does_not_depend_on_what_was_read_before_or_on_the_thread() -> None:
    texts = [
        f"Mail {a} {b}, {c}." for a in ("Ana", "Bo") for b in ("Wu", "Dahl") for c in ("x", "y")
    ]
    fresh = {text: found(text, NamesRecognizer(_fresh())) for text in texts}
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(found, texts * 8)) == [fresh[text] for text in texts * 8]


def _fresh() -> dict[str, NamesModel]:
    return {name: read(WEIGHTS / f"{name}.npz") for name in builtin.DIGESTS}


def test_probabilities_are_distributions_and_spans_lie_inside() -> None:
    model = load_models()["xx"]
    words, starts = split("Kari Nordmann, Oslo. " * 50)
    odds = model.probabilities(words)
    assert np.allclose(odds.sum(1), 1, atol=1e-5)
    assert all(
        0 <= n.span.start < n.span.end <= 21 * 50 and 0 <= n.score <= 1
        for n in model.decode(odds, words, starts, 1.0)
    )


def test_tags_follow_each_other_as_names_are_built() -> None:
    assert allowed("B-PERSON", "L-PERSON")
    assert not allowed("B-PERSON", "L-LOCATION")
    assert not allowed("O", "I-PERSON")
    assert not allowed("B-PERSON", "O")


def test_doubts_say_where_a_name_may_begin() -> None:
    findings, doubts = NAMES.examine(TextUnit(pointer="", text="Please call Dwayne Whitfield."))
    likely = {doubt.span.start for doubt in doubts if doubt.chance > 0.5}
    assert {finding.span.start for finding in findings} == likely == {12}


def test_other_weights_than_the_shipped_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "en.npz"
    changed.write_bytes((WEIGHTS / "en.npz").read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"en\.npz is not the file that was shipped"):
        read(changed, builtin.DIGESTS["en"])
    monkeypatch.setattr(builtin, "DIGESTS", {"en": "0" * 64})
    load_models.cache_clear()
    try:
        with pytest.raises(ConfigError, match="names model cannot be loaded"):
            load_names()
    finally:
        monkeypatch.undo()
        load_models.cache_clear()


def test_the_weights_fit_into_the_wheel() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.glob("*.npz")) <= 20_000_000
    assert {path.stem for path in WEIGHTS.glob("*.npz")} == set(builtin.DIGESTS)


def test_presidio_takes_the_recognizer_as_its_own() -> None:
    registry = RecognizerRegistry(recognizers=[PresidioNames()], supported_languages=["en"])
    (recognizer,) = registry.get_recognizers(language="en", entities=["PERSON"])
    text = "Please call Dwayne Whitfield in Sacramento."
    assert isinstance(recognizer, PresidioNames)
    results = recognizer.analyze(text, ["PERSON"])
    assert [(r.entity_type, text[r.start : r.end]) for r in results] == [
        ("PERSON", "Dwayne Whitfield")
    ]


def test_spacy_takes_the_component_and_saves_the_pipeline(tmp_path: Path) -> None:
    pipeline = spacy.blank("en")
    pipeline.add_pipe("guardrail_names")
    pipeline.to_disk(tmp_path / "pipeline")
    for nlp in (pipeline, spacy.load(tmp_path / "pipeline")):
        doc = nlp("Please call Dwayne Whitfield in Sacramento.")
        assert [(e.text, e.label_) for e in doc.ents] == [
            ("Dwayne Whitfield", "PERSON"),
            ("Sacramento", "LOCATION"),
        ]


def test_a_deployment_in_one_language_loads_one_model() -> None:
    assert set(load_names(languages=["en"]).models) == {"en"}
    assert set(load_names(languages=["de", "fr"]).models) == {"xx"}
    assert set(load_names(languages=["de", "en"]).models) == {"en", "xx"}
    assert ("PERSON", "Thomas Krüger") in found(
        "Den Betrag hatte Thomas Krüger freigegeben.", load_names(languages=["en"])
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My boss MaryAnn resigned.", "MaryAnn"),
        ("I met LeBron yesterday", "LeBron"),
        ("Please write to JoAnn about her leave.", "JoAnn"),
        ("LaToya and DeShawn came along today.", "LaToya"),
        ("Ask `anna kovač` about it, He said.", "anna kovač"),
        ("Anna_Kovač is late", "Anna_Kovač"),
        ("My friend Celery moved out.", "Celery"),
        ('Please ask Tom("Tommy") about it.', "Tom"),
        ("Ask Erika_Mustermann about it.", "Erika_Mustermann"),
        ("Approved by erika mustermann/peter schmidt. Thanks.", "erika mustermann"),
        ("assignee:erika mustermann state:open Thanks", "erika mustermann"),
        ("Please call maria schmidt.She has the key.", "maria schmidt"),
        ("jane: Jane, can you come?", "Jane"),
    ],
)
def test_somebody_whose_name_looks_like_code_is_found(text: str, name: str) -> None:
    assert ("PERSON", name) in found(text)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("नासिर सिद्दीकी कल दिल्ली में थे।", "नासिर"),
        ("اتصل مُحَمَّد السَّيِّد أمس.", "مُحَمَّد"),
        ("Jose\u0301 Zxqwvut-Blorfin called 4711 times.", "Zxqwvut"),
        ("Jose\u0301 Zxqwvut-Blorfin called 4711 times.", "4711"),
    ],
)
def test_a_model_remembers_and_shows_nobody(text: str, secret: str) -> None:
    names = NamesRecognizer(_fresh())
    names.find(TextUnit(pointer="", text=text))
    for model in names.models.values():
        assert secret not in {token for token, _ in model._seen}
        assert all(look.base is None for look in model._seen.values())
        assert secret not in repr(model)
    assert secret not in repr(names)
