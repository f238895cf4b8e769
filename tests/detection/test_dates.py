"""Dates of birth and ages by the words beside them; dates only where they are asked for."""

from __future__ import annotations

import pytest
from detection_world import found

from guardrail.detection.detector import build_detector
from guardrail.types import TextUnit

WITH_DATES = build_detector(names=["blank:en"], include=("DATE_TIME",))


def dates(text: str) -> list[str]:
    findings = WITH_DATES.detect(TextUnit(pointer="", text=text))
    return [text[f.span.start : f.span.end] for f in findings if f.entity == "DATE_TIME"]


@pytest.mark.parametrize(
    ("date", "around"),
    [
        ("5. mars 1980", "født {}"),
        ("5 maart 1980", "geboren op {}"),
        ("5 maja 1980", "data urodzenia: {}"),
        ("5.5.1980", "syntynyt {}"),
        ("5. května 1980", "narozena {}"),
        ("1980-05-05", "född {}"),
        ("05/05/1980", "data de nascimento: {}"),
        ("5 de mayo de 1980", "nació el {}"),
        ("5 maggio 1980", "nata il {}"),
        ("1980. május 5.", "született {}"),
        ("5 Mayıs 1980", "doğum tarihi: {}"),
        ("1980年5月5日", "生年月日: {}"),
        ("05.05.80", "geb. {}"),
        ("May 5th, 1980", "was born on Monday, {}"),
        ("1980", "I was born in {}"),
        ("1980", "Jahrgang {}"),
        ("19800505", "dob: {}"),
    ],
)
def test_a_date_of_birth_is_found_in_many_languages(date: str, around: str) -> None:
    assert found(around.format(date)) == [("DATE_OF_BIRTH", date)]


@pytest.mark.parametrize(
    "around",
    [
        "a {}-year-old man",
        "{} years old",
        "{}yo male",
        "{} y/o",
        "aged {}",
        "Age: {}",
        "at the age of {}",
        "I am {} and live alone",
        "she's {}.",
        "im Alter von {} Jahren",
        "{}-jähriger Patient",
        "ich bin {}.",
        "un homme de {} ans",
        "j'ai {} ans",
        "tengo {} años",
        "una mujer de {} años",
        "ho {} anni",
        "tenho {} anos",
        "{} jaar oud",
        "mam {} lat",
        "en {}-årig kvinna",
        "hon är {} år",
        "{}-vuotias",
        "věk: {}",
        '"age": {}',
        "Maria Lopez, {}, was there",
        "Maria Lopez ({})",
    ],
)
def test_an_age_is_found_in_many_languages(around: str) -> None:
    assert ("AGE", "34") in found(around.format(34))


@pytest.mark.parametrize(
    "text",
    [
        "depuis 10 ans",
        "une garantie de 2 ans",
        "con 10 años de experiencia",
        "da 10 anni",
        "seit 10 Jahren",
        "max_age=60",
        "Cache age: 24 hours",
        "age-groups 20, 30",
        "I am 100% sure",
        "I am 2nd in line",
        "from 30 to 40 years of war",
        "born in the USA",
        "version 12, 34, 56",
    ],
)
def test_a_span_of_years_is_no_age(text: str) -> None:
    assert found(text) == []


DATES = [
    "2024-03-01",
    "2024-03-01T12:34:56+01:00",
    "01.03.2024",
    "03/01/2024",
    "March 1, 2024",
    "1st of March 2024",
    "1 March 2024",
    "Friday, March 1st, 2024",
    "1. März 2024",
    "1er mars 2024",
    "1 de marzo de 2024",
    "1 marca 2024",
    "1. maaliskuuta 2024",
    "2024年3月1日",
    "March 2024",
    "10:30",
    "3:45 pm",
    "08/2027",
    "last week",
    "next Monday",
    "yesterday",
]


@pytest.mark.parametrize("date", DATES)
def test_a_date_is_found_only_where_asked_for(date: str) -> None:
    text = f"the meeting: {date}"
    assert dates(text) == [date]
    assert found(text) == []
