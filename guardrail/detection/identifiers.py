"""Identifiers of no one country: e-mail, telephone, records; with `national.py`, those of each."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

import phonenumbers
from stdnum import bic, lei

from guardrail.detection.grouped import grouped_rules
from guardrail.detection.national import national_rules
from guardrail.detection.online import online_rules, public_suffix
from guardrail.detection.patterns import AFTER, BEFORE, Rule, Scope

_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "IL", "IN", "BR")
"""Where a number without a country code is tried; US stands for all of North America."""
_MORE_REGIONS = tuple("CN JP KR RU AU SG AE SA VN ID CH AT BE SE PL PT TR MX ZA".split())
"""Where it is tried, too, if a word says that it is a telephone number."""

_PHONE_WORDS = tuple(
    (
        "phone telephone mobile cell call fax whatsapp telefon handy mobil tel rufnummer "
        "erreichbar téléphone portable teléfono móvil celular telefono cellulare telefoon mobiel "
        "telefone telemóvel puhelin mobilnummer komórka telefonszám τηλέφωνο κινητό телефон тел "
        "мобильный هاتف جوال رقم الهاتف điện thoại sđt telepon ponsel nomor hp फ़ोन मोबाइल 電話 "
        "電話番号 携帯 电话 电话号码 手机 手机号 手机号码 전화 전화번호 휴대폰 연락처"
    ).split()
)
_UNSPACED_PHONE_WORDS = tuple(
    (
        "電話番号 電話 携帯番号 携帯電話 携帯 电话号码 电话 手机号码 手机号 手机 "
        "전화번호 전화 휴대폰 연락처 โทรศัพท์ เบอร์โทร"
    ).split()
)


def _email(value: str) -> bool | None:
    """Certain where the domain ends in a public suffix; `mail@intranet.corp` is mail, too."""
    domain = value.rsplit("@", 1)[1]
    if domain.rsplit(".", 1)[1].lower() in _FILES:
        return False
    return True if public_suffix(domain) else None


_FILES = frozenset("png jpg jpeg svg webp gif js css".split())
"""Endings of files that look like domains: `img@2x.png`. None of them is a top-level domain."""


def _phone(value: str, more: tuple[str, ...] = ()) -> bool | None:
    digits = _NO_DIGITS.sub("", value)
    if not 7 <= len(digits) <= 15:
        return False
    if "+" in value:
        return None if _is_phone(value, None) else False
    if digits.startswith("00") or _OTHER_NUMBER.fullmatch(value) or _is_ipv4(value):
        return False
    # North American numbers are told by their digits; to ask for those only is to ask less often.
    regions = _REGIONS if _NORTH_AMERICAN.fullmatch(digits) else _REGIONS[1:]
    return None if any(_is_phone(value, region) for region in (*regions, *more)) else False


def _is_ipv4(value: str) -> bool:
    """Not where all parts have two digits, as telephone numbers in Denmark do: `22.33.44.55`."""
    parts = value.split(".")
    return (
        len(parts) == 4
        and all(part.isdecimal() and int(part) <= 255 for part in parts)
        and any(len(part) != 2 for part in parts)
    )


def _named_phone(value: str) -> bool | None:
    return _phone(value, _MORE_REGIONS)


_NO_DIGITS = re.compile(r"\D+")
_NORTH_AMERICAN = re.compile(r"1?[2-9]\d{9}")
_OTHER_NUMBER = re.compile(r"\d{3}-\d\d-\d{4}|\d{3}\.\d{4}\.\d{4}\.\d\d|\d{3}\.\d{3}\.\d{3}-\d\d")
"""The groups of social security numbers (US, CH) and of the Brazilian CPF, valid or not."""


def _is_phone(value: str, region: str | None) -> bool:
    if region and not _shape(region).fullmatch(_NO_DIGITS.sub("", value)):
        return False  # known without the library, which takes longer
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number)


@lru_cache(maxsize=64)
def _shape(region: str) -> re.Pattern[str]:
    """What all of a region's numbers look like, with and without the prefix of national calls."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if (
        metadata is None
        or metadata.general_desc is None
        or metadata.national_prefix_transform_rule  # a prefix that becomes part of the number
    ):
        return _ANY
    prefix = metadata.national_prefix_for_parsing or metadata.national_prefix or ""
    number = metadata.general_desc.national_number_pattern
    code = phonenumbers.country_code_for_region(region)
    return re.compile(f"(?:{code})?(?:{prefix})?(?:{number})")


_ANY = re.compile(r"\d+")


def _ipv6(value: str) -> bool | None:
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return False
    if not any(character.isdigit() for character in value):
        return False  # `cafe::babe` is more often a name in a program
    return not (address.is_loopback or address.is_unspecified)


_BEFORE, _AFTER = rf"{BEFORE}(?<!\.)", AFTER
_IS = r"(?:\s(?:is|was))?[\s:#=-]{0,4}"


def identifier_rules() -> list[Rule]:
    """Gives the rules for identifiers that Presidio finds slowly, online, or not at all.

    Source: RFC 5321 4.5.3.1 (lengths of mail addresses); ITU-T E.164 through phonenumbers.
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
    record = Rule(
        entity="MEDICAL_RECORD_NUMBER",
        name="medical-record-number",
        pattern=(
            r"(?i)\b(?:MRN|medical record(?: number| no\.?)?|"
            r"patient(?:en)?[- ]?(?:id|nr\.?|nummer))"
            rf"{_IS}([A-Z]{{0,3}}-?\d[\d-]{{4,30}}){_AFTER}"
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
    icd_small = replace(
        icd,
        name="icd-10-small",
        # Not `p95` and `v10.2`, which stand in diagnostics of programs.
        pattern=r"(?i)(?<![\w.-])[A-TW-Z]\d[\dAB]\.\d[\dA-Z]{0,2}(?![\w-]|\.\w)",
    )
    member = replace(
        record,
        entity="US_HEALTH_INSURANCE_MEMBER_ID",
        name="health-insurance-member-id",
        pattern=(
            r"(?i)\b(?:member|subscriber|policy)\s?(?:id|no\.?|number|#)"
            rf"{_IS}((?:[A-Z]{{0,4}}\d|[A-Z](?=(?:[A-Z-]{{0,8}}\d){{3}}))[A-Z0-9-]{{5,30}}){_AFTER}"
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
        *grouped_rules(),
        *national_rules(),
        *online_rules(),
        *(record, member, icd, icd_small, ipv6),
        *_labelled_rules(),
        *_place_rules(),
        *_vehicle_rules(),
        *_bank_rules(),
        *_document_rules(),
    ]


def _labelled_rules() -> Iterator[Rule]:
    """Numbers of American health care, which have no form but the words before them.

    Source: https://www.cms.gov (forms CMS-1500 and UB-04); 26 CFR 301.6109-1 (provider tax id).
    """
    number = rf"(?:\s?(?:#|no\.?|number|id))?{_IS}"
    for entity, words, label, value in (
        ("US_CLAIM_NUMBER", "claim", "claim", r"(?:CLM-?)?\d{6,15}"),
        ("US_PRESCRIPTION_NUMBER", "rx prescription", "rx|prescription", r"(?:RX-?)?\d{6,12}"),
        (
            "US_PRIOR_AUTHORIZATION_NUMBER",
            "authorization auth preauthorization",
            "prior auth(?:orization)?|pre-?auth(?:orization)?|authorization",
            r"(?:PA-?)?\d{6,12}",
        ),
        ("US_REFERRAL_NUMBER", "referral", "referral", r"(?:(?:REF|INF)-?)?\d{6,12}"),
        (
            "US_PROVIDER_TAX_ID",
            "provider",
            "provider(?: tax)?(?: id| tin| ein| identification)?",
            r"\d{2}-\d{7}",
        ),
    ):
        yield Rule(
            entity=entity,
            name=entity.lower().replace("_", "-"),
            pattern=rf"(?i){_BEFORE}(?:{label}){number}({value}){_AFTER}",
            group=1,
            score=0.5,
            words=frozenset(words.split()),
            scope=Scope.ANYWHERE,
        )


_LATITUDE, _LONGITUDE = r"[-+]?(?:90|[1-8]?\d)", r"[-+]?(?:180|1[0-7]\d|[1-9]?\d)"
_MINUTES = r"°\s?\d{1,2}(?:\.\d{1,6})?\s?['’′](?:\s?\d{1,2}(?:\.\d{1,6})?\s?(?:[\"”″]|''|′′))?\s?"
_COORDINATE_WORDS = tuple(
    (
        "coordinates coordinate gps lat latitude location position located latlng geo koordinaten "
        "standort coordonnées coordenadas ubicación coordinate posizione coördinaten координаты "
        "współrzędne koordinater 坐标 座標"
    ).split()
)


def _coordinates(value: str) -> bool | None:
    """False for pairs that are more often weights in a program than places: `0.1234, 0.9876`."""
    return None if any(abs(float(n)) >= 2 for n in _NUMBER.findall(value)) else False


_NUMBER = re.compile(r"[-+]?\d{1,3}\.\d+")


def _place_rules() -> Iterator[Rule]:
    """Source: ISO 6709 (latitude first, in degrees; or degrees, minutes and seconds)."""
    for name, decimals, score in (
        ("coordinates", "{2,15}", 0.3),
        ("coordinates-exact", "{4,15}", 0.5),
    ):
        yield Rule(
            entity="COORDINATES",
            name=name,
            pattern=(
                rf"(?<![\w.+-]|\d,|\d,\s){_LATITUDE}\.\d{decimals},\s{{0,2}}{_LONGITUDE}"
                rf"\.\d{decimals}(?!\w|\.\d|\s?,\s?[-+\d])"
            ),
            score=score,
            validate=_coordinates,
            context=_COORDINATE_WORDS,
            scope=Scope.DOTTED,
        )
    yield Rule(
        entity="COORDINATES",
        name="coordinates-labelled",
        pattern=(
            r"(?i)(?<![^\W_])(?:lat|latitude|lon|lng|long|longitude|breitengrad|längengrad)"
            r"[\"']?\s?[:=]\s?[\"']?([-+]?\d{1,3}\.\d{3,15})(?!\w|\.\d)"
        ),
        group=1,
        score=0.6,
        words=frozenset("lat latitude lon lng long longitude breitengrad längengrad".split()),
        scope=Scope.LABEL,
    )
    yield Rule(
        entity="COORDINATES",
        name="coordinates-degrees",
        pattern=(
            rf"(?<![\w.])(?:\d{{1,2}}{_MINUTES}[NS][,;]?\s{{0,2}}\d{{1,3}}{_MINUTES}[EWO]"
            r"|\d{1,2}\.\d{2,15}\s?°\s?[NS][,;]?\s{0,2}\d{1,3}\.\d{2,15}\s?°\s?[EWO])(?!\w)"
        ),
        score=0.8,
        requires=("°",),
        scope=Scope.DIGITS,
    )


def _vin(value: str) -> bool:
    """The ninth character of North American numbers checks the others."""
    numbers = [int(c) if c.isdigit() else _VIN[c] for c in value.upper()]
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    rest = sum(number * weight for number, weight in zip(numbers, weights, strict=True)) % 11
    return value[8].upper() == ("X" if rest == 10 else str(rest))


_VIN = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "12345678123457923456789"), strict=True))


def _vehicle_rules() -> Iterator[Rule]:
    """Source: ISO 3779 and ISO 3780; 49 CFR 565.15 (check digit; the last four are digits)."""
    yield Rule(
        entity="VIN",
        name="vin",
        pattern=rf"(?i){_BEFORE}(?=[^\W_]{{0,13}}[a-z])[A-HJ-NPR-Z\d]{{13}}\d{{4}}{_AFTER}",
        score=0.3,
        context=tuple(
            (
                "vin chassis fin vehicle fahrgestellnummer fahrzeug-identifizierungsnummer "
                "fahrzeugidentifizierungsnummer bastidor châssis telaio chassisnummer nadwozia"
            ).split()
        ),
        scope=Scope.CODE,
    )
    yield Rule(
        entity="VIN",
        name="vin-checked",
        pattern=(
            rf"(?i){_BEFORE}(?=\d{{0,3}}[A-Z])(?=[A-Z\d]{{3}}\d{{0,9}}[A-Z])"
            rf"[A-HJ-NPR-Z\d]{{8}}[\dX][A-HJ-NPR-Z\d]{{4}}\d{{4}}{_AFTER}"
        ),
        score=0.6,
        validate=lambda value: None if _vin(value) else False,
        scope=Scope.CODE,
    )
    plate = Rule(
        entity="VEHICLE_REGISTRATION",
        name="vehicle-registration",
        pattern=(
            rf"{_BEFORE}(?=[\p{{Lu}} -]{{0,7}}\d)(?=[\d -]{{0,7}}\p{{Lu}})"
            rf"[\p{{Lu}}\d]{{1,4}}(?:[ -]?[\p{{Lu}}\d]{{1,4}}){{1,2}}{_AFTER}"
        ),
        score=0.05,
        context=(
            "plate",
            "kennzeichen",
            "matrícula",
            "immatriculation",
            "targa",
            "kenteken",
            "nummerplade",
            "rejestracyjny",
            "rendszám",
            "plaka",
            "ΠΙΝΑΚΙΔΑ",
            "госномер",
        ),
        scope=Scope.DIGITS,
    )
    yield plate
    yield replace(
        plate,
        name="vehicle-registration-small",
        # Two letters and two digits at least, and no space: `7abc123`, but not `5 or so`.
        pattern=(
            rf"{_BEFORE}(?=(?:[\p{{L}}-]{{0,5}}\d){{2}})(?=(?:[\d-]{{0,6}}\p{{L}}){{2}})"
            rf"(?=[\p{{L}}\d-]{{6,10}}(?![\p{{L}}\d-]))"
            rf"[\p{{L}}\d]{{1,4}}(?:-?[\p{{L}}\d]{{1,4}}){{1,2}}{_AFTER}"
        ),
    )


def _bic(value: str) -> bool | None:
    return None if bic.is_valid(value) else False


def _lei(value: str) -> bool | None:
    return None if lei.is_valid(value) else False


def _bank_rules() -> Iterator[Rule]:
    """Source: ISO 9362 (BIC); ISO 17442 (LEI); bank accounts by the words before them."""
    yield Rule(
        entity="BIC_CODE",
        name="bic",
        pattern=rf"(?i){_BEFORE}[A-Z]{{4}}[A-Z]{{2}}[A-Z\d]{{2}}(?:[A-Z\d]{{3}})?{_AFTER}",
        score=0.3,
        validate=_bic,
        context=("bic", "swift", "swift code", "bankverbindung"),
        scope=Scope.ANYWHERE,
    )
    # Twenty small letters and digits are the name of a build one time in a hundred.
    for name, flags, score in (("lei", "", 0.6), ("lei-small", "(?i)", 0.3)):
        yield Rule(
            entity="LEI_CODE",
            name=name,
            pattern=rf"{flags}{_BEFORE}(?=[A-Z\d]{{0,17}}[A-Z])[A-Z\d]{{18}}\d{{2}}{_AFTER}",
            score=score,
            validate=_lei,
            context=("lei", "legal entity identifier"),
            scope=Scope.CODE,
        )
    yield Rule(
        entity="BANK_ACCOUNT",
        name="bank-account",
        pattern=rf"{_BEFORE}\d(?:[ -]?\d){{5,19}}{_AFTER}",
        score=0.1,
        context=(
            "kontonummer",
            "konto",
            "numéro de compte",
            "cuenta bancaria",
            "número de cuenta",
            "conto corrente",
            "numero di conto",
            "conta bancária",
            "conta corrente",
            "rekeningnummer",
            "rekening",
            "numer konta",
            "número da conta",
            "tilinumero",
            "číslo účtu",
            "расчетный счет",
            "расчётный счёт",
            "р/с",
            "nomor rekening",
            "số tài khoản",
            "stk",
            "hesap",
            "رقم الحساب",
        ),
        scope=Scope.NUMBERS,
    )


def _mrz(value: str) -> bool | None:
    """Whether the number, the birth date and the date of expiry have their right check digits."""
    lines = value.split()
    if len(lines[-1]) == 44:
        fields = ((lines[-1], 0, 9), (lines[-1], 13, 19), (lines[-1], 21, 27))
    else:
        fields = ((lines[0], 5, 14), (lines[1], 0, 6), (lines[1], 8, 14))
    return all(_mrz_field(line, start, end) for line, start, end in fields)


def _mrz_field(line: str, start: int, end: int) -> bool:
    numbers = [0 if c == "<" else int(c, 36) for c in line[start:end]]
    check = sum(number * (7, 3, 1)[i % 3] for i, number in enumerate(numbers)) % 10
    return line[end] == str(check)


_PASSPORT = (
    r"(?i:[A-Z]{0,3}\d{5,9}[A-Z]{0,2}"
    # Letters among the digits: `C01X00T47` in Germany, `12AB34567` in France.
    r"|(?=(?:[A-Z]{0,5}\d){4})(?=[A-Z]{0,3}\d{1,8}[A-Z])[A-Z\d]{8,10})"
)
_DOCUMENTS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    # entity, name, pattern, context
    (
        "PASSPORT",
        "passport",
        # Not the forms of the United States and the United Kingdom, which are known by name.
        r"(?!(?i:\d{9}|[A-Z]\d{8}|[A-Z]{2}\d{7})(?!\d))" + _PASSPORT,
        ("passport", "travel document"),
    ),
    (
        "PASSPORT",
        "passport-by-word",
        _PASSPORT,
        (
            "reisepass",
            "passnummer",
            "passeport",
            "pasaporte",
            "passaporto",
            "passaporte",
            "paspoort",
            "paszport",
            "paszportu",
            "pasnummer",
            "passnr",
            "passinumero",
            "cestovní pas",
            "útlevél",
            "pașaport",
            "paşaport",
            "pasaport",
            "διαβατηρίου",
            "διαβατήριο",
            "паспорт",
            "загранпаспорт",
            "hộ chiếu",
            "paspor",
            "جواز",
            "جواز السفر",
            "护照号码",
            "パスポート番号",
            "여권번호",
            "पासपोर्ट",
        ),
    ),
    (
        "DRIVER_LICENSE",
        "driver-license",
        r"[A-Z]{0,5}-?\d(?:[A-Z\d]{0,3}+(?:[ -]?[A-Z\d]{1,6}+){1,4}|[A-Z\d]{1,3})",
        (
            "driver license",
            "driver's license",
            "drivers license",
            "driving licence",
            "driver licence",
            "führerschein",
            "führerscheinnummer",
            "permis de conduire",
            "permiso de conducir",
            "licencia de conducir",
            "patente di guida",
            "carta de condução",
            "carteira de motorista",
            "rijbewijs",
            "prawo jazdy",
            "körkort",
            "kørekort",
            "førerkort",
            "ajokortti",
            "řidičský průkaz",
            "jogosítvány",
            "permis de conducere",
            "ehliyet",
            "водительское удостоверение",
            "giấy phép lái xe",
            "رخصة القيادة",
        ),
    ),
    (
        "NATIONAL_ID",
        "national-id",
        r"[A-Z]{0,3}-?\d(?:[ .-]?[A-Z\d]){5,14}",
        (
            "national id",
            "national identity",
            "national identification",
            "identity card",
            "identity number",
            "citizen id",
            "government id",
            "personalausweis",
            "ausweisnummer",
            "carte d'identité",
            "carte nationale",
            "documento de identidad",
            "cédula",
            "carta d'identità",
            "cartão de cidadão",
            "bilhete de identidade",
            "identiteitskaart",
            "dowód osobisty",
            "henkilökortti",
            "občanský průkaz",
            "személyi igazolvány",
            "carte de identitate",
            "ταυτότητα",
            "удостоверение личности",
            "kimlik",
            "بطاقة الهوية",
        ),
    ),
    (
        "TAX_ID",
        "tax-id",
        r"[A-Z]{0,3}-?\d(?:[ ./-]?[A-Z\d]){6,14}",
        (
            "tax id",
            "tax number",
            "tax identification",
            "taxpayer",
            "steuernummer",
            "numéro fiscal",
            "número fiscal",
            "código fiscal",
            "codice fiscale",
        ),
    ),
)

_SMALL: Mapping[str, str] = MappingProxyType(
    {
        "driver-license": r"(?i:[A-Z]{0,5}-?\d(?: ?\d|-?[A-Z]|-\d){4,20})",
        "national-id": r"(?i:[A-Z]{0,3}-?\d(?: ?\d|[.-]?[A-Z]|[.-]\d){5,14})",
        "tax-id": r"(?i:[A-Z]{0,3}-?\d(?: ?\d|[./-]?[A-Z]|[./-]\d){6,14})",
    }
)
"""Numbers in small letters, of which none stands after a space: those are words."""
_ORDINAL = re.compile(r"\d(?:st|nd|rd|th)\b", re.IGNORECASE)


def _is_long(value: str) -> bool | None:
    """False for `5th 2024`."""
    return None if sum(map(str.isdigit, value)) >= 6 and not _ORDINAL.search(value) else False


def _document_rules() -> Iterator[Rule]:
    """Documents of any country by the words before their numbers, and by their machine zone.

    Source: ICAO Doc 9303, parts 4 and 5.
    """
    for entity, name, pattern, context in _DOCUMENTS:
        for way, written, validate in (
            (name, pattern, None),
            (f"{name}-small", _SMALL.get(name, ""), _is_long),
        ):
            if written:
                yield Rule(
                    entity=entity,
                    name=way,
                    pattern=f"{_BEFORE}{written}{_AFTER}",
                    score=0.05,
                    validate=validate,
                    context=context,
                    scope=Scope.DIGITS,
                )
    yield Rule(
        entity="PASSPORT_MRZ",
        name="machine-readable-zone",
        pattern=(
            r"(?i)(?<![A-Z\d<])(?:(?:[PV][A-Z<][A-Z]{3}[A-Z<]{39}\s{1,2})?"
            r"[A-Z\d<]{9}\d[A-Z<]{3}\d{7}[MFX<]\d{7}[A-Z\d<]{16}"
            r"|[IAC][A-Z\d<][A-Z]{3}[A-Z\d<]{25}\s{1,2}\d{7}[MFX<]\d{7}[A-Z]{3}[A-Z\d<]{11}\d"
            r"(?:\s{1,2}[A-Z<]{30})?)(?![A-Z\d<])"
        ),
        score=0.95,
        validate=_mrz,
        certain=True,
        requires=("<",),
        scope=Scope.ANYWHERE,
    )


def _phone_rules() -> Iterator[Rule]:
    """Numbers with a country code, as they are printed in a country, and bare ones with context."""
    between = r"[ \t().\-/]{0,3}"
    for digits in range(8, 15):
        # One rule for each length: `+44 20 7946 0958 5 minutes` has a digit too many for one rule.
        yield Rule(
            entity="PHONE_NUMBER",
            name=f"phone-international-{digits}",
            pattern=(
                rf"{BEFORE}(?<!\+)(?:\(?\+|00(?=[1-9]))\d(?:{between}\d){{{digits - 1}}}{_AFTER}"
            ),
            score=0.75,
            scope=Scope.PREFIX,
            validate=lambda value: _phone("+" + value[2:] if value.startswith("00") else value),
        )
    for name, pattern, score, scope, validate in (
        (
            "phone-north-american",
            r"(?:\([2-9]\d\d\)[ .-]?|[2-9]\d\d[.-]"
            # Where it is not one of a row of numbers.
            r"|[2-9]\d\d(?<!\d[ \t]\d{3})[ ](?!\d{3}[ .-]\d{4}[ \t]\d))"
            r"[2-9]\d\d[ .-]\d{4}",
            0.5,
            Scope.FOUR_DIGITS,
            _phone,
        ),
        (
            "phone-formatted",
            r"(?:\(\d{2,5}\)[ \t]?|0\d{1,4}[ \t/-]|\d{3}[-.])\d{2,4}(?:[ \t.-]?\d{2,4}){1,3}",
            0.5,
            Scope.NUMBERS,
            _phone,
        ),
        ("phone-national", rf"\(?\d(?:{between}\d){{6,14}}", 0.3, Scope.NUMBERS, _named_phone),
        ("phone-bare", r"\d{7,14}", 0.3, Scope.SEVEN_DIGITS, _named_phone),
    ):
        yield Rule(
            entity="PHONE_NUMBER",
            name=name,
            pattern=rf"{BEFORE}(?<![+./-]|\d[,:]){pattern}{_AFTER}",
            score=score,
            scope=scope,
            validate=validate,
            context=_PHONE_WORDS,
        )
    yield Rule(
        entity="PHONE_NUMBER",
        name="phone-unspaced",
        pattern=(
            rf"(?:{'|'.join(_UNSPACED_PHONE_WORDS)})[^0-9A-Za-z+(]{{0,8}}"
            rf"(\+?\(?\d(?:{between}\d){{6,14}})(?!\d)"
        ),
        group=1,
        score=0.6,
        validate=_named_phone,
        requires=_UNSPACED_PHONE_WORDS,
        scope=Scope.ANYWHERE,
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
