from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.detection.minted import is_by_chance
from guardrail.types import Span


def span(text: str, part: str) -> Span:
    start = text.index(part)
    return Span(start, start + len(part))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("resp_e937360640e07f5074204a286c08b8cce825fc4601a47ac1df", "e93736064"),
        ("msg_a93ae2d4c39cda96704541412901642b97387f8e38a2449fb7", "a96704541"),
        ("ae97a657db6e9ee96288079255f6e080", "ee9628807"),
        ("7bc5b2a2-7507-8480-5576-769cbe4f267a", "7507-8480-5576"),
        ("00e5a5c7-867b-3e5a-eb33-319911192202", "319911192202"),
    ],
)
def test_a_number_within_a_random_id_is_chance(text: str, part: str) -> None:
    assert is_by_chance(text, span(text, part))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        pytest.param("00000000-0000-0000-0000-199001011234", "199001011234", id="padded UUID"),
        pytest.param("ee9628807" + "0" * 23, "ee9628807", id="padded"),
        pytest.param("ee9628807" + "01" * 12, "ee9628807", id="padded with two digits"),
        pytest.param("call_ee9628807", "ee9628807", id="short"),
        pytest.param("5e4111111111111111cd01fa9b2c8d7e", "4111111111111111", id="half of it"),
        pytest.param("1234567890123456789012345678901234567890", "1234567890", id="no letters"),
        pytest.param(
            "ee9628807_ae97a657db6e9ee96288079255f6e080", "ee9628807", id="in front of it"
        ),
        pytest.param("user_ae97a657db6e9ee96288079255f6e080", "user", id="its prefix"),
        pytest.param("the ae97a657db6e9ee96288079255f6e080", "ee9628807", id="in a sentence"),
    ],
)
def test_a_number_in_anything_else_is_not(text: str, part: str) -> None:
    assert not is_by_chance(text, span(text, part))


@given(st.uuids(version=4), st.integers(0, 26))
def test_a_whole_id_never_is(one: uuid.UUID, start: int) -> None:
    assert not is_by_chance(str(one), Span(0, 36))
    assert not is_by_chance(one.hex, Span(0, 13 + start))
