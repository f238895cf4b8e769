"""Entity type → category: detectors speak of entities, policies of categories.

An entity that no row names belongs to `unknown`, which no policy permits to leave, so a new
detector can never open a door by finding something that nobody has classified.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from guardrail.types import Category

NONE = Category("none")
"""The category of a request in which nothing was found."""
UNKNOWN = Category("unknown")
"""The category of an entity that the taxonomy does not know. Deliberately not personal data."""
SECRET = Category("secret")
UNINSPECTABLE = Category("uninspectable")
"""Content that no detector can read: pictures, sound, references to files at a provider."""

PERSONAL: tuple[Category, ...] = tuple(
    Category(name)
    for name in (
        "name contact online-id national-id financial card health genetic biometric race religion "
        "politics union sex-life criminal location dob vehicle communications"
    ).split()
)
"""Categories of personal data, each a child of `personal` in the policies' hierarchy."""

CATEGORIES: tuple[Category, ...] = (*PERSONAL, SECRET, UNINSPECTABLE, UNKNOWN, NONE)

LITERAL = "LITERAL"
"""Entity of text that merely looks like a placeholder; it is escaped and always restored."""

_ROWS: Mapping[str, str] = {
    "name": "PERSON TITLE",
    "contact": "EMAIL_ADDRESS PHONE_NUMBER STREET_ADDRESS",
    "online-id": "IP_ADDRESS MAC_ADDRESS URL UUID USER_ID CRYPTO",
    "location": "LOCATION ZIP_CODE CA_POSTAL_CODE DE_PLZ UK_POSTCODE COORDINATES NATIONALITY",
    "dob": "DATE_OF_BIRTH AGE DATE_TIME",
    "card": "CREDIT_CARD",
    "financial": "IBAN_CODE US_BANK_NUMBER ABA_ROUTING_NUMBER BIC_CODE US_CLAIM_NUMBER",
    "national-id": (
        "US_SSN US_ITIN US_PASSPORT US_DRIVER_LICENSE UK_NINO UK_PASSPORT UK_DRIVING_LICENCE "
        "DE_TAX_ID DE_TAX_NUMBER DE_ID_CARD DE_PASSPORT DE_SOCIAL_SECURITY DE_FUEHRERSCHEIN "
        "DE_VAT_ID ES_NIF ES_NIE ES_PASSPORT IT_FISCAL_CODE IT_DRIVER_LICENSE IT_IDENTITY_CARD "
        "IT_PASSPORT PL_PESEL SE_PERSONNUMMER FI_PERSONAL_IDENTITY_CODE AU_TFN CA_SIN IN_AADHAAR "
        "IN_PAN IN_PASSPORT IN_VOTER SG_NRIC_FIN KR_RRN KR_FRN KR_PASSPORT KR_DRIVER_LICENSE "
        "TH_TNIN TR_NATIONAL_ID ZA_ID_NUMBER ZA_PASSPORT ZA_DRIVER_LICENSE NG_NIN PH_UMID "
        "PH_PASSPORT FR_NIR NL_BSN BE_NN BR_CPF AT_VNR CH_AHV NATIONAL_ID"
    ),
    "health": (
        "HEALTH_CONDITION MEDICAL_RECORD_NUMBER ICD_CODE UK_NHS AU_MEDICARE DE_HEALTH_INSURANCE "
        "US_MBI US_HEALTH_INSURANCE_MEMBER_ID MEDICAL_LICENSE US_PRESCRIPTION_NUMBER "
        "US_PRIOR_AUTHORIZATION_NUMBER US_REFERRAL_NUMBER MEDICATION"
    ),
    "vehicle": "DE_KFZ UK_VEHICLE_REGISTRATION VEHICLE_REGISTRATION",
    "race": "RACE",
    "religion": "RELIGION",
    "politics": "POLITICAL_OPINION",
    "union": "TRADE_UNION",
    "sex-life": "SEX_LIFE",
    "criminal": "CRIMINAL_RECORD",
    "biometric": "BIOMETRIC",
    "genetic": "GENETIC",
    "secret": "SECRET API_KEY PASSWORD PRIVATE_KEY ACCESS_TOKEN CONNECTION_STRING",
    "uninspectable": "MEDIA REMOTE_REFERENCE TOKENS",
}

_LABELS: Mapping[str, str] = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "CREDIT_CARD": "CARD",
    "IBAN_CODE": "IBAN",
    "IP_ADDRESS": "IP",
    "MAC_ADDRESS": "MAC",
    "US_SSN": "SSN",
    "STREET_ADDRESS": "ADDRESS",
    "HEALTH_CONDITION": "HEALTH",
    "MEDICAL_RECORD_NUMBER": "RECORD",
    "DATE_OF_BIRTH": "BIRTHDATE",
    "USER_ID": "USER",
}

_ENTITY = re.compile(r"[A-Z][A-Z0-9]{0,31}(?:_[A-Z0-9]{1,31}){0,5}")
"""What a placeholder can carry: a longer word could not be read back."""


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """The catalogue of entities: `categories` and placeholder `labels`, both keyed by entity."""

    categories: Mapping[str, Category]
    labels: Mapping[str, str]

    def category(self, entity: str) -> Category:
        """Category of an entity; `UNKNOWN` for one that no row names."""
        return self.categories.get(entity, UNKNOWN)

    def label(self, entity: str) -> str:
        """The word in this entity's placeholders: `EMAIL` in `[EMAIL_1]`."""
        return self.labels.get(entity, entity)

    @property
    def vocabulary(self) -> frozenset[str]:
        """Every word that a placeholder may carry, hence every word that must be escaped."""
        return frozenset(self.label(entity) for entity in self.categories) | {LITERAL}


def load_taxonomy(extra: Mapping[str, str] | None = None) -> Taxonomy:
    """Gives the built-in taxonomy, with a deployment's own `{entity: category}` rows added.

    Raises:
        ValueError: a row names a category that does not exist, or an entity that is not an
            upper-case identifier of up to six parts; the message lists each.

    >>> load_taxonomy({"STAFF_NUMBER": "national-id"}).category("STAFF_NUMBER")
    'national-id'
    """
    categories = {
        entity: Category(category) for category, row in _ROWS.items() for entity in row.split()
    }
    problems = []
    for entity, category in (extra or {}).items():
        if not _ENTITY.fullmatch(entity) or entity == LITERAL:
            problems.append(f"{entity!r}: an entity is written like STAFF_NUMBER, in up to 6 parts")
        elif category not in CATEGORIES or category == NONE:
            allowed = ", ".join(sorted(c for c in CATEGORIES if c != NONE))
            problems.append(f"{entity}: no category {category!r}; use one of {allowed}")
        categories[entity] = Category(category)
    if problems:
        raise ValueError("; ".join(problems))
    return Taxonomy(categories=categories, labels={e: _LABELS.get(e, e) for e in categories})
