from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.detection.language import language_of
from guardrail.detection.tokens import FEATURES, features, norm, rows, shape, tokens


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n\t"), max_size=200)
)
def test_tokens_stand_where_they_say_in_order_and_miss_nothing_but_space(text: str) -> None:
    at = 0
    for token, start in tokens(text):
        assert start >= at
        assert text[at:start].strip() == ""
        if token == "\n":
            rest = text[start:]
            at = start + len(rest) - len(rest.lstrip())
        else:
            assert text.startswith(token, start)
            at = start + len(token)
    assert text[at:].strip() == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("First'ün", ["First", "'", "ün"]),
        ("a_b-c", ["a", "_", "b", "-", "c"]),
        ("山田太郎さん", ["山", "田", "太", "郎", "さ", "ん"]),
        ("ジョン・スミス", ["ジョン", "・", "スミス"]),
        ("박씨의", ["박", "씨", "의"]),
        ("x1\n\ny", ["x", "1", "\n", "y"]),
        ("नमस्ते", ["नमस्ते"]),
    ],
)
def test_words_break_where_names_may_end(text: str, expected: list[str]) -> None:
    assert [token for token, _ in tokens(text)] == expected


@given(st.text(min_size=1, max_size=40), st.booleans(), st.booleans())
def test_each_feature_has_two_rows_of_its_table(token: str, spaced: bool, known: bool) -> None:
    found = features(token, spaced, known)
    assert len(found) == len(FEATURES)
    for table, feature in enumerate(found):
        assert all(0 <= row < 300 for row in rows(feature, table, 300))


def test_case_is_in_the_shape_and_nowhere_else() -> None:
    lower, upper = features("anna", True, True), features("Anna", True, True)
    assert lower[:4] == upper[:4]
    assert lower[4] != upper[4]
    assert (norm("K2"), shape("K2")) == ("k0", "Xd")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where is the invoice that you sent me?", "en"),
        ("Wo ist die Rechnung, die Sie mir geschickt haben?", "de"),
        ("¿Dónde está la factura que me ha enviado?", "es"),
        ("Où est la facture que vous m'avez envoyée ?", "fr"),
        ("Dov'è la fattura che mi ha mandato?", "it"),
        ("Waar is de factuur die u mij heeft gestuurd?", "nl"),
        ("Gdzie jest faktura, którą mi pani wysłała?", "pl"),
        ("Bana gönderdiğiniz fatura nerede, çok teşekkürler, ama ben bir şey görmedim", "tr"),
        ("請求書はどこですか。", "ja"),
        ("发票在哪里", "zh"),
        ("청구서는 어디에 있나요?", "ko"),
        ("Где счёт?", "ru"),
        ("Anna", ""),
        ("4711", ""),
    ],
)
def test_a_language_is_told_from_its_script_and_small_words(text: str, language: str) -> None:
    assert language_of(text, [token for token, _ in tokens(text)]) == language
