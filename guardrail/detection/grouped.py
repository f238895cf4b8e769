"""Bank accounts, cards and social security numbers, whatever keeps their digits apart.

A form prints `4111 1111 1111 1111`; people type `4111.1111.1111.1111` and `DE 89 / 3704 / …`, and
tables hold tabs. Check digits or validity rules tell such a number from others; digits that may as
well be a row of a table need more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import regex
from presidio_analyzer.predefined_recognizers import UsSsnRecognizer
from stdnum import iban, luhn

from guardrail.detection.patterns import AFTER, BEFORE, Rule, Scope

_MARK = r"./_:*|,-"
_BETWEEN = rf"[ \t{_MARK}]{{0,3}}"
_SEPARATOR = rf"[ \t]?[{_MARK}]{{1,2}}[ \t]?|[ \t]{{1,2}}"

_DIGITS: Mapping[int, str] = MappingProxyType(
    {
        11: "NO",
        12: "BE",
        14: "DK FI FO GL SD",
        15: "SI",
        16: "AT BA EE LT MN XK",
        17: "HR",
        18: "CR DE ME RS VA",
        19: "AE IL SO TL",
        20: "CZ ES SE SK TN",
        21: "LY PT ST",
        22: "IS",
        23: "BI DJ MR",
        24: "HU PL",
        25: "EG",
    }
)
_MIXED: Mapping[int, str] = MappingProxyType(
    {
        14: "FK NL",
        15: "MK",
        16: "KZ LU",
        17: "CH LI LV",
        18: "BG BH GB GE IE",
        19: "GI IQ OM",
        20: "AD MD PK RO SA VG",
        22: "TR",
        23: "FR GR IT MC SM",
        24: "AL AZ BY CY DO GT HN LB NI SV",
        25: "BR PS QA UA",
        26: "JO KW MU YE",
        27: "MT SC",
        28: "LC",
        29: "RU",
    }
)
"""Countries by the length of what follows the check digits of an IBAN: digits, or letters, too.

Source: SWIFT, IBAN registry, release 101, through python-stdnum.
"""


def _iban_pattern() -> str:
    """A branch for each length, so that nothing that follows an IBAN is taken for its end."""
    branches = [
        rf"(?:{countries.replace(' ', '|')})(?:{_BETWEEN}\d){{2}}"
        rf"(?:{_BETWEEN}{character}){{{length}}}"
        for character, table in ((r"\d", _DIGITS), (r"[A-Z\d]", _MIXED))
        for length, countries in table.items()
    ]
    begins = rf"(?=[A-Za-z]{{2}}{_BETWEEN}\d)"  # told quickly from all the words that do not
    return rf"{BEFORE}{begins}(?i:{'|'.join(branches)}){AFTER}"


def _iban(value: str) -> bool:
    return bool(iban.is_valid(_APART.sub("", value), check_country=False))


def _card(value: str) -> bool:
    return bool(luhn.is_valid(_APART.sub("", value)))


def _ssn(value: str) -> bool | None:
    return False if _SSN.invalidate_result(_APART.sub("", value)) else None


_APART = regex.compile(r"[^0-9A-Za-z]+")
_SSN = UsSsnRecognizer()
_ALONE, _BESIDE = 0.5, 0.05


def grouped_rules() -> Iterator[Rule]:
    """Gives the rules.

    Source: ISO 13616-1 (IBAN); ISO/IEC 7812-1 (cards); 20 CFR 422.103 (social security numbers).
    """
    yield Rule(
        entity="IBAN_CODE",
        name="iban",
        pattern=_iban_pattern(),
        score=0.5,
        validate=_iban,
        certain=True,
        scope=Scope.NUMBERS,
        caseless=True,
    )
    cards = (
        # A single space or hyphen is what Presidio's rule knows.
        rf"{BEFORE}(?!\d{{4}}[ -]\d)(?=\d{{4}}({_SEPARATOR})\d)ROW"
        r"(?:(?:4\d|5[0-8]|6\d|3[05]|2[2-7])\d\d\1\d{4}\1\d{4}\1\d{4}(?!\d)TABLE"
        rf"|3[47]\d\d\1\d{{6}}\1\d{{5}}|3[0689]\d\d\1\d{{6}}\1\d{{4}}){AFTER}"
    )
    for name, row, table, validate in (
        # Four numbers of four digits each, but not among more of them, nor between other rows.
        (
            "card-grouped",
            r"(?<!\d{4}\1)(?:(?!\d{4} ?[\t,|])|(?<!\d[ ,|]{0,2}\n[ |]{0,2}))",
            r"(?!\1\d{4}(?!\d))(?:(?<![\t,|] ?\d{4})|(?![ ,|]{0,2}\n[ |]{0,2}\d))",
            _card,
        ),
        ("card-grouped-named", "", "", lambda value: None if _card(value) else False),
    ):
        yield Rule(
            entity="CREDIT_CARD",
            name=name,
            pattern=cards.replace("ROW", row).replace("TABLE", table),
            score=0.3,
            validate=validate,
            context=("credit", "card", "visa", "mastercard", "amex", "karte", "carte", "tarjeta"),
            certain=validate is _card,
            scope=Scope.NUMBERS,
        )
    for name, before, separator, after, score in (
        # What columns are kept apart by needs a word beside it, as `100_20_3000` in a name does.
        (
            "us-ssn-grouped",
            rf"(?<!\d[ \t{_MARK}]{{1,2}}|\w_)",
            r"[ ]?[/_:*][ ]?|[ ][.-][ ]?|[.-]{1,2}[ ]|--",
            r"(?!\1\d|[_/]\w)",
            _ALONE,
        ),
        ("us-ssn-grouped-named", "", _SEPARATOR, "", _BESIDE),
    ):
        yield Rule(
            entity="US_SSN",
            name=name,
            pattern=(
                rf"{BEFORE}{before}(?!\d{{3}}[ .-]\d)\d{{3}}({separator})\d{{2}}\1\d{{4}}{after}"
                rf"{AFTER}"
            ),
            score=score,
            validate=_ssn,
            context=("social", "security", "ssn", "ssns", "ssid"),
            scope=Scope.NUMBERS,
        )
