"""Presidio's pattern recognizers as rules: their patterns, checksums and context words, offline.

Presidio runs each recognizer over the whole text through a tokenizer; here the same patterns run
only where they can match, and on streams. Its e-mail and URL recognizers fetch publicsuffix.org
when first used, so neither is built: both have rules of our own (`identifiers.py`, `online.py`), as
have wallets and all patterns without a finite width.

Source: https://microsoft.github.io/presidio/supported_entities/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from presidio_analyzer import Pattern, PatternRecognizer, predefined_recognizers
from stdnum.de import vat as de_vat
from stdnum.it import codicefiscale

from guardrail.detection.patterns import AFTER, BEFORE, Rule, Scope, Validator

RECOGNIZERS: tuple[str, ...] = tuple(
    (
        "CreditCardRecognizer IbanRecognizer IpRecognizer MacAddressRecognizer "
        "UsSsnRecognizer UsItinRecognizer UsPassportRecognizer UsLicenseRecognizer "
        "UsBankRecognizer AbaRoutingRecognizer UsMbiRecognizer MedicalLicenseRecognizer "
        "UsHealthInsuranceMemberIdRecognizer "
        "NhsRecognizer UkNinoRecognizer UkPassportRecognizer UkDrivingLicenceRecognizer "
        "UkPostcodeRecognizer "
        "DeTaxIdRecognizer DeIdCardRecognizer DePassportRecognizer DeSocialSecurityRecognizer "
        "DeHealthInsuranceRecognizer DeFuehrerscheinRecognizer DeTaxNumberRecognizer "
        "DeVatIdRecognizer DePlzRecognizer DeKfzRecognizer "
        "EsNifRecognizer EsNieRecognizer ItFiscalCodeRecognizer PlPeselRecognizer "
        "SePersonnummerRecognizer FiPersonalIdentityCodeRecognizer AuTfnRecognizer "
        "AuMedicareRecognizer CaSinRecognizer InAadhaarRecognizer InPanRecognizer "
        "SgFinRecognizer KrRrnRecognizer ThTninRecognizer TrNationalIdRecognizer "
        "ZaIdNumberRecognizer "
        "AuAbnRecognizer AuAcnRecognizer CaPostalCodeRecognizer DeBsnrRecognizer DeLanrRecognizer "
        "EsPassportRecognizer InPassportRecognizer "
        "InVehicleRegistrationRecognizer InVoterRecognizer ItDriverLicenseRecognizer "
        "ItIdentityCardRecognizer ItPassportRecognizer KrBrnRecognizer "
        "KrDriverLicenseRecognizer KrFrnRecognizer KrPassportRecognizer NgNinRecognizer "
        "NgVehicleRegistrationRecognizer PhPassportRecognizer PhTinRecognizer PhUmidRecognizer "
        "SeOrganisationsnummerRecognizer SgUenRecognizer TrLicensePlateRecognizer "
        "UkVehicleRegistrationRecognizer UsNpiRecognizer ZaCompanyRegistrationRecognizer "
        "ZaDriverLicenseRecognizer ZaIncomeTaxNumberRecognizer ZaLicensePlateRecognizer "
        "ZaPassportRecognizer ZaTrafficRegisterNumberRecognizer ZaVatNumberRecognizer"
    ).split()
)
"""Every one of them needs a digit to match, which is what makes them cheap on prose."""


_ROWS: Mapping[Scope, tuple[str, ...]] = {
    Scope.DIGITS: (
        "UsLicenseRecognizer",
        "UsHealthInsuranceMemberIdRecognizer",
        "UkPostcodeRecognizer",
        "DeKfzRecognizer",
        "CaPostalCodeRecognizer",
        "InVehicleRegistrationRecognizer",
        "ItDriverLicenseRecognizer",
        "NgVehicleRegistrationRecognizer",
        "TrLicensePlateRecognizer",
        "UkVehicleRegistrationRecognizer",
        "ZaLicensePlateRecognizer",
        "IPv6_unspecified",
        "MAC_CISCO_DOT",
    ),
    Scope.DOTTED: ("IpRecognizer",),
    Scope.PAIRS: ("MacAddressRecognizer",),
    Scope.CODE: (
        "InPanRecognizer",
        "ItFiscalCodeRecognizer",
        "UkDrivingLicenceRecognizer",
        "DeIdCardRecognizer",
        "DePassportRecognizer",
    ),
    Scope.SEVEN_DIGITS: (
        "SSN4 (very weak)",
        "Itin (weak)",
        "UsPassportRecognizer",
        "UsBankRecognizer",
        "ABA routing number (weak)",
        "MedicalLicenseRecognizer",
        "UkPassportRecognizer",
        "DeTaxIdRecognizer",
        "DeHealthInsuranceRecognizer",
        "DeFuehrerscheinRecognizer",
        "Steuernummer ELSTER (bundeseinheitlich, 13-stellig)",
        "Umsatzsteuer-Identifikationsnummer USt-IdNr. (DE + 9 digits)",
        "EsNifRecognizer",
        "EsNieRecognizer",
        "PlPeselRecognizer",
        "TFN (Low)",
        "Australian Medicare Number (Low)",
        "SIN (weak)",
        "AADHAAR (Very Weak)",
        "SgFinRecognizer",
        "ThTninRecognizer",
        "TrNationalIdRecognizer",
        "ZaIdNumberRecognizer",
    ),
}
_SCOPES: Mapping[str, Scope] = {name: scope for scope, row in _ROWS.items() for name in row}
"""What every match of a recognizer, or of one pattern, holds; else `Scope.NUMBERS`."""


_UNBOUNDED = frozenset({"IPv6", "PAN (Low)", "Health insurance member ID (weak)"})
"""Patterns without a finite width cannot be enforced on a stream; `identifiers.py` has ours."""
_APART: Mapping[str, tuple[str, str]] = {
    "MAC_CISCO_DOT": (r"(?<![0-9A-Fa-f]\.)", r"(?!\.[0-9A-Fa-f])"),
}
"""What must not stand before and after a pattern: `4111.1111.1111.1111` is a card."""
_INNER = frozenset({"Swedish Organisationsnummer (Weak)"})
"""Patterns that begin and end inside of longer numbers."""


def presidio_rules(names: Iterable[str] = RECOGNIZERS) -> list[Rule]:
    """Gives one rule for each pattern of each named Presidio recognizer.

    Raises:
        ValueError: Presidio has no such pattern recognizer.
    """
    rules = []
    for name in names:
        kind = getattr(predefined_recognizers, name, None)
        if kind is None or not issubclass(kind, PatternRecognizer):
            raise ValueError(f"Presidio has no pattern recognizer called {name!r}")
        recognizer = kind()
        patterns: list[Pattern] = recognizer.patterns or []
        rules += [
            Rule(
                entity=recognizer.supported_entities[0],
                name=f"{name}:{pattern.name}" + "'" * _namesakes(patterns, at),
                pattern=_letters_and_digits(pattern.regex).join(_APART.get(pattern.name, ("", ""))),
                flags=recognizer.global_regex_flags or 0,
                score=_score(recognizer, pattern),
                validate=_validator(recognizer),
                context=_context(recognizer),
                certain=_may_be_certain(recognizer, pattern),
                scope=_SCOPES.get(pattern.name) or _SCOPES.get(name, Scope.NUMBERS),
                caseless=True,
            )
            for at, pattern in enumerate(patterns)
            if pattern.name not in _UNBOUNDED | _INNER
        ]
    return rules


def presidio_entities(
    names: Iterable[str] = RECOGNIZERS,
) -> Iterator[tuple[str, str, str, str]]:
    """Gives entity, country (ISO 3166-1, or empty), name and source of each recognizer."""
    for name in names:
        kind: Any = getattr(predefined_recognizers, name)
        country = (getattr(kind, "COUNTRY_CODE", None) or "").upper()
        described = (kind.__doc__ or "").strip().split("\n", 1)[0]
        url = _ADDRESS.search(kind.__doc__ or "")
        yield (
            kind().supported_entities[0],
            "GB" if country == "UK" else country,
            _PREAMBLE.sub("", described).rstrip(". ") or name,
            url[0].rstrip(".,)") if url else _PRESIDIO,
        )


_ADDRESS = re.compile(r"https?://\S{1,200}")
_PREAMBLE = re.compile(
    r"^(?:Recogni[sz]es?|Detects?)\s(?:and validates\s)?(?:the\s|an?\s)?"
    r"|\s(?:using|via|with)\s.{0,80}$",
    re.IGNORECASE,
)
_PRESIDIO = "https://microsoft.github.io/presidio/supported_entities/"


def _namesakes(patterns: list[Pattern], at: int) -> int:
    """How many patterns before this one have its name."""
    return sum(pattern.name == patterns[at].name for pattern in patterns[:at])


def _context(recognizer: PatternRecognizer) -> tuple[str, ...]:
    """Its context words without those that stand beside many other numbers."""
    words: list[str] = recognizer.context or []
    common = _COMMON.get(recognizer.supported_entities[0], ())
    return tuple(word for word in words if not word.startswith(tuple(common)))


_COMMON: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("ES_PASSPORT IN_PASSPORT KR_PASSPORT PH_PASSPORT ZA_PASSPORT").split(), ("passport",)
    ),
    **dict.fromkeys(
        ("IN_VEHICLE_REGISTRATION NG_VEHICLE_REGISTRATION ZA_LICENSE_PLATE").split(),
        ("registration", "number plate"),
    ),
    "TR_LICENSE_PLATE": ("number plate",),
    "UK_VEHICLE_REGISTRATION": ("number plate",),
}
"""Beginnings of words by entity; `passport` has a rule for any country (`identifiers.py`)."""


def _may_be_certain(recognizer: PatternRecognizer, pattern: Pattern) -> bool:
    """Whether a checksum can be proof enough; see `_validator`."""
    return type(recognizer).validate_result is not PatternRecognizer.validate_result and not (
        {type(recognizer).__name__, pattern.name} & _UNGROUPED
        or recognizer.supported_entities[0] in _NEVER_ALONE
    )


_UNGROUPED = frozenset(
    {
        "NhsRecognizer",
        "PlPeselRecognizer",
        "DeTaxIdRecognizer",
        "ThTninRecognizer",
        "TrNationalIdRecognizer",
        "ZaIdNumberRecognizer",
        "ABA routing number (weak)",
        "TFN (Low)",
        "Australian Medicare Number (Low)",
        "AADHAAR (Very Weak)",
    }
)
"""Recognizers and patterns of digits in one or two groups, for which a checksum proves little."""


def _score(recognizer: PatternRecognizer, pattern: Pattern) -> float:
    score: float = pattern.score
    bare = recognizer.supported_entities[0] in _WEAK or pattern.name in _BARE
    return min(score, 0.3) if bare else score


_NEVER_ALONE = frozenset(
    (
        "UK_NHS AU_ACN DE_BSNR DE_LANR IN_VEHICLE_REGISTRATION KR_DRIVER_LICENSE NG_NIN PH_TIN "
        "SE_ORGANISATIONSNUMMER SG_UEN TR_LICENSE_PLATE UK_VEHICLE_REGISTRATION US_NPI "
        "ZA_COMPANY_REGISTRATION ZA_DRIVER_LICENSE ZA_INCOME_TAX_NUMBER ZA_LICENSE_PLATE "
        "ZA_PASSPORT ZA_TRAFFIC_REGISTER_NUMBER ZA_VAT_NUMBER"
    ).split()
)
"""Entities grouped like a telephone number (415-555-2671), or without a check digit."""
_WEAK = _NEVER_ALONE | frozenset(
    ("PL_PESEL DE_TAX_ID TH_TNIN KR_RRN KR_FRN IN_VOTER NG_VEHICLE_REGISTRATION PH_UMID").split()
)
"""Those, and entities that are nothing but ten to thirteen digits and would claim order numbers."""
_BARE = frozenset({"Steuernummer ELSTER (bundeseinheitlich, 13-stellig)"})
"""Patterns that are, too."""
_PRINTED: Mapping[str, re.Pattern[str]] = {"KR_RRN": re.compile(r"\d{6}-[1-4]\d{6}")}
"""Ways to write a number in which nothing else is written: a birth date, sex and check digit."""
_GROUPS = re.compile(r"\d+")
_NOTHING = re.compile(r"(?!)")
_DIGITS_ONLY = re.compile(r"[\d\s.-]+")
_BOUNDARY = re.compile(r"(^|(?<=[(|])|(?<=\(\?:))\\b|\\b($|(?=[)|]))")


def _letters_and_digits(pattern: str) -> str:
    """The pattern with boundaries that see `_` as a separator: `_4111 1111 …_` is in italics."""
    return _BOUNDARY.sub(
        lambda match: BEFORE if match[2] is None else AFTER,
        pattern.replace("(?i)", ""),  # the flags of every recognizer say so, too
    )


_STRONG = frozenset({"CREDIT_CARD", "IBAN_CODE", "CRYPTO"})
"""Entities whose checksum and length together are proof enough without context."""


_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "DE_VAT_ID": de_vat.is_valid,
    "IT_FISCAL_CODE": codicefiscale.is_valid,
}
"""Check digits that Presidio does not insist on."""


def _validator(recognizer: PatternRecognizer) -> Validator:
    valid: Callable[[str], bool | None] = recognizer.validate_result
    invalid: Callable[[str], bool | None] = recognizer.invalidate_result
    strong = recognizer.supported_entities[0] in _STRONG
    alone = recognizer.supported_entities[0] not in _NEVER_ALONE
    check = _CHECKS.get(recognizer.supported_entities[0])
    printed = _PRINTED.get(recognizer.supported_entities[0], _NOTHING)

    def validate(value: str) -> bool | None:
        verdict = valid(value)
        if verdict is False or invalid(value) or (check is not None and not check(value)):
            return False
        # One check digit lets one number in ten through, so digits alone need context, too, unless
        # they are grouped as people group them (2345 6789 0124), and group nothing else so.
        if not alone:
            return None
        grouped = len(_GROUPS.findall(value)) > 2 or printed.fullmatch(value) is not None
        return verdict if strong or grouped or not _DIGITS_ONLY.fullmatch(value) else None

    return validate
