"""What only its surroundings give away: text → exactly the words that are personal."""

from __future__ import annotations

import pytest
from detection_world import found

PEOPLE = [
    ("John Smith", "Dear {},"),
    ("Anna", "Hi {},"),
    ("Miller", "Hello Dr. {},"),
    ("Anna Schmidt", "Liebe {},"),
    ("Hans", "Lieber {},"),
    ("Marie Dupont", "Bonjour {},"),
    ("Élodie", "Chère {},"),
    ("Juan Pérez", "Hola {},"),
    ("Carlos Ruiz", "Estimado {}:"),
    ("Giulia", "Ciao {}!"),
    ("Maria Rossi", "Gentile {},"),
    ("Jan de Vries", "Beste {},"),
    ("Astrid", "Hej {},"),
    ("Mette", "Kære {},"),
    ("Ewa", "Witaj {},"),
    ("John Smith", "> Dear {},"),
    ("John Smith", "Mr. {}"),
    ("O'Brien", "Mrs {}"),
    ("Ada Lovelace", "Prof. Dr. {}"),
    ("Hans von der Leyen", "Herrn {}"),
    ("Müller-Lüdenscheidt", "Frau {}"),
    ("Curie", "Mme {}"),
    ("García Márquez", "Señora {}"),
    ("Rossi", "Sig. {}"),
    ("Jan de Vries", "Dhr. {}"),
    ("Nowak", "Pani {}"),
    ("John F. Kennedy", "Mr. {}"),
    ("John Smith", "Name: {}"),
    ("John Smith", "name={}"),
    ("John Smith", "| Name | {} |"),
    ("John Smith", '"name": "{}"'),
    ("John Smith", "full_name: {}"),
    ("Erika Mustermann", "Patientin: {}"),
    ("Max Mustermann", "Kunde: {}"),
    ("Marie Dupont", "Nom : {}"),
    ("Juan Pérez", "Nombre: {}"),
    ("Maria Rossi", "Nome: {}"),
    ("Jan de Vries", "Naam: {}"),
    ("John Smith", "My name is {} and"),
    ("Peter", "This is {} speaking"),
    ("Anna", "Ich heiße {}"),
    ("Hans Müller", "Mein Name ist {}"),
    ("Marie", "Je m'appelle {}"),
    ("Marie", "Je m’appelle {}"),
    ("Juan", "Me llamo {}"),
    ("Juan", "Mi nombre es {}"),
    ("Giulia", "Mi chiamo {}"),
    ("Jan", "Ik heet {}"),
    ("Jan", "Mijn naam is {}"),
    ("Astrid", "Jag heter {}"),
    ("Ewa", "Nazywam się {}"),
    ("João", "Meu nome é {}"),
    ("John Smith", "Best regards,\n{}"),
    ("John Smith", "Regards,\r\n{}\r\n"),
    ("Bob", "Thanks!\n{}"),
    ("Hans Müller", "Mit freundlichen Grüßen\n{}"),
    ("Hans Müller", "Mit freundlichen Grüßen\n\n{}"),
    ("Anna", "Viele Grüße\n{}"),
    ("Marie Dupont", "Cordialement,\n{}"),
    ("Juan", "Saludos,\n{}"),
    ("Maria Rossi", "Cordiali saluti\n{}"),
]


@pytest.mark.parametrize(("name", "around"), PEOPLE, ids=[a.format(n) for n, a in PEOPLE])
def test_a_name_is_found_by_its_cue(name: str, around: str) -> None:
    assert [("PERSON", name)] == found(around.format(name))


@pytest.mark.parametrize(
    "text",
    [
        "Dear Sir or Madam,",
        "Hello World,",
        "Hi there,",
        "Hi Team,",
        "Sehr geehrte Damen und Herren,",
        "My name is not important.",
        "This is The End.",
        "This is A test",
        "Best regards,\nYour Team",
        "Name: unknown",
        "file name: Report",
        "Thanks! That was great.",
        "the drive was long",
    ],
)
def test_what_follows_a_cue_is_not_always_a_name(text: str) -> None:
    assert found(text) == []


BIRTHS = [
    ("12.03.1980", "born {}"),
    ("1980-03-12", "DOB: {}"),
    ("03/12/1980", "Date of birth: {}"),
    ("March 12, 1980", "born on {}"),
    ("12 March 1980", "Birthday {}"),
    ("12. März 1980", "geboren am {}"),
    ("12.03.1980", "geb. {}"),
    ("12.03.1980", "Geburtsdatum: {}"),
    ("12 mars 1980", "née le {}"),
    ("12/03/1980", "Né le {}"),
    ("12/03/1980", "date de naissance: {}"),
    ("12/03/1980", "fecha de nacimiento: {}"),
    ("12/03/1980", "nacido el {}"),
    ("12/03/1980", "data di nascita {}"),
    ("1980-03-12", "date_of_birth: {}"),
    ("1980-03-12", '"dob": "{}"'),
]


@pytest.mark.parametrize(("date", "around"), BIRTHS, ids=[a.format(d) for d, a in BIRTHS])
def test_a_date_of_birth_is_found(date: str, around: str) -> None:
    assert [("DATE_OF_BIRTH", date)] == found(around.format(date))


@pytest.mark.parametrize(
    "text",
    [
        "{} years old",
        "a {}-year-old woman",
        "{} y/o",
        "{} Jahre alt",
        "die {}-jährige Frau",
        "{} ans",
        "{} años",
    ],
)
def test_an_age_is_found(text: str) -> None:
    assert found(text.format(45)) == [("AGE", "45")]


PLACES = [
    "742 Evergreen Terrace",
    "1600 Pennsylvania Avenue",
    "10 Downing St, London",
    "123 Main St, Springfield, IL 62704",
    "Hauptstraße 12",
    "Hauptstr. 12a, 10115 Berlin",
    "Bürgermeister-Schmidt-Straße 12",
    "Goethe-Allee 7",
]


@pytest.mark.parametrize("address", PLACES)
def test_an_address_is_found_whole(address: str) -> None:
    assert [("STREET_ADDRESS", address)] == found(f"Send it to {address}, please.")


def test_a_long_street_is_found_whole() -> None:
    assert found("Bad-Godesberger-Universitätsstraße 5") == [
        ("STREET_ADDRESS", "Bad-Godesberger-Universitätsstraße 5")
    ]


@pytest.mark.parametrize(
    ("entity", "value", "pointer"),
    [
        ("PERSON", "John Smith", "/name"),
        ("PERSON", "John Smith", "/customer/full_name"),
        ("DATE_OF_BIRTH", "1980-03-12", "/dob"),
        ("DATE_OF_BIRTH", "1980-03-12", "/patient/date_of_birth"),
        ("MEDICAL_RECORD_NUMBER", "12345678", "/patient/mrn"),
    ],
)
def test_the_name_of_a_field_is_a_label(entity: str, value: str, pointer: str) -> None:
    assert [(entity, value)] == found(value, pointer=pointer)
