"""Presidio's patterns as rules: text → entity and exactly the value that stands there."""

from __future__ import annotations

import pytest
from detection_world import DETECTOR, found
from presidio_analyzer import PatternRecognizer, predefined_recognizers

from guardrail.detection.patterns import RuleSet, clues_in
from guardrail.detection.presidio import RECOGNIZERS, presidio_rules

FOUND = [
    ("CREDIT_CARD", "4111 1111 1111 1111", "{}"),
    ("CREDIT_CARD", "4111-1111-1111-1111", "card: {}."),
    ("CREDIT_CARD", "4111111111111111", "{}"),
    ("CREDIT_CARD", "378282246310005", "{}"),
    ("CREDIT_CARD", "3782 822463 10005", "amex {}"),
    ("IBAN_CODE", "GB82 WEST 1234 5698 7654 32", "{}"),
    ("IBAN_CODE", "DE89370400440532013000", "IBAN: {}"),
    ("IBAN_CODE", "DE89 3704 0044 0532 0130 00", "{}"),
    ("MAC_ADDRESS", "00:1B:44:11:3A:B7", "{}"),
    ("MAC_ADDRESS", "00-1B-44-11-3A-B7", "{}"),
    ("CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "{}"),
    ("US_SSN", "536-90-4399", "{}"),
    ("US_SSN", "536-90-4399", "my SSN is {}"),
    ("US_SSN", "536 90 4399", "SSN: {}"),
    ("US_SSN", "536904399", "my ssn is {}"),
    ("US_SSN", "536904399", "social security number {}"),
    ("US_ITIN", "912-70-1234", "{}"),
    ("US_ITIN", "912701234", "ITIN {}"),
    ("US_PASSPORT", "912803456", "passport {}"),
    ("US_PASSPORT", "C03005988", "Passport number: {}"),
    ("UK_PASSPORT", "AB1234567", "UK passport {}"),
    ("US_DRIVER_LICENSE", "H12345678", "driver license {}"),
    ("US_BANK_NUMBER", "945456787654", "bank account number {}"),
    ("ABA_ROUTING_NUMBER", "021000021", "ABA routing number {}"),
    ("US_MBI", "1EG4-TE5-MK73", "Medicare beneficiary {}"),
    ("UK_NHS", "943 476 5919", "NHS number {}"),
    ("UK_NINO", "AB123456C", "{}"),
    ("UK_NINO", "AB 12 34 56 C", "NINO: {}"),
    ("UK_DRIVING_LICENCE", "MORGA657054SM9IJ", "driving licence {}"),
    ("UK_POSTCODE", "SW1A 1AA", "postcode {}"),
    ("DE_TAX_ID", "86095742719", "Steuer-ID {}"),
    ("DE_TAX_NUMBER", "181/815/08155", "Steuernummer {}"),
    ("DE_VAT_ID", "DE136695976", "USt-IdNr. {}"),
    ("DE_SOCIAL_SECURITY", "15070649C103", "Sozialversicherungsnummer {}"),
    ("DE_HEALTH_INSURANCE", "A123456780", "KVNR: {}"),
    ("DE_PLZ", "10115", "PLZ {}"),
    ("DE_KFZ", "B-AB 1234", "Kennzeichen {}"),
    ("ES_NIF", "12345678Z", "DNI {}"),
    ("ES_NIE", "X1234567L", "NIE {}"),
    ("IT_FISCAL_CODE", "RSSMRA85T10A562S", "{}"),
    ("PL_PESEL", "44051401359", "PESEL {}"),
    ("SE_PERSONNUMMER", "811218-9876", "{}"),
    ("SE_PERSONNUMMER", "19121212-1212", "personnummer {}"),
    ("FI_PERSONAL_IDENTITY_CODE", "131052-308T", "{}"),
    ("AU_TFN", "876 543 210", "TFN {}"),
    ("AU_MEDICARE", "2123 45670 1", "Medicare {}"),
    ("CA_SIN", "130 692 544", "my SIN: {}"),
    ("IN_AADHAAR", "2345 6789 0124", "Aadhaar {}"),
    ("IN_PAN", "ABCPE1234F", "PAN {}"),
    ("SG_NRIC_FIN", "S1234567D", "NRIC {}"),
    ("KR_RRN", "960121-1234567", "RRN {}"),
    ("KR_RRN", "820701-2409181", "{}"),
    ("KR_RRN", "820701-2409181", "번호는 {}입니다"),
    ("TR_NATIONAL_ID", "10000000146", "TC kimlik {}"),
    ("ZA_ID_NUMBER", "8001015009087", "South African ID {}"),
]


@pytest.mark.parametrize(
    ("entity", "value", "around"), FOUND, ids=[f"{e}: {a.format(v)}" for e, v, a in FOUND]
)
def test_a_value_is_found(entity: str, value: str, around: str) -> None:
    assert [(entity, value)] == found(around.format(value))


@pytest.mark.parametrize(
    ("entity", "value", "pointer"),
    [
        ("US_SSN", "536904399", "/ssn"),
        ("US_SSN", "536904399", "/socialSecurityNumber"),
        ("US_SSN", "536904399", "/messages/0/tool_calls/0/function/arguments#/ssn"),
        ("US_SSN", "536904399", "/people/0/ssn/0"),
        ("PHONE_NUMBER", "4155552672", "/customer/phone_no"),
        ("US_PASSPORT", "912803456", "/passport_number"),
        ("NL_BSN", "111222333", "/bsn"),
        ("PL_PESEL", "44051401359", "/pesel"),
    ],
)
def test_the_name_of_a_field_is_context(entity: str, value: str, pointer: str) -> None:
    assert [(entity, value)] == found(value, pointer=pointer)


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "4111111111111112",
        "DE89370400440532013001",
        "44051401359",
        "536904399",
        "943476 5918",
        "820701-2409182",
        "86095742719",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
    ],
)
def test_a_value_without_its_checksum_or_context_is_not_found(text: str) -> None:
    assert found(text) == []


def test_a_number_is_found_whole_in_the_spacing_its_issuer_prints() -> None:
    assert found("Steuer-ID: 86 095 742 719") == [("DE_TAX_ID", "86 095 742 719")]


def test_every_context_word_lets_its_rule_run() -> None:
    shut_out = {
        (rule.name, word)
        for rule in DETECTOR.rules
        for word in map(str.lower, rule.context)
        if not RuleSet([rule]).candidates(clues_in(f"{word} 1 {' '.join(rule.requires)}"), 0.4)
    }
    assert shut_out == set()


def test_each_pattern_of_presidio_is_one_rule() -> None:
    kinds = [getattr(predefined_recognizers, name) for name in RECOGNIZERS]
    assert all(issubclass(kind, PatternRecognizer) for kind in kinds)
    assert len({rule.name for rule in presidio_rules()}) == len(presidio_rules())


@pytest.mark.parametrize("name", ["SpacyRecognizer", "NoSuchRecognizer"])
def test_what_is_no_pattern_recognizer_of_presidio_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        presidio_rules([name])
