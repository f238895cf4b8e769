"""Addresses of three dozen countries, whole, in prose, in forms, in JSON and in lower case."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
from detection_world import DETECTOR, found

from guardrail.types import TextUnit

DATA = Path(__file__).parents[1] / "data"
ADDRESSES = [
    json.loads(line) for line in (DATA / "addresses.jsonl").read_text("utf-8").splitlines()
]
HARMLESS = (DATA / "harmless_prompts.txt").read_text("utf-8").splitlines()


def overlap(row: dict[str, object]) -> float:
    """Intersection over union of an address and what is found of it, in [0, 1]."""
    text, start, end = str(row["text"]), int(str(row["start"])), int(str(row["end"]))
    places = {"STREET_ADDRESS", "ZIP_CODE", "LOCATION", "UK_POSTCODE", "CA_POSTAL_CODE"}
    spans = [
        finding.span
        for finding in DETECTOR.find(TextUnit(pointer="", text=text))
        if finding.entity in places
    ]
    merged: list[list[int]] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], span.end)
        else:
            merged.append([span.start, span.end])
    return max(
        (
            (min(end, last) - max(start, first)) / (max(end, last) - min(start, first))
            for first, last in merged
            if first < end and start < last
        ),
        default=0.0,
    )


def test_the_set_is_wide() -> None:
    assert len(ADDRESSES) >= 400
    assert len({row["country"] for row in ADDRESSES}) >= 35


def test_addresses_are_found_whole() -> None:
    exact = sum(overlap(row) >= 0.9 for row in ADDRESSES)
    assert exact / len(ADDRESSES) >= 0.98


def test_no_country_is_left_out() -> None:
    by_country: dict[object, list[bool]] = defaultdict(list)
    for row in ADDRESSES:
        by_country[row["country"]].append(overlap(row) >= 0.9)
    assert {c: sum(row) for c, row in by_country.items() if sum(row) / len(row) < 0.75} == {}


WHOLE = [
    "742 Evergreen Terrace, Springfield, OR 97475, USA",
    "350 Fifth Avenue, 34th Floor, New York, NY 10118-3299",
    "Flat 3B, 221 Baker Street, London NW1 6XE, United Kingdom",
    "The Old Rectory, Church Lane, Oxford OX1 2AB",
    "12 O'Connell Street Upper, Dublin 1, D01 F5P2, Ireland",
    "3/45 George St, Sydney NSW 2000, Australia",
    "12 rue de la Paix, 75002 Paris",
    "5 place de l'Hôtel de Ville, 76600 Le Havre",
    "Unter den Linden 77, 10117 Berlin",
    "Bahnhofstrasse 45\n8001 Zürich",
    "Calle Mayor 12, 3º B, 28013 Madrid",
    "Avenida Paulista, 1578, Bela Vista, São Paulo - SP, 01310-200",
    "Via Roma 12, 20121 Milano (MI)",
    "Prinsengracht 263-267, 1016 GV Amsterdam",
    "ul. Długa 5 m. 12, 00-238 Warszawa",
    "1055 Budapest, Kossuth tér 1-3",
    "Drottninggatan 12 lgh 1102, 111 51 Stockholm",
    "Vesterbrogade 3, 2. tv, 1620 København V",
    "Atatürk Caddesi No: 12 Daire 5, 34000 Kadıköy/İstanbul",
    "〒150-0002 東京都渋谷区渋谷1-2-3",
    "北京市朝阳区建国路88号",
    "서울특별시 강남구 테헤란로 123",
    "6750 Koskikatu 25 Apt. 864\nRovaniemi\n, CO\n Uruguay 64677",
    "PO Box 1234, Boise, ID 83701",
]


@pytest.mark.parametrize("address", WHOLE)
def test_one_finding_covers_the_whole_address(address: str) -> None:
    assert ("STREET_ADDRESS", address) in found(f"Address: {address}")


@pytest.mark.parametrize(
    "address",
    [
        "14 elm grove st, leeds",
        "350 linden avenue apt 4b",
        "81 74 harbour street",
        "9 birkenfeld suite 501",
        "2280 rantatie 7 apt. 12",
    ],
)
def test_addresses_in_lower_case_are_found_too(address: str) -> None:
    assert ("STREET_ADDRESS", address) in found(f"send it to {address}\n")


@pytest.mark.parametrize(
    "text", ["run 3 tests of suite 12", "5 men in apt 7", "4 walked down a road"]
)
def test_numbers_and_words_are_no_address(text: str) -> None:
    assert "STREET_ADDRESS" not in {entity for entity, _ in found(text)}


@pytest.mark.parametrize(
    ("entity", "value", "around"),
    [
        ("ZIP_CODE", "90210", "zip code: {}"),
        ("ZIP_CODE", "12345-6789", "it is {} now"),
        ("DE_PLZ", "10115", "PLZ {}"),
        ("ZIP_CODE", "75002", "code postal : {}"),
        ("ZIP_CODE", "560001", "pin code {}"),
        ("ZIP_CODE", "00-238", "{} Warszawa"),
        ("ZIP_CODE", "1012 LG", "{} Amsterdam"),
        ("UK_POSTCODE", "SW1A 2AA", "{}"),
        ("CA_POSTAL_CODE", "M5V 2T6", "{}"),
        ("LOCATION", "Springfield, IL 62704", "in {}"),
    ],
)
def test_a_postal_code_alone_is_found(entity: str, value: str, around: str) -> None:
    assert (entity, value) in found(around.format(value))


def test_the_name_of_a_field_is_a_label_for_a_postal_code() -> None:
    assert found("90210", pointer="/address/postal_code") == [("ZIP_CODE", "90210")]


@pytest.mark.parametrize(
    "text",
    [
        "It took 3 days to drive there, in 2024.",
        "See RFC 1870, section 5, for Python 3.",
        "The road was long; 12 people walked along the street.",
        "Mac OS X 10.0 came before OS X 10.4.",
        "On January 5, 2024 Paris was cold.",
        "Order 12 Red Apples and 4 Green Pears.",
        "page 12 of Volume 3",
        "We spent 24 Hours there.",
        "width 1200 px, height 1920 PX",
        "Auf dem Platz 12 im Theater",
    ],
)
def test_a_number_beside_a_word_is_no_address(text: str) -> None:
    assert found(text) == []


def test_nothing_is_found_in_harmless_prompts() -> None:
    assert len(HARMLESS) >= 200
    assert {text: findings for text in HARMLESS if (findings := found(text))} == {}
