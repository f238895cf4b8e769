"""Text → the identifiers in it, each as exactly the value that stands there."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import phonenumbers
import pytest
from detection_world import DETECTOR, found, overlapping

from guardrail.detection.identifiers import identifier_rules, without_loopback
from guardrail.taxonomy import UNKNOWN, load_taxonomy

EMAILS = {
    "plain": "alice@example.com",
    "tagged": "alice.o+news@mail.example.co.uk",
    "apostrophe": "o'neil@example.com",
    "short": "a@b.co",
    "upper case": "ALICE@EXAMPLE.COM",
    "umlauts": "jürgen@müller.de",
    "punycode": "bob@xn--mller-kva.de",
    "Chinese": "用户@例子.中国",
    "internal": "alice@mail.intranet.corp",
}


@pytest.mark.parametrize("address", EMAILS.values(), ids=EMAILS.keys())
def test_an_address_is_found(address: str) -> None:
    assert [("EMAIL_ADDRESS", address)] == found(f"Write to {address}, please.")


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "Write to {}.",
        "Write to {}...",
        "mailto:{}",
        "cc:{}",
        "<{}>",
        "({})",
        '"{}",',
        "'{}'",
        "`{}`",
        "*{}*",
        "**{}**",
        "|{}|",
        "{{{}}}",
        "name='{}'",
        "email={}",
        "?email={}&page=2",
        "/{}/",
        "&lt;{}&gt;",
    ],
)
def test_an_address_is_found_whatever_stands_around_it(around: str) -> None:
    assert found(around.format("o'neil@example.com")) == [("EMAIL_ADDRESS", "o'neil@example.com")]


def test_an_address_in_a_link_is_found_as_such() -> None:
    expected = [
        ("URL", "https://example.org/reset?mail="),
        ("EMAIL_ADDRESS", "o'neil@example.com"),
    ]
    assert expected == found("https://example.org/reset?mail=o'neil@example.com")


@pytest.mark.parametrize("between", [";", ", ", "\n", "/", "|", "&y=", "><", "::"])
def test_both_of_two_addresses_are_found(between: str) -> None:
    expected = [("EMAIL_ADDRESS", "alice@example.com"), ("EMAIL_ADDRESS", "bob@example.org")]
    assert expected == found(f"alice@example.com{between}bob@example.org")


@pytest.mark.parametrize(
    "before",
    [
        "https://example.com/some/long/path/that/goes/on/and/on/for/ever/and/ever/reset?mail=",
        "a" * 70 + ".",
        "x=1&" * 40,
        "-" * 70,
    ],
    ids=["long address", "long word", "long query", "rule"],
)
def test_what_runs_into_an_address_does_not_hide_it(before: str) -> None:
    text = before + "alice@example.com"
    assert any(
        entity == "EMAIL_ADDRESS" and value.endswith("alice@example.com")
        for entity, value in found(text)
    )


@pytest.mark.parametrize(
    "text",
    [
        "@alice",
        "alice@localhost",
        "see @app.route and @dataclass",
        "npm i left-pad@1.3.0",
        "background: url(img@2x.png)",
        "user@host:~$ ls",
    ],
)
def test_what_only_looks_like_an_address_is_not_one(text: str) -> None:
    assert found(text) == []


PHONES = [
    ("+49 151 23456789", "Call {}"),
    ("0049 151 23456789", "Call {} now"),
    ("+4930123456", "{}"),
    ("+49 (0)30 123456", "call {}"),
    ("+49 (0) 30 / 12 34 56 78", "{}"),
    ("+1 (415) 555-2672", "{}"),
    ("+1 415-555-2672", "{} and more"),
    ("+1 415-555-2671", "{}"),
    ("+44 20 7946 0958", "{}"),
    ("+33 1 42 68 53 00", "{}"),
    ("+55 11 91234-5678", "{}"),
    ("+91 98765 43210", "{}"),
    ("(415) 555-2672", "{}"),
    ("(212) 736-5000", "{} x12"),
    ("415.555.2672", "{}"),
    ("212-736-5000", "{}"),
    ("415-555-2671", "{}"),
    ("4155552672", "my phone is {}"),
    ("030 12345678", "{}"),
    ("030/1234567", "{}"),
    ("089/1234-5678", "Tel {}"),
    ("0171-1234567", "{}"),
    ("(030) 1234567", "Tel.: {}"),
    ("020 7946 0958", "{}"),
    ("07911 123456", "call me on {}"),
    ("06 12 34 56 78", "{}"),
    ("01 42 68 53 00", "tel {}"),
    ("030 12345678", "Tel.:{}"),
    ("415-555-2672", "phone:{}"),
    ("+14155552672", "tel:{}"),
    ("+44 20 7946 0958", "Ring {} 5 minutes before"),
    ("+49 151 23456789", "Ring {} 2 days before"),
]


@pytest.mark.parametrize(
    ("number", "around"), PHONES, ids=[around.format(number) for number, around in PHONES]
)
def test_a_telephone_number_is_found(number: str, around: str) -> None:
    assert [("PHONE_NUMBER", number)] == found(around.format(number))


REGIONS = (
    "US GB DE FR ES IT NL IL IN BR CN JP KR RU AU SG AE SA VN ID CH AT BE SE PL PT TR MX ZA".split()
)


@pytest.mark.parametrize("region", REGIONS)
def test_numbers_of_a_region_are_found_as_they_are_dialled_there(region: str) -> None:
    kinds = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    examples = [phonenumbers.example_number_for_type(region, kind) for kind in kinds]
    formats = (phonenumbers.PhoneNumberFormat.NATIONAL, phonenumbers.PhoneNumberFormat.E164)
    numbers = {phonenumbers.format_number(e, f) for e in examples for f in formats if e}
    assert numbers
    missed = {n for n in numbers if ("PHONE_NUMBER", n) not in overlapping(f"phone: {n}")}
    assert missed == set()


@pytest.mark.parametrize("between", ["\n", "; ", ", ", "\n23,Bob,"])
def test_both_of_two_telephone_numbers_are_found(between: str) -> None:
    first, second = "415-555-2672", "212-736-5000"
    assert [("PHONE_NUMBER", first), ("PHONE_NUMBER", second)] == found(first + between + second)


def test_both_of_two_national_numbers_on_two_lines_are_found() -> None:
    expected = [("PHONE_NUMBER", "030 1234567"), ("PHONE_NUMBER", "030 7654321")]
    assert expected == found("call 030 1234567\n030 7654321")


ADDRESSES = [
    ("192.168.1.17", "from 192.168.1.17"),
    ("8.8.8.8", "8.8.8.8"),
    ("1.2.3.4", "1.2.3.4:8080"),
    ("10.1.2.3", "http://10.1.2.3/x"),
    ("2001:db8::8a2e:370:7334", "2001:db8::8a2e:370:7334"),
    ("2001:db8::1", "[2001:db8::1]:443"),
    ("fe80::1ff:fe23:4567:890a", "inet6 fe80::1ff:fe23:4567:890a"),
]


@pytest.mark.parametrize(("address", "text"), ADDRESSES, ids=[text for _, text in ADDRESSES])
def test_an_internet_address_is_found(address: str, text: str) -> None:
    assert [("IP_ADDRESS", address)] == found(text)


def test_an_ipv4_address_in_an_ipv6_one_is_covered_whole() -> None:
    assert "".join(value for _, value in found("::ffff:192.168.1.1")) == "::ffff:192.168.1.1"


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.0.0.53",
        "0.0.0.0",
        "::1",
        "::",
        "1234:5678",
        "13:45:59",
        "cafe::babe",
        "std::string",
    ],
)
def test_an_address_that_is_nobodys_is_not_found(text: str) -> None:
    assert found(text) == []


NUMBERS = [
    ("FR_NIR", "1 84 12 76 451 089 46", "{}"),
    ("FR_NIR", "184127645108946", "{}"),
    ("FR_NIR", "1 84 12 76 451 089 46", "Numéro de sécurité sociale : {}"),
    ("NL_BSN", "111222333", "BSN {}"),
    ("NL_BSN", "111222333", "burgerservicenummer: {}"),
    ("BR_CPF", "390.533.447-05", "{}"),
    ("BR_CPF", "390.533.447-05", "CPF: {}"),
    ("BR_CPF", "39053344705", "CPF {}"),
    ("BE_NN", "85.07.30-033.28", "rijksregister {}"),
    ("BE_NN", "85073003328", "registre national {}"),
    ("CH_AHV", "756.9217.0769.85", "{}"),
    ("CH_AHV", "7569217076985", "AHV {}"),
    ("AT_VNR", "1237 010180", "SVNR {}"),
    ("MEDICAL_RECORD_NUMBER", "12345678", "MRN: {}"),
    ("MEDICAL_RECORD_NUMBER", "00-12345", "MRN {}"),
    ("MEDICAL_RECORD_NUMBER", "A-12345", "patient id: {}"),
    ("MEDICAL_RECORD_NUMBER", "123456", "Patienten-Nr. {}"),
    ("ICD_CODE", "E11.9", "diagnosis: {}"),
    ("ICD_CODE", "F32.1", "Diagnose {}"),
    ("ICD_CODE", "F32.1", "ICD-10 {}"),
    ("US_HEALTH_INSURANCE_MEMBER_ID", "XYZ123456789", "Member ID: {}"),
    ("US_HEALTH_INSURANCE_MEMBER_ID", "UEKIT3FY713T", "member id: {}"),
    ("US_HEALTH_INSURANCE_MEMBER_ID", "UEKIT3FY713T", "My member id is {}."),
    ("US_HEALTH_INSURANCE_MEMBER_ID", "1234567890", "policy number is {}"),
    ("MEDICAL_RECORD_NUMBER", "12345678", "My medical record number is {}"),
    ("US_CLAIM_NUMBER", "12345678", "Your claim number is {}"),
    ("US_CLAIM_NUMBER", "CLM-12345678", "claim no. {}"),
    ("US_PRESCRIPTION_NUMBER", "1234567", "Rx# {}"),
    ("US_PRIOR_AUTHORIZATION_NUMBER", "PA-1234567", "prior authorization number: {}"),
    ("US_REFERRAL_NUMBER", "REF-1234567", "referral {}"),
    ("COORDINATES", "52.5200, 13.4050", "We met at {}."),
    ("COORDINATES", "52.52, 13.40", "Koordinaten: {}"),
    ("COORDINATES", "52°31'12\"N 13°24'18\"E", "{}"),
    ("COORDINATES", "48.8584° N, 2.2945° E", "{}"),
    ("COORDINATES", "-33.8568", '{{"lat": {}}}'),
    ("VIN", "1M8GDM9AXKP042788", "{}"),
    ("VIN", "WVWZZZ1JZ3W386752", "Fahrgestellnummer {}"),
    ("BIC_CODE", "DEUTDEFF", "BIC {}"),
    ("BIC_CODE", "DEUTDEFF500", "SWIFT: {}"),
    ("LEI_CODE", "529900T8BM49AURSDO55", "{}"),
    ("PASSPORT", "X1234567", "Reisepass: {}"),
    ("PASSPORT", "12AB34567"[:2] + "345678", "passport {}"),
    ("DRIVER_LICENSE", "B072RRE2I55", "Führerschein {}"),
    ("NATIONAL_ID", "12345678-9", "national identity number {}"),
    ("VEHICLE_REGISTRATION", "XK-74-PQ2", "plate {}"),
    ("BANK_ACCOUNT", "1234567890", "conto corrente {}"),
    ("PHONE_NUMBER", "13912345678", "手机号码{}"),
    ("PHONE_NUMBER", "090-1234-5678", "電話番号は{}です"),
    ("PHONE_NUMBER", "8123 4567", "mobile {}"),
    ("PHONE_NUMBER", "415 555-2671", "{}"),
    ("PHONE_NUMBER", "415 555 2671", "ask at {}, then"),
    ("PHONE_NUMBER", "22.33.44.55", "Tel {}"),
    ("IP_ADDRESS", "254.210.216.253", "{}"),
    ("PHONE_NUMBER", "03-1234-5678", "電話{}です"),
    ("PHONE_NUMBER", "010-1234-5678", "전화{}입니다"),
    ("CREDIT_CARD", "4111111111111111", "卡号{}请"),
    ("CN_RIC", "110101199003077758", "我的身份证号{}。"),
    ("IP_ADDRESS", "192.168.34.21", "服务器{}宕机"),
    ("PASSPORT_MRZ", "L898902C36UTO7408122F1204159ZE184226B<<<<<10", "{}"),
]


@pytest.mark.parametrize(
    ("entity", "number", "around"), NUMBERS, ids=[f"{e}: {a.format(n)}" for e, n, a in NUMBERS]
)
def test_a_number_with_a_rule_is_found(entity: str, number: str, around: str) -> None:
    assert [(entity, number)] == found(around.format(number))


@pytest.mark.parametrize(
    "text",
    [
        "111222333",
        "BSN 111222334",
        "CPF 39053344706",
        "756.9217.0769.84",
        "1237 010180",
        "E11.9",
        "seat B12",
        "weights 0.1234, 0.9876",
        "[12.3456, 23.4567, 34.5678]",
        "52.52, 13.40",
        "1M8GDM9A0KP042788",
        "529900T8BM49AURSDO56",
        "L898902C37UTO7408122F1204159ZE184226B<<<<<10",
        "DEUTDEFF",
        "250 300 4000 5000",
        "1 250 300 4000",
        "my member id is required",
        "policy number is policy-renewal-2",
    ],
)
def test_a_number_without_its_context_or_checksum_is_not_found(text: str) -> None:
    assert found(text) == []


SMALL = [
    ("PASSPORT", "c01x00t47", "passport {}"),
    ("PASSPORT", "C01X00T47", "Reisepass {}"),
    ("PASSPORT", "12ab34567", "mon passeport {}"),
    ("PASSPORT", "ab123456", "passport no. {}"),
    ("DRIVER_LICENSE", "b072rre2i55", "führerschein {}"),
    ("NATIONAL_ID", "l01x00t47", "personalausweis: {}"),
    ("TAX_ID", "ab-123.456.78", "tax id {}"),
    ("VEHICLE_REGISTRATION", "7abc123", "license plate is {}"),
    ("ICD_CODE", "e11.9", "icd {}"),
    ("LEI_CODE", "5493001kjtiigc8y1r12", "lei {}"),
    ("VIN", "1hgcm82633a004352", "{}"),
    ("BIC_CODE", "deutdeff500", "swift {}"),
]


@pytest.mark.parametrize(("entity", "value", "around"), SMALL, ids=[e for e, _, _ in SMALL])
def test_a_number_is_found_in_small_letters(entity: str, value: str, around: str) -> None:
    assert (entity, value) in found(around.format(value))
    assert (entity, value.upper()) in found(around.format(value.upper()))


@pytest.mark.parametrize(
    "text",
    [
        "my passport expires in 12 months",
        "a driver license 5 years ago was",
        "national id 3 times this year",
        "the tax id by april 5th 2024",
        "tax number before 15th march 2024",
        "diagnostic p95 v10.2 b12",
    ],
)
def test_a_word_in_small_letters_is_no_number(text: str) -> None:
    assert found(text) == []


def test_an_address_rule_without_loopback_keeps_every_other_address() -> None:
    rule = without_loopback(next(r for r in identifier_rules() if r.entity == "IP_ADDRESS"))
    assert (rule.judge("::1", ""), rule.judge("2001:db8::1", "")) == (0.0, 1.0)
    assert rule.judge("no address", "") == 0.0


def test_every_entity_that_a_rule_finds_has_a_category() -> None:
    taxonomy = load_taxonomy()
    assert {r.entity for r in DETECTOR.rules if taxonomy.category(r.entity) == UNKNOWN} == set()


def test_the_public_suffix_list_is_never_fetched(tmp_path: Path) -> None:
    program = """
import loopback_only
from guardrail.detection.detector import build_detector
from guardrail.types import TextUnit

detector = build_detector(names=["blank:en"])
found = detector.detect(TextUnit(pointer="", text="a@example.co.uk, 8.8.8.8, +49 30 1234567"))
print([sorted(f.entity for f in found), loopback_only.refused])
"""
    # A home without a cache is that of a machine on which tldextract never ran.
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": _search_path(), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    expected = [["EMAIL_ADDRESS", "IP_ADDRESS", "PHONE_NUMBER"], []]
    assert expected == ast.literal_eval(done.stdout)
    assert list(tmp_path.iterdir()) == []


def _search_path() -> str:
    root = Path(__file__).parents[2]
    return f"{root / 'tests' / 'offline'}:{root}"
