"""What only its surroundings give away: names after a title or a greeting, ages, addresses.

A trained model finds far more names than these cues do. The cues need no model, are certain about
what they find, and hold in every language listed here.
"""

from __future__ import annotations

from guardrail.detection.patterns import Rule, Scope, Validator

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

_TITLE_WORDS = (
    "mr mrs ms miss mx dr prof professor herrn herr frau hr mme monsieur madame mlle sr sra señor "
    "señora sig signor signora dhr mevr pani pan"
)
_GREETING_WORDS = (
    "dear hi hello hey hallo liebe lieber bonjour cher chère hola estimado estimada querido "
    "querida ciao gentile caro cara beste hej kære witaj"
)
_LABEL_WORDS = (
    "name patient patientin customer client kunde kundin contact person ansprechpartner "
    "ansprechpartnerin employee mitarbeiter mitarbeiterin nom nombre nome naam vorname nachname "
    "surname holder kontoinhaber kontoinhaberin from von signed insured"
)
_INTRODUCTION_WORDS = (
    "name this called heiße heisse appelle llamo nombre chiamo heet naam heter nazywam nome"
)
_CLOSING_WORDS = (
    "regards sincerely yours thanks thank cheers grüßen grüssen grüße mfg lg vg cordialement "
    "saludos atentamente saluti groet groeten"
)
_BIRTH_WORDS = (
    "born geboren geb dob d birth birthday birthdate geburtsdatum né née naissance nacido nacida "
    "nacimiento nascita"
)
_STREET_ENDINGS = ("straße", "strasse", "str.", "weg", "platz", "allee", "gasse", "ring", "ufer")
_STREET_WORDS = (
    "street st avenue ave road rd lane ln drive dr boulevard blvd way court ct place pl terrace "
    "square sq"
)


def _cue(
    entity: str,
    name: str,
    words: str,
    pattern: str,
    *,
    group: int = 1,
    score: float = 0.7,
    scope: Scope = Scope.ANYWHERE,
    validate: Validator | None = None,
    requires: tuple[str, ...] = (),
) -> Rule:
    return Rule(
        entity=entity,
        name=name,
        words=frozenset(words.split()),
        pattern=pattern,
        group=group,
        score=score,
        scope=scope,
        validate=validate,
        requires=requires,
    )


def cue_rules() -> list[Rule]:
    """Gives the rules for what is recognised by its surroundings."""
    return [
        _cue(
            "PERSON",
            "name-after-title",
            _TITLE_WORDS,
            rf"\b{_TITLE}\s(?:{_TITLE}\s)?({_NAME})",
            validate=_is_name,
        ),
        _cue(
            "PERSON",
            "name-after-greeting",
            _GREETING_WORDS,
            rf"(?:^|[\n>])\s{{0,4}}{_GREETING}\s({_NAME})(?=[,!.:\n]|\s[–-])",
            validate=_is_name,
        ),
        _cue(
            "PERSON",
            "name-after-label",
            _LABEL_WORDS,
            rf"(?<![^\W_]){_LABEL}[\"']?\s?[:=|]\s{{0,3}}[\"']?({_FULL_NAME})",
            validate=_is_name,
            scope=Scope.LABEL,
        ),
        _cue(
            "PERSON",
            "name-after-introduction",
            _INTRODUCTION_WORDS,
            rf"(?<![^\W_]){_INTRODUCTION}\s({_NAME})",
            validate=_is_name,
        ),
        _cue(
            "PERSON",
            "name-after-closing",
            _CLOSING_WORDS,
            rf"(?<![^\W_]){_CLOSING}\s?[,.!]?\s{{0,2}}\n\s{{0,4}}({_NAME})(?=\s{{0,4}}(?:\n|$))",
            validate=_is_name,
        ),
        _cue(
            "DATE_OF_BIRTH",
            "date-of-birth",
            _BIRTH_WORDS,
            r"(?i:(?<![^\W_])(?:born|geboren|geb\.|dob|d\.o\.b\.|date[ _]of[ _]birth|"
            r"birth[ _]?date|birthday|"
            r"geburtsdatum|né|née|date de naissance|nacido|nacida|fecha de nacimiento|"
            rf"data di nascita))[\"']?\s?[:=]?\s?[\"']?(?i:on|am|le|el|the)?\s?({_DATE})",
            score=0.85,
        ),
        _cue(
            "AGE",
            "age",
            "year years jahre jährige y ans años",
            r"(?<!\d)(\d{1,3})(?=[\s-]years?[\s-]old|[\s-]year[\s-]old|\sJahre\salt|[\s-]jährige|"
            r"\sy/o\b|\sans\b|\saños\b)",
            scope=Scope.DIGITS,
        ),
        _cue(
            "STREET_ADDRESS",
            "street-address-german",
            "",
            r"(?<!\p{L})(\p{Lu}[\p{L}.-]{2,30}(?:[Ss]tra(?:ß|ss)e|[Ss]tr\.|[Ww]eg|"
            r"[Pp]latz|[Aa]llee|[Gg]asse|[Rr]ing|[Uu]fer)"
            r"\s\d{1,4}\s?[a-z]?(?:,\s\d{5}\s\p{Lu}[\p{L}-]{2,30})?)(?!\w)",
            scope=Scope.DIGITS,
            requires=_STREET_ENDINGS,
        ),
        _cue(
            "STREET_ADDRESS",
            "street-address-english",
            _STREET_WORDS,
            r"(?<!\w)(\d{1,5}\s(?:\p{Lu}[\p{L}'’.-]{0,24}\s){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Lane|"
            r"Ln|Drive|Dr|Boulevard|Blvd|Way|Court|Ct|Place|Pl|Terrace|Square|Sq)\.?"
            r"(?:,\s\p{Lu}[\p{L} ]{1,30}(?:,\s\p{Lu}{2}\s\d{5})?)?)(?!\w)",
        ),
    ]
