"""A value that a line break cuts in two is found whole, and two values stay two."""

from __future__ import annotations

import pytest
from detection_world import found

from guardrail.detection.normalize import readings

WRAPPED = {
    "account": ("IBAN_CODE", "DE89 3704 0044\n0532 0130 00", "to {} please"),
    "account with letters": ("IBAN_CODE", "GB82 WEST 1234\n5698 7654 32", "to {} please"),
    "account behind its country": ("IBAN_CODE", "GB82\nWEST 1234 5698 7654 32", "to {} please"),
    "card": ("CREDIT_CARD", "4111 1111\n1111 1111", "pay with {} now"),
    "card near its end": ("CREDIT_CARD", "4111 1111 1111\r\n1111", "pay with {} now"),
    "hyphen": ("CREDIT_CARD", "4111-1111-\n1111-1111", "pay with {} now"),
    "hyphen in the next line": ("CREDIT_CARD", "4111-1111\n-1111-1111", "pay with {} now"),
    "number of three parts": ("US_SSN", "536-90-\n4399", "My SSN is {} ok"),
    "quoted": ("CREDIT_CARD", "4111 1111\n> 1111 1111", "> pay with {} now"),
    "commented": ("EMAIL_ADDRESS", "jane.doe@\n# example.com", "# mail {} now"),
    "list": ("IBAN_CODE", "DE89 3704 0044\n  * 0532 0130 00", "* to {} please"),
    "at sign": ("EMAIL_ADDRESS", "jane.doe@\nexample.com", "mail {} now"),
    "last dot": ("EMAIL_ADDRESS", "jane.doe@example.\ncom", "mail {} now"),
    "first dot": ("EMAIL_ADDRESS", "jane.doe@mail.\nexample.com", "mail {} now"),
    "before a dot": ("EMAIL_ADDRESS", "jane.doe@example\n.com", "mail {} now"),
    "card of a person": (
        "EMAIL_ADDRESS",
        "jane.doe@exa\n mple.com",
        "BEGIN:VCARD\nEMAIL:{}\nEND:VCARD",
    ),
    "name on a card": ("PERSON", "Alice Joh\n nson", "BEGIN:VCARD\nNOTE:My name is {}\nEND:VCARD"),
    "calendar": ("EMAIL_ADDRESS", "jane.d\n oe@example.com", "ATTENDEE:mailto:{}\nEND"),
    "folded": ("EMAIL_ADDRESS", "jane.doe@example.c\r\n om", "EMAIL:{}\r\nEND"),
    "escaped": ("CREDIT_CARD", r"4111 1111\n1111 1111", '{{"a": "pay with {} now"}}'),
}


@pytest.mark.parametrize(("entity", "value", "text"), WRAPPED.values(), ids=WRAPPED.keys())
def test_a_value_that_goes_on_in_the_next_line_is_found_whole(
    entity: str, value: str, text: str
) -> None:
    assert (entity, value) in found(text.format(value))


@pytest.mark.parametrize(
    "text",
    [
        "4000\n4111\n1111\n5555\n1111\n1111",
        "id  amount\n41111112  1200\n11111111  1300\n",
        "the year was 2019.\n2020 was 366 days long",
        "from x import y\n@app.get\ndef z(): ...",
        "call foo@\nbar(baz)",
        "1234-\n5678",
        "2024-01-02 10:11:12 200\n2024-01-02 10:11:13 404\n2024-01-02 10:11:14 200",
        "a = 3\n-4\n12345678\n-9",
        "one line ends with 10000000\n20000000 begins the next",
    ],
)
def test_lines_of_numbers_and_programs_give_no_finding(text: str) -> None:
    assert found(text) == []


def test_a_text_without_cut_values_is_read_once() -> None:
    assert len(list(readings("First line,\nsecond line: 12\nitems.\n\n 3 more\n- and so on"))) == 1
