"""A nationality said of a person is found; a dish, a language and a grammar have none."""

from __future__ import annotations

import pytest
from detection_world import found


@pytest.mark.parametrize(
    ("nationality", "around"),
    [
        ("Norwegian", "a {} citizen"),
        ("Turkish", "The patient is {}."),
        ("Peruvian", "Nationality: {}"),
        ("Russian", "{} women"),
        ("Irish", "she is {}"),
        ("american", "i'm {} and live abroad"),
        ("South Korean", "a {} student"),
        ("Dane", "He is a {}."),
        ("British", "my {} husband"),
        ("türkischer", "ein {} Staatsangehöriger"),
        ("Polin", "Sie ist {}."),
        ("français", "Je suis {}."),
        ("colombiana", "Es de nacionalidad {}"),
        ("italiana", "cittadina {}"),
        ("brasileiro", "Eu sou {}"),
        ("Poolse", "met de {} nationaliteit"),
        ("Deutsch", "Staatsangehörigkeit: {}"),
        ("New Zealander", "I am a {}."),
    ],
)
def test_a_nationality_of_a_person_is_found(nationality: str, around: str) -> None:
    assert ("NATIONALITY", nationality) in found(around.format(nationality))


@pytest.mark.parametrize(
    "text",
    [
        "French cuisine is rich.",
        "German grammar has four cases.",
        "Answer in German, then translate to French.",
        "I speak Spanish and read Dutch.",
        "The wine is Italian.",
        "Turkish coffee, Swiss cheese and Danish pastry",
        "the Dutch national anthem",
        "the Brazilian national identification number",
        "Malaysian National Registration",
        "Er lernt Französisch.",
        "die deutsche Sprache",
        "la cuisine française",
        "Chinese New Year",
    ],
)
def test_a_thing_has_no_nationality(text: str) -> None:
    assert found(text) == []
