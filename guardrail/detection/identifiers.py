"""Identifiers that have a rule or a checksum: e-mail, telephone, national numbers, records."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

import phonenumbers
import tldextract
from stdnum.at import vnr
from stdnum.be import nn
from stdnum.br import cpf
from stdnum.ch import ssn as ahv
from stdnum.de import idnr
from stdnum.fr import nir
from stdnum.nl import bsn

from guardrail.detection.patterns import Rule, Scope, Validator

_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "IL", "IN", "BR")
"""Where a number without a country code is tried; US stands for all of North America."""

_PHONE_WORDS = tuple(
    (
        "phone telephone mobile cell call fax whatsapp telefon handy mobil tel rufnummer "
        "erreichbar téléphone teléfono móvil telefono cellulare telefoon telefone"
    ).split()
)


@lru_cache(maxsize=1)
def _public_suffixes() -> tldextract.TLDExtract:
    """The list that ships inside tldextract; it is never fetched."""
    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def _email(value: str) -> bool | None:
    """Certain where the domain ends in a public suffix; `mail@intranet.corp` is mail, too."""
    domain = value.rsplit("@", 1)[1]
    if domain.rsplit(".", 1)[1].lower() in _FILES:
        return False
    return True if _public_suffixes()(domain).suffix else None


_FILES = frozenset("png jpg jpeg svg webp gif js css".split())
"""Endings of files that look like domains: `img@2x.png`. None of them is a top-level domain."""


def _phone(value: str) -> bool | None:
    digits = _NO_DIGITS.sub("", value)
    if not 7 <= len(digits) <= 15:
        return False
    if "+" in value:
        return None if _is_phone(value, None) else False
    if digits.startswith("00") or _OTHER_NUMBER.fullmatch(value):
        return False
    # North American numbers are told by their digits; to ask for those only is to ask less often.
    regions = _REGIONS if _NORTH_AMERICAN.fullmatch(digits) else _REGIONS[1:]
    return None if any(_is_phone(value, region) for region in regions) else False


_NO_DIGITS = re.compile(r"\D+")
_NORTH_AMERICAN = re.compile(r"1?[2-9]\d{9}")
_OTHER_NUMBER = re.compile(r"\d{3}-\d\d-\d{4}|\d{3}\.\d{4}\.\d{4}\.\d\d|\d{3}\.\d{3}\.\d{3}-\d\d")
"""The groups of social security numbers (US, CH) and of the Brazilian CPF, valid or not."""


def _is_phone(value: str, region: str | None) -> bool:
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number)


def _ipv6(value: str) -> bool | None:
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return False
    if not any(character.isdigit() for character in value):
        return False  # `cafe::babe` is more often a name in a program
    return not (address.is_loopback or address.is_unspecified)


def _checked(is_valid: Callable[[str], bool]) -> Validator:
    """A check digit alone lets one random number in ten through, so context must help."""
    return lambda value: None if is_valid(value) else False


_BEFORE, _AFTER = r"(?<![^\W_]|\.)", r"(?![^\W_])"

_NATIONAL: tuple[tuple[str, str, str, Callable[[str], bool], tuple[str, ...], float], ...] = (
    # entity, name, pattern, check, context, score
    (
        "FR_NIR",
        "fr-nir",
        r"[12]\s?\d{2}\s?\d{2}\s?(?:\d{2}|2[AB])\s?\d{3}\s?\d{3}\s?\d{2}",
        nir.is_valid,
        ("nir", "sécurité sociale", "insee"),
        0.8,
    ),
    ("NL_BSN", "nl-bsn", r"\d{9}", bsn.is_valid, ("bsn", "burgerservicenummer"), 0.1),
    (
        "BE_NN",
        "be-rijksregister",
        r"\d{2}\.?\d{2}\.?\d{2}[- ]?\d{3}\.?\d{2}",
        nn.is_valid,
        ("rijksregister", "registre national", "nationaal nummer"),
        0.3,
    ),
    ("BR_CPF", "br-cpf", r"\d{3}\.?\d{3}\.?\d{3}-?\d{2}", cpf.is_valid, ("cpf",), 0.3),
    ("BR_CPF", "br-cpf-printed", r"\d{3}\.\d{3}\.\d{3}-\d{2}", cpf.is_valid, ("cpf",), 0.6),
    (
        "DE_TAX_ID",
        "de-tax-id-printed",
        r"[1-9]\d[ ]\d{3}[ ]\d{3}[ ]\d{3}",
        idnr.is_valid,
        ("steuer", "identifikationsnummer", "tax id", "idnr", "tin"),
        0.3,
    ),
    (
        "AT_VNR",
        "at-vnr",
        r"\d{4}\s?\d{6}",
        vnr.is_valid,
        ("sozialversicherungsnummer", "svnr", "versicherungsnummer"),
        0.1,
    ),
    ("CH_AHV", "ch-ahv", r"756\.?\d{4}\.?\d{4}\.?\d{2}", ahv.is_valid, ("ahv", "avs"), 0.6),
)


def identifier_rules() -> list[Rule]:
    """Gives the rules for identifiers that Presidio finds slowly, online, or not at all.

    Source: RFC 5321 4.5.3.1 (lengths of mail addresses); ITU-T E.164 through phonenumbers; the
    national numbers' check digits through python-stdnum.
    """
    email = Rule(
        entity="EMAIL_ADDRESS",
        name="email",
        pattern=(
            # Not every character that RFC 5322 allows in a local part: `=`, `/`, `|` and quotes are
            # far more often what stands around an address than a part of it.
            r"[\w+%#$!^~](?:[\w.+%#$!^~-]|(?<=\w)'(?=\w)){0,63}+"
            r"@(?:[^\W_](?:[\w-]{0,62})\.){1,8}(?:\p{L}{2,24}|xn--[a-z0-9-]{2,59})"
            r"(?![^\W_]|-[^\W_])"
        ),
        score=0.6,
        validate=_email,
        certain=True,
        scope=Scope.AT_SIGN,
    )
    national_numbers = [
        Rule(
            entity=entity,
            name=name,
            pattern=f"{_BEFORE}{pattern}{_AFTER}",
            score=score,
            validate=_checked(check),
            context=context,
            scope=Scope.NUMBERS,
        )
        for entity, name, pattern, check, context, score in _NATIONAL
    ]
    record = Rule(
        entity="MEDICAL_RECORD_NUMBER",
        name="medical-record-number",
        pattern=(
            r"(?i)\b(?:MRN|medical record(?: number| no\.?)?|"
            r"patient(?:en)?[- ]?(?:id|nr\.?|nummer))"
            r"[\s:#=-]{0,4}([A-Z]{0,3}-?\d[\d-]{4,30})(?![^\W_])"
        ),
        group=1,
        score=0.85,
    )
    icd = Rule(
        entity="ICD_CODE",
        name="icd-10",
        pattern=r"(?<![\w.-])[A-TV-Z]\d[\dAB](?:\.\d[\dA-Z]{0,3})?(?![\w.-])",
        score=0.1,
        context=("icd", "diagnosis", "diagnose", "diagnosed", "dx", "diagnóstico", "diagnostic"),
    )
    member = replace(
        record,
        entity="US_HEALTH_INSURANCE_MEMBER_ID",
        name="health-insurance-member-id",
        pattern=(
            r"(?i)\b(?:member|subscriber|policy)\s?(?:id|no\.?|number|#)"
            r"[\s:#=-]{0,4}([A-Z]{0,4}\d[A-Z0-9-]{5,30})(?![^\W_])"
        ),
    )
    ipv6 = Rule(
        entity="IP_ADDRESS",
        name="ipv6",
        pattern=r"(?<![\w:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{1,34}(?![\w:])",
        score=0.6,
        validate=_ipv6,
        certain=True,
    )
    return [
        email,
        *_phone_rules(),
        *national_numbers,
        *(record, member, icd, ipv6),
    ]


def _phone_rules() -> Iterator[Rule]:
    """Numbers with a country code, as they are printed in a country, and bare ones with context."""
    between = r"[ \t().\-/]{0,3}"
    for digits in range(8, 15):
        # One rule for each length: `+44 20 7946 0958 5 minutes` has a digit too many for one rule.
        yield Rule(
            entity="PHONE_NUMBER",
            name=f"phone-international-{digits}",
            pattern=(
                rf"(?<![^\W_]|\+)(?:\(?\+|00(?=[1-9]))\d(?:{between}\d){{{digits - 1}}}{_AFTER}"
            ),
            score=0.75,
            scope=Scope.PREFIX,
            validate=lambda value: _phone("+" + value[2:] if value.startswith("00") else value),
        )
    for name, pattern, score, scope in (
        (
            "phone-north-american",
            r"(?:\([2-9]\d\d\)[ .-]?|[2-9]\d\d[.-])[2-9]\d\d[ .-]\d{4}",
            0.5,
            Scope.FOUR_DIGITS,
        ),
        (
            "phone-formatted",
            r"(?:\(\d{2,5}\)[ \t]?|0\d{1,4}[ \t/-]|\d{3}[-.])\d{2,4}(?:[ \t.-]?\d{2,4}){1,3}",
            0.5,
            Scope.NUMBERS,
        ),
        ("phone-national", rf"\(?\d(?:{between}\d){{6,14}}", 0.3, Scope.NUMBERS),
        ("phone-bare", r"\d{7,14}", 0.3, Scope.SEVEN_DIGITS),
    ):
        yield Rule(
            entity="PHONE_NUMBER",
            name=name,
            pattern=rf"(?<![^\W_]|[+./-]|\d[,:]){pattern}{_AFTER}",
            score=score,
            scope=scope,
            validate=_phone,
            context=_PHONE_WORDS,
        )


def without_loopback(rule: Rule) -> Rule:
    """An IP address rule without loopback and unspecified addresses, which are nobody's."""
    inner = rule.validate

    def validate(value: str) -> bool | None:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            pass
        else:
            if address.is_loopback or address.is_unspecified:
                return False
        return inner(value) if inner else None

    return replace(rule, validate=validate)
