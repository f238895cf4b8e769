"""Spellings that a model reads like plain ones are found like plain ones, in the original text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from detection_world import found
from hypothesis import given
from hypothesis import strategies as st

from guardrail.detection.normalize import view
from guardrail.types import Span

PLAIN = {
    "EMAIL_ADDRESS": "alice@example.com",
    "CREDIT_CARD": "4111-1111-1111-1111",
    "IBAN_CODE": "DE89 3704 0044 0532 0130 00",
    "PHONE_NUMBER": "+49 30 12345678",
}


def digits_from(zero: int) -> Callable[[str], str]:
    return lambda text: "".join(chr(zero + int(c)) if c.isdigit() else c for c in text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "full width": lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
    "zero-width space": "\u200b".join,
    "zero-width joiner": "\u200d".join,
    "word joiner": "\u2060".join,
    "byte order mark": "\ufeff".join,
    "soft hyphen": "\u00ad".join,
    "tag characters": "\U000e0041".join,
    "variation selector": "\ufe0f".join,
    "combining grapheme joiner": "\u034f".join,
    "Arabic-Indic digits": digits_from(0x660),
    "Devanagari digits": digits_from(0x966),
    "math bold digits": digits_from(0x1D7CE),
    "no-break space": lambda t: t.replace(" ", "\u00a0"),
    "narrow no-break space": lambda t: t.replace(" ", "\u202f"),
    "thin space": lambda t: t.replace(" ", "\u2009"),
    "ideographic space": lambda t: t.replace(" ", "\u3000"),
    "en dash": lambda t: t.replace("-", "–"),
    "no-break hyphen": lambda t: t.replace("-", "\u2011"),
    "minus sign": lambda t: t.replace("-", "\u2212"),
    "full-width at sign": lambda t: t.replace("@", "＠"),
    "small at sign": lambda t: t.replace("@", "﹫"),
    "one dot leader": lambda t: t.replace(".", "\u2024"),
    "ideographic full stop": lambda t: t.replace(".", "。"),
    "right-to-left override": lambda t: f"\u202e{t}\u202c",
}
CASES = [
    (entity, respelled, name)
    for name, respell in SPELLINGS.items()
    for entity, plain in PLAIN.items()
    if (respelled := respell(plain)) != plain
]


@pytest.mark.parametrize(
    ("entity", "value", "name"), CASES, ids=[f"{name}: {entity}" for entity, _, name in CASES]
)
def test_a_respelled_value_is_found_and_covered_whole(entity: str, value: str, name: str) -> None:
    (finding,) = found(f"Mine is {value} – yes")
    assert (entity, value.strip("\u202e\u202c")) == finding


@pytest.mark.parametrize(
    "spelled",
    [
        "alice\\u0040example.com",
        "alice%40example.com",
        "alice&#64;example.com",
        "alice&#x40;example.com",
        "alice&commat;example.com",
        "%61lice@example\\u002ecom",
    ],
)
def test_an_escaped_value_is_found_and_covered_whole(spelled: str) -> None:
    assert [("EMAIL_ADDRESS", spelled)] == found(f"Mine is {spelled}, yes")


def test_plain_text_is_its_own_view() -> None:
    for text in ("", "plain - text 1", "Müller straße 日本", "100 % & more", "C:\\users"):
        seen = view(text)
        assert seen.text is text
        assert seen.ranges is None
        assert seen.original(Span(0, 3)) == Span(0, 3)


@pytest.mark.parametrize(
    ("plain", "ranges", "text"),
    [
        ("427", ((0, 1), (1, 2), (3, 4)), "４２\u200b7"),
        ("fi", ((0, 1), (0, 1)), "ﬁ"),
        ("a b", ((0, 1), (1, 2), (2, 3)), "a\u00a0b"),
        ("a-b", ((0, 1), (1, 2), (2, 3)), "a—b"),
        ("12", ((0, 1), (1, 2)), "١٢"),
        ("a@", ((0, 1), (1, 4)), "a%40"),
        ("é!", ((0, 6), (6, 7)), "%C3%A9!"),
        ("@", ((0, 6),), "\\u0040"),
        ("", (), "\u200b\u200d"),
    ],
)
def test_view(plain: str, ranges: tuple[tuple[int, int], ...], text: str) -> None:
    assert (plain, ranges) == (view(text).text, view(text).ranges)


PIECES = st.sampled_from(
    [*"a 1 % & ; \\ %40 %C3 %A9 &#64; &amp; \\u0040 \\ud83d".split(), "１", "\u200b"]
)


@given(st.lists(PIECES | st.characters(), max_size=12).map("".join))
def test_every_code_point_of_a_view_comes_from_the_text_in_order(text: str) -> None:
    seen = view(text)
    if seen.ranges is None:
        assert seen.text == text
        return
    assert len(seen.text) == len(seen.ranges)
    assert list(seen.ranges) == sorted(seen.ranges)
    assert all(0 <= start < end <= len(text) for start, end in seen.ranges)


@given(st.text())
def test_no_digit_of_a_view_is_exotic(text: str) -> None:
    assert not any(c.isdecimal() and not c.isascii() for c in view(text).text)
