"""What can be found, by which rules, and by which standard: one entry per entity and rule table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from guardrail.detection.cues import cue_rules
from guardrail.detection.identifiers import identifier_rules
from guardrail.detection.national import identifiers
from guardrail.detection.patterns import Rule
from guardrail.detection.presidio import presidio_entities
from guardrail.detection.secrets import secret_rules
from guardrail.taxonomy import load_taxonomy
from guardrail.types import Category


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entity that rules find.

    `country` is an ISO 3166-1 code, `EU` or empty; `source` the law, the standard or the address
    that says what it looks like; `recognizer` the table whose rules find it.
    """

    entity: str
    category: Category
    country: str
    name: str
    source: str
    recognizer: str


@lru_cache(maxsize=1)
def catalogue() -> tuple[Entry, ...]:
    """Gives every entity that a built-in rule finds, once for each table that finds it."""
    return tuple(sorted(_entries(), key=lambda e: (e.country, e.entity, e.recognizer)))


def _entries() -> Iterator[Entry]:
    category = load_taxonomy().category
    national = identifiers()
    for row in national:
        yield Entry(
            entity=row.entity,
            category=category(row.entity),
            country=row.country,
            name=row.name,
            source=row.source,
            recognizer="national",
        )
    for entity, country, name, source in presidio_entities():
        yield Entry(
            entity=entity,
            category=category(entity),
            country=country,
            name=name,
            source=source,
            recognizer="presidio",
        )
    named = {row.entity for row in national}
    tables: Mapping[str, Iterable[Rule]] = {
        "identifiers": identifier_rules(),
        "secrets": secret_rules(),
        "cues": cue_rules(),
    }
    for recognizer, rules in tables.items():
        for entity in sorted({rule.entity for rule in rules} - named):
            name, source = _DESCRIPTIONS.get(entity, (entity.replace("_", " ").capitalize(), ""))
            yield Entry(
                entity=entity,
                category=category(entity),
                country="US" if entity.startswith("US_") else "",
                name=name,
                source=source,
                recognizer=recognizer,
            )


_CMS = "https://www.cms.gov (forms CMS-1500 and UB-04)"
_DESCRIPTIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "BANK_ACCOUNT": ("Bank account number of any country", "the words before it"),
        "BIC_CODE": ("Business identifier code", "ISO 9362"),
        "COORDINATES": ("Latitude and longitude", "ISO 6709"),
        "CREDIT_CARD": ("Number of a payment card", "ISO/IEC 7812-1 (Luhn)"),
        "CRYPTO": ("Address of a wallet", "Base58Check; BIP 173; BIP 350; ERC-55"),
        "DRIVER_LICENSE": ("Driving licence of any country", "the words before it"),
        "EMAIL_ADDRESS": ("E-mail address", "RFC 5321"),
        "IBAN_CODE": ("International bank account number", "ISO 13616-1 (mod 97)"),
        "ICCID": ("Number of a SIM card", "ITU-T E.118"),
        "ICD_CODE": ("Code of a diagnosis", "ICD-10, https://icd.who.int"),
        "IMEI": ("Number of a mobile device", "3GPP TS 23.003; ISO/IEC 7812-1 (Luhn)"),
        "IMSI": ("Number of a mobile subscriber", "ITU-T E.212"),
        "IP_ADDRESS": ("Internet address, version 6", "RFC 4291"),
        "LEI_CODE": ("Legal entity identifier", "ISO 17442"),
        "MEDICAL_RECORD_NUMBER": ("Medical record number", "the words before it"),
        "NATIONAL_ID": ("Identity card of any country", "the words before it"),
        "PASSPORT": ("Passport of any country", "ICAO Doc 9303"),
        "PASSPORT_MRZ": ("Machine readable zone", "ICAO Doc 9303, parts 4 and 5"),
        "PHONE_NUMBER": ("Telephone number", "ITU-T E.164, through phonenumbers"),
        "TAX_ID": ("Tax number of any country", "the words before it"),
        "URL": ("Address of a page", "RFC 3986; https://publicsuffix.org"),
        "US_SSN": ("US Social Security Number (SSN)", "20 CFR 422.103"),
        "US_CLAIM_NUMBER": ("Number of a medical claim", _CMS),
        "US_HEALTH_INSURANCE_MEMBER_ID": ("Health insurance member number", _CMS),
        "US_PRESCRIPTION_NUMBER": ("Number of a prescription", _CMS),
        "US_PRIOR_AUTHORIZATION_NUMBER": ("Number of a prior authorization", _CMS),
        "US_PROVIDER_TAX_ID": ("Tax number of a provider of care", "26 CFR 301.6109-1"),
        "US_REFERRAL_NUMBER": ("Number of a referral", _CMS),
        "UUID": ("Universally unique identifier", "RFC 9562"),
        "VEHICLE_REGISTRATION": ("Licence plate of any country", "the words before it"),
        "VIN": ("Vehicle identification number", "ISO 3779; 49 CFR 565.15"),
    }
)
