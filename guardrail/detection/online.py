"""What names a person or machine on a network: addresses of pages, devices, SIM cards, wallets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import sha256

import regex
import tldextract
from stdnum import luhn

from guardrail.detection.patterns import Rule, Scope, Validator

_BEFORE, _AFTER = r"(?<![^\W_]|\.)", r"(?![^\W_])"


@lru_cache(maxsize=1)
def _public_suffixes() -> tldextract.TLDExtract:
    """The list that ships inside tldextract; it is never fetched."""
    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def public_suffix(domain: str) -> str:
    """Gives the public suffix of a domain, `co.uk` of `example.co.uk`; empty where it has none.

    Source: https://publicsuffix.org/list/, as it ships inside tldextract.
    """
    suffix: str = _public_suffixes()(domain).suffix
    return suffix


_LABELS = r"(?:[^\W_](?:[\w-]{0,62})\.){1,8}"
_TOP = r"(?:\p{L}{2,24}|xn--[a-z0-9-]{2,59})"
_PATH = r"(?:[^\s<>\"'`{}|\\^\[\]]{0,1023}[^\s<>\"'`{}|\\^\[\].,;:!?()*])?"
_TAIL = rf"(?:[/?#]{_PATH})?"
_HOST = re.compile(r"(?:[a-z]{3,5}://)?(?:[^\s/@]{1,64}@)?([^/?#:]+)", re.IGNORECASE)
_NOBODYS = frozenset(
    (
        "www.w3.org schema.org json-schema.org schemas.xmlsoap.org schemas.microsoft.com "
        "schemas.openxmlformats.org schemas.android.com xmlns.com purl.org ns.adobe.com"
    ).split()
)
"""Hosts whose addresses are names of formats."""
_COUNTRIES = "de fr uk nl it es pl ru ch at se no dk fi cz eu us ca au jp cn br kr pt ie nz za"
_OPEN = "com org net edu gov mil"
_FILE_ENDINGS = "py md rs sh so pl cc zip mov ps ts"
"""Top-level domains that more often end the name of a file."""


def _url(value: str) -> bool | None:
    host = _host(value)
    return False if host in _NOBODYS or host.startswith("127.") else None


def _bare_url(value: str) -> bool | None:
    """No scheme says that it is one, so its end must be known and its beginning not a program's."""
    host = _host(value)
    if host in _NOBODYS or host.split(".", 1)[0] in _OBJECTS:
        return False
    suffix = public_suffix(host)
    return None if suffix and suffix != host else False


_OBJECTS = frozenset("self this cls super java javax com org net".split())
"""Where the dotted names of programs begin: `self.net`, `com.example`."""


def _host(value: str) -> str:
    match = _HOST.match(value)
    return match[1].lower() if match else ""


def _url_rules() -> Iterator[Rule]:
    """Source: RFC 3986; RFC 1035, section 2.3.4 (lengths)."""
    yield Rule(
        entity="URL",
        name="url",
        pattern=(
            r"(?i)(?<![^\W_])(?:https?|ftps?|sftp|wss?)://(?:[^\s/@<>\"']{1,64}@)?"
            rf"{_LABELS}{_TOP}(?:\.(?=[/:?#]))?(?::\d{{1,5}})?{_TAIL}"
        ),
        score=0.6,
        validate=_url,
        requires=("://",),
        scope=Scope.ANYWHERE,
    )
    start = r"(?i)(?<![\w@./:\\$-])"
    end = r"(?![\w@(\[]|\.\w|-\w)"
    open_tops = "|".join(_OPEN.split())
    for name, pattern, score, requires, context in (
        ("url-www", rf"www\.{_LABELS}{_TOP}{_TAIL}", 0.6, ("www.",), ()),
        (
            "url-bare",
            rf"{_LABELS}(?:(?:{open_tops})|(?:com?|org|net|edu|gov|ac)\.\p{{L}}{{2}}){_TAIL}",
            0.5,
            (*(f".{top}" for top in _OPEN.split()), ".co.", ".ac."),
            (),
        ),
        (
            "url-path",
            rf"{_LABELS}(?!(?:{'|'.join(_FILE_ENDINGS.split())})/){_TOP}/(?=[\w~@-]{{2}}){_PATH}",
            0.5,
            ("/",),
            (),
        ),
        (
            "url-country",
            rf"{_LABELS}(?:{'|'.join(_COUNTRIES.split())}|io|dev|app|info|me|blog|shop|online)",
            0.3,
            (),
            tuple(
                (
                    "website web site homepage url link blog visit domain webseite seite "
                    "sitio página pagina sito internetseite сайт strona hemsida"
                ).split()
            ),
        ),
    ):
        yield Rule(
            entity="URL",
            name=name,
            pattern=start + pattern + end,
            score=score,
            validate=_bare_url,
            requires=requires,
            context=context,
            scope=Scope.DOMAIN,
        )


_BITCOIN = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"


def _base58check(alphabet: str) -> Validator:
    """Four bytes of SHA-256, twice, end the value.

    Source: https://developer.bitcoin.org/reference/address_conversion.html
    """

    def validate(value: str) -> bool | None:
        number = 0
        for character in value:
            number = number * 58 + alphabet.index(character)
        zeros = len(value) - len(value.lstrip(alphabet[0]))
        decoded = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
        body, check = decoded[:-4], decoded[-4:]
        return len(decoded) == 25 and sha256(sha256(body).digest()).digest()[:4] == check

    return validate


_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def _bech32(value: str) -> bool | None:
    """Source: BIP 173 and BIP 350."""
    prefix, _, data = value.lower().rpartition("1")
    codes = [ord(c) for c in prefix]
    values = [c >> 5 for c in codes] + [0] + [c & 31 for c in codes] + list(map(_BECH32.find, data))
    check = 1
    for code in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ code
        for bit, generator in enumerate(_GENERATOR):
            check ^= generator if top >> bit & 1 else 0
    return check in (1, 0x2BC830A3)


_B58 = r"1-9A-HJ-NP-Za-km-z"
_WALLETS: tuple[tuple[str, str, Validator | None, float, Scope], ...] = (
    # name, pattern, check, score, scope
    (
        "base58",
        rf"(?=[^\W_]{{0,33}}\d)[13LM2mnDT9A][{_B58}]{{25,33}}",
        _base58check(_BITCOIN),
        0.6,
        Scope.CODE,
    ),
    ("ripple", rf"(?=[^\W_]{{0,33}}\d)r[{_B58}]{{24,34}}", _base58check(_RIPPLE), 0.6, Scope.CODE),
    (
        "bech32",
        rf"(?:bc|tb|ltc|addr|cosmos|osmo)1[{_BECH32}]{{38,100}}",
        _bech32,
        0.6,
        Scope.CODE,
    ),
    ("ethereum", r"0x(?=[^\W_]{0,39}\d)[0-9A-Fa-f]{40}", None, 0.6, Scope.CODE),
    ("monero", rf"[48][0-9AB](?=[^\W_]{{0,92}}\d)[{_B58}]{{93}}", None, 0.5, Scope.CODE),
)


def _wallet_rules() -> Iterator[Rule]:
    for name, pattern, check, score, scope in _WALLETS:
        yield Rule(
            entity="CRYPTO",
            name=f"crypto-{name}",
            pattern=_BEFORE + pattern + _AFTER,
            flags=regex.IGNORECASE if name == "bech32" else 0,
            score=score,
            validate=check,
            certain=check is not None,
            scope=scope,
        )


def _checked(is_valid: Callable[[str], bool]) -> Validator:
    return lambda value: None if is_valid(re.sub(r"\D", "", value)) else False


_UUID_WORDS = tuple(
    (
        "uuid guid user device session visitor advertising idfa gaid aaid advertiser account "
        "customer client member subscriber patient gerät kunde benutzer nutzer utilisateur "
        "appareil usuario dispositivo cliente utente"
    ).split()
)
_DEVICES: tuple[tuple[str, str, str, float, Validator | None, tuple[str, ...]], ...] = (
    # entity, name, pattern, score, check, context
    (
        "UUID",
        "uuid",
        r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}(?!-)",
        0.3,
        None,
        _UUID_WORDS,
    ),
    (
        "IMEI",
        "imei",
        r"\d{15}|\d{2}[- ]\d{6}[- ]\d{6}[- ]\d|\d{6}[- ]\d{2}[- ]\d{6}[- ]\d",
        0.3,
        _checked(luhn.is_valid),
        ("imei", "handset", "device id", "gerätenummer", "серийный"),
    ),
    (
        "IMEI",
        "imei-printed",
        r"\d{2}-\d{6}-\d{6}-\d|\d{6}-\d{2}-\d{6}-\d",
        0.6,
        _checked(luhn.is_valid),
        ("imei",),
    ),
    (
        "ICCID",
        "iccid",
        r"89\d{2}(?:[ -]?\d{4}){3}(?:[ -]?\d{3,4})",
        0.3,
        _checked(luhn.is_valid),
        ("iccid", "sim", "sim card", "simkarte", "esim", "icc"),
    ),
    ("IMSI", "imsi", r"[2-7]\d{13,14}", 0.1, None, ("imsi", "subscriber identity")),
)


def online_rules() -> list[Rule]:
    """Gives the rules for URLs, wallets, UUIDs and the numbers of devices and SIM cards.

    Source: RFC 9562 (UUID); 3GPP TS 23.003 (IMEI, IMSI); ITU-T E.118 (ICCID); wallets: see each.
    """
    devices = [
        Rule(
            entity=entity,
            name=name,
            pattern=f"{_BEFORE}(?:{pattern}){_AFTER}",
            score=score,
            validate=check,
            context=context,
            scope=Scope.ANYWHERE if entity == "UUID" else Scope.NUMBERS,
        )
        for entity, name, pattern, score, check, context in _DEVICES
    ]
    return [*_url_rules(), *_wallet_rules(), *devices]
