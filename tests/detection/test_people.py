"""Names that a cue announces, in many languages; titles only where they are asked for."""

from __future__ import annotations

import pytest
from detection_world import found

from guardrail.detection.detector import build_detector
from guardrail.types import TextUnit

WITH_TITLES = build_detector(names=["blank:en"], include=("TITLE",))


def titled(text: str) -> list[tuple[str, str]]:
    findings = WITH_TITLES.detect(TextUnit(pointer="", text=text))
    return [(f.entity, text[f.span.start : f.span.end]) for f in findings]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Mr.", "Smith"),
        ("Mrs", "Smith"),
        ("Dr.", "Ada Lovelace"),
        ("Herrn", "Weber"),
        ("Frau", "Weber"),
        ("Mme", "Dupont"),
        ("Sra.", "Ruiz"),
        ("Sig.", "Rossi"),
        ("Mevr.", "Jansen"),
        ("Pan", "Nowak"),
        ("Paní", "Nováková"),
        ("Prof.", "Curie"),
    ],
)
def test_a_title_is_found_only_where_asked_for(title: str, name: str) -> None:
    text = f"I met {title} {name} yesterday."
    assert titled(text) == [("TITLE", title), ("PERSON", name)]
    assert found(text) == [("PERSON", name)]


@pytest.mark.parametrize(
    "text", ["the dr was in", "Pan American", "Miss Universe", "a frau", "Dr."]
)
def test_a_title_needs_a_name(text: str) -> None:
    assert titled(text) == []


@pytest.mark.parametrize(
    ("name", "around"),
    [
        ("anna kovacs", "my name is {} and i need help"),
        ("anna", "hi, my name is {}."),
        ("anna", "ich heiße {} und"),
        ("marie dupont", "je m'appelle {}."),
        ("juan", "me llamo {} y"),
        ("Anna", "Jeg heter {}"),
        ("Pekka", "Minun nimeni on {}"),
        ("Jana", "Jmenuji se {}"),
        ("Anna Kovacs", "I am {}, a nurse"),
        ("Anna Kovacs", "Hello, I'm {} from accounting"),
        ("Peter Hall", "This is {} from accounting"),
        ("Anna", "[10:32] {}: I cannot log in"),
        ("Anna", '"first_name": "{}"'),
        ("Kovács", "Nachname: {}"),
        ("Jan Nowak", "Imię i nazwisko: {}"),
        ("Astrid Berg", "Namn: {}"),
        ("Jan Nowak", "Pozdrawiam,\n{}"),
        ("Astrid Berg", "Med vänliga hälsningar\n{}"),
    ],
)
def test_a_name_is_found_by_its_cue(name: str, around: str) -> None:
    assert ("PERSON", name) in found(around.format(name))


@pytest.mark.parametrize(
    "text",
    [
        "my name is not important",
        "my name is spelled wrong.",
        "this is great",
        "This is Very Helpful.",
        "I am happy and well.",
        "I'm not sure.",
        "first_name: str",
        "Related Links: none",
        "ich bin müde.",
    ],
)
def test_what_follows_a_cue_is_not_always_a_name(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("login", "text"),
    [
        ("jane.doe", "login: {}"),
        ("jane.doe", "ts=1 user={} ip=10.0.0.1"),
        ("jane_doe", '{{"username": "{}"}}'),
        ("jane.doe", "open /home/{}/notes.txt"),
        ("jdoe", "/Users/{}"),
        ("Jane.Doe", r"C:\Users\{}\Desktop"),
    ],
)
def test_logins_are_found_where_they_are_said_to_be(login: str, text: str) -> None:
    assert ("USER_ID", login) in found(text.format(login))


@pytest.mark.parametrize(
    "text",
    [
        "user = request.user",
        "owner=self.owner,",
        "/home/ubuntu/app",
        "/Users/runner/work",
        "user: admin",
    ],
)
def test_programs_and_common_accounts_are_nobody_s(text: str) -> None:
    assert "USER_ID" not in {entity for entity, _ in found(text)}
