"""How a value may be written: what each becomes in a list, and how a text is cut to be compared.

Source: Unicode Standard Annex 15 (NFKC).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from types import MappingProxyType

import phonenumbers
import regex

from guardrail.detection.normalize import view

PERSON, PHONE = "PERSON", "PHONE_NUMBER"


class Shape(Enum):
    """How values of an entity are read; each shape is hashed in a space of its own.

    `WORDS` are compared word by word, in any order. A `CODE` is letters and digits, whatever
    separates them. An `EMAIL` is compared as a whole, without the part after `+`.
    """

    WORDS = b"words"
    CODE = b"code"
    EMAIL = b"email"


_SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        PERSON: Shape.WORDS,
        "STREET_ADDRESS": Shape.WORDS,
        "LOCATION": Shape.WORDS,
        "EMAIL_ADDRESS": Shape.EMAIL,
    }
)
"""Values of other entities are codes where they hold a digit, and words where they hold none."""

_WHOLE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts without spaces, of which each letter counts as a word."""
_WORD = regex.compile(
    rf"[{_WHOLE}]\p{{M}}*+|[[\p{{L}}\p{{M}}\p{{N}}]--[{_WHOLE}]]++", regex.V1 | regex.UNICODE
)
_PLAIN_WORD = re.compile(r"[^\W_]+")
_NOT_PLAIN = regex.compile(rf"[\p{{M}}{_WHOLE}]")
DIGIT = regex.compile(r"\d")
_NOBODY = frozenset(
    "|na|none|null|nil|nan|unknown|unbekannt|tbd|test|test test|test user|no name|not available|"
    "not applicable|not known|keine angabe|ka|none none|unknown unknown".split("|")
)
"""What tables hold where they know nothing; to look for it would alarm at every turn."""
_LATIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"}
)
_UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"}
    | {"Å": "Aa", "Ø": "Oe"}
)
_MARKS = regex.compile("[\u0300-\u036f]++")
_UMLAUT_SPELT = regex.compile(r"([aou])e")
_TITLES = frozenset(
    "mr mrs ms miss mx dr prof sir dame herr frau dipl ing med phil jur rer nat mba phd md jr sr "
    "ii iii m mme mlle sig sra srta dott".split()
)
_STREETS = (("strasse", "str"), ("street", "st"), ("road", "rd"), ("avenue", "ave"))
_LONGEST_CODE = 64
_LONGEST_NAME = 16
"""Words. Longer entries are not taken, so that a hostile text costs no more than a long one."""


def words_of(text: str) -> list[tuple[int, int, str]]:
    """Gives start, end and folded form of each word of a view."""
    if text.isascii():
        return [(m.start(), m.end(), m[0]) for m in _PLAIN_WORD.finditer(text.lower())]
    if not _NOT_PLAIN.search(text):
        return [
            (m.start(), m.end(), m[0].lower() if m[0].isascii() else _fold(m[0]))
            for m in _PLAIN_WORD.finditer(text)
        ]
    return [(*m.span(), _fold(m.group())) for m in _WORD.finditer(text)]


def _fold(word: str) -> str:
    """Without case and accents: `Müller`, `MULLER` and `muller` are one word."""
    if word.isascii():
        return word.lower()
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    return unicodedata.normalize("NFC", _MARKS.sub("", apart).translate(_LATIN))


def fold_email(address: str) -> str:
    """Gives an address without case, and without the part after `+`."""
    local, _, domain = unicodedata.normalize("NFKC", address).casefold().rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How values are taken into a list.

    `region` is the country (ISO 3166) of telephone numbers that name none. `variants` adds
    initials, names without the middle ones, `Muller` for `Mueller`, and the first line of an
    address. `least_words` is how many words a name must have, `least_characters` how many letters
    and digits a code.
    """

    region: str = ""
    variants: bool = False
    least_words: int = 2
    least_characters: int = 5


Entry = tuple[Shape, tuple[str, ...]]
"""Shape and parts: the words of a name, or the one part of a code or an e-mail address."""


def entries(entity: str, value: str, spelling: Spelling) -> list[Entry]:
    """Gives every entry that one value of a list becomes; none where it is too short or too long.

    >>> entries("PERSON", "Dr. Lovelace, Ada", Spelling())
    [(<Shape.WORDS: b'words'>, ('ada', 'lovelace'))]
    >>> entries("EMAIL_ADDRESS", "Ada@Example.com", Spelling())
    [(<Shape.EMAIL: b'email'>, ('ada@example.com',))]
    """
    seen = view(value.strip()).text
    said = [word for _, _, word in words_of(seen)]
    if not _is_told(said):
        return []
    shape = _SHAPES.get(entity)
    if shape is Shape.EMAIL:
        local, _, domain = seen.rpartition("@")
        return [(Shape.EMAIL, (fold_email(seen),))] if local and domain else []
    if shape is Shape.WORDS:
        names = _names(seen, spelling) if entity == PERSON else _places(seen, spelling)
        least = spelling.least_words if entity == PERSON else 1
        return _within(names, least=least)
    if entity == PHONE:
        codes = _numbers(seen, spelling.region)
    elif DIGIT.search(seen):
        codes = iter(["".join(said)])
    else:
        long_enough = sum(map(len, said)) >= spelling.least_characters
        return _within([said] if long_enough else [], least=1)
    return [
        (Shape.CODE, (code,))
        for code in dict.fromkeys(codes)
        if spelling.least_characters <= len(code) <= _LONGEST_CODE
    ]


def _within(names: Iterable[Sequence[str]], *, least: int) -> list[Entry]:
    unique = dict.fromkeys(tuple(name) for name in names)
    return [(Shape.WORDS, name) for name in unique if least <= len(name) <= _LONGEST_NAME]


def _names(name: str, spelling: Spelling) -> Iterator[list[str]]:
    """`Given Family` or `Family, Given`, which words in any order make one entry."""
    spellings = [name]
    if not name.isascii():
        spellings.append(unicodedata.normalize("NFC", name).translate(_UMLAUTS))
    for spelt in spellings:
        family_first, comma, rest = spelt.partition(",")
        family = _without_titles(family_first)
        given = _without_titles(rest)
        if not comma or not given or not family:
            both = [*family, *given]
            given, family = both[:-1], both[-1:]
        yield [*given, *family]
        if spelling.variants:
            yield from _shortened(given, family)


def _shortened(given: list[str], family: list[str]) -> Iterator[list[str]]:
    for kin in (family, [_UMLAUT_SPELT.sub(r"\1", word) for word in family]):
        for own in (given, [_UMLAUT_SPELT.sub(r"\1", word) for word in given]):
            if own:
                first, others = own[0], own[1:]
                yield [*own, *kin]
                yield [first, *kin]
                yield [first, *(word[0] for word in others), *kin]
                yield [first[0], *kin]
                yield [*(word[0] for word in own), *kin]


def _without_titles(name: str) -> list[str]:
    words = [word for _, _, word in words_of(name)]
    while len(words) > 1 and words[0] in _TITLES:
        words.pop(0)
    while len(words) > 1 and words[-1] in _TITLES:
        words.pop()
    return words if _is_told(words) else []


def _is_told(words: Sequence[str]) -> bool:
    return not {" ".join(words), "".join(words)} & _NOBODY


def _places(place: str, spelling: Spelling) -> Iterator[list[str]]:
    lines = [place]
    first = regex.split(r"[,\n;]", place, maxsplit=1)[0]
    if spelling.variants and DIGIT.search(first) and " " in first.strip():
        lines.append(first)
    for line in lines:
        for spelt in dict.fromkeys((line, line.translate(_UMLAUTS))):
            words = [word for _, _, word in words_of(spelt)]
            yield words
            yield [_abbreviated(word) for word in words]


def _abbreviated(word: str) -> str:
    for long, short in _STREETS:
        if word.endswith(long):
            return word.removesuffix(long) + short
    return word


def _numbers(number: str, region: str) -> Iterator[str]:
    """Digits of a telephone number as it is written, within its country, and from abroad."""
    digits = "".join(DIGIT.findall(number))
    yield digits
    international = f"+{digits[2:]}" if digits.startswith("00") else number
    try:
        parsed = phonenumbers.parse(international, region or None)
    except phonenumbers.NumberParseException:
        return
    country = str(parsed.country_code)
    national = phonenumbers.national_significant_number(parsed)
    trunk = _trunk(parsed.country_code or 0)
    yield f"{country}{national}"
    yield f"{trunk}{national}"
    if trunk == "0":
        yield f"{country}0{national}"  # +49 (0)30 …
    else:
        yield national


@lru_cache(maxsize=512)
def _trunk(country: int) -> str:
    region = phonenumbers.region_code_for_country_code(country)
    return phonenumbers.ndd_prefix_for_region(region, True) or ""


def joined(words: Sequence[str]) -> str:
    """Gives the words of an entry as they are hashed: the same in any order."""
    return " ".join(sorted(words))
