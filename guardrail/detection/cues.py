"""What only its surroundings give away: names after a title or a greeting, ages, addresses, health.

A trained model finds far more names than these cues do. The cues need no model, are certain about
what they find, and hold in every language listed here.
"""

from __future__ import annotations

from guardrail.detection.patterns import Rule, Scope

_PART = r"\p{Lu}[\p{L}\p{M}'’]{1,24}(?:-\p{Lu}[\p{L}\p{M}'’]{1,24}){0,2}"
_PARTICLE = r"(?:(?:van|von|de|der|den|del|della|di|da|dos|la|le|bin|al|zu)\s){0,2}"
_NAME = rf"{_PART}(?:\s{_PARTICLE}(?:\p{{Lu}}\.\s)?{_PART}){{0,3}}"
_FULL_NAME = rf"{_PART}(?:\s{_PARTICLE}(?:\p{{Lu}}\.\s)?{_PART}){{1,3}}"

_NOT_NAMES = frozenset(
    (
        "sir madam team all everyone everybody world support customer colleague colleagues friend "
        "friends there folks guys hiring recruiter admin damen herren zusammen kollegen kunde "
        "kundenservice support-team dr prof doctor god claude chatgpt assistant gpt user unknown "
        "none null true false not sure sorry here happy the a an this that my our your"
    ).split()
)


def _is_name(value: str) -> bool | None:
    return False if value.split()[0].lower() in _NOT_NAMES else None


_GREETING = (
    r"(?:Dear|Hi|Hello|Hey|Hallo|Liebe|Lieber|Bonjour|Cher|Chère|Hola|Estimado|Estimada|Querido|"
    r"Querida|Ciao|Gentile|Caro|Cara|Beste|Hej|Kære|Witaj)"
)
_TITLE = (
    r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Herrn|Herr|Frau|Hr|Mme|Monsieur|Madame|Mlle|Sr|Sra|"
    r"Señor|Señora|Sig|Signor|Signora|Dhr|Mevr|Pani|Pan)\.?"
)
_LABEL = (
    r"(?i:name|full name|patient(?:in)?|patient name|customer|client|"
    r"kunde|kundin|contact(?: person)?|"
    r"ansprechpartner(?:in)?|employee|mitarbeiter(?:in)?|nom|nombre|nome|naam|vorname|nachname|"
    r"first name|last name|surname|account holder|kontoinhaber(?:in)?|from|von|signed|insured)"
)
_INTRODUCTION = (
    r"(?i:my name is|my name's|this is|i am called|ich heiße|ich heisse|mein name ist|"
    r"je m'appelle|je m’appelle|me llamo|mi nombre es|mi chiamo|ik heet|mijn naam is|jag heter|"
    r"nazywam się|meu nome é)"
)
_CLOSING = (
    r"(?i:(?:best|kind|warm)(?:est)? regards|regards|sincerely(?: yours)?|yours (?:sincerely|truly|"
    r"faithfully)|many thanks|thanks|thank you|cheers|mit freundlichen grü(?:ß|ss)en|"
    r"freundliche grüße|(?:viele|beste|liebe|herzliche|schöne) grüße|mfg|lg|vg|cordialement|"
    r"saludos(?: cordiales)?|atentamente|cordiali saluti|met vriendelijke groet(?:en)?)"
)

_DATE = (
    r"(?:\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}-\d{2}-\d{2}|\d{1,2}\.?\s\p{L}{3,9}\.?,?\s\d{4}|"
    r"\p{L}{3,9}\s\d{1,2},?\s\d{4})"
)

_CONDITIONS = (
    "diabetes, diabetic, diabetiker, hiv, hiv-positive, hiv-positiv, hepatitis, cancer, carcinoma, "
    "krebs, brustkrebs, tumor, tumour, leukemia, leukaemia, leukämie, lymphoma, chemotherapy, "
    "chemotherapie, depression, depressive, depressionen, schizophrenia, schizophrenie, bipolar "
    "disorder, bipolare störung, anxiety disorder, angststörung, ptsd, adhd, autism, autismus, "
    "dementia, demenz, alzheimer, parkinson, epilepsy, epilepsie, "
    "multiple sclerosis, multiple sklerose, asthma, copd, hypertension, bluthochdruck, myocardial "
    "infarction, heart attack, herzinfarkt, stroke, schlaganfall, heart failure, herzinsuffizienz, "
    "pneumonia, lungenentzündung, tuberculosis, tuberkulose, pregnancy, pregnant, schwanger, "
    "schwangerschaft, miscarriage, fehlgeburt, abortion, schwangerschaftsabbruch, infertility, "
    "bandscheibenvorfall, migraine, migräne, anorexia, bulimia, essstörung, alcoholism, "
    "alkoholabhängigkeit, substance abuse, overdose, suicidal, suizidgedanken, suizidal, burnout, "
    "kidney failure, niereninsuffizienz, dialysis, dialyse, cirrhosis, leberzirrhose, arthritis, "
    "osteoporosis, lupus, crohn, morbus crohn, colitis, celiac disease, zöliakie"
)
_MEDICATIONS = (
    "metformin, insulin, lisinopril, atorvastatin, amlodipine, warfarin, sertraline, sertralin, "
    "fluoxetine, fluoxetin, citalopram, escitalopram, lithium carbonate, quetiapine, olanzapine, "
    "methadone, methadon, "
    "oxycodone, oxycodon, tamoxifen, methotrexate, methotrexat, levothyroxine, "
    "ritalin, methylphenidate, methylphenidat, truvada, tenofovir"
)


def _words(row: str) -> str:
    """Alternatives grouped by first letter, so that most words of a text fail at once."""
    groups: dict[str, list[str]] = {}
    for word in row.split(", "):
        groups.setdefault(word[0], []).append(word[1:].replace(" ", r"\s").replace("'", "['’]"))
    branches = (
        f"[{letter}{letter.upper()}](?i:{'|'.join(sorted(rest, key=len, reverse=True))})"
        for letter, rest in sorted(groups.items())
    )
    return rf"(?<![\p{{L}}\d])(?:{'|'.join(branches)})(?![\p{{L}}\d])"


def _cue(entity: str, name: str, pattern: str, **options: object) -> Rule:
    settings: dict[str, object] = {"group": 1, "score": 0.7, "scope": Scope.ANYWHERE, **options}
    return Rule(entity=entity, name=name, pattern=pattern, **settings)  # type: ignore[arg-type]  # one row, one set of options


def cue_rules() -> list[Rule]:
    """Gives the rules for what is recognised by its surroundings or from a closed list of words."""
    return [
        _cue(
            "PERSON",
            "name-after-title",
            rf"\b{_TITLE}\s(?:{_TITLE}\s)?({_NAME})",
            validate=_is_name,
        ),
        _cue(
            "PERSON",
            "name-after-greeting",
            rf"(?:^|[\n>])\s{{0,4}}{_GREETING}\s({_NAME})(?=[,!.:\n]|\s[–-])",
            validate=_is_name,
        ),
        _cue(
            "PERSON",
            "name-after-label",
            rf"(?<![\p{{L}}_]){_LABEL}\s?[:=|]\s{{0,3}}[\"']?({_FULL_NAME})",
            validate=_is_name,
        ),
        _cue(
            "PERSON",
            "name-after-introduction",
            rf"(?<!\p{{L}}){_INTRODUCTION}\s({_NAME})",
            validate=_is_name,
        ),
        _cue(
            "PERSON",
            "name-after-closing",
            rf"(?<!\p{{L}}){_CLOSING}\s?[,.!]?\s{{0,2}}\n\s{{0,4}}({_NAME})(?=\s{{0,4}}(?:\n|$))",
            validate=_is_name,
        ),
        _cue(
            "DATE_OF_BIRTH",
            "date-of-birth",
            r"(?i:\b(?:born|geboren|geb\.|dob|d\.o\.b\.|date of birth|birth date|birthday|"
            r"geburtsdatum|né|née|date de naissance|nacido|nacida|fecha de nacimiento|"
            rf"data di nascita))\s?[:=]?\s?(?i:on|am|le|el|the)?\s?({_DATE})",
            score=0.85,
        ),
        _cue(
            "AGE",
            "age",
            r"(?<!\d)(\d{1,3})(?=[\s-]years?[\s-]old|[\s-]year[\s-]old|\sJahre\salt|[\s-]jährige|"
            r"\sy/o\b|\sans\b|\saños\b)",
            scope=Scope.DIGITS,
        ),
        _cue(
            "STREET_ADDRESS",
            "street-address-german",
            r"(?<!\p{L})(\p{Lu}[\p{L}.-]{2,30}(?:straße|strasse|str\.|weg|platz|allee|gasse|ring|ufer)"
            r"\s\d{1,4}\s?[a-z]?(?:,\s\d{5}\s\p{Lu}[\p{L}-]{2,30})?)(?!\w)",
            scope=Scope.DIGITS,
        ),
        _cue(
            "STREET_ADDRESS",
            "street-address-english",
            r"(?<!\w)(\d{1,5}\s(?:\p{Lu}[\p{L}'’.-]{0,24}\s){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Lane|"
            r"Ln|Drive|Dr|Boulevard|Blvd|Way|Court|Ct|Place|Pl|Terrace|Square|Sq)\.?"
            r"(?:,\s\p{Lu}[\p{L} ]{1,30}(?:,\s\p{Lu}{2}\s\d{5})?)?)(?!\w)",
            scope=Scope.DIGITS,
        ),
        _cue(
            "HEALTH_CONDITION",
            "health-condition",
            _words(_CONDITIONS),
            group=0,
            score=0.6,
            requires=tuple(_CONDITIONS.replace("'", "").split(", ")),
        ),
        _cue(
            "MEDICATION",
            "medication",
            _words(_MEDICATIONS),
            group=0,
            score=0.6,
            requires=tuple(_MEDICATIONS.split(", ")),
        ),
    ]
