"""Bank accounts, cards and social security numbers, whatever keeps their digits apart."""

from __future__ import annotations

import pytest
from detection_world import DETECTOR, found, overlapping
from stdnum import iban, numdb

from guardrail.detection.grouped import grouped_rules
from guardrail.detection.patterns import find
from guardrail.guard import holds_on_streams

SEPARATORS = [
    *("", " ", "-", ".", "/", "_", ":", "*", "|", ",", "\t"),
    *("  ", " - ", " / ", " . ", ", ", ". ", "--", " | ", "\t\t"),
]
CARDS = [
    ("4111", "1111", "1111", "1111"),
    ("5555", "5555", "5555", "4444"),
    ("3782", "822463", "10005"),
    ("3056", "930902", "5904"),
]
IBANS = {
    "DE89370400440532013000": ("DE89", "3704", "0044", "0532", "0130", "00"),
    "DE89370400440532013000 by bank": ("DE", "89", "37040044", "0532013000"),
    "GB82WEST12345698765432": ("GB82", "WEST", "1234", "5698", "7654", "32"),
    "NL91ABNA0417164300": ("NL91", "ABNA", "0417", "1643", "00"),
    "BE68539007547034": ("BE68", "5390", "0754", "7034"),
    "FR1420041010050500013M02606": ("FR14", "2004", "1010", "0505", "0001", "3M02", "606"),
    "NO9386011117947": ("NO93", "8601", "1117", "947"),
    "MT84MALT011000012345MTLCAST001S": tuple("MT84 MALT 0110 0001 2345 MTLC AST0 01S".split()),
}
VALUES = [
    *(s.join(card) for card in CARDS for s in SEPARATORS),
    *(s.join(parts).lower() for parts in IBANS.values() for s in SEPARATORS),
    *(f"ssn {s.join(('536', '90', '4399'))}" for s in SEPARATORS),
]


@pytest.mark.parametrize("separator", SEPARATORS, ids=repr)
@pytest.mark.parametrize("card", CARDS, ids=["visa", "mastercard", "amex", "diners"])
def test_a_card_is_found_with_one_separator_throughout(card: tuple[str], separator: str) -> None:
    value = separator.join(card)
    assert found(value) == [("CREDIT_CARD", value)]
    assert found(f"pay with {value}, please") == [("CREDIT_CARD", value)]


@pytest.mark.parametrize("separator", SEPARATORS, ids=repr)
@pytest.mark.parametrize("groups", IBANS.values(), ids=IBANS.keys())
def test_an_iban_is_found_in_letters_of_any_case(groups: tuple[str], separator: str) -> None:
    for value in (separator.join(groups), separator.join(groups).lower()):
        for text in (value, f"{value} now", f"to {value} from me", f"to {value} 12 times"):
            assert ("IBAN_CODE", value) in found(text)


@pytest.mark.parametrize("separator", SEPARATORS[1:], ids=repr)
def test_a_social_security_number_is_found_beside_its_label(separator: str) -> None:
    value = separator.join(("536", "90", "4399"))
    assert ("US_SSN", value) in overlapping(f"ssn: {value}")


@pytest.mark.parametrize(
    "value",
    ["536/90/4399", "536_90_4399", "536:90:4399", "536 - 90 - 4399", "536 / 90 / 4399"],
)
def test_a_social_security_number_is_found_alone(value: str) -> None:
    assert found(value) == [("US_SSN", value)]
    assert found(f"it is {value}, ok?") == [("US_SSN", value)]


@pytest.mark.parametrize(
    "text",
    [
        *(s.join(("4111", "1111", "1111", "1112")) for s in SEPARATORS),
        "4111.1111/1111.1111",
        "1990, 1991, 1992, 1993",
        "4111\t1111\t1111\t1111\t2222\t3333",
        "1000, 4111, 1111, 1111, 1111",
        "4111\t1111\t1111\t1111\n4000\t1000\t2000\t3000\n5555\t5555\t5555\t4444",
        "666/90/4399",
        "536/00/4399",
        "536, 90, 4399",
        "536\t90\t4399",
        "img_536_90_4399.png",
        "536/90/4399/12",
        "be 20 or more items in a list of 12, 34",
        "at 12.30 on 5/6/2024, 1234567890123",
        "de89370400440532013001",
        "gb82 west 1234 5698 7654 33",
    ],
)
def test_what_is_no_such_number_is_not_found(text: str) -> None:
    assert find(list(grouped_rules()), text, threshold=DETECTOR.threshold, timeout=10) == []


def test_cards_one_a_line_are_found() -> None:
    lines = ["4111  1111  1111  1111", "5555  5555  5555  4444"]
    assert found("\n".join(lines)) == [("CREDIT_CARD", line) for line in lines]


def test_a_row_of_a_table_is_a_card_beside_a_word() -> None:
    text = "visa 4111\t1111\t1111\t1111\t2222"
    assert ("CREDIT_CARD", "4111\t1111\t1111\t1111") in found(text)


@pytest.mark.parametrize("text", ["4111.1111.1111.1111", "DE89.3704.0044.0532.0130.00"])
def test_no_hardware_address_is_found_within(text: str) -> None:
    assert "MAC_ADDRESS" not in {entity for entity, _ in overlapping(text)}


def test_a_hardware_address_in_three_groups_is_still_found() -> None:
    assert found("mac 001b.4411.3ab7.") == [("MAC_ADDRESS", "001b.4411.3ab7")]


def test_every_country_of_the_registry_is_known() -> None:
    pattern = next(rule.pattern for rule in grouped_rules() if rule.name == "iban")
    registry = numdb.get("iban")
    countries = {a + b for a in _LETTERS for b in _LETTERS if registry.info(a + b)[0][1]}
    assert len(countries) > 80
    assert {country for country in countries if country not in pattern} == set()
    assert iban.is_valid("DE89370400440532013000")


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def test_the_rules_hold_on_streams() -> None:
    assert [rule.name for rule in grouped_rules() if not holds_on_streams(rule)] == []
