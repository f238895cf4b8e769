"""Each country's identifiers: found beside a word or as printed, never with a digit changed."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from detection_world import DETECTOR, found
from national_world import Example, entities_of, load_examples

from guardrail.detection.national import identifiers, national_rules
from guardrail.detection.patterns import Scope, find
from guardrail.taxonomy import load_taxonomy

EXAMPLES = load_examples()
IDS = [example.entity for example in EXAMPLES]
REGIONS = (
    "AE AU BR CA CH CN ID IN JP KR RU SA SG GB US VN "
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
).split()


def lettered(example: Example) -> list[str]:
    """Its values that hold letters."""
    values = dict.fromkeys((*example.valid, *example.printed))
    return [value for value in values if value.lower() != value]


@pytest.mark.parametrize("example", EXAMPLES, ids=IDS)
def test_a_number_is_found_beside_each_of_its_words(example: Example) -> None:
    missed = {
        (word, value)
        for word in (example.words[0], example.words[-1])
        for value in example.valid
        if example.entity not in entities_of(value, f"… {word}: ")
    }
    assert missed == set()


@pytest.mark.parametrize("example", EXAMPLES, ids=IDS)
def test_a_number_as_its_issuer_prints_it_is_found_alone(example: Example) -> None:
    assert [v for v in example.printed if example.entity not in entities_of(v)] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=IDS)
def test_a_number_with_a_wrong_check_digit_is_never_found(example: Example) -> None:
    befores = ("", f"{example.words[0]}: ")
    assert [
        (before, value)
        for value in example.wrong
        for before in befores
        if example.entity in entities_of(value, before)
    ] == []


def test_every_row_has_two_examples_and_every_check_a_wrong_one() -> None:
    examples = {example.entity: example for example in EXAMPLES}
    for row in identifiers():
        example = examples[row.entity]
        assert len({*example.valid, *example.printed}) >= 2, row.entity
        assert bool(row.printed) == bool(example.printed), row.entity
        if row.check and row.entity not in WITHOUT_CHECK_DIGIT:
            assert example.wrong, row.entity


WITHOUT_CHECK_DIGIT = frozenset(
    (
        "AD_NRT AL_NIPT AR_DNI AT_BUSINESS_ID CR_CPF CR_CPJ CR_CR DK_CPR DZ_NIF EG_TN "
        "FI_VERONUMERO IS_VSK KE_PIN LI_PEID NL_ID_DOCUMENT PK_CNIC RO_ONRC US_EIN US_PTIN"
    ).split()
)
"""What python-stdnum checks by length, date or prefix only."""


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_has_identifiers_of_its_own(region: str) -> None:
    assert [row.entity for row in identifiers() if row.country == region] != []


def test_rows_have_an_entity_of_one_category_and_name_their_source() -> None:
    taxonomy = load_taxonomy()
    assert {r.entity for r in identifiers() if r.entity not in taxonomy.categories} == set()
    assert {r.entity for r in identifiers() if len(r.source) < 6 or not r.context} == set()


LETTERED = [example for example in EXAMPLES if lettered(example)]


@pytest.mark.parametrize("example", LETTERED, ids=[example.entity for example in LETTERED])
def test_a_number_is_found_beside_each_of_its_words_in_small_letters(example: Example) -> None:
    missed = {
        (word, value)
        for word in (example.words[0], example.words[-1])
        for value in lettered(example)
        if example.entity not in entities_of(value.lower(), f"{word.lower()}: ")
    }
    assert missed == set()


@pytest.mark.parametrize("example", LETTERED, ids=[example.entity for example in LETTERED])
def test_a_number_that_counts_alone_does_in_small_letters(example: Example) -> None:
    alone = [value for value in lettered(example) if example.entity in entities_of(value)]
    missed = [value for value in alone if example.entity not in entities_of(value.lower())]
    assert missed == (alone if example.entity in ONLY_IN_CAPITALS else [])


ONLY_IN_CAPITALS = {
    "CA_POSTAL_CODE": "no check digit: `b2b 4x4` and `k8s 1h2` are words of programs",
    "DE_HANDELSREGISTER": "no check digit: `hra 528` is a word and a number",
}
"""What counts alone in capitals only, and why; beside its words it counts in any letters."""


@pytest.mark.parametrize(
    "text",
    [
        "must be 0697449992",
        "it 00743110157",
        "es 12345678z",
        "si 50223054",
        "hrb 12 servers",
    ],
)
def test_a_word_before_a_number_is_no_country(text: str) -> None:
    assert {e for e, _ in found(text)} <= {"ES_NIF"}


NEIGHBOURS = [
    ("NL_BSN", "111222333", "Mijn BSN is {}."),
    ("CN_RIC", "11010519491231002X", "我的身份证号码是{}，谢谢"),
    ("JP_MY_NUMBER", "621498320257", "私のマイナンバーは{}です。"),
    ("TH_PIN", "3100600445635", "เลขประจำตัวประชาชน{}ครับ"),
    ("TW_ID_CARD", "A123456789", "身分證字號：{}"),
    ("RU_SNILS", "112-233-445 95", "СНИЛС {}"),
    ("AE_EMIRATES_ID", "784-1990-1234567-6", "{}"),
    ("BE_NN", "85.07.30-033.28", "{}"),
    ("BR_CNPJ", "16.727.230/0001-97", "{}"),
    ("ID_NPWP", "01.312.166.0-091.000", "{}"),
    ("VN_CCCD", "001099012345", "Số căn cước công dân: {}"),
]


@pytest.mark.parametrize(
    ("entity", "value", "around"), NEIGHBOURS, ids=[f"{e}: {a}" for e, _, a in NEIGHBOURS]
)
def test_a_number_is_found_in_a_sentence(entity: str, value: str, around: str) -> None:
    assert (entity, value) in found(around.format(value))


def test_a_check_answers_whatever_the_digits_are() -> None:
    randomly = random.Random(20240301)
    shapes = {e.entity: (*e.valid, *e.printed, *e.wrong) for e in EXAMPLES}
    for row in identifiers():
        for value in shapes[row.entity] if row.check else ():
            for _ in range(20):
                other = re.sub(r"\d", lambda _: str(randomly.randrange(10)), value)
                assert row.check is not None
                assert row.check(other) in (True, False)


def test_the_page_of_identifiers_is_what_the_detector_finds() -> None:
    script = Path(__file__).parents[2] / "scripts" / "identifiers"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


CLEAN = {
    "commits": "3469352 fec43d0 da39a3ee5e6b4b0d3255bfef95601890afd80709 28dfc0e1",
    "times": "2024-03-01T12:34:56.789Z 20240301T123456 2024-03-01 12:34 1709294096123",
    "versions": "3.11.7 1.26.4 v2.10.0-rc.1 10.0.19045.3930 2024.11.6 1.2.3-4",
    "orders": "4500012345, 123-4567890-1234567, 2024/000123, A-12345, 100-200-300, INV 2024-0012",
    "prices": "1.234.567,89 1,234,567.89 123 456 789 12.50 99.99 1 234 567",
    "ports": "8080 5432 10.30 127.0.0.1:8000 0-65535",
    "parts": "AB-1234-56, X100-200, 12-345-678, ISO 9001:2015, EN 60204-1, RFC 5322, BS 7671",
    "sizes": "1920x1080 210x297 16:9 4/4 12V 230V 50Hz 1e-9 0x7ffee4c0",
}


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN.keys())
def test_nothing_is_found_in_numbers_of_every_day(text: str) -> None:
    rules = list(national_rules())
    assert find(rules, text, threshold=DETECTOR.threshold, timeout=10) == []


def test_rules_that_stand_alone_look_only_near_digits() -> None:
    alone = [rule for rule in national_rules() if rule.score >= DETECTOR.threshold]
    assert {r.name for r in alone if r.scope is Scope.ANYWHERE and not r.requires} == set()
