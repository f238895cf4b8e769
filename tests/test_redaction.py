"""What is found is gone from the document, and what must not leave keeps it from leaving."""

from __future__ import annotations

import base64
import json
from time import perf_counter

import pytest

from guardrail.detection.detector import build_detector
from guardrail.documents import Format, open_document
from guardrail.errors import Refusal
from guardrail.redaction import Redactor, inspect, redact
from guardrail.taxonomy import load_taxonomy
from guardrail.transform.placeholders import Grammar
from guardrail.transform.rewrite import restore
from guardrail.transform.vault import Vault
from guardrail.types import Category, Finding, Span, TextUnit, Treatment

TAXONOMY = load_taxonomy()
DETECTOR = build_detector(names=["blank:en"])
REDACTOR = Redactor(detector=DETECTOR, taxonomy=TAXONOMY)
MAIL = "erika@example.com"


def finding(start: int, end: int, entity: str, *, score: float = 0.9) -> Finding:
    return Finding(entity=entity, span=Span(start, end), score=score, recognizer="test")


def treated(text: str, form: Format = Format.TEXT, redactor: Redactor = REDACTOR) -> str:
    vault = Vault()
    return redactor.document(open_document(text, form), vaults=lambda record: vault).text


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        (Format.TEXT, f"{MAIL}, x@example.com, {MAIL}", "[EMAIL_1], [EMAIL_2], [EMAIL_1]"),
        (Format.JSON, f'{{"{MAIL}": ["{MAIL}"]}}', '{"[EMAIL_1]": ["[EMAIL_1]"]}'),
        (Format.JSON, '{"phone_no": 493090182012}', '{"phone_no": "[PHONE_1]"}'),
        (Format.JSONL, f'{{"a":"{MAIL}"}}\n{{}}\n', '{"a":"[EMAIL_1]"}\n{}\n'),
        (Format.CSV, f"who,mail\n1,{MAIL}\n", "who,mail\n1,[EMAIL_1]\n"),
        (Format.LINES, f"{MAIL}\nnobody\n", "[EMAIL_1]\nnobody\n"),
        (Format.JSON, '{"a": "data:image/png;base64,AAAA"}', '{"a": "[MEDIA_1]"}'),
        (Format.TEXT, "Nothing here.", "Nothing here."),
        (Format.TEXT, "", ""),
    ],
)
def test_every_finding_is_replaced(form: Format, text: str, expected: str) -> None:
    assert treated(text, form) == expected


def test_a_value_found_once_is_replaced_wherever_it_stands() -> None:
    assert treated("Mustermann came. My name is Erika Mustermann.") == (
        "[PERSON_1] came. My name is [PERSON_2]."
    )


def test_a_value_of_one_row_says_nothing_about_another() -> None:
    text = "My name is Erika Mustermann\nMustermann is a sample name\n"
    assert treated(text, Format.LINES) == "My name is [PERSON_1]\nMustermann is a sample name\n"


def test_a_number_of_one_row_is_replaced_in_every_row() -> None:
    text = "phone,note\n030 901820,-\n,ask for 030 901820 or id030 901820x\n"
    done = treated(text, Format.CSV)
    assert done == "phone,note\n[PHONE_1],-\n,ask for [PHONE_1] or id[PHONE_1]x\n"


def test_an_address_is_replaced_wherever_it_begins_in_a_word() -> None:
    text = "host,note\n192.0.2.17,-\n,see 5192.0.2.17\n"
    assert treated(text, Format.CSV) == "host,note\n[IP_1],-\n,see 5[IP_1]\n"


def test_many_values_in_many_pieces_take_no_longer_than_one_by_one() -> None:
    rows = [{"mail": f"user{n}@example.com", "note": f"see user{n}"} for n in range(3000)]
    started = perf_counter()
    done = treated(json.dumps(rows), Format.JSON)
    assert "@example.com" not in done
    assert perf_counter() - started < 30  # by trying each value on each string: minutes


@pytest.mark.parametrize("words", [15_900, 16_300])
@pytest.mark.parametrize("encoded", [False, True])
def test_a_wide_value_in_a_long_text_leaves_no_part_of_itself(words: int, encoded: bool) -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkq\n" * 180 + "-----END PRIVATE KEY-----"
    if encoded:
        key = base64.b64encode(
            f"{'so it is said. ' * 140}card 4111 1111 1111 1111".encode()
        ).decode()
    text = f"{'a b ' * (words // 4)}\n{key}\n{'c d ' * 600}"
    done = treated(text)
    assert not any(key[at : at + 40] in done for at in range(0, len(key) - 40, 40))


def test_a_long_text_has_the_findings_of_its_parts() -> None:
    line = f"Call +49 30 901820 or write to {MAIL}. " + "Nothing. " * 40 + "\n"
    text = line * 200
    found = DETECTOR.find(TextUnit(pointer="", text=text))
    part = DETECTOR.find(TextUnit(pointer="", text=line))
    assert [(one.entity, one.span.start) for one in found] == [
        (one.entity, number * len(line) + one.span.start) for number in range(200) for one in part
    ]
    assert MAIL not in treated(text)


def test_counts_and_treatments_are_given() -> None:
    done = REDACTOR.text(f"{MAIL} and a@example.com", vault=Vault())
    assert done.counts == {"EMAIL_ADDRESS": 2}
    assert done.treatments == {"contact": Treatment.PSEUDONYMISED}
    assert MAIL not in repr(done)


def test_each_category_is_treated_as_the_judge_says() -> None:
    judged = Redactor(
        detector=DETECTOR,
        taxonomy=TAXONOMY,
        judge=lambda evidence, *, residual=None: {
            Category("contact"): Treatment.REDACTED,
            Category("online-id"): Treatment.CLEAR,
        },
    )
    text = f"{MAIL}, 192.0.2.17, 4111 1111 1111 1111"
    assert treated(text, redactor=judged) == "[EMAIL REDACTED], 192.0.2.17, [CARD REDACTED]"


def test_a_judge_that_refuses_keeps_the_document() -> None:
    def refuse(evidence: object, *, residual: float | None = None) -> dict[Category, Treatment]:
        raise Refusal(403, "withheld", "stays")

    judged = Redactor(detector=DETECTOR, taxonomy=TAXONOMY, judge=refuse)
    with pytest.raises(Refusal, match="stays"):
        judged.text("anything", vault=Vault())


def test_overlapping_findings_are_replaced_once_and_whole() -> None:
    found = [finding(0, 8, "PHONE_NUMBER", score=0.4), finding(4, 12, "CREDIT_CARD")]
    vault = Vault()
    assert redact("012345678901", found, taxonomy=TAXONOMY, vault=vault) == "[PHONE_1][CARD_1]"


def test_with_a_grammar_everything_can_be_restored() -> None:
    text = f"[EMAIL_1] {MAIL}"
    grammar = Grammar(words=TAXONOMY.vocabulary)
    vault = Vault()
    done = Redactor(detector=DETECTOR, taxonomy=TAXONOMY, grammar=grammar).text(text, vault=vault)
    assert done.text == "[LITERAL_1] [EMAIL_1]"
    assert restore(done.text, vault=vault, grammar=grammar) == text


def test_json_is_inspected_with_the_name_of_its_field() -> None:
    document = open_document(json.dumps({"ssn": "536-90-4399"}), Format.JSON)
    entities = [[one.entity for one in found] for found in inspect(DETECTOR, document)]
    assert entities[0] == []
    assert "US_SSN" in entities[1]
