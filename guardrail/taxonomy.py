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
DOCUMENT = Category("document")
"""A document all of whose text was read, and cannot be changed. Not personal data by itself."""
PICTURE = Category("picture")
"""A picture whose text was recognised; what else it shows, a face among it, was not."""
INJECTION = Category("injection")
"""Text from outside that speaks to the model, or hides: not personal data, but a danger to it."""

PERSONAL: tuple[Category, ...] = tuple(
    Category(name)
    for name in (
        "name contact online-id national-id financial card health genetic biometric race religion "
        "politics union sex-life criminal location dob vehicle communications"
    ).split()
)
"""Categories of personal data, each a child of `personal` in the policies' hierarchy."""

CATEGORIES: tuple[Category, ...] = (
    *PERSONAL,
    SECRET,
    UNINSPECTABLE,
    DOCUMENT,
    PICTURE,
    INJECTION,
    UNKNOWN,
    NONE,
)

LITERAL = "LITERAL"
"""Entity of text that merely looks like a placeholder; it is escaped and always restored."""

_ROWS: Mapping[str, str] = {
    "name": "PERSON ORGANIZATION TITLE",
    "contact": "EMAIL_ADDRESS PHONE_NUMBER STREET_ADDRESS",
    "online-id": "IP_ADDRESS MAC_ADDRESS URL UUID USER_ID CRYPTO ICCID IMEI IMSI",
    "location": (
        "LOCATION ZIP_CODE CA_POSTAL_CODE DE_PLZ UK_POSTCODE COORDINATES IE_EIRCODE NATIONALITY"
    ),
    "dob": "DATE_OF_BIRTH AGE DATE_TIME",
    "card": "CREDIT_CARD",
    "financial": (
        "IBAN_CODE US_BANK_NUMBER ABA_ROUTING_NUMBER BIC_CODE US_CLAIM_NUMBER AR_CBU "
        "AT_BUSINESS_ID AU_ABN AU_ACN AU_BANK_ACCOUNT BANK_ACCOUNT BE_ENTERPRISE BE_OGM BR_CNPJ "
        "CA_BN CH_PAYMENT_REFERENCE CH_UID CN_USCC CR_CPJ CZ_BANK_ACCOUNT DE_BANK_ACCOUNT "
        "DE_HANDELSREGISTER DK_CVR DO_RNC EC_RUC EE_REGISTRIKOOD ES_CATASTRAL ES_CCC ES_CIF "
        "FI_YTUNNUS FR_BANK_ACCOUNT FR_SIREN FR_SIRET HU_BANK_ACCOUNT IL_HP IN_GSTIN IN_IFSC "
        "JP_BANK_ACCOUNT JP_CORPORATE_NUMBER KR_BRN LEI_CODE MA_ICE MX_CLABE NO_KONTONR NO_ORGNR "
        "NZ_BANK_ACCOUNT PL_BANK_ACCOUNT PL_REGON RO_CUI RO_ONRC RU_OGRN SE_BANKGIRO "
        "SE_ORGANISATIONSNUMMER SG_UEN SI_MATICNA TW_UBN UA_EDRPOU UK_BANK_ACCOUNT "
        "UK_COMPANY_NUMBER US_EIN US_PROVIDER_TAX_ID ZA_COMPANY_REGISTRATION ZA_VAT_NUMBER"
    ),
    "national-id": (
        "US_SSN US_ITIN US_PASSPORT US_DRIVER_LICENSE UK_NINO UK_PASSPORT UK_DRIVING_LICENCE "
        "DE_TAX_ID DE_TAX_NUMBER DE_ID_CARD DE_PASSPORT DE_SOCIAL_SECURITY DE_FUEHRERSCHEIN "
        "DE_VAT_ID ES_NIF ES_NIE ES_PASSPORT IT_FISCAL_CODE IT_DRIVER_LICENSE IT_IDENTITY_CARD "
        "IT_PASSPORT PL_PESEL SE_PERSONNUMMER FI_PERSONAL_IDENTITY_CODE AU_TFN CA_SIN IN_AADHAAR "
        "IN_PAN IN_PASSPORT IN_VOTER SG_NRIC_FIN KR_RRN KR_FRN KR_PASSPORT KR_DRIVER_LICENSE "
        "TH_TNIN TR_NATIONAL_ID ZA_ID_NUMBER ZA_PASSPORT ZA_DRIVER_LICENSE NG_NIN PH_UMID "
        "PH_PASSPORT FR_NIR NL_BSN BE_NN BR_CPF AT_VNR CH_AHV NATIONAL_ID AD_NRT AE_EMIRATES_ID "
        "AE_TRN AL_NIPT AR_CUIT AR_DNI AT_TIN AT_VAT_ID AU_PASSPORT AZ_VOEN BA_JMBG BE_BIS BE_EID "
        "BG_EGN BG_PNF BG_VAT BR_CNH BR_PIS BR_RG BR_TITULO_ELEITOR BY_UNP CA_PASSPORT CL_RUT "
        "CN_PASSPORT CN_RIC CO_CEDULA CO_NIT CR_CPF CR_CR CU_NI CY_ARC CY_VAT CZ_DIC CZ_ID_CARD "
        "CZ_RC DK_CPR DO_CEDULA DRIVER_LICENSE DZ_NIF EC_CI EE_IK EG_NATIONAL_ID EG_TN "
        "ES_SOCIAL_SECURITY EU_VAT_ID FI_ALV FI_VERONUMERO FR_DRIVER_LICENSE FR_ID_CARD FR_TIN "
        "FR_TVA GE_PERSONAL_NUMBER GH_CARD GH_TIN GN_NIFP GR_AFM GR_AMKA GR_ID_CARD GT_NIT "
        "HK_ID_CARD HR_OIB HU_ANUM HU_ID_CARD HU_TAX_ID ID_NIK ID_NPWP IE_PPS IE_VAT IL_ID "
        "IN_AADHAAR_VID IN_DRIVER_LICENSE IN_EPIC IN_UAN IR_NATIONAL_ID IS_KENNITALA IS_VSK "
        "IT_VAT_CODE JP_DRIVER_LICENSE JP_MY_NUMBER JP_PASSPORT JP_RESIDENCE_CARD KE_NATIONAL_ID "
        "KE_PIN KZ_IIN LI_PEID LK_NIC LT_ASMENS LT_PVM LU_NATIONAL_ID LU_TVA LV_PERSONAL_CODE "
        "LV_PVN MA_CIN MC_TVA MD_IDNO ME_JMBG ME_PIB MK_EDB MK_EMBG MT_ID_CARD MT_VAT MU_NID "
        "MX_CURP MX_INE MX_NSS MX_RFC MY_NRIC MZ_NUIT NL_BTW NL_ID_DOCUMENT NL_ONDERWIJSNUMMER "
        "NO_FODSELSNUMMER NO_MVA NP_PAN NZ_IRD PASSPORT PASSPORT_MRZ PE_DNI PE_RUC PH_TIN PK_CNIC "
        "PL_ID_CARD PL_NIP PT_CC PT_NIF PT_NISS PY_RUC RO_CNP RO_ID_CARD RS_JMBG RS_PIB "
        "RU_DRIVER_LICENSE RU_INN RU_PASSPORT RU_SNILS SA_NATIONAL_ID SA_VAT SE_VAT SG_PASSPORT "
        "SI_DDV SI_EMSO SK_DPH SK_ID_CARD SK_RC SN_NINEA SV_NIT TAX_ID TH_PIN TH_TIN TN_MF TR_VKN "
        "TW_ID_CARD UA_PASSPORT UA_RNTRC UK_UPN UK_UTR UK_VAT US_ATIN US_PTIN UY_CI UY_RUT "
        "VE_CEDULA VE_RIF VN_CCCD VN_CMND VN_MST VN_PASSPORT ZA_INCOME_TAX_NUMBER ZA_TIN "
        "ZA_TRAFFIC_REGISTER_NUMBER"
    ),
    "health": (
        "HEALTH_CONDITION MEDICAL_RECORD_NUMBER ICD_CODE UK_NHS AU_MEDICARE DE_HEALTH_INSURANCE "
        "US_MBI US_HEALTH_INSURANCE_MEMBER_ID MEDICAL_LICENSE US_PRESCRIPTION_NUMBER "
        "US_PRIOR_AUTHORIZATION_NUMBER US_REFERRAL_NUMBER MEDICATION BR_CNS CA_BC_PHN "
        "CA_ON_HEALTH_CARD CA_RAMQ DE_BSNR DE_LANR HU_TAJ IT_HEALTH_CARD NZ_NHI RU_OMS UK_CHI "
        "US_DEA US_NPI"
    ),
    "vehicle": (
        "DE_KFZ UK_VEHICLE_REGISTRATION VEHICLE_REGISTRATION AU_LICENSE_PLATE BE_LICENSE_PLATE "
        "BR_LICENSE_PLATE CH_LICENSE_PLATE CN_LICENSE_PLATE DK_LICENSE_PLATE ES_LICENSE_PLATE "
        "FI_LICENSE_PLATE FR_LICENSE_PLATE ID_LICENSE_PLATE IE_LICENSE_PLATE "
        "IN_VEHICLE_REGISTRATION IT_LICENSE_PLATE KR_LICENSE_PLATE NG_VEHICLE_REGISTRATION "
        "NL_LICENSE_PLATE NO_LICENSE_PLATE PL_LICENSE_PLATE PT_LICENSE_PLATE RU_LICENSE_PLATE "
        "SA_LICENSE_PLATE SE_LICENSE_PLATE SG_LICENSE_PLATE TR_LICENSE_PLATE VIN "
        "VN_LICENSE_PLATE ZA_LICENSE_PLATE"
    ),
    "race": "RACE NRP",
    "religion": "RELIGION",
    "politics": "POLITICAL_OPINION",
    "union": "TRADE_UNION",
    "sex-life": "SEX_LIFE",
    "criminal": "CRIMINAL_RECORD",
    "biometric": "BIOMETRIC",
    "genetic": "GENETIC",
    "secret": "SECRET API_KEY PASSWORD PRIVATE_KEY ACCESS_TOKEN CONNECTION_STRING",
    "uninspectable": "MEDIA REMOTE_REFERENCE TOKENS",
    "document": "READ_DOCUMENT",
    "picture": "READ_PICTURE",
    "injection": "PROMPT_INJECTION HIDDEN_TEXT",
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
