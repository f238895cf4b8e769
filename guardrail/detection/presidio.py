"""Presidio's pattern recognizers as rules: their patterns, checksums and context words, offline.

Presidio runs each recognizer over the whole text through a tokenizer; here the same patterns run
only where they can match, and on streams. Its e-mail and URL recognizers fetch publicsuffix.org
when first used, so neither is built: e-mail has a rule of its own (`identifiers.py`).

Source: https://microsoft.github.io/presidio/supported_entities/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from presidio_analyzer import Pattern, PatternRecognizer, predefined_recognizers

from guardrail.detection.patterns import Rule, Scope, Validator

RECOGNIZERS: tuple[str, ...] = tuple(
    (
        "CreditCardRecognizer IbanRecognizer IpRecognizer MacAddressRecognizer CryptoRecognizer "
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
        "ZaIdNumberRecognizer"
    ).split()
)
"""Every one of them needs a digit to match, which is what makes them cheap on prose."""


_ROWS: Mapping[Scope, tuple[str, ...]] = {
    Scope.DIGITS: (
        "CryptoRecognizer",
        "UsLicenseRecognizer",
        "UsHealthInsuranceMemberIdRecognizer",
        "UkPostcodeRecognizer",
        "DeKfzRecognizer",
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
                name=f"{name}:{pattern.name}",
                pattern=_letters_and_digits(pattern.regex),
                flags=recognizer.global_regex_flags or 0,
                score=_score(recognizer, pattern),
                validate=_validator(recognizer),
                context=tuple(recognizer.context or ()),
                certain=_may_be_certain(recognizer, pattern),
                scope=_SCOPES.get(pattern.name) or _SCOPES.get(name, Scope.NUMBERS),
            )
            for pattern in patterns
            if pattern.name not in _UNBOUNDED
        ]
    return rules


def _may_be_certain(recognizer: PatternRecognizer, pattern: Pattern) -> bool:
    """Whether a checksum can be proof enough; see `_validator`."""
    return type(recognizer).validate_result is not PatternRecognizer.validate_result and not (
        {type(recognizer).__name__, pattern.name} & _UNGROUPED
    )


_UNGROUPED = frozenset(
    {
        "NhsRecognizer",
        "PlPeselRecognizer",
        "DeTaxIdRecognizer",
        "ThTninRecognizer",
        "KrRrnRecognizer",
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


_WEAK = frozenset({"UK_NHS", "PL_PESEL", "DE_TAX_ID", "DE_LANR", "TH_TNIN", "KR_RRN"})
"""Entities that are nothing but ten to thirteen digits and would claim order numbers."""
_BARE = frozenset({"Steuernummer ELSTER (bundeseinheitlich, 13-stellig)"})
"""Patterns that are, too."""
_GROUPS = re.compile(r"\d+")
_DIGITS_ONLY = re.compile(r"[\d\s.-]+")
_BOUNDARY = re.compile(r"(^|(?<=[(|])|(?<=\(\?:))\\b|\\b($|(?=[)|]))")


def _letters_and_digits(pattern: str) -> str:
    """The pattern with boundaries that see `_` as a separator: `_4111 1111 …_` is in italics."""
    return _BOUNDARY.sub(
        lambda match: r"(?<![^\W_])" if match[2] is None else r"(?![^\W_])", pattern
    )


_STRONG = frozenset({"CREDIT_CARD", "IBAN_CODE", "CRYPTO"})
"""Entities whose checksum and length together are proof enough without context."""


_LIKE_PHONE = frozenset({"UK_NHS"})
"""Entities whose digits are grouped like a telephone number's: 415-555-2671."""


def _validator(recognizer: PatternRecognizer) -> Validator:
    valid: Callable[[str], bool | None] = recognizer.validate_result
    invalid: Callable[[str], bool | None] = recognizer.invalidate_result
    strong = recognizer.supported_entities[0] in _STRONG
    like_phone = recognizer.supported_entities[0] in _LIKE_PHONE

    def validate(value: str) -> bool | None:
        verdict = valid(value)
        if verdict is False or invalid(value):
            return False
        # One check digit lets one number in ten through, so digits alone need context, too, unless
        # they are grouped as people group them (2345 6789 0124), and group nothing else so.
        grouped = len(_GROUPS.findall(value)) > 2 and not like_phone
        return verdict if strong or grouped or not _DIGITS_ONLY.fullmatch(value) else None

    return validate
